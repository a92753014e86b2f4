"""Gestational age from head circumference, and centiles for an age known otherwise."""

from __future__ import annotations

import math

HADLOCK_RANGE_MM = (68.0, 360.0)
INTERGROWTH_RANGE_WEEKS = (14.0, 40.0)
LATE_WEEKS = 36.0
"""From this age on HC underestimates the age: a median head of week 40 reads as week 38."""
# Upper ends of the HC ranges, in mm, for which Hadlock 1984 gives 2 SD, as scanner manufacturers
# print them (of the last range some sources give 2.7 weeks). An HC between two ranges (144 to 151,
# 219 to 224, 280 to 284, 325 to 328) takes the larger value.
_HADLOCK_TWO_SD_WEEKS = ((144.0, 1.19), (219.0, 1.48), (280.0, 2.06), (325.0, 2.98), (360.0, 3.2))


def ga_weeks_hadlock(hc_mm: float) -> float | None:
    """Return the age in weeks (Hadlock et al. 1984, Radiology 152:497); None outside 68 to 360 mm.

    GA = 8.96 + 0.540 HC + 0.0003 HC³, HC in cm, as cited by later papers.
    """
    if not HADLOCK_RANGE_MM[0] <= hc_mm <= HADLOCK_RANGE_MM[1]:
        return None
    hc_cm = hc_mm / 10
    return 8.96 + 0.540 * hc_cm + 0.0003 * hc_cm**3


def ga_weeks_hadlock_half_width(hc_mm: float, hc_half_width_mm: float = 0.0) -> float | None:
    """Return half the interval of `ga_weeks_hadlock`, in weeks; None outside its range.

    The root of the sum of squares of two parts: two standard deviations of the method, and the
    half width of the HC interval times the slope of the age at this HC.
    """
    if ga_weeks_hadlock(hc_mm) is None:
        return None
    two_sd = next(weeks for high, weeks in _HADLOCK_TWO_SD_WEEKS if hc_mm <= high)
    weeks_per_mm = (0.540 + 3 * 0.0003 * (hc_mm / 10) ** 2) / 10
    return math.hypot(two_sd, weeks_per_mm * hc_half_width_mm)


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


def format_weeks(weeks: float) -> str:
    """Format a gestational age to the nearest day: 19.6 weeks is ``19w4d``."""
    whole, days = divmod(math.floor(weeks * 7 + 0.5), 7)
    return f"{whole}w{days}d"


def _is_on_chart(ga_weeks: float) -> bool:
    low, high = INTERGROWTH_RANGE_WEEKS
    return low <= ga_weeks <= high
