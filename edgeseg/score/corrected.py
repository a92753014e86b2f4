"""What a person corrected in a report, against what the model had measured there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeseg.errors import DataError
from edgeseg.inputs.rows import read_number, read_rows
from edgeseg.measure.ellipse import Ellipse
from edgeseg.score import metrics
from edgeseg.system.cells import unshield

_ELLIPSE = ("center_x_px", "center_y_px", "semi_major_px", "semi_minor_px", "angle_rad")
_OWN = ("hc_mm", "hc_px", *_ELLIPSE)
_MODELS = tuple(f"model_{name}" for name in _OWN)
COLUMNS = ("file", "frame", *_OWN, "pixel_size_x_mm", "pixel_size_y_mm", *_MODELS)
"""Of the table that a report saves: what is right, the pixel size, what the model measured."""
_SAME = 5e-4  # tables hold three decimals
_MARGIN_PX = 2


@dataclass(frozen=True, slots=True)
class Correction:
    """One image that a person looked at.

    Attributes
    ----------
    ellipse, hc_mm
        The head as it should be; the circumference is None where pixels have no size.
    model_ellipse, model_hc_mm
        As the model had it; None where it had found none.
    """

    file: str
    frame: str
    ellipse: Ellipse
    hc_mm: float | None
    model_ellipse: Ellipse | None
    model_hc_mm: float | None

    @property
    def is_changed(self) -> bool:
        """Whether the person drew another ellipse than the model."""
        return self.model_ellipse is None or any(
            abs(own - model) > _SAME
            for own, model in zip(_values(self.ellipse), _values(self.model_ellipse), strict=True)
        )

    @property
    def error_mm(self) -> float | None:
        """The model's circumference minus the corrected one; None without both in mm."""
        if self.hc_mm is None or self.model_hc_mm is None:
            return None
        return self.model_hc_mm - self.hc_mm

    @property
    def error_share(self) -> float | None:
        """The same of the circumferences in pixels, as a fraction of the corrected one."""
        if self.model_ellipse is None:
            return None
        return self.model_ellipse.circumference_px / self.ellipse.circumference_px - 1

    @property
    def dice(self) -> float | None:
        """Dice of the two ellipses; None where the model had found none."""
        if self.model_ellipse is None:
            return None
        both = (self.ellipse, self.model_ellipse)
        reach_px = max(e.semi_major_px for e in both) + _MARGIN_PX
        left, right = (f(e.center_x_px for e in both) for f in (min, max))
        top, bottom = (f(e.center_y_px for e in both) for f in (min, max))
        left, top = left - reach_px, top - reach_px
        size = math.ceil(bottom + reach_px - top), math.ceil(right + reach_px - left)
        one, other = (ellipse.moved(-left, -top).mask(*size) for ellipse in both)
        return metrics.overlap(other, one).dice


def read_corrections(path: Path) -> list[Correction]:
    """Read the table that a report's page saves.

    Raises
    ------
    InputNotFoundError
        If there is no such file.
    DataError
        If it is not such a table, or a row has no ellipse.
    """
    titles, rows = read_rows(path, "a table of corrections")
    if lacking := [name for name in COLUMNS if name not in titles]:
        raise DataError(
            f"{path}: no column {', '.join(lacking)}; expected the corrected.csv that a report's "
            "page saves"
        )
    corrections: dict[tuple[str, str], Correction] = {}
    for where, cells, _ in rows:
        row = dict(zip(titles, cells, strict=True))
        if (key := (unshield(row["file"]), row["frame"])) in corrections:
            raise DataError(f"{where}: {key[0]!r} is there twice; keep one")
        ellipse, model = (_read_ellipse(row, prefix, where) for prefix in ("", "model_"))
        if ellipse is None:
            raise DataError(f"{where}: no ellipse; expected a number in each of {', '.join(_OWN)}")
        hc_mm = _read_cell(row, "hc_mm", where)
        model_hc_mm = _read_cell(row, "model_hc_mm", where) if model else None
        corrections[key] = Correction(*key, ellipse, hc_mm, model, model_hc_mm)
    return [*corrections.values()]


def summarize_corrections(corrections: Sequence[Correction]) -> dict[str, Any]:
    """Return how far the model was off, as JSON-ready values; see `metrics.describe_errors`."""
    errors_mm = [c.error_mm for c in corrections if c.error_mm is not None]
    shares = [c.error_share for c in corrections if c.error_share is not None]
    dices = [c.dice for c in corrections if c.dice is not None]
    return {
        "n_images": len(corrections),
        "n_changed": sum(c.is_changed for c in corrections),
        "n_missed": sum(c.model_ellipse is None for c in corrections),
        "hc_error_mm": metrics.describe_errors(errors_mm),
        "hc_error_share": metrics.describe_errors(shares),
        "dice_ellipse": metrics.describe_overlaps(dices),
    }


def _read_ellipse(row: Mapping[str, str], prefix: str, where: str) -> Ellipse | None:
    """Return an ellipse of a row; None if it has none at all."""
    if not any(row[prefix + name] for name in _ELLIPSE):
        return None
    values = [read_number(row[prefix + name], f"{where}: {prefix}{name}") for name in _ELLIPSE]
    if not values[2] >= values[3] - _SAME > 0:
        raise DataError(
            f"{where}: {prefix}semi_major_px is {values[2]:g} and {prefix}semi_minor_px "
            f"{values[3]:g}; expected two positive lengths, the longer first"
        )
    return Ellipse(*values)


def _read_cell(row: Mapping[str, str], name: str, where: str) -> float | None:
    return read_number(row[name], f"{where}: {name}") if row[name] else None


def _values(ellipse: Ellipse) -> tuple[float, ...]:
    return tuple(getattr(ellipse, name) for name in _ELLIPSE)
