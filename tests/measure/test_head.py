from __future__ import annotations

import re
from dataclasses import replace

import cv2
import numpy as np
import pytest

from edgeseg.images.frame import Frame, PixelSize
from edgeseg.measure import figures, head
from edgeseg.measure.ellipse import Ellipse
from edgeseg.measure.framing import View
from edgeseg.measure.measurement import Look, Measurement
from edgeseg.measure.outline import see, to_native
from edgeseg.network.metadata import ModelMetadata
from edgeseg.network.task import Limits, Task
from tests.fakes import HEIGHT, METADATA, WIDTH, measure_frame

MAP = (HEIGHT, WIDTH)
SIZE = (2 * HEIGHT, 2 * WIDTH)
HEAD = Ellipse(280.0, 200.0, 140.0, 108.0, 0.3)
SQUARE = PixelSize(0.2, 0.2, "option")


def coverage(ellipse: Ellipse = HEAD) -> np.ndarray:
    """The map of a perfect network for a head in pixels of the image."""
    return ellipse.resized(SIZE, MAP).coverage(*MAP)


def small(share: float) -> np.ndarray:
    """The map of a head that fills a share of the image."""
    side = np.sqrt(share * HEIGHT * WIDTH / np.pi)
    return Ellipse(140.0, 96.0, side * 1.15, side / 1.15, 0.2).coverage(*MAP)


def seen(probability: np.ndarray, view: View) -> np.ndarray:
    """The answer of a network that sees a map of the whole image, (1, h, w), on any view."""
    native = to_native(probability, SIZE)
    padded = np.zeros(view.size, np.float32)
    inside, place = view.overlap(SIZE)
    padded[place] = native[inside]
    return cv2.resize(padded, MAP[::-1], interpolation=cv2.INTER_LINEAR)[None]


def measured(
    probability: np.ndarray,
    pixel_size: PixelSize | None = SQUARE,
    metadata: ModelMetadata = METADATA,
    presence: float | None = None,
) -> Measurement:
    frame = Frame(np.zeros(SIZE, np.uint8), pixel_size)
    return measure_frame(head, lambda view: seen(probability, view), frame, metadata, presence)


def test_the_figures_are_the_head_s() -> None:
    found = measured(coverage())
    assert (found.status, found.reason, found.flags) == ("ok", "", ())
    frame = Frame(np.zeros(SIZE, np.uint8), SQUARE)
    expected = figures.measure(HEAD, found.confidence, frame, METADATA)
    for name, value in expected.items():
        assert found.figures[name] == (value and pytest.approx(value, rel=0.01)), name
    assert list(found.figures) == [column.name for column in head.columns(Task())]
    assert head.caption(found, Task()).startswith("HC 156.")
    outline, calipers = head.strokes(found)
    assert np.abs(HEAD.signed_distance(*outline.points.T)).max() < 1
    assert not calipers.closed
    ends = HEAD.points(4)
    assert calipers.points == pytest.approx(ends, abs=1)


def test_pixels_that_are_not_square_give_the_ellipse_in_millimetres() -> None:
    """A round head of 50 mm radius, scanned with pixels twice as high as wide."""
    stretched = Ellipse(280.0, 200.0, 160.0, 80.0, 0.0)
    found = measured(coverage(stretched), PixelSize(0.3, 0.6, "dicom")).figures
    assert found["hc_mm"] == pytest.approx(2 * np.pi * 48, rel=0.005)
    assert found["bpd_mm"] == pytest.approx(96, rel=0.01)
    assert found["ofd_mm"] == pytest.approx(96, rel=0.01)
    assert found["semi_major_px"] == pytest.approx(160, rel=0.01)  # as it is drawn


@pytest.mark.parametrize(
    ("probability", "reason"),
    [
        (np.full(MAP, 0.49, np.float32), "nothing in the image looks like one"),
        (small(0.0016), r"the largest shape seen fills only 0\.\d\d %"),
        (np.ones(MAP, np.float32), "no ellipse fits the shape seen"),
    ],
)
def test_a_map_without_a_head_says_what_was_seen(probability: np.ndarray, reason: str) -> None:
    found = measured(probability)
    assert (found.status, found.ellipse, found.confidence) == ("empty", None, 0)
    assert set(found.figures.values()) == {None}
    assert re.match(f"no head found: {reason}", found.reason)
    assert head.caption(found, Task()) == "no head found"
    assert head.strokes(found) == []
    larger = Look(small(0.0025)[None], View.whole(SIZE))  # a fourth more than it takes
    assert not isinstance(see(larger), str)


@pytest.mark.parametrize(("level", "status"), [(0.59, "empty"), (0.62, "doubtful"), (0.97, "ok")])
def test_how_sure_a_network_must_be(level: float, status: str) -> None:
    """A head seen with one probability p agrees with its ellipse by 2 p / (1 + p)."""
    found = measured(np.float32(level) * (coverage() >= 0.5))
    assert found.status == status
    if status == "empty":
        assert "agreement 0.7" in found.reason
    else:
        expected = 2 * level / (1 + level)
        assert found.confidence == pytest.approx(expected, abs=0.01)
        assert ("low_confidence" in found.flags) == (expected < 0.96)


def test_the_threshold_is_the_model_s() -> None:
    """On a slope the outline lies where the map crosses the threshold."""
    rows, columns = np.ogrid[: SIZE[0] : 2, : SIZE[1] : 2]
    distance = HEAD.signed_distance(columns + 0.5, rows + 0.5)
    slope = np.clip(0.5 - distance / 40, 0, 1).astype(np.float32)
    for threshold, grown_px in ((0.5, 0.0), (0.3, 8.0)):
        metadata = replace(METADATA, threshold=threshold)
        found = measured(slope, metadata=metadata)
        grown = Ellipse(280.0, 200.0, 140.0 + grown_px, 108.0 + grown_px, 0.3)
        assert found.figures["semi_minor_px"] == pytest.approx(grown.semi_minor_px, abs=0.2)
        mask = head.mask(found, SIZE, metadata)
        assert np.count_nonzero(mask) == pytest.approx(grown.area_px, rel=0.01)


def test_a_second_region_raises_doubt_but_hides_no_head() -> None:
    probability = coverage()
    probability[8:80, 265:285] = 1.0  # beyond the second view
    found = measured(probability)
    assert found.status == "doubtful"
    assert "several_regions" in found.flags
    assert found.figures["hc_px"] == pytest.approx(HEAD.circumference_px, rel=0.01)
    mask = head.mask(found, SIZE, METADATA)
    assert mask.shape == SIZE and set(np.unique(mask)) == {0, 255}
    assert np.mean(mask != HEAD.mask(*SIZE)) < 0.005
    assert not head.mask(Measurement(reason="no"), SIZE, METADATA).any()


def test_what_is_no_head_is_refused_or_doubted() -> None:
    metadata = replace(METADATA, limits=Limits(presence_refused=0.3, presence_doubted=0.8))
    refused, doubted, good = (
        measured(coverage(), metadata=metadata, presence=presence) for presence in (0.2, 0.5, 0.9)
    )
    assert (refused.status, refused.ellipse) == ("empty", None)
    assert set(refused.figures.values()) == {None}
    assert refused.reason == "no head found: the shape seen does not look like a fetal head"
    assert (doubted.status, doubted.flags) == ("doubtful", ("unlike_a_head",))
    assert doubted.figures == figures.drop_ages(good.figures) != good.figures
    assert (good.status, good.flags) == ("ok", ())
    # each limit is the model's: so tight that a good head is beyond it
    for limits in (Limits(agreement=0.9999), Limits(axis_ratio=(0.8, 0.9)), Limits(hc_mm=(9, 99))):
        assert measured(coverage(), metadata=replace(METADATA, limits=limits)).status != "ok"
    # a head of a rare size, 156 mm around, is doubted where others are refused
    for rare_hc_mm, status in ((150.0, "empty"), (160.0, "doubtful")):
        rare = replace(metadata, limits=replace(metadata.limits, rare_hc_mm=rare_hc_mm))
        assert measured(coverage(), metadata=rare, presence=0.2).status == status
        assert measured(coverage(), None, rare, presence=0.2).status == "empty"


def looks(
    answers: list[Ellipse], size: tuple[int, int] = SIZE, gray: int = 0
) -> tuple[list[View], Measurement]:
    """Measure with a network that sees another head in each look, in pixels of the image."""
    views: list[View] = []

    def answer(view: View) -> np.ndarray:
        views.append(view)
        ellipse = answers[min(len(views), len(answers)) - 1]
        in_view = ellipse.moved(-view.left_px, -view.top_px)
        return in_view.resized(view.size, MAP).coverage(*MAP)[None]

    return views, measure_frame(head, answer, Frame(np.full(size, gray, np.uint8), SQUARE))


def test_the_second_look_is_measured_and_a_third_decides_where_two_differ() -> None:
    near = replace(HEAD, semi_major_px=141.0)
    views, found = looks([HEAD, near])
    assert (len(views), views[0], found.status) == (2, View.whole(SIZE), "ok")
    assert found.look is not None and found.look.view == views[1] != views[0]
    assert found.figures["semi_major_px"] == pytest.approx(141.0, abs=0.4)
    other = replace(HEAD, semi_major_px=160.0)
    views, found = looks([HEAD, other, other])
    assert len(views) == 3
    assert found.figures["semi_major_px"] == pytest.approx(160.0, abs=0.5)
    assert found.flags == ()
    views, found = looks([HEAD, other, HEAD])
    assert (len(views), found.flags) == (3, ("looks_differ",))
    tiny = Ellipse(280.0, 200.0, 3.0, 3.0, 0.0)
    _, found = looks([HEAD, tiny])
    assert found.status == "empty" and found.reason.startswith("no head found: the largest shape")


def test_views_are_turned_where_black_is_on_white_and_never_many_times_the_image() -> None:
    for gray, inverted in ((140, False), (160, True)):
        views, _ = looks([HEAD], gray=gray)
        assert [view.inverted for view in views] == [inverted] * 2
    assert len(looks([replace(HEAD, semi_major_px=250.0, semi_minor_px=200.0)])[0]) == 2
    assert len(looks([replace(HEAD, semi_major_px=900.0, semi_minor_px=700.0)])[0]) == 1
    # long and low: an undistorted view would be thirty times as large as the image
    assert len(looks([Ellipse(15_000.0, 150.0, 9_000.0, 120.0, 0.0)], (300, 30_000))[0]) == 1
