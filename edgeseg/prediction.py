"""What was measured on one image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from edgeseg import biometry, geometry, image
from edgeseg.ellipse import Ellipse, Mask


class StageTimes(NamedTuple):
    """Wall time of one image's stages, in milliseconds; a batch's is shared out evenly."""

    preprocess: float
    inference: float
    postprocess: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was measured on one image.

    Attributes
    ----------
    size
        Native (height, width) of the image.
    ellipse
        Outline of the head in native pixels; None if no head was found.
    pixel_size_mm
        Millimetres per pixel; None if unknown, and then all millimetre values are None too.
    confidence
        In [0, 1]: soft Dice between the probability map and the fitted ellipse; 0 without a head.
    flags
        Names from `edgeseg.quality.FLAGS`: reasons not to trust the measurement.
    probability
        The network's output, shape (h, w), float32 in [0, 1].
    threshold
        Probability from which a pixel is head.
    times_ms
        Where the time went.
    """

    size: tuple[int, int]
    ellipse: Ellipse | None
    pixel_size_mm: float | None
    confidence: float
    flags: tuple[str, ...]
    probability: npt.NDArray[np.float32]
    threshold: float
    times_ms: StageTimes

    @property
    def hc_px(self) -> float | None:
        """Head circumference in pixels."""
        return self.ellipse.circumference_px if self.ellipse else None

    @property
    def hc_mm(self) -> float | None:
        """Head circumference in millimetres."""
        if self.ellipse is None or self.pixel_size_mm is None:
            return None
        return self.ellipse.circumference_px * self.pixel_size_mm

    @property
    def area_mm2(self) -> float | None:
        """Area of the ellipse in square millimetres."""
        if self.ellipse is None or self.pixel_size_mm is None:
            return None
        return self.ellipse.area_px * self.pixel_size_mm**2

    @property
    def ga_weeks_hadlock(self) -> float | None:
        """Gestational age in weeks (Hadlock 1984); None outside its range."""
        return None if self.hc_mm is None else biometry.ga_weeks_hadlock(self.hc_mm)

    @property
    def ga_weeks_intergrowth(self) -> float | None:
        """Gestational age in weeks (INTERGROWTH-21st); None outside its range."""
        return None if self.hc_mm is None else biometry.ga_weeks_intergrowth(self.hc_mm)

    def mask(self) -> Mask:
        """Return the head's pixels at native size, 0 or 255; empty if no head was found.

        The main region of the probability map, thresholded at native size: what the network saw,
        not the fitted ellipse, and so cut where the image is.
        """
        if self.ellipse is not None:
            native = image.to_native(self.probability, self.size)
            region = geometry.main_region(native, self.threshold)
            if region is not None:
                return region.mask
        return np.zeros(self.size, dtype=np.uint8)
