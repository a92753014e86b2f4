"""The page's own measurement held to Python's: the same steps on the same numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.drawing.encode import encode
from edgeseg.images.frame import PixelSize, as_pixel_size
from edgeseg.measure.ellipse import Ellipse, fit_ellipse
from edgeseg.measure.framing import View, around
from edgeseg.measure.measurement import Look
from edgeseg.measure.outline import agreement, see
from edgeseg.network.adapter import preprocess
from edgeseg.phantom.head import Phantom
from edgeseg.prediction import Prediction
from edgeseg.score import hc18
from edgeseg.segmenter import Segmenter
from tests.serve.conftest import INPUT, ellipse_fields, packed, size_fields, unpacked

pytestmark = pytest.mark.browser
TOLERANCE_MM = 0.1
_MEASURE = """async ([file, size]) => {
  const gray = await t.decodeGray(new Blob([t.bytes(file)]));
  return t.measure(gray, size, t.session, t.model);
}"""


def gray(pixels: np.ndarray) -> list[Any]:
    """Return an image as the page's helpers unpack it."""
    return [packed(pixels), pixels.shape[1], pixels.shape[0]]


SIZES = [
    (256, 384), (256, 576), (128, 192),  # factors without a rest
    (539, 791), (129, 193), (97, 4160), (127, 191), (8, 8), (100, 800), (1000, 96),
    (320, 640),  # means of which many are halves
]  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
def test_images_are_stretched_to_the_same_bytes(page: Any, size: tuple[int, int]) -> None:
    image = np.random.default_rng(size[0]).integers(0, 256, size, dtype=np.uint8)
    got = page.evaluate(
        """([pixels, width, height]) =>
          t.text(t.stretched({ pixels: t.bytes(pixels), width, height }, 192, 128).pixels)""",
        gray(image),
    )
    assert np.array_equal(unpacked(got, *INPUT), preprocess(image, *INPUT)[0, 0])


@pytest.mark.parametrize("view", [
    View(-10, -5, 90, 70), View(100, 100, 20, 20), View(5, 30, 90, 40, inverted=True),
])  # fmt: skip
def test_views_are_cut_alike(page: Any, view: View) -> None:
    image = np.random.default_rng(1).integers(0, 256, (40, 60), dtype=np.uint8)
    fields = {name.removesuffix("_px"): value for name, value in view._asdict().items()}
    got = page.evaluate(
        "([p, width, height, view]) =>"
        " t.text(t.cut({ pixels: t.bytes(p), width, height }, view).pixels)",
        [*gray(image), fields],
    )
    assert np.array_equal(unpacked(got, -1), view.cut(image).ravel())


@pytest.mark.parametrize(
    "pixel_size", [None, PixelSize(0.1, 0.1, "option"), PixelSize(0.1, 0.17, "option")]
)
def test_views_around_a_head_are_the_same(page: Any, pixel_size: PixelSize | None) -> None:
    rng = np.random.default_rng(2)
    for major in rng.uniform(20, 300, 30):
        minor, angle = major * rng.uniform(0.3, 1), rng.uniform(0, 3.1)
        head = Ellipse(*rng.uniform(0, 500, 2), major, minor, angle)
        view = around(head, (0.58, 0.7), INPUT, pixel_size)
        found = page.evaluate(
            "([e, size]) => t.around(e, [0.58, 0.7], { width: 192, height: 128 }, size)",
            [ellipse_fields(head), size_fields(pixel_size)],
        )
        assert tuple(found[key] for key in ("left", "top", "width", "height")) == view[:4]


def maps() -> Iterator[np.ndarray]:
    """Yield probability maps: heads, with a hole, beside others, cut, ragged, and none."""
    rows, columns = np.mgrid[: INPUT[0], : INPUT[1]]
    rng = np.random.default_rng(3)
    head = 1 / (1 + np.exp(Ellipse(90, 60, 60, 44, 0.5).signed_distance(columns, rows) / 2))
    yield head
    yield np.where(Ellipse(80, 55, 9, 7, 0.1).signed_distance(columns, rows) < 0, 0.1, head)
    yield np.maximum(
        head, 1 / (1 + np.exp(Ellipse(175, 20, 14, 9, 1).signed_distance(columns, rows)))
    )
    yield 1 / (1 + np.exp(Ellipse(10, 70, 60, 44, 2.0).signed_distance(columns, rows) / 3))
    yield np.clip(head + rng.normal(0, 0.25, INPUT), 0, 1)
    yield np.zeros(INPUT)
    yield np.where((rows == 5) & (columns < 9), 0.9, 0.0)


@pytest.mark.parametrize("map_", [m.astype(np.float32) for m in maps()])
def test_outlines_are_the_same_on_the_same_map(page: Any, map_: np.ndarray) -> None:
    size = (270, 400)
    expected = see(Look(map_[None], View.whole(size)))
    found = page.evaluate(
        """(map) => {
          const values = t.floats(map), view = { width: 400, height: 270 };
          const outline = t.findOutline({ values, width: 192, height: 128 }, view, 0.5);
          if (typeof outline === "string") return outline;
          const { mask, area, otherArea } = outline.region;
          return { ...outline, region: { mask: t.text(mask), area, otherArea } };
        }""",
        packed(map_),
    )
    if isinstance(expected, str):
        assert found == expected
        return
    mask = unpacked(found["region"]["mask"], *INPUT)
    assert np.array_equal(mask > 0, expected.region.mask > 0)
    areas = expected.region.area_px, expected.region.other_area_px
    assert (found["region"]["area"], found["region"]["otherArea"]) == areas
    ellipse = ellipse_fields(expected.fit.ellipse)
    assert {name: found["fit"]["ellipse"][name] for name in ellipse} == pytest.approx(
        ellipse, abs=1e-6
    )
    assert found["fit"]["residual"] == pytest.approx(expected.fit.residual_px, abs=1e-6)
    assert found["fit"]["arc"] == pytest.approx(expected.fit.arc_fraction)
    assert found["confidence"] == pytest.approx(expected.confidence, abs=1e-4)


@pytest.mark.parametrize(("center", "angle"), [(-1e6, 0.3), (1e6, 2.0)])
def test_a_line_gives_no_ellipse_or_a_huge_one(page: Any, center: float, angle: float) -> None:
    line = [[float(i), 2.0 * i] for i in range(40)]
    assert fit_ellipse(np.array(line)) is None
    assert page.evaluate("(points) => t.fitEllipse(points)", line) is None
    map_ = np.random.default_rng(4).random(INPUT, dtype=np.float32)
    place = 96 + center * np.cos(angle), 64 + center * np.sin(angle)
    ellipse = Ellipse(*place, 1e6, 9e5, angle)
    found = page.evaluate(
        "([m, e]) => t.agreement({ values: t.floats(m), width: 192, height: 128 }, e)",
        [packed(map_), ellipse_fields(ellipse)],
    )
    assert found == pytest.approx(agreement(map_, ellipse), abs=0.02)


def assert_as_in_python(page: Any, data: bytes, prediction: Prediction, pixel: Any) -> None:
    """Measure a file in the page and hold it to Python's prediction."""
    size = as_pixel_size(pixel)
    found = page.evaluate(_MEASURE, [packed(data), size_fields(size)])
    assert (found["status"], found["reason"]) == (prediction.status, prediction.reason)
    assert tuple(found["flags"]) == prediction.flags
    assert found["confidence"] == pytest.approx(prediction.confidence, abs=1e-3)
    assert found["figures"].keys() == prediction.figures.keys()
    for name, value in prediction.figures.items():
        assert (found["figures"][name] is None) == (value is None), name
        if value is not None and name.endswith("_mm"):
            assert found["figures"][name] == pytest.approx(value, abs=TOLERANCE_MM), name
        if value is not None and "weeks" in name:
            assert found["figures"][name] == pytest.approx(value, abs=0.05), name


def framed(image: np.ndarray) -> np.ndarray:
    canvas = np.zeros((image.shape[0] + 400, image.shape[1] + 60), np.uint8)
    canvas[200:-200, 30:-30] = image
    return canvas


CHANGES: dict[str, Any] = {
    "none": lambda image: image,
    "letterboxed": framed,
    "black on white": lambda image: 255 - framed(image),
    "a quarter": lambda image: cv2.resize(image, (100, 68), interpolation=cv2.INTER_AREA),
    "square": lambda image: cv2.resize(image, (500, 500), interpolation=cv2.INTER_AREA),
    "cut": lambda image: image[:, : image.shape[1] // 2],
    "black": np.zeros_like,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("pixel", [None, 0.12, (0.12, 0.15)])
def test_changed_images_are_judged_alike(
    page: Any, nano: Segmenter, phantoms: list[Phantom], change: str, pixel: Any
) -> None:
    image = CHANGES[change](phantoms[2].image)
    assert_as_in_python(page, encode(".png", image), nano.predict(image, pixel), pixel)


@pytest.mark.hc18
def test_heads_measure_as_in_python(page: Any, nano: Segmenter, hc18_root: Path) -> None:
    """Ten images, over all sizes of heads."""
    cases = sorted(hc18.load_cases(hc18_root), key=lambda case: case.hc_reference_mm)
    for case in cases[:: len(cases) // 10][:10]:
        data = case.image_path.read_bytes()
        assert_as_in_python(page, data, nano.predict(data, case.pixel_size_mm), case.pixel_size_mm)
