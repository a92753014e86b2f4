"""Measure images that programs send over HTTP, a bounded number at a time."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from edgeseg.drawing.encode import encode_mask
from edgeseg.errors import DataError
from edgeseg.images import image_file
from edgeseg.images.frame import as_pixel_size, parse_pixel_size
from edgeseg.inputs.ages import read_age
from edgeseg.measure.tasks import measure_of
from edgeseg.output import table
from edgeseg.prediction import Prediction
from edgeseg.segmenter import Segmenter
from edgeseg.system.parallel import single_threaded_opencv
from edgeseg.system.version import __version__

PARAMETERS = ("pixel_size", "name", "ga", "include")
"""What may be said of an image, and what is to be sent back."""
_PICTURES: Mapping[str, Callable[[Prediction], bytes]] = {
    "mask": lambda prediction: encode_mask(prediction.mask()),
    "overlay": lambda prediction: prediction.overlay_jpeg(),
}


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
    if unknown := [kind for kind in kinds if kind not in _PICTURES]:
        raise DataError(f"include is {unknown[0]!r}; expected {' or '.join(_PICTURES)}, or both")
    size_mm = parse_pixel_size(parameters["pixel_size"]) if "pixel_size" in parameters else None
    weeks = read_age(parameters["ga"]) if "ga" in parameters else None
    image = image_file.decode_frame(data)
    size, name = as_pixel_size(size_mm) or image.pixel_size, parameters.get("name", "")
    frame = replace(image, pixel_size=size, name=name, ga_weeks=weeks)
    with single_threaded_opencv:
        prediction = segmenter.predict(frame)
        pictures = {kind: base64.b64encode(_PICTURES[kind](prediction)) for kind in kinds}
    task = prediction.task
    columns = measure_of(task).given_columns(task, ages=weeks is not None, calibrated=False)
    row = table.typed(table.prediction_row(name, prediction, 0.0, columns))
    texts = {kind: picture.decode("ascii") for kind, picture in pictures.items()}
    return {**row, "decode_ms": None, **texts}
