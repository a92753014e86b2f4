from __future__ import annotations

import numpy as np
import pytest

from edgeseg.images.frame import Area, PixelSize
from edgeseg.measure.ellipse import Ellipse
from edgeseg.measure.framing import View, around

SIZE = (60, 80)
GRAY = np.random.default_rng(0).integers(1, 256, SIZE, dtype=np.uint8)


@pytest.mark.parametrize("view", [
    View.whole(SIZE), View(10, 20, 30, 25), View(-15, -10, 120, 90), View(60, 40, 50, 50),
    View(-30, 5, 40, 20), View(200, 5, 40, 20), View(-50, -50, 20, 20),
])  # fmt: skip
def test_what_is_cut_lies_where_it_was(view: View) -> None:
    seen = view.cut(GRAY)
    assert seen.shape == view.size
    back = view.paste(seen, SIZE)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    inside = (
        (columns >= view.left_px) & (columns < view.left_px + view.width_px)
        & (rows >= view.top_px) & (rows < view.top_px + view.height_px)
    )  # fmt: skip
    np.testing.assert_array_equal(back, np.where(inside, GRAY, 0))
    assert np.count_nonzero(seen) == inside.sum()  # black beyond the image


def test_a_view_may_be_inverted_or_of_one_scan() -> None:
    seen = View(-10, 0, 30, 60, inverted=True).cut(GRAY)
    np.testing.assert_array_equal(seen[:, 10:], 255 - GRAY[:, :20])
    assert not seen[:, :10].any()  # beyond the image
    assert np.shares_memory(View.whole(SIZE).cut(GRAY), GRAY)
    view = View(-1, 0, 4, 3).of_scan(Area(2, 3, 7, 9))
    seen = view.cut(GRAY)
    np.testing.assert_array_equal(seen[:, 0], 0)
    np.testing.assert_array_equal(seen[:, 1:], GRAY[3:6, 2:5])
    expected = np.zeros_like(GRAY)
    expected[3:6, 2:5] = GRAY[3:6, 2:5]
    np.testing.assert_array_equal(view.paste(seen, SIZE), expected)


@pytest.mark.parametrize("pixel_size", [None, PixelSize(0.2, 0.1, "dicom")])
@pytest.mark.parametrize("angle", [0.0, 0.5, 1.5])
def test_a_head_is_centred_and_undistorted(pixel_size: PixelSize | None, angle: float) -> None:
    head = Ellipse(300.0, 200.0, 120.0, 90.0, angle)
    view = around(head, (0.58, 0.70), (192, 288), pixel_size)
    unit_y = pixel_size.y_mm / pixel_size.x_mm if pixel_size else 1.0
    assert view.width_px / (view.height_px * unit_y) == pytest.approx(1.5, rel=0.01)
    assert view.left_px + (view.width_px - 1) / 2 == pytest.approx(300.0, abs=1)
    assert view.top_px + (view.height_px - 1) / 2 == pytest.approx(200.0, abs=1)
    width, height = np.ptp(head.points(180), axis=0)
    shares = width / view.width_px / 0.58, height / view.height_px / 0.70
    assert max(shares) == pytest.approx(1.0, abs=0.01)
