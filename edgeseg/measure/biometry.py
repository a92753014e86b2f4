"""From head circumference to gestational age and centile."""

from __future__ import annotations

import math

from edgeseg.errors import DataError

# Hadlock 1984 gives 2 SD for these ranges of HC, in mm; each reaches up to the next.
_HADLOCK_TWO_SD_WEEKS = ((68.0, 1.19), (147.5, 1.48), (221.5, 2.06), (282.0, 2.98), (326.5, 3.2))
_HADLOCK_RANGE_MM = (68.0, 360.0)
_INTERGROWTH_RANGE_WEEKS = (14.0, 40.0)


def ga_weeks_hadlock(hc_mm: float) -> float | None:
    """Gestational age from head circumference (Hadlock et al. 1984, Radiology 152:497).

    GA = 8.96 + 0.540 HC + 0.0003 HC³, HC in cm; as cited by later work.

    Returns
    -------
    float or None
        Weeks; None outside 68 to 360 mm.

    Raises
    ------
    DataError
        If ``hc_mm`` is not a positive number.
    """
    _check(hc_mm)
    if not _HADLOCK_RANGE_MM[0] <= hc_mm <= _HADLOCK_RANGE_MM[1]:
        return None
    hc_cm = hc_mm / 10
    return 8.96 + 0.540 * hc_cm + 0.0003 * hc_cm**3


def ga_weeks_hadlock_two_sd(hc_mm: float) -> float | None:
    """Two standard deviations of `ga_weeks_hadlock`, in weeks; None outside its range.

    Raises
    ------
    DataError
        If ``hc_mm`` is not a positive number.
    """
    if ga_weeks_hadlock(hc_mm) is None:
        return None
    return next(two_sd for low, two_sd in reversed(_HADLOCK_TWO_SD_WEEKS) if hc_mm >= low)


def ga_weeks_intergrowth(hc_mm: float) -> float | None:
    """Gestational age from head circumference (INTERGROWTH-21st, doi:10.1002/uog.15894).

    GA in days = exp(0.05970 ln(HC)² + 6.409e-9 HC³ + 3.3258), HC in mm.

    Returns
    -------
    float or None
        Weeks; None outside 14 to 40 weeks, which the charts cover.

    Raises
    ------
    DataError
        If ``hc_mm`` is not a positive number.
    """
    _check(hc_mm)
    if not 20 <= hc_mm <= 1000:  # far outside, where ln² rises again or the exponential overflows
        return None
    days = math.exp(0.05970 * math.log(hc_mm) ** 2 + 6.409e-9 * hc_mm**3 + 3.3258)
    weeks = days / 7
    low, high = _INTERGROWTH_RANGE_WEEKS
    return weeks if low <= weeks <= high else None


def hc_centile_intergrowth(hc_mm: float, ga_weeks: float) -> float | None:
    """Centile of a head circumference for gestational age (INTERGROWTH-21st).

    HC is normal with mean -28.2849 + 1.69267 GA² - 0.397485 GA² ln GA and
    SD 1.98735 + 0.0136772 GA³ - 0.00726264 GA³ ln GA + 0.000976253 GA³ (ln GA)², in mm, GA in
    weeks (Papageorghiou et al. 2014, doi:10.1016/S0140-6736(14)61490-2).

    Returns
    -------
    float or None
        In [0, 100]; None outside 14 to 40 weeks.

    Raises
    ------
    DataError
        If ``hc_mm`` is not a positive number.
    """
    _check(hc_mm)
    low, high = _INTERGROWTH_RANGE_WEEKS
    if not low <= ga_weeks <= high:
        return None
    log = math.log(ga_weeks)
    mean_mm = -28.2849 + 1.69267 * ga_weeks**2 - 0.397485 * ga_weeks**2 * log
    sd_mm = 1.98735 + ga_weeks**3 * (0.0136772 - 0.00726264 * log + 0.000976253 * log**2)
    return 50 * (1 + math.erf((hc_mm - mean_mm) / (sd_mm * math.sqrt(2))))


def _check(hc_mm: float) -> None:
    if not (math.isfinite(hc_mm) and hc_mm > 0):
        raise DataError(f"head circumference is {hc_mm}; expected a positive number of mm")
