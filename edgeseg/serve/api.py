"""Measure images that programs send over HTTP, a bounded number at a time."""

from __future__ import annotations

import base64
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from edgeseg.errors import DataError, ModelError
from edgeseg.images import image_file
from edgeseg.images.frame import Frame, parse_pixel_size
from edgeseg.inputs.ages import Ages, read_age
from edgeseg.inputs.pixel_sizes import PixelSizes
from edgeseg.inputs.source import Source
from edgeseg.run.worker import Options, Worker
from edgeseg.segmenter import Segmenter
from edgeseg.system.parallel import single_threaded_opencv
from edgeseg.system.version import __version__

PARAMETERS = ("pixel_size", "name", "ga", "include")
"""What may be said of an image, and what is to be sent back."""
_INCLUDE = ("mask", "overlay")


class Busy(Exception):
    """All places are taken by images that are measured or wait for it."""


class Measurer:
    """Measures images of several callers; as a context it holds a place for one image.

    Parameters
    ----------
    segmenter
        The model, opened with one thread.
    workers
        Images measured at once.
    queue
        Further images that may wait.
    """

    def __init__(self, segmenter: Segmenter, workers: int, queue: int) -> None:
        self.segmenter = segmenter
        self.taken = 0
        """Places that are taken now."""
        self._pool = ThreadPoolExecutor(workers, "edgeseg-measure")
        self._places = workers + queue
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        """Take a place, before an image is read.

        Raises
        ------
        Busy
            If all are taken.
        """
        with self._lock:
            if self.taken == self._places:
                raise Busy
            self.taken += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.taken -= 1

    def measure(self, data: bytes, parameters: Mapping[str, str]) -> dict[str, Any]:
        """Measure an image when its turn comes, for a caller that holds a place.

        Parameters
        ----------
        data
            Bytes of an image file.
        parameters
            Texts by the names of `PARAMETERS`.

        Returns
        -------
        dict
            The row of ``results.csv`` as values, and the pictures asked for in base64.

        Raises
        ------
        EdgesegError
            If the image cannot be measured, or the value of a parameter is invalid.
        """
        return self._pool.submit(_measure, self.segmenter, data, parameters).result()

    def state(self) -> dict[str, Any]:
        """Return the answer to ``/health``."""
        model = self.segmenter.file
        return {
            "status": "ok",
            "version": __version__,
            "model": model.name,
            "model_sha256": model.sha256,
            "n_under_way": self.taken,
        }

    def close(self) -> None:
        """Wait for the images under way, and measure no more."""
        self._pool.shutdown()


def check_parameters(names: Mapping[str, str]) -> None:
    """Raise `DataError` if there is no parameter of one of the names."""
    for name in names:
        if name not in PARAMETERS:
            raise DataError(f"there is no parameter {name}; expected {', '.join(PARAMETERS)}")


def _measure(segmenter: Segmenter, data: bytes, parameters: Mapping[str, str]) -> dict[str, Any]:
    kinds = [kind for kind in parameters.get("include", "").split(",") if kind]
    if unknown := [kind for kind in kinds if kind not in _INCLUDE]:
        raise DataError(f"include is {unknown[0]!r}; expected {' or '.join(_INCLUDE)}, or both")
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
    with single_threaded_opencv:
        worker = Worker(segmenter, sizes, options, Ages(weeks=weeks), read=read)
        row = worker.measure(Source(parameters.get("name", ""), ""), write)
    if row["status"] == "failed":
        raise (ModelError if frames else DataError)(str(row["reason"]))
    return {**row, **pictures}
