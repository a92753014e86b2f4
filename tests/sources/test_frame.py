from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.output.pictures import encode
from edgeseg.sources.frame import Frame, PixelSize, as_pixel_size, check_pixel_size
from edgeseg.sources.image_file import as_gray


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        (0.2, (0.2, 0.2, "option")),
        (1, (1.0, 1.0, "option")),
        (np.float32(0.25), (0.25, 0.25, "option")),
        (np.float64(0.25), (0.25, 0.25, "option")),
        ((0.1, 0.3), (0.1, 0.3, "option")),
        ([0.1, 0.3], (0.1, 0.3, "option")),
        (np.array([0.1, 0.3]), (0.1, 0.3, "option")),
        (PixelSize(0.1, 0.3, "dicom"), (0.1, 0.3, "dicom")),
    ],
)
def test_a_pixel_size_may_be_given_in_many_ways(given: Any, expected: Any) -> None:
    size = as_pixel_size(given)
    assert size == expected
    if size is not None:
        assert type(size.x_mm) is type(size.y_mm) is float


def test_where_a_pixel_size_comes_from_goes_with_it() -> None:
    assert as_pixel_size(0.2, "table") == PixelSize(0.2, 0.2, "table")


@pytest.mark.parametrize(
    "given", [0, -0.1, 11, float("nan"), float("inf"), (0.1, -0.1), (0.0, 0.1), (0.1, 20.0)]
)
def test_what_no_pixel_can_measure_is_refused(given: Any) -> None:
    with pytest.raises(DataError, match=r"expected a positive number of mm from 0\.001 to 10"):
        as_pixel_size(given)


@pytest.mark.parametrize("given", [(0.1,), (0.1, 0.1, 0.1), "0.1", ("0.1", "0.1"), []])
def test_what_is_no_pixel_size_is_refused(given: Any) -> None:
    with pytest.raises(DataError, match=r"expected mm, one number or \(x, y\)"):
        as_pixel_size(given)


def test_the_text_begins_with_the_place() -> None:
    with pytest.raises(DataError, match=r"^row 3: pixel size is 70; expected"):
        check_pixel_size(70, "row 3: ")
    check_pixel_size(None)
    check_pixel_size(0.001)
    check_pixel_size(10)


def test_a_frame_s_size_is_height_and_width() -> None:
    assert Frame(np.zeros((40, 60), np.uint8)).size == (40, 60)


def test_a_file_or_an_array_becomes_gray_values(tmp_path: Path, scan: np.ndarray) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode(".png", scan))
    assert as_gray(scan) is scan
    assert np.array_equal(as_gray(path), scan)
    assert np.array_equal(as_gray(str(path)), scan)
    with pytest.raises(InputNotFoundError):
        as_gray(tmp_path / "none.png")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros((40, 40), np.float32), r"shape \(40, 40\) and type float32"),
        (np.zeros((40, 40, 3), np.uint8), r"shape \(40, 40, 3\)"),
        (np.zeros((31, 40), np.uint8), "each side at least 32"),
        ([[0] * 40] * 40, "got list; expected a path, or gray values"),
    ],
)
def test_what_is_no_gray_image_is_refused(given: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        as_gray(given)
