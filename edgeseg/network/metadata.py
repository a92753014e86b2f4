"""Metadata of a model file: one JSON string in the ONNX ``metadata_props``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from edgeseg.errors import ModelError
from edgeseg.network.adapter import Adapter, read_adapter
from edgeseg.network.task import (
    Interval,
    Limits,
    Task,
    is_number,
    read_interval,
    read_limits,
    read_task,
    require,
)
from edgeseg.system.text import first_line, short

METADATA_KEY = "edgeseg"
SCHEMA_VERSION = 2
ADAPTER_SCHEMA_VERSION = 3
"""Of a file with an adapter: versions that do not know how to feed its network refuse it."""
_READ = (1, SCHEMA_VERSION, ADAPTER_SCHEMA_VERSION)  # schema 1 knows no task: all are of heads
_LONGEST = 2**20  # characters of its text; those of edgeseg have a few thousand
_DEEPEST = 16  # levels of figures in figures
_LARGEST_SIDE_PX = 2**14
INTENDED_USE = "Research and education. Not a medical device; not for diagnosis."


@dataclass(frozen=True, slots=True)
class TrainData:
    """The images a model was trained on: a name, how many, and their hash (`hc18.data_sha256`)."""

    name: str
    count: int
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """Everything the runtime must know to use a model, and a user to judge it.

    ``precision`` is ``fp32``, ``fp16`` or ``int8``, the input's height and width are in pixels, and
    from ``threshold`` on a probability makes a pixel part of a structure. What it was trained on,
    with the (smallest, largest) mm per pixel, and ``parameters`` and ``gmac``, its weights and 1e9
    multiply-accumulates for one image, are None if unknown. ``metrics`` are ``{"data": ...,
    "split": ..., "figures": {...}}`` as measured, empty if never. ``limits`` and ``interval`` are
    those of a head's figures, ``adapter`` that of a network with an input and output of its own.
    """

    name: str
    architecture: str
    strategy: str
    precision: str
    input_height: int
    input_width: int
    train_data: TrainData | None
    train_pixel_size_mm_range: tuple[float, float] | None
    edgeseg_version: str
    threshold: float = 0.5
    metrics: Mapping[str, Any] = field(default_factory=dict, hash=False)
    licence: str = "unknown"
    intended_use: str = INTENDED_USE
    parameters: int | None = None
    gmac: float | None = None
    task: Task = field(default_factory=Task)  # files of schema 1 are of heads
    limits: Limits = field(default_factory=Limits)
    interval: Interval | None = None
    adapter: Adapter | None = None
    schema_version: int = SCHEMA_VERSION

    def to_json(self) -> str:
        """Return the JSON text stored under `METADATA_KEY`."""
        values = asdict(self) | {"task": self.task.as_dict()}
        if self.task.kind != "head":
            del values["limits"]
        if self.adapter is None:
            del values["adapter"]
        return json.dumps(values, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> ModelMetadata:
        """Parse and check the JSON text, or raise `ModelError`; unknown keys are ignored."""
        try:
            if len(text) > _LONGEST:
                raise ValueError(f"{len(text)} characters")
            values = json.loads(text)
            version = values["schema_version"]
            if type(version) is not int or version not in _READ:
                raise ModelError(
                    f"the model's metadata has schema {short(version)}, this edgeseg reads "
                    f"{_READ[0]} to {_READ[-1]}; install a matching edgeseg or export it again"
                )
            values = {f.name: values[f.name] for f in fields(cls) if f.name in values}
            if values["train_pixel_size_mm_range"] is not None:
                low, high = values["train_pixel_size_mm_range"]
                values["train_pixel_size_mm_range"] = (float(low), float(high))
            if values["train_data"] is not None:
                values["train_data"] = TrainData(**values["train_data"])
            values["task"] = read_task(values["task"]) if version > 1 else Task()
            of_heads = values["task"].kind == "head"  # other tasks have no such limits
            values["limits"] = read_limits(values.get("limits", {}) if of_heads else {})
            values["interval"] = read_interval(values.get("interval"))
            has_adapter = version >= ADAPTER_SCHEMA_VERSION
            values["adapter"] = read_adapter(values["adapter"]) if has_adapter else None
            metadata = cls(**values)
            metadata._check()
        except ModelError:
            raise
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise ModelError(
                f"the model's '{METADATA_KEY}' metadata is damaged ({first_line(error)}); "
                "export it again"
            ) from error
        return metadata

    def _check(self) -> None:
        for name in (each.name for each in fields(self) if each.type == "str"):
            require(isinstance(value := getattr(self, name), str), value, name)
        for side in (self.input_height, self.input_width):
            require(type(side) is int and 1 <= side <= _LARGEST_SIDE_PX, side, "input side")
        threshold, data = self.threshold, self.train_data or TrainData("", 0, "")
        require(is_number(threshold) and 0 < threshold < 1, threshold, "threshold")
        for number in (self.parameters, self.gmac):
            require(number is None or is_number(number, 0), number, "cost")
        are_texts = isinstance(data.name, str) and isinstance(data.sha256, str)
        require(are_texts and type(data.count) is int, data, "training data")
        is_mapping = isinstance(self.metrics, Mapping)
        require(is_mapping and _are_figures(self.metrics), self.metrics, "metrics")
        low, high = self.train_pixel_size_mm_range or (1.0, 1.0)
        require(0 < low <= high < math.inf, (low, high), "range of pixel sizes, mm")


def _are_figures(value: Any, depth: int = 0) -> bool:
    """Tell whether texts, finite numbers, lists and mappings of them are all there is."""
    if isinstance(value, Mapping | list):
        inner = value.values() if isinstance(value, Mapping) else value
        return depth < _DEEPEST and all(_are_figures(each, depth + 1) for each in inner)
    return value is None or isinstance(value, str | bool) or is_number(value)
