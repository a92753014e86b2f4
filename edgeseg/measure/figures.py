"""The figures of a head, from its ellipse, ages and centiles among them, and their texts."""

from __future__ import annotations

import math
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from edgeseg.images.calibration import Calibration
from edgeseg.measure.measurement import Column

if TYPE_CHECKING:
    from edgeseg.images.frame import Frame
    from edgeseg.measure.ellipse import Ellipse
    from edgeseg.measure.measurement import Figures
    from edgeseg.network.metadata import ModelMetadata

HADLOCK_RANGE_MM = (68.0, 360.0)
INTERGROWTH_RANGE_WEEKS = (14.0, 40.0)
LATE_WEEKS = 36.0
"""From this age on HC underestimates the age: a median head of week 40 reads as week 38."""
# Upper ends of the HC ranges, in mm, for which Hadlock 1984 gives 2 SD, as scanner manufacturers
# print them (of the last range some sources give 2.7 weeks). An HC between two ranges (144 to 151,
# 219 to 224, 280 to 284, 325 to 328) takes the larger value.
_HADLOCK_TWO_SD_WEEKS = ((144.0, 1.19), (219.0, 1.48), (280.0, 2.06), (325.0, 2.98), (360.0, 3.2))


def measure(
    ellipse: Ellipse, confidence: float, frame: Frame, metadata: ModelMetadata
) -> dict[str, float | None]:
    """Return every figure of a head whose outline is an ellipse in pixels of the image.

    Without a pixel size the figures in millimetres and weeks are None. The interval of HC, if the
    model has one, widens as the confidence falls.
    """
    figures = empty_figures(frame) | {"hc_px": ellipse.circumference_px, **asdict(ellipse)}
    if frame.pixel_size is None:
        return figures
    in_mm = ellipse.scaled(frame.pixel_size.x_mm, frame.pixel_size.y_mm)
    model_hc_mm, site = in_mm.circumference_px, frame.calibration or Calibration()  # px are mm here
    hc_mm = site.circumference_mm(model_hc_mm)
    bpd_mm = site.diameter_mm(2 * in_mm.semi_minor_px)
    ofd_mm = site.diameter_mm(2 * in_mm.semi_major_px)
    half_mm = 0.0
    if metadata.interval is not None:
        own_half_mm = metadata.interval.half_width_mm(model_hc_mm, confidence)
        half_mm = site.half_width_mm(model_hc_mm, own_half_mm)
        figures |= {"hc_low_mm": max(hc_mm - half_mm, 0.0), "hc_high_mm": hc_mm + half_mm}
    if (age := ga_weeks_hadlock(hc_mm, half_mm)) is not None:
        weeks, half_weeks = age
        figures |= {
            "ga_weeks_hadlock": weeks,
            "ga_low_weeks_hadlock": weeks - half_weeks,
            "ga_high_weeks_hadlock": weeks + half_weeks,
        }
    figures |= {
        "hc_mm": hc_mm,
        "bpd_mm": bpd_mm,
        "ofd_mm": ofd_mm,
        "cephalic_index": 100 * bpd_mm / ofd_mm,
        "area_mm2": math.pi / 4 * bpd_mm * ofd_mm,
        "ga_weeks_intergrowth": ga_weeks_intergrowth(hc_mm),
    }
    if (ga_weeks := frame.ga_weeks) is not None:
        for (name, column), value_mm in zip(
            _CENTILES.items(), (hc_mm, bpd_mm, ofd_mm), strict=True
        ):
            figures[column] = centile_intergrowth(name, value_mm, ga_weeks)
    return figures


def ga_weeks_hadlock(hc_mm: float, hc_half_width_mm: float = 0.0) -> tuple[float, float] | None:
    """Return the age in weeks (Hadlock et al. 1984, Radiology 152:497), and half its interval.

    GA = 8.96 + 0.540 HC + 0.0003 HC³, HC in cm, as cited by later papers; None outside 68 to 360
    mm. The half interval is the root of the sum of squares of two parts: two standard deviations of
    the method, and the half width of the HC interval times the slope of the age at this HC.
    """
    if not HADLOCK_RANGE_MM[0] <= hc_mm <= HADLOCK_RANGE_MM[1]:
        return None
    hc_cm = hc_mm / 10
    two_sd = next(weeks for high, weeks in _HADLOCK_TWO_SD_WEEKS if hc_mm <= high)
    weeks_per_mm = (0.540 + 3 * 0.0003 * hc_cm**2) / 10
    half_weeks = math.hypot(two_sd, weeks_per_mm * hc_half_width_mm)
    return 8.96 + 0.540 * hc_cm + 0.0003 * hc_cm**3, half_weeks


def ga_weeks_intergrowth(hc_mm: float) -> float | None:
    """Return the age in weeks (INTERGROWTH-21st, doi:10.1002/uog.15894); None outside 14 to 40.

    GA in days = exp(0.05970 ln(HC)² + 6.409e-9 HC³ + 3.3258), HC in mm.
    """
    if not 20 <= hc_mm <= 1000:  # outside, ln² rises again or the exponential overflows
        return None
    days = math.exp(0.05970 * math.log(hc_mm) ** 2 + 6.409e-9 * hc_mm**3 + 3.3258)
    weeks = days / 7
    return weeks if _is_on_chart(weeks) else None


def centile_intergrowth(name: str, value_mm: float, ga_weeks: float) -> float | None:
    """Return the centile of ``HC``, ``BPD`` or ``OFD`` for a gestational age known otherwise.

    They are normal with a mean and SD in mm that depend on the age in weeks (INTERGROWTH-21st,
    Papageorghiou et al. 2014, doi:10.1016/S0140-6736(14)61490-2). BPD and OFD are outer to outer;
    their formulas are as cited by the R package gigs, within 0.1 mm of the project's published
    tables. An age derived from the same HC gives a meaningless centile.

    It is in [0, 100]; None outside 14 to 40 weeks.
    """
    if not _is_on_chart(ga_weeks):
        return None
    log = math.log(ga_weeks)
    if name == "HC":
        mean_mm = -28.2849 + 1.69267 * ga_weeks**2 - 0.397485 * ga_weeks**2 * log
        sd_mm = 1.98735 + ga_weeks**3 * (0.0136772 - 0.00726264 * log + 0.000976253 * log**2)
    elif name == "BPD":
        mean_mm = 5.60878 + 0.158369 * ga_weeks**2 - 0.00256379 * ga_weeks**3
        cubic = 0.00150557 - 0.000771535 * log + 0.0000999638 * log**2
        sd_mm = math.exp(0.101242 + ga_weeks**3 * cubic)
    else:
        mean_mm = -12.4097 + ga_weeks**2 * (0.626342 - 0.148075 * log)
        square = 0.0631165 - 0.0317136 * log + 0.00408302 * log**2
        sd_mm = math.exp(-0.880034 + ga_weeks**2 * square)
    return 50 * (1 + math.erf((value_mm - mean_mm) / (sd_mm * math.sqrt(2))))


def empty_figures(frame: Frame) -> dict[str, float | None]:
    """Return the figures of an image without a head: those known from its inputs, else None."""
    figures: dict[str, float | None] = dict.fromkeys(column.name for column in COLUMNS)
    if frame.ga_weeks is not None:
        figures["ga_weeks_given"] = frame.ga_weeks
    if (site := frame.calibration) is not None:
        figures |= {"calibration_factor": site.factor, "calibration_shift_mm": site.shift_mm}
    return figures


def drop_ages(figures: Figures) -> dict[str, float | None]:
    """Return the figures without ages: none is derived from an HC that is doubtful."""
    ages = ("ga_weeks_hadlock", "ga_low_weeks_hadlock", "ga_high_weeks_hadlock")
    return {**figures, **dict.fromkeys((*ages, "ga_weeks_intergrowth"), None)}


def format_weeks(weeks: float) -> str:
    """Format a gestational age to the nearest day: 19.6 weeks is ``19w4d``."""
    whole, days = divmod(math.floor(weeks * 7 + 0.5), 7)
    return f"{whole}w{days}d"


def format_circumference(figures: Figures) -> str:
    """Format HC in mm with its interval, such as ``175.3 ± 3.6``; empty without a pixel size."""
    hc_mm, high_mm = figures["hc_mm"], figures["hc_high_mm"]
    if hc_mm is None:
        return ""
    return f"{hc_mm:.1f}" + ("" if high_mm is None else f" ± {high_mm - hc_mm:.1f}")


def format_age_hadlock(figures: Figures) -> str:
    """Format the age by Hadlock, such as ``19w4d ± 1w4d``, or say why there is none.

    Empty without a pixel size, and where the head is doubtful.
    """
    hc_mm, weeks = figures["hc_mm"], figures["ga_weeks_hadlock"]
    if weeks is not None:
        high_weeks = figures["ga_high_weeks_hadlock"]
        half = "" if high_weeks is None else f" ± {format_weeks(high_weeks - weeks)}"
        return f"{format_weeks(weeks)}{half}{_late_note(weeks)}"
    low_mm, high_mm = HADLOCK_RANGE_MM
    if hc_mm is None or low_mm <= hc_mm <= high_mm:
        return ""
    return f"none, HC is {f'below {low_mm:g}' if hc_mm < low_mm else f'above {high_mm:g}'} mm"


def format_age_intergrowth(figures: Figures) -> str:
    """Format the age by INTERGROWTH-21st, such as ``19w4d``, or say why there is none."""
    hc_mm, weeks = figures["hc_mm"], figures["ga_weeks_intergrowth"]
    if weeks is not None:
        return f"{format_weeks(weeks)}{_late_note(weeks)}"
    if hc_mm is None or ga_weeks_intergrowth(hc_mm) is not None:
        return ""
    low, high = INTERGROWTH_RANGE_WEEKS
    is_small = hc_mm < 200  # the chart's heads are 98 to 346 mm
    return f"none, age is {f'below {low:g}' if is_small else f'above {high:g}'} weeks"


def format_known_age(figures: Figures) -> str:
    """Format the gestational age that was given for the image; empty if there is none."""
    weeks = figures.get("ga_weeks_given")
    return "" if weeks is None else format_weeks(weeks)


def format_centile(figures: Figures, name: str) -> str:
    """Format a centile without decimals, ``below 1`` or ``above 99``, or say why there is none."""
    value, weeks = figures.get(name), figures.get("ga_weeks_given")
    if value is not None:
        return "below 1" if value < 0.5 else "above 99" if value >= 99.5 else f"{value:.0f}"
    low, high = INTERGROWTH_RANGE_WEEKS
    if weeks is None or low <= weeks <= high:
        return ""
    return f"none, age is outside {low:g} to {high:g} weeks"


def caption_lines(figures: Figures) -> list[str]:
    """Return a head's caption as lines."""
    if figures["hc_mm"] is None:
        return [f"HC {figures['hc_px']:.1f} px (no pixel size)"]
    calibrated = ", calibrated" if figures.get("calibration_factor") is not None else ""
    lines = [f"HC {format_circumference(figures)} mm{calibrated}"]
    if age := format_age_hadlock(figures):
        lines.append(f"GA: {age}" if age.startswith("none") else f"GA by HC {age}")
    if known := format_known_age(figures):
        centiles = {name: format_centile(figures, column) for name, column in _CENTILES.items()}
        each = ", ".join(f"{name} {text}" for name, text in centiles.items() if text)
        if len({*centiles.values()}) == 1 and centiles["HC"].startswith("none"):
            each = centiles["HC"]
        if each:
            lines.append(f"centiles at {known}: {each}")
    return lines


def _is_on_chart(ga_weeks: float) -> bool:
    low, high = INTERGROWTH_RANGE_WEEKS
    return low <= ga_weeks <= high


def _late_note(weeks: float) -> str:
    return " (late: HC may read 2 weeks young)" if weeks >= LATE_WEEKS else ""


_CENTILES = {name: f"{name.lower()}_centile_intergrowth" for name in ("HC", "BPD", "OFD")}
ELLIPSE_COLUMNS = (
    Column("center_x_px", 3),
    Column("center_y_px", 3),
    Column("semi_major_px", 3),
    Column("semi_minor_px", 3),
    Column("angle_rad", 6),
)
"""Those of an `Ellipse`, in pixels of the image."""
COLUMNS = (
    Column("hc_mm", 3, "HC (mm)", format_circumference),
    Column("hc_low_mm", 3),
    Column("hc_high_mm", 3),
    Column("bpd_mm", 3, "BPD (mm)"),
    Column("ofd_mm", 3, "OFD (mm)"),
    Column("cephalic_index", 2),
    Column("area_mm2", 2),
    Column("ga_weeks_hadlock", 4, "GA Hadlock", format_age_hadlock),
    Column("ga_low_weeks_hadlock", 4),
    Column("ga_high_weeks_hadlock", 4),
    Column("ga_weeks_intergrowth", 4, "GA INTERGROWTH-21st", format_age_intergrowth),
    Column("hc_px", 3, "HC (px)"),
    *ELLIPSE_COLUMNS,
)
"""Every figure, in the order of the table."""
AGE_COLUMNS = (
    Column("ga_weeks_given", 4, "GA given", format_known_age),
    *(
        Column(column, 2, f"{name} centile", partial(format_centile, name=column))
        for name, column in _CENTILES.items()
    ),
)
"""Columns of a run that was given gestational ages."""
CALIBRATION_COLUMNS = (Column("calibration_factor", 5), Column("calibration_shift_mm", 3))
"""Columns of a run with a site's calibration."""
