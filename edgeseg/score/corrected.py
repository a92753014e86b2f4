"""What a person corrected in a report, against what the model had measured there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any, NamedTuple

from edgeseg.errors import DataError
from edgeseg.inputs.rows import read_number, read_rows
from edgeseg.measure.ellipse import Ellipse
from edgeseg.score import metrics
from edgeseg.system.text import unshield

_ELLIPSE = ("center_x_px", "center_y_px", "semi_major_px", "semi_minor_px", "angle_rad")
_OWN = ("hc_mm", "hc_px", *_ELLIPSE)
_MODELS = tuple(f"model_{name}" for name in _OWN)
COLUMNS = ("file", "frame", *_OWN, "pixel_size_x_mm", "pixel_size_y_mm", *_MODELS)
"""Of the table that a report saves: what is right, the pixel size, what the model measured."""
_SAME = 5e-4  # tables hold three decimals
_MARGIN_PX = 2


class Correction(NamedTuple):
    """One image that a person looked at."""

    file: str
    frame: str
    ellipse: Ellipse  # the head as it should be
    hc_mm: float | None  # None where pixels have no size
    model_ellipse: Ellipse | None  # None where the model had found none
    model_hc_mm: float | None

    @property
    def is_changed(self) -> bool:
        """Whether the person drew another ellipse than the model."""
        return self.model_ellipse is None or any(
            abs(own - model) > _SAME
            for own, model in zip(astuple(self.ellipse), astuple(self.model_ellipse), strict=True)
        )


def read_corrections(path: Path) -> list[Correction]:
    """Read the table that a report's page saves.

    Raises `InputNotFoundError` if there is no such file, and `DataError` if it is not such a table,
    or a row has no ellipse.
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
        hc_mm, model_hc_mm = (
            read_number(row[name], f"{where}: {name}") if row[name] else None
            for name in ("hc_mm", "model_hc_mm")
        )
        corrections[key] = Correction(*key, ellipse, hc_mm, model, model_hc_mm if model else None)
    return [*corrections.values()]


def summarize_corrections(corrections: Sequence[Correction]) -> dict[str, Any]:
    """Return how far the model was off, as JSON-ready values; see `metrics.describe_errors`.

    Errors are the model's circumference minus the corrected one, in mm, and of the circumferences
    in pixels as a fraction of the corrected one.
    """
    pairs = [(c.ellipse, c.model_ellipse) for c in corrections if c.model_ellipse is not None]
    errors_mm = [
        c.model_hc_mm - c.hc_mm
        for c in corrections
        if c.hc_mm is not None and c.model_hc_mm is not None
    ]
    shares = [model.circumference_px / own.circumference_px - 1 for own, model in pairs]
    return {
        "n_images": len(corrections),
        "n_changed": sum(c.is_changed for c in corrections),
        "n_missed": len(corrections) - len(pairs),
        "hc_error_mm": metrics.describe_errors(errors_mm),
        "hc_error_share": metrics.describe_errors(shares),
        "dice_ellipse": metrics.describe_overlaps([_dice(own, model) for own, model in pairs]),
    }


def _dice(own: Ellipse, model: Ellipse) -> float:
    both = (own, model)
    reach_px = max(e.semi_major_px for e in both) + _MARGIN_PX
    left, top = (min(xs) - reach_px for xs in zip(*(e.center for e in both), strict=True))
    right, bottom = (max(xs) + reach_px for xs in zip(*(e.center for e in both), strict=True))
    size = math.ceil(bottom - top), math.ceil(right - left)
    one, other = (ellipse.moved(-left, -top).mask(*size) for ellipse in both)
    return metrics.overlap(other, one).dice


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
