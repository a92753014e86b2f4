from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from edgeseg.errors import DataError
from edgeseg.images.frame import PixelSize, as_pixel_size, parse_pixel_size


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        *((given, (0.25, 0.25, "option")) for given in (0.25, np.float32(0.25), np.array(0.25))),
        *((given, (0.25, 0.25, "option")) for given in (Decimal("0.25"), Fraction(1, 4))),
        *((given, (0.1, 0.3, "option")) for given in ((0.1, 0.3), np.array([0.1, 0.3]))),
        (PixelSize(1, np.float32(0.25), "dicom"), (1, 0.25, "dicom")),
        (None, None),
    ],
)
def test_a_pixel_size_may_be_given_in_many_ways(given: Any, expected: object) -> None:
    assert as_pixel_size(given) == expected


@pytest.mark.parametrize(
    ("given", "why"),
    [
        *((given, "positive number of mm") for given in (0, 11, float("nan"), (0.1, -0.1))),
        (PixelSize(0.1, 70.0, "dicom"), "positive number of mm"),
        *((given, "one number or") for given in ((0.1,), "0.1", [], True, (True, 0.1), {0.1, 0.2})),
        *((given, "one number or") for given in (np.zeros((2, 2)), np.array("0.1"), object())),
    ],
)
def test_what_no_pixel_can_measure_is_refused(given: Any, why: str) -> None:
    with pytest.raises(DataError, match=why):
        as_pixel_size(given)


def test_dicom_s_own_order_is_not_taken_for_ours() -> None:
    of_dicom = type("MultiValue", (list,), {"__module__": "pydicom.multival"})
    with pytest.raises(DataError, match=r"down, then across; expected \(x, y\): \(0\.1, 0\.2\)"):
        as_pixel_size(of_dicom([0.2, 0.1]))
    assert as_pixel_size(of_dicom([0.2, 0.2])) == (0.2, 0.2, "option")


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
    ("text", "why"),
    [
        *(("0,12", "follow a point"), ("0.12 mm", "such as 0.12x0.11"), ("1x2x3", "expected mm")),
        *(("1_0", "expected mm"), ("nan", "expected mm"), ("0.12x70", "positive number")),
    ],
)
def test_what_is_no_pixel_size_on_the_command_line(text: str, why: str) -> None:
    with pytest.raises(DataError, match=why):
        parse_pixel_size(text)
