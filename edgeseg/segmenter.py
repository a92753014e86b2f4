"""One model, one session: images in, predictions out."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeseg.errors import DataError, ModelError
from edgeseg.images.arrays import as_frame
from edgeseg.images.frame import Frame, GrayImage, Size
from edgeseg.images.live import Capture, iterate_frames, take_newest
from edgeseg.measure import screen
from edgeseg.measure.framing import View
from edgeseg.measure.measurement import Look
from edgeseg.measure.tasks import measure_of
from edgeseg.network import zoo
from edgeseg.network.adapter import preprocess
from edgeseg.network.port import Answers, Port
from edgeseg.network.session import open_session
from edgeseg.prediction import Prediction, StageTimes
from edgeseg.system.parallel import single_threaded_opencv, usable_cores

Image = Any
"""An image as it may be given: read (`Frame`), a path, or what `as_frame` takes."""


class Segmenter:
    """A session of one model, with everything needed to measure what it is for.

    Safe to call from several threads at once; the network runs as often at once as there are cores
    for ``threads`` each. It can be copied and pickled: in another process it opens the same model
    anew, and refuses a changed file.

    Parameters
    ----------
    model
        A bundled model's name or the path of an ONNX file exported by edgeseg.
    device
        ``cpu``, ``cuda``, ``tensorrt``, ``coreml``, ``openvino`` or ``directml``, which runs there
        or raises; ``auto`` takes CUDA where it works and the CPU elsewhere.
    threads
        Threads inside one inference on the CPU; None leaves it to onnxruntime.
    spin
        Whether several threads wait for work busily, between images too: quicker to answer, at the
        price of whole cores. OpenVINO decides for itself.

    Attributes
    ----------
    metadata
        The model's own description.
    file
        Path, name, hash and size of the model.
    provider
        The onnxruntime provider the session really runs on, or ``OpenVINO``.

    Raises
    ------
    ModelNotFoundError, ModelError
        If there is no such model or it is not edgeseg's.
    DeviceError
        If the device cannot run it here.

    Examples
    --------
    >>> import numpy as np
    >>> segmenter = Segmenter("hc18-nano", device="cpu", threads=1)
    >>> dark = np.zeros((270, 400), np.uint8)
    >>> segmenter.predict(dark, pixel_size_mm=0.12).status
    'empty'
    >>> [each.status for _, each in segmenter.stream([dark, dark])]
    ['empty', 'empty']
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = zoo.DEFAULT_MODEL,
        *,
        device: str = "auto",
        threads: int | None = None,
        spin: bool = True,
    ) -> None:
        self.file = zoo.find(model)
        # by its whole path: another process may be in another folder
        known = self.file.bundled
        where = self.file.name if known else str(self.file.path.absolute())
        self._opened_with = (where, device, threads, spin)
        session = open_session(self.file.path, device, threads, spin=spin, known=known)
        self.provider: str = session.get_providers()[0]
        self._port = Port(session, self.file.path)
        self.metadata = self._port.metadata
        self._task = measure_of(self.metadata.task)
        # Runs at once keep memory each, for good; more than there are cores for gain nothing.
        self._turns = threading.BoundedSemaphore(max(1, usable_cores() // (threads or 1)))

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (type(self), self.file.sha256, *self._opened_with)

    @property
    def fixed_batch(self) -> int | None:
        """The one batch size that the model's graph takes; None if it takes any."""
        return self._port.batch

    @property
    def input_type(self) -> str:
        """Type of the graph's input; ``uint8`` of those that edgeseg exports."""
        return self._port.adapter.type

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of the graph's input for one image; (1, h, w) of those that edgeseg exports."""
        metadata = self.metadata
        return self._port.adapter.input_shape(metadata.input_height, metadata.input_width)

    def infer(self, tensor: GrayImage) -> npt.NDArray[np.float32]:
        """Run the network on what `edgeseg.network.adapter.preprocess` makes, (N, 1, h, w), uint8.

        Returns
        -------
        ndarray, shape (N, C, h, w), float32 in [0, 1]
            A map for each structure.

        Raises
        ------
        ModelError
            If what comes out are no probabilities.
        """
        return self._answers(tensor).maps

    def predict(self, source: Image, pixel_size_mm: Size = None) -> Prediction:
        """Measure one image.

        Parameters
        ----------
        source
            A frame, or an image of any size: a path, an image file's bytes, a PIL image, or an
            array of gray values (height, width) or colours (height, width, 3), blue first.
        pixel_size_mm
            Millimetres per pixel: one number, (x, y), or None, which leaves a frame, and a file
            that says one, its own.

        Raises
        ------
        ImageDecodeError, InputNotFoundError
            If a file cannot be read.
        DataError
            If a pixel size cannot be one, or the source is no image.
        """
        return self._measure(as_frame(source, pixel_size_mm))

    def predict_batch(
        self, sources: Sequence[Image], pixel_sizes_mm: Sequence[Size] | None = None
    ) -> list[Prediction]:
        """Measure several images, each as `predict` does; all are read before the first."""
        sources = _listed(sources, "images")
        sizes_mm = _listed([None] * len(sources) if pixel_sizes_mm is None else pixel_sizes_mm)
        if len(sizes_mm) != len(sources):
            raise DataError(f"{len(sources)} images but {len(sizes_mm)} pixel sizes")
        frames = [as_frame(*pair) for pair in zip(sources, sizes_mm, strict=True)]
        return [self._measure(frame) for frame in frames]

    def stream(
        self,
        frames: Iterable[Image] | Capture,
        pixel_size_mm: Size = None,
        *,
        drop_late: bool = False,
    ) -> Iterator[tuple[Image, Prediction]]:
        """Measure frames as they come: one in, one out, before the next is asked for.

        The network runs once before the first frame is asked for, so that this one is not slower.
        OpenCV's own threads are off until the stream ends.

        Parameters
        ----------
        frames
            Images as `predict` takes them, or an OpenCV ``VideoCapture``.
        pixel_size_mm
            Millimetres per pixel of all, or None.
        drop_late
            For a live source: while a frame is measured the source goes on, and then its newest
            frame is taken and those in between are dropped. The source may fill one buffer again
            and again. A video file is refused: it does not wait.

        Yields
        ------
        (ndarray, Prediction)
            The frame and what was measured on it.

        Raises
        ------
        DataError
            If the pixel size cannot be one, a capture is not open, or a frame is no image.
        """
        metadata = self.metadata
        self.infer(np.zeros((1, 1, metadata.input_height, metadata.input_width), dtype=np.uint8))
        taken = iterate_frames(frames, drop_late=drop_late)
        if drop_late:
            taken = take_newest(np.array(f) if isinstance(f, np.ndarray) else f for f in taken)
        with single_threaded_opencv():
            for frame in taken:
                yield frame, self.predict(frame, pixel_size_mm)

    def _answers(self, tensor: GrayImage) -> Answers:
        with self._turns:
            return self._port.run(tensor)

    def _measure(self, frame: Frame) -> Prediction:
        """Measure a frame, and note where the time went."""
        height, width = self.metadata.input_height, self.metadata.input_width
        started = time.perf_counter()
        preprocess_s = inference_s = 0.0

        def look(view: View) -> Look:
            nonlocal preprocess_s, inference_s
            asked = time.perf_counter()
            tensor = preprocess(view.cut(frame.pixels), height, width)
            prepared = time.perf_counter()
            maps, presence = self._answers(tensor)
            preprocess_s += prepared - asked
            inference_s += time.perf_counter() - prepared
            return Look(maps[0], view, None if presence is None else float(presence[0]))

        measurement = screen.measure(self._task, frame, look, self.metadata)
        rest_s = time.perf_counter() - started - preprocess_s - inference_s
        times_ms = StageTimes(1000 * preprocess_s, 1000 * inference_s, 1000 * rest_s)
        if measurement.area is not None:
            frame = replace(frame, pixel_size=frame.scan(measurement.area).pixel_size)
        return Prediction(frame, measurement, self.metadata, times_ms)


def _reopened(
    kind: type[Segmenter], sha256: str, model: str, device: str, threads: int | None, spin: bool
) -> Segmenter:
    """Open a segmenter that came from another process."""
    segmenter = kind(model, device=device, threads=threads, spin=spin)
    if segmenter.file.sha256 != sha256:
        raise ModelError(
            f"{segmenter.file.path}: this is not the model that the segmenter was opened with "
            f"(SHA-256 {segmenter.file.sha256[:12]}…, there {sha256[:12]}…); use the same file"
        )
    return segmenter


def _listed(values: Any, what: str = "pixel sizes") -> list[Any]:
    """Return several of something; one alone is refused, though it may be gone through."""
    one = isinstance(values, str | bytes | os.PathLike | Frame)
    if one or not isinstance(values, Iterable):
        raise DataError(f"got {type(values).__name__}; expected several {what}, such as a list")
    return list(values)
