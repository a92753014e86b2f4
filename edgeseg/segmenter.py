"""One model, one session: images in, predictions out."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg import geometry, image, quality, zoo
from edgeseg.biometry import check_pixel_size
from edgeseg.ellipse import Ellipse
from edgeseg.errors import DataError
from edgeseg.image import GrayImage
from edgeseg.live import newest
from edgeseg.parallel import single_threaded_opencv, usable_cores
from edgeseg.prediction import Prediction, StageTimes
from edgeseg.session import open_session, read_metadata

# A smaller region is speckle, not a head: heads of HC18 fill 7 % of their image and more.
MIN_REGION_FRACTION = 0.002
# Agreement of a region and its ellipse below which no head is claimed: black, gray or noise alone
# reach 0.7, held-out heads of HC18 at least 0.9. What lies between is measured and flagged.
MIN_AGREEMENT = 0.75

_SHIFT = 4  # sub-pixel bits for cv2's polygon filling


class Segmenter:
    """A session of one model, with everything needed to measure heads.

    Safe to call from several threads at once; the network runs as often at once as there are cores
    for ``threads`` each.

    Parameters
    ----------
    model
        A bundled model's name or the path of an ONNX file exported by edgeseg.
    device
        ``auto``, ``cpu``, ``cuda``, ``tensorrt``, ``coreml``, ``openvino`` or ``directml``.
        ``auto`` takes CUDA where it works and the CPU elsewhere; any other device runs on that
        device or raises.
    threads
        Threads inside one inference on the CPU; None leaves it to onnxruntime.
    spin
        Whether several threads wait for work busily, between images too: quicker to answer, at the
        price of whole cores. Without, they sleep. OpenVINO decides for itself.

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
    >>> segmenter = Segmenter("hc18-edge", threads=1)  # doctest: +SKIP
    >>> segmenter.predict(Path("scan.png"), pixel_size_mm=0.12).hc_mm  # doctest: +SKIP
    173.2
    """

    def __init__(
        self,
        model: str | Path = zoo.DEFAULT_MODEL,
        *,
        device: str = "auto",
        threads: int | None = None,
        spin: bool = True,
    ) -> None:
        self.file = zoo.find(model)
        self._session = open_session(self.file.path, device, threads, spin=spin)
        self.provider: str = self._session.get_providers()[0]
        self.metadata = read_metadata(self._session, self.file.path)
        self._input_name: str = self._session.get_inputs()[0].name
        # Runs at once keep memory each, for good; more than there are cores for gain nothing.
        self._turns = threading.BoundedSemaphore(max(1, usable_cores() // (threads or 1)))

    def infer(self, tensor: GrayImage) -> npt.NDArray[np.float32]:
        """Run the network.

        Parameters
        ----------
        tensor
            Shape (N, 1, h, w), uint8, as `edgeseg.image.preprocess` makes it.

        Returns
        -------
        ndarray, shape (N, 1, h, w), float32 in [0, 1]
        """
        probability: npt.NDArray[np.float32]
        with self._turns:
            (probability,) = self._session.run(None, {self._input_name: tensor})
        return probability

    def predict(
        self, source: GrayImage | str | Path, pixel_size_mm: float | None = None
    ) -> Prediction:
        """Measure one image, given as a file or as gray values (height, width), uint8."""
        return self.predict_batch([source], [pixel_size_mm])[0]

    def predict_batch(
        self,
        sources: Sequence[GrayImage | str | Path],
        pixel_sizes_mm: Sequence[float | None] | None = None,
    ) -> list[Prediction]:
        """Measure several images in one run of the network.

        Parameters
        ----------
        sources
            Files, or gray images of any size, (height, width), uint8.
        pixel_sizes_mm
            Millimetres per pixel of each, or None.

        Raises
        ------
        ImageDecodeError, InputNotFoundError
            If a file cannot be read.
        DataError
            If a pixel size cannot be one (see `edgeseg.biometry.check_pixel_size`), or an array
            is not a gray image.
        """
        sizes_mm = [None] * len(sources) if pixel_sizes_mm is None else list(pixel_sizes_mm)
        if len(sizes_mm) != len(sources):
            raise DataError(f"{len(sources)} images but {len(sizes_mm)} pixel sizes")
        grays = [_gray(source) for source in sources]
        for size_mm in sizes_mm:
            check_pixel_size(size_mm)
        if not grays:
            return []
        started = time.perf_counter()
        tensor = np.concatenate(
            [
                image.preprocess(g, self.metadata.input_height, self.metadata.input_width)
                for g in grays
            ]
        )
        prepared = time.perf_counter()
        probabilities = self.infer(tensor)
        inferred = time.perf_counter()
        share = 1000 / len(grays)
        before = ((prepared - started) * share, (inferred - prepared) * share)
        return [
            self._measure(probability[0], (gray.shape[0], gray.shape[1]), size_mm, before)
            for probability, gray, size_mm in zip(probabilities, grays, sizes_mm, strict=True)
        ]

    def stream(
        self,
        frames: Iterable[GrayImage],
        pixel_size_mm: float | None = None,
        *,
        drop_late: bool = False,
    ) -> Iterator[tuple[GrayImage, Prediction]]:
        """Measure frames as they come: one in, one out, before the next is asked for.

        The network runs once before the first frame is asked for, so that this one is not slower.
        OpenCV's own threads are off until the stream ends: they would keep a core busy for half a
        millisecond a frame and answer no sooner.

        Parameters
        ----------
        frames
            Gray images, (height, width), uint8, of any size.
        pixel_size_mm
            Millimetres per pixel of all, or None.
        drop_late
            For a live source: while a frame is measured the source goes on, and then its newest
            frame is taken and those in between are dropped (see `edgeseg.live.newest`). Without,
            every frame is measured. Late frames are dropped from copies, so the source may fill
            one buffer again and again.

        Yields
        ------
        (ndarray, Prediction)
            The frame and what was measured on it.

        Raises
        ------
        DataError
            If the pixel size cannot be one, or a frame is not a gray image.
        """
        metadata = self.metadata
        self.infer(np.zeros((1, 1, metadata.input_height, metadata.input_width), dtype=np.uint8))
        taken = newest(np.array(frame) for frame in frames) if drop_late else frames
        with single_threaded_opencv:
            for frame in taken:
                yield frame, self.predict(frame, pixel_size_mm)

    def _measure(
        self,
        probability: npt.NDArray[np.float32],
        size: tuple[int, int],
        pixel_size_mm: float | None,
        before_ms: tuple[float, float],
    ) -> Prediction:
        started = time.perf_counter()
        threshold = self.metadata.threshold
        region = geometry.main_region(probability, threshold)
        if region is not None and region.area_px < MIN_REGION_FRACTION * probability.size:
            region = None
        fit = geometry.fit(probability, region, size, threshold) if region else None
        confidence, flags = 0.0, tuple[str, ...]()
        if fit is not None and region is not None:
            outline = fit.ellipse.resized(size, region.mask.shape)
            confidence = agreement(probability, outline)
            if confidence < MIN_AGREEMENT:
                # a second region makes the map doubtful, but not that there is a head
                alone = np.where((region.mask > 0) | (probability < threshold), probability, 0)
                if agreement(alone, outline) < MIN_AGREEMENT:
                    fit, confidence = None, 0.0
        if fit is not None and region is not None:
            flags = quality.flags(
                quality.Facts(
                    fit,
                    region,
                    size,
                    confidence,
                    pixel_size_mm,
                    fit.ellipse.circumference_px * pixel_size_mm if pixel_size_mm else None,
                    self.metadata.train_pixel_size_mm_range,
                )
            )
        elapsed_ms = (time.perf_counter() - started) * 1000
        return Prediction(
            size,
            fit.ellipse if fit else None,
            pixel_size_mm,
            confidence,
            flags,
            probability,
            threshold,
            StageTimes(*before_ms, elapsed_ms),
        )


def agreement(probability: npt.NDArray[np.float32], ellipse: Ellipse) -> float:
    """Soft Dice between a probability map and an ellipse in its pixels, in [0, 1]."""
    inside = np.zeros(probability.shape, dtype=np.uint8)
    points = np.round(ellipse.points(128) * (1 << _SHIFT)).astype(np.int32)
    cv2.fillPoly(inside, [points], 1, cv2.LINE_8, _SHIFT)
    both = cv2.mean(probability, inside)[0] * (area := cv2.countNonZero(inside))
    total = cv2.sumElems(probability)[0] + area
    return float(2 * both / total) if total else 0.0


def _gray(source: GrayImage | str | Path) -> GrayImage:
    if isinstance(source, str | Path):
        return image.read_gray(Path(source))
    if source.ndim != 2 or source.dtype != np.uint8 or min(source.shape) < image.MIN_SIDE_PX:
        raise DataError(
            f"got an array of shape {source.shape} and type {source.dtype}; expected gray values "
            f"(height, width), uint8, each side at least {image.MIN_SIDE_PX}"
        )
    return source
