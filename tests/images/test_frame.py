from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from edgeseg.errors import DataError
from edgeseg.images.frame import (
    PixelSize,
    as_pixel_size,
    check_pixel_size,
    parse_pixel_size,
)


@pytest.mark.parametrize(
    ("given", "x_mm", "y_mm"),
    [
        *((given, 0.25, 0.25) for given in (0.25, np.float32(0.25), np.float64(0.25))),
        *((given, 0.25, 0.25) for given in (np.array(0.25), Decimal("0.25"), Fraction(1, 4))),
        *((given, 0.1, 0.3) for given in ((0.1, 0.3), [0.1, 0.3], np.array([0.1, 0.3]))),
        *((1, 1.0, 1.0), ((Decimal("0.12"), 1), 0.12, 1.0)),
    ],
)
def test_a_pixel_size_may_be_given_in_many_ways(given: Any, x_mm: float, y_mm: float) -> None:
    for source in ("option", "table"):
        size = as_pixel_size(given, source)
        assert size == (x_mm, y_mm, source)
        assert type(size.x_mm) is type(size.y_mm) is float
    assert as_pixel_size(None) is None


def test_a_pixel_size_keeps_its_source() -> None:
    for given in (PixelSize(0.1, 0.3, "dicom"), PixelSize(1, np.float32(0.25), "dicom")):
        assert as_pixel_size(given) == given


@pytest.mark.parametrize(
    "given",
    [
        *(0, -0.1, 11, float("nan"), float("inf"), (0.1, -0.1), (0.0, 0.1), (0.1, 20.0)),
        *(10**400 // 10**390, Decimal("-1"), PixelSize(0.1, 70.0, "dicom"), PixelSize(-1, 1, "x")),
    ],
)
def test_what_no_pixel_can_measure_is_refused(given: Any) -> None:
    with pytest.raises(DataError, match=r"expected a positive number of mm from 0\.001 to 10"):
        as_pixel_size(given)


@pytest.mark.parametrize(
    "given",
    [
        *((0.1,), (0.1, 0.1, 0.1), "0.1", ("0.1", "0.1"), [], b"1", True, (True, 0.1), {0.1, 0.2}),
        *({0.1: 1, 0.2: 2}, (0.1, None), np.zeros((2, 2)), object(), 1j, np.array("0.1")),
        PixelSize("0.1", 0.2, "dicom"),  # type: ignore[arg-type]
    ],
)
def test_what_is_no_pixel_size_is_refused(given: Any) -> None:
    with pytest.raises(DataError, match=r"expected mm, one number or \(x, y\)"):
        as_pixel_size(given)


def test_the_text_begins_with_the_place() -> None:
    with pytest.raises(DataError, match=r"^row 3: pixel size is 70; expected"):
        check_pixel_size(70, "row 3: ")
    check_pixel_size(None)
    check_pixel_size(0.001)
    check_pixel_size(10)


class OfDicom(list[float]):
    """What pydicom holds ``PixelSpacing`` in."""

    __module__ = "pydicom.multival"


def test_dicom_s_own_order_is_not_taken_for_ours() -> None:
    with pytest.raises(DataError, match=r"down, then across; expected \(x, y\): \(0\.1, 0\.2\)"):
        as_pixel_size(OfDicom([0.2, 0.1]))
    assert as_pixel_size(OfDicom([0.2, 0.2])) == (0.2, 0.2, "option")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(("0.12", 0.12), (" .5 ", 0.5), ("1", 1.0), ("1.2e-1", 0.12)),
        *(("0.12x0.11", (0.12, 0.11)), ("0.12 X 0.11", (0.12, 0.11)), ("1\u00d72", (1.0, 2.0))),
    ],
)
def test_a_pixel_size_on_the_command_line(text: str, expected: object) -> None:
    assert parse_pixel_size(text) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        *(("0,12", "follow a point"), ("0.12,0.11", "such as 0.12x0.11"), ("wide", "such as 0.12")),
        *(("0.12 mm", "expected mm"), ("0.12x", "expected mm"), ("1x2x3", "expected"), ("", "mm")),
        *(("1_0", "expected mm"), ("nan", "expected mm"), ("inf", "expected mm")),
        *(("0x12", "positive number"), ("-1", "positive number"), ("0.12x70", "positive number")),
    ],
)
def test_what_is_no_pixel_size_on_the_command_line(text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        parse_pixel_size(text)
