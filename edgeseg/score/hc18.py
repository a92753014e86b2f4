"""HC18: labelled images, the annotation as an ellipse.

The data set: van den Heuvel et al. 2018, doi:10.5281/zenodo.1327317. Any folder of the same shape
works::

    <root>/training_set_pixel_size_and_HC.csv    filename,pixel size(mm),head circumference (mm)
    <root>/training_set/000_HC.png               image
    <root>/training_set/000_HC_Annotation.png    its ellipse, as an outline about 3 px wide
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.images.image_file import read_gray
from edgeseg.measure.ellipse import Ellipse, FloatArray, Mask, fit_ellipse
from edgeseg.measure.outline import fit_outline, main_region
from edgeseg.network.task import Task
from edgeseg.score.folds import Labelled, LabelledData, check_label_size
from edgeseg.score.names import find_groups, match_labels, read_sizes

FOLDER_NAME = "training_set"
CSV_NAME = "training_set_pixel_size_and_HC.csv"
HC_TOLERANCE = 0.005
"""Largest relative difference allowed between an annotation's HC and the table's."""

# A disc filled to the outer edge of the usual outline is this much too large, in pixels of radius:
# the mean over 799 HC18 annotations (SD 0.06).
_OUTLINE_HALF_WIDTH_PX = 0.94


@dataclass(frozen=True, slots=True)
class Case(Labelled):
    """One image of a head, its outline, and its circumference as the table has it."""

    pixel_size_mm: float
    hc_reference_mm: float

    @property
    def facts(self) -> tuple[object, ...]:
        """What the table says of it."""
        return self.pixel_size_mm, self.hc_reference_mm

    def mask(self, size: tuple[int, int]) -> Mask:
        """Return the head's pixels, 0 and 1; see `Labelled.mask` and `reference_ellipse`."""
        return (self.reference_ellipse(size).mask(*size) > 0).astype(np.uint8)

    def reference_ellipse(self, size: tuple[int, int]) -> Ellipse:
        """Read the annotation of an image of (height, width) and return its ellipse.

        Raises `DataError` if the annotation holds no ellipse, has another size than the image, or
        its HC differs from the table's by more than 0.5 %.
        """
        ellipses = read_annotation(self.label_path, size)
        best = min(ellipses, key=lambda e: abs(self._hc_error_mm(e)))
        error_mm = self._hc_error_mm(best)
        if abs(error_mm) > HC_TOLERANCE * self.hc_reference_mm:
            raise DataError(
                f"{self.label_path}: the outline measures "
                f"{self.hc_reference_mm + error_mm:.2f} mm, the table says "
                f"{self.hc_reference_mm:.2f} mm; check the pixel size and the annotation"
            )
        return best

    def _hc_error_mm(self, ellipse: Ellipse) -> float:
        return ellipse.circumference_px * self.pixel_size_mm - self.hc_reference_mm


def load_cases(root: Path) -> list[Case]:
    """Find the labelled images of an HC18-shaped folder; see `load_data`."""
    return [case for case in load_data(root).cases if isinstance(case, Case)]


def load_data(root: Path, group_pattern: str = "") -> LabelledData:
    """Find the labelled images of an HC18-shaped folder, sorted by file name.

    Images and annotations may lie in folders below, be of any kind that is read, and be a part of
    those that the table lists; of ``group_pattern`` see `edgeseg.score.names.find_groups`. Raises
    `InputNotFoundError` if the folder, its CSV, its ``training_set`` or an image is missing, and
    `DataError` if an image lacks its annotation or its row.
    """
    folder = root / FOLDER_NAME
    if not folder.is_dir():
        raise InputNotFoundError(
            f"{root}: expected an HC18 folder with '{FOLDER_NAME}/' and '{CSV_NAME}' in it"
        )
    matches, _ = match_labels(folder)
    notices: list[str] = []
    table, sizes = read_sizes(root / CSV_NAME, matches, notices)
    groups = find_groups(root, [match.file for match in matches], group_pattern)
    cases = []
    for match, group, (row, size_mm) in zip(matches, groups, sizes, strict=True):
        hc_mm = table[row].hc_mm
        if size_mm is None or hc_mm is None:
            lack = "pixel size" if size_mm is None else "head circumference"
            raise DataError(f"{root / CSV_NAME}: there is no {lack} for {match.file}")
        if len(match.labels) > 1:
            raise DataError(f"{match.image}: it has {len(match.labels)} annotations; keep one")
        cases.append(Case(match.file, match.image, match.labels[0], group, size_mm, hc_mm))
    used = {row for row, _ in sizes}
    if unused := [name for name in table if name not in used]:
        notices.append(
            f"images that {root / CSV_NAME} lists and that are not there: {len(unused)}, such as "
            f"{unused[0]}"
        )
    return LabelledData(cases, Task(), notices)


def read_annotation(path: Path, size: tuple[int, int]) -> list[Ellipse]:
    """Read an annotation and return the ellipses it can mean, most likely first.

    HC18 draws the outline; some copies hold filled discs. An outline means its mid-line. A disc
    means either its edge or, if it was filled to the outer edge of the outline, an ellipse smaller
    by half the outline's width; only the table's HC can tell which. Whatever the drawn pixels were
    saved as counts: 1, 255, a colour on black, with the noise of JPEG. Raises `DataError` if the
    file holds no ellipse or is not of ``size``, (height, width).
    """
    values = read_gray(path)
    if not values.any():
        raise DataError(f"{path}: the annotation is empty; its largest value is 0")
    mask: Mask = (values > values.max() / 2).astype(np.uint8)
    check_label_size(path, mask, size)
    rows, columns = np.nonzero(mask)
    ellipse = fit_ellipse(np.stack([columns, rows], axis=1).astype(np.float64))
    if ellipse and not _is_disc(mask):
        return [ellipse]
    probability = mask.astype(np.float32)
    region = main_region(probability)
    fit = ellipse and region and fit_outline(probability, region, mask.shape)
    if not fit:
        raise DataError(f"{path}: no ellipse found in the annotation")
    edge = fit.ellipse
    major_px, minor_px = (
        side - _OUTLINE_HALF_WIDTH_PX for side in (edge.semi_major_px, edge.semi_minor_px)
    )
    return [edge, replace(edge, semi_major_px=major_px, semi_minor_px=minor_px)]


def _is_disc(mask: Mask) -> bool:
    """Return whether a mask is a filled disc: an outline is only a few px deep."""
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3).max()
    extent: FloatArray = np.ptp(np.argwhere(mask), axis=0)
    return bool(depth > 0.1 * math.hypot(*extent))
