"""Which part of an image a network looks at, and back again.

Coordinates are those of `edgeseg.measure.ellipse`.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from edgeseg.images.frame import Area, GrayImage, PixelSize
from edgeseg.measure.ellipse import Ellipse


class View(NamedTuple):
    """A rectangle of an image, which may reach beyond it.

    Attributes
    ----------
    left_px, top_px
        Its first column and row; negative beyond the image.
    width_px, height_px
        Its size in the image.
    inverted
        Whether black and white change places, as in an image printed black on white.
    within
        The part of the image beyond which nothing is seen; None: all of it.
    """

    left_px: int
    top_px: int
    width_px: int
    height_px: int
    inverted: bool = False
    within: Area | None = None

    @classmethod
    def whole(cls, size: tuple[int, int], *, inverted: bool = False) -> View:
        """Return the view of all of an image of (height, width)."""
        return cls(0, 0, size[1], size[0], inverted=inverted)

    def is_whole(self, size: tuple[int, int]) -> bool:
        """Tell whether it is just all of an image of (height, width)."""
        return self[:4] == (0, 0, size[1], size[0])

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels of the image."""
        return self.height_px, self.width_px

    def cut(self, gray: GrayImage) -> GrayImage:
        """Return what is looked at; black where the view reaches beyond the image, or `within`.

        Parameters
        ----------
        gray
            Shape (H, W), uint8.

        Returns
        -------
        ndarray, shape `size`, uint8
            The image itself where that is the view.
        """
        if self.within is not None:
            return self._relative(self.within).cut(gray[self.within.slices])
        size = gray.shape[0], gray.shape[1]
        inside, place = self.overlap(size)
        part = cv2.bitwise_not(gray[inside]) if self.inverted else gray[inside]
        if self.is_whole(size):
            return np.asarray(part, dtype=np.uint8)
        if part.shape != self.size:
            padded = np.zeros(self.size, dtype=np.uint8)
            padded[place] = part
            return padded
        return np.asarray(part, dtype=np.uint8)

    def paste(self, seen: GrayImage, size: tuple[int, int]) -> GrayImage:
        """Return an image of (height, width) with what was looked at in its place, 0 elsewhere.

        The inverse of `cut`.
        """
        if self.within is None and self.is_whole(size):
            return seen
        image = np.zeros(size, dtype=seen.dtype)
        if self.within is not None:
            image[self.within.slices] = self._relative(self.within).paste(seen, self.within.size)
            return image
        inside, place = self.overlap(size)
        image[inside] = seen[place]
        return image

    def in_image(self, ellipse: Ellipse) -> Ellipse:
        """Return an ellipse of the view's pixels in those of the image."""
        return ellipse.moved(self.left_px, self.top_px)

    def of_scan(self, area: Area) -> View:
        """Return the view, given in the pixels of a scan on a screen, in those of the screen."""
        left_px, top_px = self.left_px + area.left_px, self.top_px + area.top_px
        return self._replace(left_px=left_px, top_px=top_px, within=area)

    def _relative(self, area: Area) -> View:
        left_px, top_px = self.left_px - area.left_px, self.top_px - area.top_px
        return self._replace(left_px=left_px, top_px=top_px, within=None)

    def overlap(self, size: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Return the part inside an image: where it lies there, and in the view."""
        left, top = max(self.left_px, 0), max(self.top_px, 0)
        right = max(min(self.left_px + self.width_px, size[1]), left)
        bottom = max(min(self.top_px + self.height_px, size[0]), top)
        inside = slice(top, bottom), slice(left, right)
        place = (
            slice(top - self.top_px, bottom - self.top_px),
            slice(left - self.left_px, right - self.left_px),
        )
        return inside, place


def around(
    ellipse: Ellipse,
    shares: tuple[float, float],
    input_size: tuple[int, int],
    pixel_size: PixelSize | None = None,
) -> View:
    """Return the view on which a network sees a head as it learnt heads: centred, undistorted.

    Parameters
    ----------
    ellipse
        The head as far as it is known, in pixels of the image.
    shares
        Of the view's (width, height), at most which the head's box fills.
    input_size
        The network's (height, width), whose aspect ratio the view has in millimetres.
    pixel_size
        Of the image; None: its pixels are taken as square.
    """
    unit_y = pixel_size.y_mm / pixel_size.x_mm if pixel_size else 1.0
    points = ellipse.scaled(1.0, unit_y).points(180)
    low, high = points.min(axis=0), points.max(axis=0)
    width, height = (high - low).tolist()
    center_x, center_y = ((low + high) / 2).tolist()
    aspect = input_size[1] / input_size[0]
    wide = max(width / shares[0], height / shares[1] * aspect)
    width_px, height_px = max(8, round(wide)), max(8, round(wide / aspect / unit_y))
    return View(
        round(center_x + 0.5 - width_px / 2),
        round(center_y / unit_y + 0.5 - height_px / 2),
        width_px,
        height_px,
    )
