"""An image's bytes in, its row out: what is measured for a program that asks over HTTP."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from edgeseg.drawing.encode import encode_mask
from edgeseg.errors import DataError
from edgeseg.images import image_file
from edgeseg.images.frame import Frame, as_pixel_size, parse_pixel_size
from edgeseg.inputs.ages import read_age
from edgeseg.measure.tasks import measure_of
from edgeseg.output import table
from edgeseg.prediction import Prediction
from edgeseg.segmenter import Segmenter
from edgeseg.system.parallel import single_threaded_opencv

PARAMETERS = ("pixel_size", "name", "ga", "include")
_PICTURES: Mapping[str, Callable[[Prediction], bytes]] = {
    "mask": lambda prediction: encode_mask(prediction.mask()),
    "overlay": lambda prediction: prediction.overlay_jpeg(),
}


class Busy(Exception):
    """As many images as may are being measured or wait for it."""


class Measurer:
    """Measures images of several callers, so many at once; so many more may wait.

    Parameters
    ----------
    segmenter
        The model, opened with one thread.
    workers, waiting
        Images measured at once, and those that may wait for it.
    """

    def __init__(self, segmenter: Segmenter, workers: int, waiting: int) -> None:
        self.segmenter = segmenter
        self._pool = ThreadPoolExecutor(workers, "edgeseg-measure")
        self._places = workers + waiting
        self._taken = 0
        self._counting = threading.Lock()

    @property
    def taken(self) -> int:
        """Places that are taken now: images under way, and those that wait."""
        return self._taken

    def __enter__(self) -> None:
        """Take a place, before an image is read.

        Raises
        ------
        Busy
            If all are taken.
        """
        with self._counting:
            if self._taken == self._places:
                raise Busy
            self._taken += 1

    def __exit__(self, *_: object) -> None:
        with self._counting:
            self._taken -= 1

    def measure(self, data: bytes, given: Mapping[str, str]) -> dict[str, Any]:
        """Measure an image when its turn comes; the caller has a place.

        Parameters
        ----------
        data
            An image file's bytes, as `edgeseg.images.image_file.decode_frame` takes them.
        given
            Texts by the names of `PARAMETERS`.

        Returns
        -------
        dict
            The row of ``results.csv`` as plain values, and what was to be included in base64.

        Raises
        ------
        EdgesegError
            If the image cannot be measured, or a parameter is none.
        """
        return self._pool.submit(self._measure, data, given).result()

    def close(self) -> None:
        """End when all that is under way has ended."""
        self._pool.shutdown()

    def _measure(self, data: bytes, given: Mapping[str, str]) -> dict[str, Any]:
        pictures = _asked_pictures(given.get("include", ""))
        asked_mm = parse_pixel_size(given["pixel_size"]) if "pixel_size" in given else None
        weeks = read_age(given["ga"]) if "ga" in given else None
        image = image_file.decode_frame(data)
        size = as_pixel_size(asked_mm) or image.pixel_size
        name = given.get("name", "")
        frame = Frame(image.pixels, size, name, weeks, screen=image.screen)
        with single_threaded_opencv:
            prediction = self.segmenter.predict(frame)
            drawn = {each: base64.b64encode(_PICTURES[each](prediction)) for each in pictures}
        task = prediction.task
        columns = measure_of(task).given_columns(task, ages=weeks is not None, calibrated=False)
        row = table.prediction_row(name, prediction, None, columns)
        return {**row, **{each: text.decode("ascii") for each, text in drawn.items()}}


def _asked_pictures(text: str) -> list[str]:
    asked = [each for each in text.split(",") if each]
    for each in asked:
        if each not in _PICTURES:
            raise DataError(f"include is {text!r}; expected {' or '.join(_PICTURES)}, or both")
    return asked
