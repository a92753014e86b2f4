"""HC18: labelled images, the annotation as an ellipse, patient-grouped folds.

The data set: van den Heuvel et al. 2018, doi:10.5281/zenodo.1327317. Any folder of the same shape
works::

    <root>/training_set_pixel_size_and_HC.csv    filename,pixel size(mm),head circumference (mm)
    <root>/training_set/000_HC.png               image
    <root>/training_set/000_HC_Annotation.png    its ellipse, as an outline about 3 px wide
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.measure.ellipse import Ellipse, FloatArray, Mask
from edgeseg.measure.outline import fit_ellipse, fit_outline
from edgeseg.measure.region import main_region
from edgeseg.sources.discover import ANNOTATION_SUFFIX
from edgeseg.sources.image_file import read_gray
from edgeseg.sources.pixel_sizes import read_table

CSV_NAME = "training_set_pixel_size_and_HC.csv"
HC_TOLERANCE = 0.005
"""Largest relative difference allowed between an annotation's HC and the table's."""

# A disc filled to the outer edge of the usual outline is this much too large, in pixels of radius:
# the mean over 799 HC18 annotations (SD 0.06).
_OUTLINE_HALF_WIDTH_PX = 0.94


class Case(NamedTuple):
    """One labelled image.

    Attributes
    ----------
    file
        File name, as the table has it.
    image_path, annotation_path
        Where the image and its outline lie.
    pixel_size_mm
        Millimetres per pixel.
    hc_reference_mm
        Head circumference, from the table.
    """

    file: str
    image_path: Path
    annotation_path: Path
    pixel_size_mm: float
    hc_reference_mm: float

    @property
    def head(self) -> str:
        """The head's number: images of one head share the digits before the underscore."""
        return self.file.split("_", 1)[0]

    def reference_ellipse(self, size: tuple[int, int] | None = None) -> Ellipse:
        """Read the annotation and return its ellipse, held to the table's HC.

        Parameters
        ----------
        size
            (height, width) of the image, which the annotation must have too; None where only the
            ellipse's own size matters.

        Raises
        ------
        DataError
            If the annotation holds no ellipse, has another size than the image, or its HC differs
            from the table's by more than 0.5 %.
        """
        ellipses = read_annotation(self.annotation_path, size)
        best = min(ellipses, key=lambda e: abs(self._hc_error_mm(e)))
        error_mm = self._hc_error_mm(best)
        if abs(error_mm) > HC_TOLERANCE * self.hc_reference_mm:
            raise DataError(
                f"{self.annotation_path}: the outline measures "
                f"{self.hc_reference_mm + error_mm:.2f} mm, the table says "
                f"{self.hc_reference_mm:.2f} mm; check the pixel size and the annotation"
            )
        return best

    def _hc_error_mm(self, ellipse: Ellipse) -> float:
        return ellipse.circumference_px * self.pixel_size_mm - self.hc_reference_mm


def load_cases(root: Path) -> list[Case]:
    """Find the labelled images of an HC18-shaped folder, sorted by file name.

    Parameters
    ----------
    root
        The folder that holds ``training_set/`` and the CSV.

    Raises
    ------
    InputNotFoundError
        If the folder, its CSV or its ``training_set`` is missing.
    DataError
        If an image lacks its annotation or its row, or a row lacks its image.
    """
    folder = root / "training_set"
    if not folder.is_dir():
        raise InputNotFoundError(
            f"{root}: expected an HC18 folder with 'training_set/' and '{CSV_NAME}' in it"
        )
    images = sorted(p for p in folder.glob("*.png") if not p.name.endswith(ANNOTATION_SUFFIX))
    if not images:
        raise InputNotFoundError(f"{folder}: there is no .png image")
    table = read_table(root / CSV_NAME)
    cases = []
    for image in images:
        annotation = image.with_name(image.stem + ANNOTATION_SUFFIX)
        if not annotation.is_file():
            raise DataError(f"{image}: its annotation {annotation.name} is missing")
        row = table.pop(image.name, None)
        if row is None or row.hc_mm is None:
            lack = "row" if row is None else "head circumference"
            raise DataError(f"{root / CSV_NAME}: there is no {lack} for {image.name}")
        cases.append(Case(image.name, image, annotation, row.pixel_size_mm, row.hc_mm))
    if table:
        raise DataError(f"{root / CSV_NAME}: {next(iter(table))!r} is listed but not in {folder}")
    return cases


def read_annotation(path: Path, size: tuple[int, int] | None = None) -> list[Ellipse]:
    """Read an annotation and return the ellipses it can mean, most likely first.

    HC18 draws the outline; some copies hold filled discs. An outline means its mid-line. A disc
    means either its edge or, if it was filled to the outer edge of the outline, an ellipse smaller
    by half the outline's width; only the table's HC can tell which.

    Parameters
    ----------
    size
        (height, width) that it must have, if any.

    Raises
    ------
    DataError
        If the file holds no ellipse or has another size.
    """
    mask = np.where(read_gray(path) > 127, 255, 0).astype(np.uint8)
    if size is not None and mask.shape != size:
        raise DataError(
            f"{path}: the annotation is {mask.shape[1]}x{mask.shape[0]} pixels, its image "
            f"{size[1]}x{size[0]}; bring them to one size"
        )
    rows, columns = np.nonzero(mask)
    ellipse = fit_ellipse(np.stack([columns, rows], axis=1).astype(np.float64))
    if ellipse is None:
        raise DataError(f"{path}: no ellipse found in the annotation")
    if not _is_disc(mask):
        return [ellipse]
    region = main_region((mask / 255).astype(np.float32))
    fit = region and fit_outline((mask / 255).astype(np.float32), region, mask.shape)
    if not fit:
        raise DataError(f"{path}: no ellipse found in the annotation")
    edge = fit.ellipse
    shrunk = Ellipse(
        edge.center_x_px,
        edge.center_y_px,
        edge.semi_major_px - _OUTLINE_HALF_WIDTH_PX,
        edge.semi_minor_px - _OUTLINE_HALF_WIDTH_PX,
        edge.angle_rad,
    )
    return [edge, shrunk]


def data_sha256(cases: Iterable[Case]) -> str:
    """Hash of the data itself: names, pixel sizes, HC, image and annotation bytes, in order."""
    digest = hashlib.sha256()
    for case in cases:
        digest.update(f"{case.file},{case.pixel_size_mm!r},{case.hc_reference_mm!r}\n".encode())
        digest.update(case.image_path.read_bytes())
        digest.update(case.annotation_path.read_bytes())
    return digest.hexdigest()


def grouped_folds(cases: Sequence[Case], count: int, seed: int) -> list[list[str]]:
    """Deal the heads, not the images, into folds of nearly equal size.

    Returns
    -------
    list of list of str
        File names, sorted within each fold; all images of a head are in one fold.
    """
    import random

    heads: dict[str, list[str]] = {}
    for case in cases:
        heads.setdefault(case.head, []).append(case.file)
    order = sorted(heads)
    random.Random(seed).shuffle(order)
    folds: list[list[str]] = [[] for _ in range(count)]
    for head in order:
        min(folds, key=len).extend(heads[head])
    return [sorted(fold) for fold in folds]


def read_folds(path: Path) -> list[list[str]]:
    """Read a split file: JSON with ``folds``, a list of lists of file names.

    Raises
    ------
    InputNotFoundError
        If there is no such file.
    DataError
        If it is not a split, or a file is in two folds.
    """
    try:
        folds = json.loads(path.read_text(encoding="utf-8"))["folds"]
        folds = [[str(name) for name in fold] for fold in folds]
    except FileNotFoundError:
        raise InputNotFoundError(f"{path}: no such split file") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: expected JSON with 'folds', a list of lists of names") from error
    names = [name for fold in folds for name in fold]
    if len(names) != len(set(names)):
        raise DataError(f"{path}: a file is in two folds")
    return folds


def select_fold(cases: Sequence[Case], folds: Sequence[Sequence[str]], fold: int) -> list[Case]:
    """Return the cases of one fold.

    Raises
    ------
    DataError
        If there is no such fold, or it names a file the data lacks.
    """
    if not 0 <= fold < len(folds):
        raise DataError(f"fold {fold} was asked for, the split has folds 0 to {len(folds) - 1}")
    by_name = {case.file: case for case in cases}
    missing = [name for name in folds[fold] if name not in by_name]
    if missing:
        raise DataError(f"fold {fold} names {missing[0]!r}, which the data lacks")
    return [by_name[name] for name in folds[fold]]


def _is_disc(mask: Mask) -> bool:
    """Tell a filled disc from an outline by how deep the mask is: an outline is a few px wide."""
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3).max()
    extent: FloatArray = np.ptp(np.argwhere(mask), axis=0)
    return bool(depth > 0.1 * math.hypot(*extent))
