"""What a training run is told: one flat table of values, from defaults, a TOML file and options.

Imports nothing heavy, so that the command line can list and check the values without torch.
"""

from __future__ import annotations

import difflib
import json
import tomllib
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from edgeseg.errors import ConfigError, DataError, InputNotFoundError

RUN_NAME = "run.json"
# Where and with how many processes a run goes on does not change what it is.
PLACE = frozenset({"workers", "accelerator", "devices", "num_nodes", "distributed_strategy"})

# Parts as the paper numbers them: D0 is the deepest decoder block. The head is trained wherever
# the whole decoder is; the paper's counts (6,976 for D4 alone) show that it stays frozen elsewhere.
STRATEGIES: dict[str, tuple[str, ...]] = {
    "baseline": ("all",),
    "full": ("all",),
    "encoder": ("encoder",),
    "decoder": ("decoder", "head"),
    "decoder-0": ("D0",),
    "decoder-0-1": ("D0", "D1"),
    "decoder-0-1-2": ("D0", "D1", "D2"),
    "decoder-2-3-4": ("D2", "D3", "D4"),
    "decoder-4": ("D4",),
}
"""Name -> trained parts. ``baseline`` is the plain U-Net without a backbone, see `model`."""

CHOICES: dict[str, tuple[str, ...]] = {
    "task": ("auto", "head", "ellipse", "regions"),
    "architecture": ("unet-mobilenet_v2", "unet-plain"),
    "strategy": tuple(STRATEGIES),
    "input_mode": ("gray", "rgb"),
    "normalization": ("imagenet", "unit"),
    "loss": ("bce", "bce+dice", "bce+dice+hc"),
    "optimizer": ("adam", "adamw"),
    "schedule": ("constant", "one-cycle"),
    "precision": ("auto", "fp32", "bf16"),
}

_LIMITS: tuple[tuple[tuple[str, ...], Callable[[Any], bool], str], ...] = (
    (("input_height", "input_width"), lambda n: n > 0 and n % 32 == 0, "a multiple of 32"),
    (("epochs", "batch_size", "validate_every", "num_nodes"), lambda n: n >= 1, "1 or more"),
    (("devices",), lambda n: n >= 0, "1 or more, or 0 for all"),
    (("patience", "ellipse_prior"), lambda n: n >= 0, "0 or more"),
    (("class_weights",), lambda weights: all(n > 0 for n in weights), "numbers above 0"),
    (("fraction",), lambda n: 0 < n <= 1, "more than 0 and at most 1"),
    (("ema_decay",), lambda n: 0 <= n < 1, "0 or more, below 1"),
    (("encoder_stages",), lambda n: n in (4, 5), "4 or 5"),
    (("encoder_expansion", "first_expansion"), lambda n: 1 <= n <= 6, "1 to 6"),
    (("scale_range",), lambda r: len(r) == 2 and 0 < r[0] <= r[1], "smallest, largest"),
)


def _value(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Every value of a training run; `training/hc18.toml` and `paper.toml` are two of them.

    Raises
    ------
    ConfigError
        If a value cannot work.
    """

    name: str = _value("", "name the exported model carries; by default that of the run's folder")
    licence: str = _value("unknown", "terms that the model's card states")
    task: str = _value("auto", "auto: a head where the data has outlines and HC, else regions")
    classes: tuple[str, ...] = _value(
        (), "names of the structures; by default those of classes.txt"
    )
    ignore_index: tuple[int, ...] = _value((), "values in masks that nobody labelled")
    group_pattern: str = _value(
        "", "expression for an image's patient in its name; they stay in one fold"
    )
    architecture: str = _value("unet-mobilenet_v2", "unet-mobilenet_v2: with the encoder below")
    encoder: str = _value("mobilenet_v2", "encoder, by its segmentation-models-pytorch name")
    strategy: str = _value("full", "which parts are trained")
    encoder_weights: str = _value("imagenet", "imagenet, none or a .safetensors file")
    init: str = _value("", "start instead from a run's folder or file, or from an exported model")
    input_height: int = _value(192, "network input height, a multiple of 32")
    input_width: int = _value(288, "network input width, a multiple of 32")
    input_mode: str = _value("gray", "channels the first convolution sees")
    normalization: str = _value("imagenet", "imagenet: its mean and SD; unit: x/255 only")
    encoder_top: bool = _value(True, "keep the encoder's last convolution, 320 to 1280 channels")
    encoder_stages: int = _value(5, "5, or 4 to leave out the deepest, at stride 32")
    encoder_expansion: int = _value(6, "hidden channels of a block for each input one, 1 to 6")
    first_expansion: int = _value(6, "the same, of the first widening block, the largest in memory")
    decoder_channels: tuple[int, ...] = _value(
        (64, 32, 24, 16, 8),
        "widths, deepest first; one less than stages ends at half the size, upsampled to all of it",
    )
    ellipse_prior: float = _value(0.0, "logits by which a map's own ellipse may correct an answer")
    freeze_batchnorm_statistics: bool = _value(True, "frozen parts keep their statistics too")
    epochs: int = _value(24, "passes over the training images")
    batch_size: int = _value(10, "images a step, over all devices")
    optimizer: str = _value("adamw", "optimizer")
    schedule: str = _value("one-cycle", "learning rate over the run")
    learning_rate: float = _value(2e-3, "peak learning rate of the decoder")
    encoder_learning_rate_factor: float = _value(0.5, "encoder's share of the learning rate")
    weight_decay: float = _value(1e-2, "AdamW decay; never on biases and batch-norm")
    loss: str = _value("bce+dice", "training loss")
    class_weights: tuple[float, ...] = _value((), "of structures in bce; default: more if rare")
    hc_weight: float = _value(1.0, "weight of the circumference in the loss bce+dice+hc")
    ema_decay: float = _value(0.998, "weight averaging over steps; 0 switches it off")
    precision: str = _value("auto", "arithmetic of the steps; auto: bf16 where processors have it")
    rotate_deg: float = _value(25.0, "rotation, uniform within plus and minus this")
    scale_range: tuple[float, ...] = _value((0.8, 1.25), "zoom, uniform between the two")
    shift: float = _value(0.08, "shift, uniform within this share of the size")
    shear_deg: float = _value(0.0, "shear, uniform within plus and minus this")
    horizontal_flip: float = _value(0.5, "probability")
    vertical_flip: float = _value(0.5, "probability")
    gamma: float = _value(0.3, "log of the gamma exponent, uniform within plus and minus this")
    gain: float = _value(0.2, "log of the gain, uniform within plus and minus this")
    noise: float = _value(0.06, "largest SD of speckle and of additive noise, of full scale")
    blur: float = _value(0.0, "probability of a slight blur")
    shadow: float = _value(0.0, "probability of a dark sector")
    empty: float = _value(0.0, "probability of an image without a head: blank or noise")
    seed: int = _value(0, "seeds weights, order and augmentation")
    fraction: float = _value(1.0, "share of the training heads to use")
    folds: str = _value("", "split file; by default five folds, grouped by patient, are made")
    fold: int = _value(0, "fold held out for validation; -1 trains on everything")
    workers: int = _value(1, "processes that load data, for each that trains")
    accelerator: str = _value("auto", "cpu, gpu, or another by its Lightning name")
    devices: int = _value(1, "devices of each node, a process on each; 0: all of them")
    num_nodes: int = _value(1, "computers that train together")
    distributed_strategy: str = _value("auto", "of several processes, as Lightning names it")
    validate_every: int = _value(1, "epochs between validations; the last is always validated")
    patience: int = _value(0, "end after so many validations without a better Dice; 0: never")

    def __post_init__(self) -> None:
        for key, allowed in CHOICES.items():
            if getattr(self, key) not in allowed:
                raise ConfigError(
                    f"{key} is {getattr(self, key)!r}; expected one of {', '.join(allowed)}"
                )
        for keys, holds, expected in _LIMITS:
            for key in keys:
                if not holds(getattr(self, key)):
                    raise ConfigError(f"{key} is {getattr(self, key)}; expected {expected}")
        for key in ("encoder_expansion", "first_expansion"):
            if self.encoder != "mobilenet_v2" and getattr(self, key) != 6:
                raise ConfigError(
                    f"{key} is {getattr(self, key)}, which is of mobilenet_v2 alone; with encoder "
                    f"= {self.encoder!r} add --{key.replace('_', '-')} 6"
                )
        counts = (self.encoder_stages, self.encoder_stages - 1)
        if len(self.decoder_channels) not in counts or min(self.decoder_channels) < 1:
            raise ConfigError(
                f"decoder_channels is {self.decoder_channels}; expected {counts[0]} widths, or "
                f"{counts[1]}"
            )

    def updated(self, values: Mapping[str, Any]) -> TrainConfig:
        """Return a copy with some values replaced; text is converted to the value's type.

        Raises
        ------
        ConfigError
            If a name is unknown or a value is not of its type.
        """
        hints = typing.get_type_hints(TrainConfig)
        converted = {}
        for key, value in values.items():
            if key not in hints:
                close = difflib.get_close_matches(key, hints, n=1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise ConfigError(f"there is no training value {key!r}{hint}")
            converted[key] = _convert(key, value, hints[key])
        return replace(self, **converted)

    def as_dict(self) -> dict[str, Any]:
        """Return the values as JSON-ready types, tuples as lists."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


def load_config(path: Path | None, base: TrainConfig | None = None) -> TrainConfig:
    """Read a TOML file over a base, by default the defaults; without a file return the base.

    The file's tables only group values and do not name them.

    Raises
    ------
    InputNotFoundError
        If there is no such file.
    ConfigError
        If it is not TOML, or holds an unknown name or an impossible value.
    """
    base = base or TrainConfig()
    if path is None:
        return base
    try:
        parsed = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputNotFoundError(f"{path}: no such config file") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML ({error})") from error
    flat: dict[str, Any] = {}
    for key, value in parsed.items():
        for name, inner in value.items() if isinstance(value, dict) else [(key, value)]:
            if name in flat:
                raise ConfigError(f"{path}: {name!r} is set twice")
            flat[name] = inner
    return base.updated(flat)


def read_run(out: Path) -> dict[str, Any]:
    """Read the record of a run, its ``config`` as a `TrainConfig`.

    Raises
    ------
    DataError
        If the folder's ``run.json`` is not the record of a run.
    """
    path = out / RUN_NAME
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not {"folder", "sha256"} <= record["data"].keys() or not record["split"].keys():
            raise ValueError
        # a value that did not exist then was what its default says now
        return record | {"config": TrainConfig().updated(record["config"])}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise DataError(
            f"{path}: not the record of a run; use --overwrite to start anew"
        ) from error


def _convert(key: str, value: Any, kind: Any) -> Any:
    if isinstance(kind, types.GenericAlias):  # tuple[number, ...]
        parts = value.split(",") if isinstance(value, str) else value
        if not isinstance(parts, list | tuple):
            raise ConfigError(f"{key} is {value!r}; expected numbers separated by commas")
        return tuple(_convert(key, part, typing.get_args(kind)[0]) for part in parts)
    if kind is bool:
        words = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
        if str(value).lower() in words:
            return words[str(value).lower()]
    elif kind is str:
        return str(value)
    elif not isinstance(value, bool):
        try:
            number = kind(value)
            if number == float(value):
                return number
        except (TypeError, ValueError):
            pass
    raise ConfigError(f"{key} is {value!r}; expected {kind.__name__}")
