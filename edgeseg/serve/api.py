"""Measure images that programs send over HTTP, a bounded number at a time."""

from __future__ import annotations

import base64
import contextlib
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from edgeseg.errors import DataError, ModelError
from edgeseg.images import image_file
from edgeseg.images.frame import Frame, parse_pixel_size
from edgeseg.inputs.facts import Ages, PixelSizes, read_age
from edgeseg.inputs.source import Source
from edgeseg.run.worker import Options, Worker
from edgeseg.segmenter import Segmenter
from edgeseg.system.parallel import single_threaded_opencv


class Busy(Exception):
    """All places are taken by images that are measured or wait for it."""


class Measurer:
    """Measures images of several callers: ``workers`` at once, while ``queue`` others wait."""

    def __init__(self, segmenter: Segmenter, workers: int, queue: int) -> None:
        self.segmenter = segmenter
        self.taken = 0
        """Places that are taken by images."""
        self._pool = ThreadPoolExecutor(workers, "edgeseg-measure")
        self._places = workers + queue
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Hold a place meanwhile, from before an image is read; raises `Busy` if none is free."""
        with self._lock:
            if self.taken == self._places:
                raise Busy
            self.taken += 1
        try:
            yield
        finally:
            with self._lock:
                self.taken -= 1

    def measure(self, data: bytes, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Measure an image file when its turn comes, for a caller that holds a place.

        Returns the row of ``results.csv`` as values, and the pictures asked for in base64; raises
        `EdgesegError` if the image cannot be measured or a parameter is invalid. Their names are
        checked before, by `check_parameters`.
        """
        return self._pool.submit(_measure, self.segmenter, data, parameters).result()

    def close(self) -> None:
        """Wait for the images under way, and measure no more."""
        self._pool.shutdown()


def check_parameters(parameters: Mapping[str, str]) -> None:
    """Refuse what is no parameter or picture with a `DataError`, before an image is read."""
    for what, found, known in (
        ("parameter", parameters, ("pixel_size", "name", "ga", "include")),
        ("picture", _list_pictures(parameters), ("mask", "overlay")),
    ):
        if unknown := [name for name in found if name not in known]:
            raise DataError(f"there is no {what} {unknown[0]!r}; expected {', '.join(known)}")


def _list_pictures(parameters: Mapping[str, str]) -> list[str]:
    return [kind for kind in parameters.get("include", "").split(",") if kind]


def _measure(segmenter: Segmenter, data: bytes, parameters: Mapping[str, str]) -> dict[str, Any]:
    kinds = _list_pictures(parameters)
    size_mm = parse_pixel_size(parameters["pixel_size"]) if "pixel_size" in parameters else None
    weeks = read_age(parameters["ga"]) if "ga" in parameters else None
    frames: list[Frame] = []
    pictures: dict[str, str] = {}

    def read(source: Source) -> Frame:
        frames.append(image_file.decode_frame(data))
        return frames[0]

    def write(name: str, content: bytes) -> None:
        folder = name.partition("/")[0]
        pictures[folder.removesuffix("s")] = base64.b64encode(content).decode("ascii")

    options = Options(masks="mask" in kinds, overlays="overlay" in kinds)
    sizes = PixelSizes(pixel_size_mm=size_mm)
    with single_threaded_opencv():
        worker = Worker(segmenter, sizes, options, Ages(weeks=weeks), read=read)
        row = worker.measure(Source(parameters.get("name", ""), ""), write)
    if row["status"] == "failed":
        raise (ModelError if frames else DataError)(str(row["reason"]))
    return {**row, **pictures}
