"""Views: the part of an image that a network is shown.

Coordinates are those of `edgeseg.measure.ellipse`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import cv2
import numpy as np

if TYPE_CHECKING:
    from edgeseg.images.frame import Area, GrayImage, PixelSize
    from edgeseg.measure.ellipse import Ellipse


class View(NamedTuple):
    """A rectangle of an image, which may reach beyond it."""

    left_px: int  # Its first column and row; negative where it begins outside the image.
    top_px: int
    width_px: int  # Its size in the image.
    height_px: int
    inverted: bool = False  # Whether gray values are inverted, for an image black on white.
    within: Area | None = None  # Pixels outside it are shown black; None shows the whole image.

    @classmethod
    def whole(cls, size: tuple[int, int], *, inverted: bool = False) -> View:
        """Return the view of all of an image of (height, width)."""
        return cls(0, 0, size[1], size[0], inverted=inverted)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels of the image."""
        return self.height_px, self.width_px

    def cut(self, gray: GrayImage) -> GrayImage:
        """Return the view's pixels; black outside the image and outside `within`.

        No copy where the view lies inside the image.
        """
        if self.within is not None:
            return self._relative(self.within).cut(gray[self.within.slices])
        inside, place = self.overlap((gray.shape[0], gray.shape[1]))
        part = cv2.bitwise_not(gray[inside]) if self.inverted else gray[inside]
        if part.shape == self.size:
            return np.asarray(part, dtype=np.uint8)
        padded = np.zeros(self.size, dtype=np.uint8)
        padded[place] = part
        return padded

    def paste(self, pixels: GrayImage, size: tuple[int, int]) -> GrayImage:
        """Return an image of (height, width) with the view's pixels in place, 0 elsewhere."""
        image = np.zeros(size, dtype=pixels.dtype)
        if self.within is not None:
            image[self.within.slices] = self._relative(self.within).paste(pixels, self.within.size)
            return image
        inside, place = self.overlap(size)
        image[inside] = pixels[place]
        return image

    def of_scan(self, area: Area) -> View:
        """Convert a view from the pixels of a scan on a screen to those of the screen."""
        left_px, top_px = self.left_px + area.left_px, self.top_px + area.top_px
        return self._replace(left_px=left_px, top_px=top_px, within=area)

    def _relative(self, area: Area) -> View:
        left_px, top_px = self.left_px - area.left_px, self.top_px - area.top_px
        return self._replace(left_px=left_px, top_px=top_px, within=None)

    def overlap(self, size: tuple[int, int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Return the overlap with an image of (height, width), as slices of image and view."""
        left, top = max(self.left_px, 0), max(self.top_px, 0)
        right = max(min(self.left_px + self.width_px, size[1]), left)
        bottom = max(min(self.top_px + self.height_px, size[0]), top)
        rows = slice(top - self.top_px, bottom - self.top_px)
        columns = slice(left - self.left_px, right - self.left_px)
        return (slice(top, bottom), slice(left, right)), (rows, columns)


def around(
    ellipse: Ellipse,
    shares: tuple[float, float],
    input_size: tuple[int, int],
    pixel_size: PixelSize | None = None,
) -> View:
    """Return a view around a head as the network was trained on: centred and undistorted.

    ``ellipse`` is the head as found so far, in pixels of the image, ``shares`` the largest share of
    the view's (width, height) that its bounding box may fill, and ``input_size`` the network's
    (height, width): the view has this aspect ratio in mm. No ``pixel_size`` means square pixels.
    """
    unit_y = pixel_size.y_mm / pixel_size.x_mm if pixel_size else 1.0
    points = ellipse.scaled(1.0, unit_y).points(180)
    low, high = points.min(axis=0), points.max(axis=0)
    width, height = (high - low).tolist()
    center_x, center_y = ((low + high) / 2).tolist()
    aspect = input_size[1] / input_size[0]
    wide = max(width / shares[0], height / shares[1] * aspect)
    width_px, height_px = max(8, round(wide)), max(8, round(wide / aspect / unit_y))
    left_px = round(center_x + 0.5 - width_px / 2)
    return View(left_px, round(center_y / unit_y + 0.5 - height_px / 2), width_px, height_px)
