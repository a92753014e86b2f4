"""The figures of a head's outline, and how people read them."""

from __future__ import annotations

import math
from functools import partial

from edgeseg.images.calibration import Calibration
from edgeseg.images.frame import Frame
from edgeseg.measure import biometry
from edgeseg.measure.ellipse import Ellipse
from edgeseg.measure.measurement import Column, Figures
from edgeseg.network.metadata import ModelMetadata

_LATE = "late: HC may read 2 weeks young"


def measure(
    ellipse: Ellipse, confidence: float, frame: Frame, metadata: ModelMetadata
) -> dict[str, float | None]:
    """Return every figure of a head's outline in pixels.

    Those in millimetres are of the ellipse in millimetres, calibrated if the frame's site is.
    """
    figures = empty(frame) | {
        "hc_px": ellipse.circumference_px,
        "center_x_px": ellipse.center_x_px,
        "center_y_px": ellipse.center_y_px,
        "semi_major_px": ellipse.semi_major_px,
        "semi_minor_px": ellipse.semi_minor_px,
        "angle_rad": ellipse.angle_rad,
    }
    if frame.pixel_size is None:
        return figures
    in_mm = ellipse.scaled(frame.pixel_size.x_mm, frame.pixel_size.y_mm)
    model_hc_mm, site = in_mm.circumference_px, frame.calibration or Calibration()
    hc_mm = site.circumference_mm(model_hc_mm)
    bpd_mm = site.diameter_mm(2 * in_mm.semi_minor_px)
    ofd_mm = site.diameter_mm(2 * in_mm.semi_major_px)
    half_mm = 0.0
    if metadata.interval is not None:
        own_half_mm = metadata.interval.half_width_mm(model_hc_mm, confidence)
        half_mm = site.half_width_mm(model_hc_mm, own_half_mm)
        figures |= {"hc_low_mm": max(hc_mm - half_mm, 0.0), "hc_high_mm": hc_mm + half_mm}
    weeks = biometry.ga_weeks_hadlock(hc_mm)
    half_weeks = biometry.ga_weeks_hadlock_half_width(hc_mm, half_mm)
    if weeks is not None and half_weeks is not None:
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
        "ga_weeks_intergrowth": biometry.ga_weeks_intergrowth(hc_mm),
    }
    if frame.ga_weeks is not None:
        figures |= {
            "hc_centile_intergrowth": biometry.hc_centile_intergrowth(hc_mm, frame.ga_weeks),
            "bpd_centile_intergrowth": biometry.bpd_centile_intergrowth(bpd_mm, frame.ga_weeks),
            "ofd_centile_intergrowth": biometry.ofd_centile_intergrowth(ofd_mm, frame.ga_weeks),
        }
    return figures


def empty(frame: Frame) -> dict[str, float | None]:
    """Return the figures of an image without a head: what was given for it, all else None."""
    figures: dict[str, float | None] = dict.fromkeys(column.name for column in COLUMNS)
    if frame.ga_weeks is not None:
        figures["ga_weeks_given"] = frame.ga_weeks
    if (site := frame.calibration) is not None:
        figures |= {"calibration_factor": site.factor, "calibration_shift_mm": site.shift_mm}
    return figures


def without_ages(figures: Figures) -> dict[str, float | None]:
    """Return figures without the ages that follow from HC, as befits a head in doubt."""
    ages = ("ga_weeks_hadlock", "ga_low_weeks_hadlock", "ga_high_weeks_hadlock")
    return {**figures, **dict.fromkeys((*ages, "ga_weeks_intergrowth"), None)}


def circumference(figures: Figures) -> str:
    """Return HC in mm and how far it may be off, such as ``175.3 ± 3.6``; empty without mm."""
    hc_mm, high_mm = figures["hc_mm"], figures["hc_high_mm"]
    if hc_mm is None:
        return ""
    return f"{hc_mm:.1f}" + ("" if high_mm is None else f" ± {high_mm - hc_mm:.1f}")


def age_hadlock(figures: Figures) -> str:
    """Return the age by Hadlock, such as ``19w4d ± 1w4d``, or for which HC there is none.

    Empty without mm, and where an age was left out because the head is in doubt.
    """
    hc_mm, weeks = figures["hc_mm"], figures["ga_weeks_hadlock"]
    if weeks is not None:
        high_weeks = figures["ga_high_weeks_hadlock"]
        half = "" if high_weeks is None else f" ± {biometry.weeks_days(high_weeks - weeks)}"
        return f"{biometry.weeks_days(weeks)}{half}{_late(weeks)}"
    low_mm, high_mm = biometry.HADLOCK_RANGE_MM
    if hc_mm is None or low_mm <= hc_mm <= high_mm:
        return ""
    return f"none below {low_mm:g} mm" if hc_mm < low_mm else f"none above {high_mm:g} mm"


def age_intergrowth(figures: Figures) -> str:
    """Return the age by INTERGROWTH-21st, such as ``19w4d``, or outside which there is none."""
    hc_mm, weeks = figures["hc_mm"], figures["ga_weeks_intergrowth"]
    if weeks is not None:
        return f"{biometry.weeks_days(weeks)}{_late(weeks)}"
    if hc_mm is None or biometry.ga_weeks_intergrowth(hc_mm) is not None:
        return ""
    low, high = biometry.INTERGROWTH_RANGE_WEEKS
    below = hc_mm < 200  # the chart's heads are 98 to 346 mm
    return f"none below {low:g} weeks" if below else f"none above {high:g} weeks"


def age_given(figures: Figures) -> str:
    """Return the age that was known before; empty if none was."""
    weeks = figures.get("ga_weeks_given")
    return "" if weeks is None else biometry.weeks_days(weeks)


def centile(figures: Figures, name: str) -> str:
    """Return a centile without decimals, ``below 1`` and ``above 99``, or why there is none."""
    value, weeks = figures.get(name), figures.get("ga_weeks_given")
    if value is not None:
        return "below 1" if value < 0.5 else "above 99" if value >= 99.5 else f"{value:.0f}"
    low, high = biometry.INTERGROWTH_RANGE_WEEKS
    if weeks is None or low <= weeks <= high:
        return ""
    return f"none outside {low:g} to {high:g} weeks"


def lines(figures: Figures) -> list[str]:
    """Return what a caption says of a head, line by line, in ASCII."""
    if figures["hc_mm"] is None:
        return [f"HC {figures['hc_px']:.1f} px (no pixel size)"]
    calibrated = ", calibrated" if figures.get("calibration_factor") is not None else ""
    said = [f"HC {circumference(figures)} mm{calibrated}"]
    if age := age_hadlock(figures):
        said.append(f"GA by HC {age}")
    if given := age_given(figures):
        centiles = {name: centile(figures, column) for name, column in _CENTILES.items()}
        if len({*centiles.values()}) == 1 and centiles["HC"].startswith("none"):
            said.append(f"centiles at {given}: {centiles['HC']}")
        elif any(centiles.values()):
            each = ", ".join(f"{name} {text}" for name, text in centiles.items() if text)
            said.append(f"centiles at {given}: {each}")
    return [line.replace("±", "+/-") for line in said]


def _late(weeks: float) -> str:
    return f" ({_LATE})" if weeks >= biometry.LATE_WEEKS else ""


_CENTILES = {name: f"{name.lower()}_centile_intergrowth" for name in ("HC", "BPD", "OFD")}
COLUMNS = (
    Column("hc_mm", 3, "HC (mm)", circumference),
    Column("hc_low_mm", 3),
    Column("hc_high_mm", 3),
    Column("bpd_mm", 3, "BPD (mm)"),
    Column("ofd_mm", 3, "OFD (mm)"),
    Column("cephalic_index", 2),
    Column("area_mm2", 2),
    Column("ga_weeks_hadlock", 4, "GA Hadlock", age_hadlock),
    Column("ga_low_weeks_hadlock", 4),
    Column("ga_high_weeks_hadlock", 4),
    Column("ga_weeks_intergrowth", 4, "GA INTERGROWTH-21st", age_intergrowth),
    Column("hc_px", 3, "HC (px)"),
    Column("center_x_px", 3),
    Column("center_y_px", 3),
    Column("semi_major_px", 3),
    Column("semi_minor_px", 3),
    Column("angle_rad", 6),
)
"""Every figure, in the order of the table."""
OF_AGES = (
    Column("ga_weeks_given", 4, "GA given", age_given),
    *(
        Column(column, 2, f"{name} centile", partial(centile, name=column))
        for name, column in _CENTILES.items()
    ),
)
"""Those of heads whose age is known otherwise."""
OF_CALIBRATION = (Column("calibration_factor", 5), Column("calibration_shift_mm", 3))
"""Those of a site's calibration."""
