"""The structures and figures of a report, for which no DICOM package is needed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgeseg.errors import DataError
from edgeseg.measure.ellipse import Ellipse, FloatArray
from edgeseg.measure.tasks import measure_of
from edgeseg.output.dicom import codes
from edgeseg.output.dicom.codes import Code
from edgeseg.output.dicom.identifiers import make_uid
from edgeseg.output.dicom.texts import LONGEST_NAME, to_ascii
from edgeseg.prediction import Prediction

_OUTLINE_POINTS = 180


class Figure(NamedTuple):
    """A figure of the report; ``below`` and ``above`` are how far the interval's ends lie off."""

    name: Code
    value: float
    unit: Code
    below: float | None = None
    above: float | None = None


class Structure(NamedTuple):
    """What figures or a segment are of.

    Attributes
    ----------
    name
        Of at most 64 characters.
    category, code
        What kind of thing it is, and which.
    figures
        What was measured of it.
    """

    name: str
    category: Code
    code: Code
    figures: tuple[Figure, ...]

    def tracking_uid(self, identity: tuple[object, ...]) -> str:
        """Return its UID in all objects of one identity, see `edgeseg.output.dicom.identifiers`."""
        return make_uid("structure", self.code.value, *identity)


def list_structures(prediction: Prediction, *, measured: bool) -> list[Structure]:
    """Return what there is to report, a head or each class, in the order of the mask's numbers.

    Parameters
    ----------
    measured
        Whether with figures.

    Raises
    ------
    DataError
        If nothing was found, or figures are asked for and there are none in millimetres.
    """
    if prediction.status == "empty":
        raise DataError(f"there is nothing to report: {prediction.reason}")
    if prediction.task.kind == "head":
        figures = _head_figures(prediction) if measured else ()
        return [Structure("head", codes.STRUCTURE, codes.HEAD, figures)]
    found = []
    for number, name in enumerate(prediction.task.structures, start=1):
        label = to_ascii(name, LONGEST_NAME)
        figures = (_figure(prediction, f"{name}_area_mm2", codes.AREA),) if measured else ()
        code = Code(f"class {number}", codes.OWN_SCHEME, label)
        found.append(Structure(label, codes.REGION, code, figures))
    return found


def _head_figures(prediction: Prediction) -> tuple[Figure, ...]:
    hc = _figure(prediction, "hc_mm", codes.HEAD_CIRCUMFERENCE)
    hc_mm, low_mm, high_mm = (
        prediction.figures.get(column) for column in ("hc_mm", "hc_low_mm", "hc_high_mm")
    )
    if hc_mm is not None and low_mm is not None and high_mm is not None:
        # of the figures themselves: rounded ones would make an even interval uneven
        decimals = _decimals(prediction, "hc_mm")
        below, above = round(hc_mm - low_mm, decimals), round(high_mm - hc_mm, decimals)
        hc = hc._replace(below=float(below), above=float(above))
    return (
        hc,
        _figure(prediction, "bpd_mm", codes.BIPARIETAL_DIAMETER),
        _figure(prediction, "ofd_mm", codes.OCCIPITAL_FRONTAL_DIAMETER),
    )


def _figure(prediction: Prediction, column: str, name: Code) -> Figure:
    """Return a figure in mm or mm2, rounded as the table has it."""
    value = prediction.figures.get(column)
    if value is None:
        raise DataError(
            "there is nothing to report in mm, as the size of a pixel is unknown; give the pixel "
            "size"
        )
    unit = codes.MM2 if column.endswith("_mm2") else codes.MM
    return Figure(name, round(float(value), _decimals(prediction, column)), unit)


def _decimals(prediction: Prediction, column: str) -> int:
    columns = measure_of(prediction.task).columns(prediction.task)
    return next(each.decimals for each in columns if each.name == column)


def draw_outline(ellipse: Ellipse, size: tuple[int, int]) -> tuple[str, FloatArray]:
    """Return an ellipse as DICOM draws it: the kind of graphic and its points, shape (n, 2).

    Counted from the corner of the first pixel, whose centre is (0.5, 0.5), and nowhere outside the
    image (PS3.3 C.18.6). The ends of the major axis, then of the minor axis; where one of them lies
    outside, the outline as a closed line that keeps to the image's border there.

    Parameters
    ----------
    size
        (height, width) of the image.
    """
    bounds = (size[1], size[0])
    axes = ellipse.shape_matrix().T  # a row each
    ends = ellipse.center + 0.5 + np.stack([axes[0], -axes[0], axes[1], -axes[1]])
    if ((ends >= 0) & (ends <= bounds)).all():
        return "ELLIPSE", ends
    points = np.clip(ellipse.points(_OUTLINE_POINTS) + 0.5, 0, bounds)
    return "POLYLINE", np.concatenate([points, points[:1]])
