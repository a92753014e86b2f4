"""Ultrasound files that packages ship, and what they hold."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, NamedTuple


class RealFile(NamedTuple):
    """An ultrasound file that a package ships."""

    name: str
    path: Path
    frames: int  # What it holds.
    rows: int
    columns: int
    pixel_mm: float | None = None  # Where tissue is shown; None if that is not known.
    regions: tuple[tuple[int, int, int, int], ...] = ()  # Of tissue, as stated.


_OB = ((120, 60, 800, 518),)
_OB_FILM = (2, 600, 800, 0.2622878766196998, _OB)
_SONOSITE = ((84, 31, 595, 414),)
_ALOKA = ((32, 24, 335, 415), (336, 24, 639, 415))
_IN_PYDICOM: dict[str, tuple[Any, ...]] = {
    "ExplVR_BigEnd.dcm": (1, 60, 80),
    "examples_jpeg2k.dcm": (1, 480, 640),
    "examples_palette.dcm": (1, 350, 800, None, _OB),
    "examples_rgb_color.dcm": (1, 240, 320),
    "examples_ybr_color.dcm": (30, 240, 320, None, _SONOSITE),
}
_IN_PYDICOM_DATA: dict[str, tuple[Any, ...]] = {
    "JPGLosslessP14SV1_1s_1f_8b.dcm": (1, 768, 1024, 0.25476696592378157, ((14, 38, 1010, 758),)),
    "OBXXXX1A_expb_2frame.dcm": _OB_FILM,
    "OBXXXX1A_rle_2frame.dcm": _OB_FILM,
    "US1_J2KR.dcm": (1, 480, 640),
    "color-pl.dcm": (1, 120, 256),
    "color3d_jpeg_baseline.dcm": (120, 480, 640, 0.5104970559477806, _SONOSITE),
    "gdcm-US-ALOKA-16_big.dcm": (1, 480, 640, 0.3826530650258064, _ALOKA),
}


def real_files() -> list[RealFile]:
    """Return the ultrasound files of the packages that are installed; none is downloaded."""
    found = []
    for package, under, files in (
        ("pydicom", "data/test_files", _IN_PYDICOM),
        ("data_store", "data", _IN_PYDICOM_DATA),
    ):
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            for name, facts in files.items():
                path = Path(folder) / under / name
                if path.is_file():
                    found.append(RealFile(name, path, *facts))
    return found
