"""A site's offset: how its own head circumferences differ from the model's."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgeseg.errors import DataError
from edgeseg.images.calibration import FACTOR_RANGE, FORMAT, MAX_SHIFT_MM, VERSION, Calibration
from edgeseg.measure.ellipse import FloatArray
from edgeseg.score.site import Head, SiteHeads
from edgeseg.system.version import __version__

MIN_HEADS = 10
ENOUGH_HEADS = 20
LEVEL = 0.9  # of the bundled models' intervals

_Z_90, _Z_95 = 1.6449, 1.9600
# Two observers of one head differ by 2 to 3 % of HC: pairs that spread more are of other heads.
_MAX_SPREAD = 0.10
_MAX_SPREAD_UNLIKE = 0.03
_UNLIKE = 0.7
_OUTLIER, _OUTLIER_SPREADS = 0.03, 6.0


@dataclass(frozen=True, slots=True)
class Share:
    """A share of heads, and between which shares the true one lies (95 %, Wilson 1927)."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class SiteOffset:
    """What was learnt of a site; figures after it are of each head calibrated by the others."""

    calibration: Calibration
    kind: str  # ratio, or shift where heads are off by the same distance whatever their size
    n_heads: int
    hc_range_mm: tuple[float, float]
    error_before_mm: float  # mean absolute difference of the two circumferences
    error_after_mm: float
    coverage_before: Share | None  # of the site's circumferences within the intervals, if any
    coverage_after: Share | None
    notices: tuple[str, ...]


def calibrate(site: SiteHeads) -> SiteOffset:
    """Learn a site's offset from heads that it measured itself.

    The offset is the median over heads of the site's circumference over the model's, or of their
    difference if that tells heads left out markedly better. They should be heads of different
    pregnancies. Raises `DataError` if there are fewer than ``MIN_HEADS`` heads, or the two
    circumferences cannot be of the same heads in the same unit.
    """
    heads = site.heads
    if len(heads) < MIN_HEADS:
        raise DataError(
            f"{len(heads)} heads to calibrate on; at least {MIN_HEADS} are needed, {ENOUGH_HEADS} "
            "to 30 are good"
        )
    own = np.array([head.site_mm for head in heads])
    model = np.array([head.model_mm for head in heads])
    _check_pairs(own, model)
    left_out = {
        kind: [
            _learn_offset(kind, np.delete(own, i), np.delete(model, i)) for i in range(len(heads))
        ]
        for kind in ("ratio", "shift")
    }
    errors = {
        kind: np.array([c.circumference_mm(mm) for c, mm in zip(learnt, model, strict=True)]) - own
        for kind, learnt in left_out.items()
    }
    kind = "shift" if _is_clearly_smaller(errors["shift"], errors["ratio"]) else "ratio"
    learnt = _learn_offset(kind, own, model, site.model_sha256)
    if abs(learnt.shift_mm) > MAX_SHIFT_MM:
        raise DataError(
            f"the site's outlines make HC {learnt.shift_mm:+.1f} mm longer at every size; "
            f"expected at most {MAX_SHIFT_MM:g} mm. Is it another structure, or another pixel size?"
        )
    return SiteOffset(
        calibration=learnt,
        kind=kind,
        n_heads=len(heads),
        hc_range_mm=(float(model.min()), float(model.max())),
        error_before_mm=float(np.abs(model - own).mean()),
        error_after_mm=float(np.abs(errors[kind]).mean()),
        coverage_before=_measure_coverage([Calibration()] * len(heads), heads),
        coverage_after=_measure_coverage(left_out[kind], heads),
        notices=(*site.notices, *_list_notices(learnt, kind, heads, own, model)),
    )


def as_json(offset: SiteOffset) -> dict[str, Any]:
    """Return what `edgeseg.images.calibration.read_calibration` reads, and how good it is."""
    values = asdict(offset)
    versions = {"format": FORMAT, "version": VERSION, "edgeseg_version": __version__}
    return {**versions, **values.pop("calibration"), "level": LEVEL, **values}


def wilson(held: int, count: int) -> Share:
    """Return a share of heads with its 95 % interval; ``count`` is above 0."""
    share, z2 = held / count, _Z_95**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z_95 * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2)) / (1 + z2 / count)
    return Share(share, max(middle - half, 0.0), min(middle + half, 1.0))


def _learn_offset(
    kind: str, own: FloatArray, model: FloatArray, model_sha256: str = ""
) -> Calibration:
    """Return the median offset of heads, and how far it may be off at ``LEVEL``."""
    values = own / model if kind == "ratio" else own - model
    offset = float(np.median(values))
    # of a median: 1.2533 times that of a mean, as for normal values
    half = _Z_90 * 1.2533 * _spread(values) / math.sqrt(len(values))
    if kind == "ratio":
        return Calibration(factor=offset, factor_half_width=half, model_sha256=model_sha256)
    return Calibration(shift_mm=offset, shift_half_width_mm=half, model_sha256=model_sha256)


def _spread(values: FloatArray) -> float:
    """Return a standard deviation that a few wrong heads do not move."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _is_clearly_smaller(errors: FloatArray, others: FloatArray) -> bool:
    """Return whether errors are smaller than others by a tenth, and by more than their noise."""
    gain = np.abs(others) - np.abs(errors)
    noise = _Z_95 * float(gain.std(ddof=1)) / math.sqrt(len(gain))
    return float(gain.mean()) > max(noise, 0.1 * float(np.abs(others).mean()))


def _measure_coverage(calibrations: Sequence[Calibration], heads: Sequence[Head]) -> Share | None:
    """Return the share of heads within their intervals; None if some have no interval."""
    held = 0
    for calibration, head in zip(calibrations, heads, strict=True):
        if head.half_width_mm is None:
            return None
        half_mm = calibration.half_width_mm(head.model_mm, head.half_width_mm)
        held += abs(calibration.circumference_mm(head.model_mm) - head.site_mm) <= half_mm
    return wilson(held, len(heads))


def _check_pairs(own: FloatArray, model: FloatArray) -> None:
    """Refuse circumferences that are not of the same heads in the same unit."""
    logs = np.log(own / model)
    ratio, spread = math.exp(float(np.median(logs))), _spread(logs)
    low, high = FACTOR_RANGE
    if not low <= ratio <= high:
        raise DataError(
            f"the site's circumferences are {ratio:.3g} times edgeseg's; expected {low:g} to "
            f"{high:g} times, both in mm. Are some in centimetres, or diameters, or of a wrong "
            "pixel size?"
        )
    # the same values paired at random would spread so
    unlike = math.hypot(_spread(np.log(own)), _spread(np.log(model)))
    if spread > _MAX_SPREAD or (spread > _MAX_SPREAD_UNLIKE and spread > _UNLIKE * unlike):
        raise DataError(
            f"the site's circumferences and edgeseg's are {100 * spread:.1f} % apart; expected 1 "
            f"to 5 %, and clearly less than between different heads ({100 * unlike:.1f} %). Are "
            "rows, units or columns mixed up?"
        )


def _list_notices(
    learnt: Calibration, kind: str, heads: Sequence[Head], own: FloatArray, model: FloatArray
) -> list[str]:
    notices = []
    if len(heads) < ENOUGH_HEADS:
        notices.append(f"{len(heads)} heads are few; {ENOUGH_HEADS} to 30 make the offset surer")
    noise = (learnt.factor_half_width or learnt.shift_half_width_mm) * _Z_95 / _Z_90
    values, offset, unit, size = own - model, learnt.shift_mm, "mm", own
    if kind == "ratio":
        values, offset, unit, size = own / model, 100 * (learnt.factor - 1), "%", np.ones_like(own)
        noise *= 100
    if abs(offset) <= noise:
        notices.append(
            f"the offset of {offset:+.2f} {unit} lies within its noise (± {noise:.2f} {unit}): "
            "this site may measure as the model does, and calibrating then only adds noise"
        )
    off = np.abs(values - np.median(values)) / size
    far = off > max(_OUTLIER_SPREADS * 1.4826 * float(np.median(off)), _OUTLIER)
    if far.any():
        named = ", ".join(repr(heads[i].file) for i in np.flatnonzero(far)[:3])
        notices.append(
            f"heads that lie far off the others, look at them: {int(far.sum())}, such as {named}"
        )
    return notices
