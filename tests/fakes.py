"""A network whose answers tests know, behind the session that `Segmenter` opens; logs; waiting."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgeseg.images.frame import Frame
from edgeseg.measure.ellipse import Ellipse
from edgeseg.measure.framing import View
from edgeseg.measure.measurement import Look, Measurement, TaskMeasure
from edgeseg.network.metadata import METADATA_KEY, ModelMetadata
from edgeseg.network.task import Task
from edgeseg.segmenter import Segmenter

HEIGHT, WIDTH = 192, 288
METADATA = ModelMetadata("fake", "none", "none", "fp32", HEIGHT, WIDTH, None, None, "0")
LESIONS = replace(METADATA, task=Task("regions", ("background", "lesion", "cyst"), exclusive=False))

Answer = Callable[[np.ndarray], np.ndarray]


def bright(gray: np.ndarray) -> np.ndarray:
    """Answer with the gray values, 255 as probability 1, for one structure."""
    return (gray / np.float32(255)).astype(np.float32)


def bright_and_gray(gray: np.ndarray) -> np.ndarray:
    """Answer for two structures: what is bright, and what is of a middle gray."""
    values = gray / np.float32(255)
    middle = 1 - np.minimum(np.abs(values - 0.5) / 0.5, 1)
    return np.concatenate([values, middle * (values < 0.75)], axis=1).astype(np.float32)


def head_image(ellipse: Ellipse, size: tuple[int, int]) -> np.ndarray:
    """Draw a head that `bright` answers with exactly, (height, width), uint8."""
    return np.round(255 * ellipse.coverage(*size)).astype(np.uint8)


def measure_frame(
    task: TaskMeasure,
    answer: Callable[[View], np.ndarray],
    frame: Frame,
    metadata: ModelMetadata = METADATA,
    presence: float | None = None,
) -> Measurement:
    """Measure a frame by a network that answers every view, (C, h, w)."""
    return task.measure(frame, lambda view: Look(answer(view), view, presence), metadata)


class FakeSession:
    """What edgeseg asks of an onnxruntime session.

    ``answer`` gives maps, (N, C, h, w), for gray values, (N, 1, h, w). ``batch`` is the one size of
    a batch it takes, None for any; ``channels`` are those of a float input, None for uint8 gray.
    """

    def __init__(
        self,
        answer: Answer = bright,
        metadata: ModelMetadata = METADATA,
        *,
        batch: int | None = None,
        channels: int | None = None,
    ) -> None:
        self.answer, self.metadata, self.batch, self.channels = answer, metadata, batch, channels
        self.fed: list[np.ndarray] = []

    def run(self, names: list[str], feed: dict[str, np.ndarray], /) -> list[np.ndarray]:
        assert names == ["probability"]
        values = feed["image"]
        assert self.batch in (None, len(values)), "a graph of a fixed batch takes no other"
        assert values.dtype == (np.uint8 if self.channels is None else np.float32)
        self.fed.append(values)
        gray = values if self.channels is None else np.round(255 * values[:, :1])
        return [self.answer(gray)]

    def get_providers(self) -> list[str]:
        return ["CPUExecutionProvider"]

    def get_inputs(self) -> list[Any]:
        kind = "tensor(uint8)" if self.channels is None else "tensor(float)"
        return [self._port("image", kind, self.channels or 1)]

    def get_outputs(self) -> list[Any]:
        return [self._port("probability", "tensor(float)", len(self.metadata.task.structures))]

    def get_modelmeta(self) -> Any:
        return SimpleNamespace(custom_metadata_map={METADATA_KEY: self.metadata.to_json()})

    def _port(self, name: str, kind: str, channels: int) -> Any:
        sides = (self.metadata.input_height, self.metadata.input_width)
        return SimpleNamespace(name=name, type=kind, shape=[self.batch or "N", channels, *sides])


def open_fake(
    monkeypatch: pytest.MonkeyPatch, session: FakeSession, *, threads: int | None = 1
) -> Segmenter:
    """Open a segmenter whose session is a fake; the file is a bundled one."""
    monkeypatch.setattr("edgeseg.segmenter.open_session", lambda *_, **__: session)
    return Segmenter("hc18-nano", threads=threads)


class Clock:
    """Stands where a module has ``time``: goes on only when it is told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def perf_counter(self) -> float:
        return self.now_s

    def process_time(self) -> float:
        return 2 * self.now_s

    def takes(self, milliseconds: float, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that takes so long."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            self.now_s += milliseconds / 1000
            return call(*args, **kwargs)

        return timed


def record_calls(
    patch: pytest.MonkeyPatch, log: list[Any], owner: Any, name: str, what: Callable[..., Any]
) -> None:
    """Have a function log what ``what`` makes of its arguments, unless None, once it has run."""
    original = getattr(owner, name)

    def call(*args: Any, **more: Any) -> Any:
        result = original(*args, **more)
        if (entry := what(*args)) is not None:
            log.append(entry)
        return result

    patch.setattr(owner, name, call)


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until something is true that other threads bring about."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.005)
