from __future__ import annotations

import numpy as np
import pytest

from edgeseg.drawing import overlay
from edgeseg.measure.ellipse import Ellipse
from edgeseg.prediction import Prediction
from edgeseg.segmenter import Segmenter
from tests.fakes import LESIONS, FakeSession, bright, bright_and_gray, head_image, open_fake

GREEN, ORANGE = (80, 220, 60), (0, 150, 255)  # blue, green, red
SIZE = (540, 800)
HEAD = Ellipse(400.0, 300.0, 190.0, 150.0, 0.4)


@pytest.fixture
def heads(monkeypatch: pytest.MonkeyPatch) -> Segmenter:
    return open_fake(monkeypatch, FakeSession())


def near(picture: np.ndarray, colour: tuple[int, int, int], within: float = 60) -> np.ndarray:
    """Tell which pixels have nearly a colour."""
    return np.abs(picture.astype(int) - colour).max(axis=2) < within


def on_the_outline(picture: np.ndarray, colour: tuple[int, int, int]) -> bool:
    """Tell whether a colour lies all along the head's outline and nowhere but there or its axis."""
    rows, columns = np.nonzero(near(picture, colour))
    u, v = HEAD.in_unit_circle(columns, rows)
    across_px = np.abs(v * HEAD.semi_minor_px)
    off = np.abs(HEAD.signed_distance(columns, rows)) > 3
    if np.any(off & ~((across_px < 2) & (np.abs(u) <= 1.02))):
        return False
    x, y = np.round(HEAD.points(120)).astype(int).T
    return bool(near(picture, colour)[y, x].mean() > 0.9)


def test_the_outline_is_drawn_where_it_was_measured(heads: Segmenter) -> None:
    prediction = heads.predict(head_image(HEAD, SIZE), 0.2)
    picture = prediction.overlay()
    assert picture.shape == (*SIZE, 3)
    assert picture.dtype == np.uint8
    assert not prediction.flags
    assert on_the_outline(picture, GREEN)
    assert not near(picture, ORANGE).any()


def test_a_flagged_outline_is_orange(heads: Segmenter) -> None:
    prediction = heads.predict(head_image(HEAD, SIZE), 9.0)
    assert "hc_out_of_range" in prediction.flags
    picture = prediction.overlay()
    assert on_the_outline(picture, ORANGE)
    assert not near(picture, GREEN).any()


def test_the_major_axis_is_drawn_thin(heads: Segmenter) -> None:
    head = HEAD.resized(SIZE, (1080, 1600))
    picture = heads.predict(head_image(head, (1080, 1600)), 0.1).overlay()
    drawn = near(picture, GREEN, 100)
    steps = np.linspace(0.1, 0.9, 80)[:, None]

    def along(points: np.ndarray) -> float:
        x, y = np.round(points[0] + steps * (points[1] - points[0])).astype(int).T
        return float(drawn[y, x].mean())

    assert along(head.points(180)[[0, 90]]) > 0.7
    assert along(head.points(180)[[45, 135]]) < 0.1  # the other axis is not
    rows, columns = np.nonzero(drawn)
    inside = head.signed_distance(columns, rows) < -10
    rim = np.abs(head.signed_distance(columns, rows)) < 5
    assert 0.7 < inside.sum() / (2 * head.semi_major_px - 20) < 2
    assert rim.sum() / head.circumference_px > 2.5


def test_what_is_not_drawn_on_is_the_image(heads: Segmenter) -> None:
    image = head_image(HEAD, SIZE)
    picture = heads.predict(image, 0.2).overlay()
    rows, columns = np.ogrid[: SIZE[0], : SIZE[1]]
    free = (np.abs(HEAD.signed_distance(columns, rows)) > 4) & (rows > 80)
    free &= np.abs(HEAD.in_unit_circle(columns, rows)[1]) > 0.03
    assert np.array_equal(picture[free], np.repeat(image[free][:, None], 3, axis=1))


def test_the_caption_and_the_flags_are_written(
    heads: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[str] = []
    put_text = overlay.cv2.putText

    def spy(picture: np.ndarray, text: str, *rest: object) -> object:
        written.append(text)
        return put_text(picture, text, *rest)

    monkeypatch.setattr(overlay.cv2, "putText", spy)
    prediction = heads.predict(head_image(HEAD, SIZE), 9.0)
    picture = prediction.overlay()
    first, second = prediction.caption().split("; ")
    assert set(written) == {
        first, second, "pixel 9 mm (option)", ", ".join(prediction.flags),
    }  # fmt: skip
    assert all(len(line) < 50 for line in written)  # what a narrow image has room for
    assert near(picture[:60], (255, 255, 255)).sum() > 200  # in white


def test_an_empty_image_has_no_line(heads: Segmenter) -> None:
    prediction = heads.predict(np.zeros(SIZE, np.uint8))
    picture = prediction.overlay()
    assert not picture[60:].any()
    assert picture[:60].any()  # says so


def lesions(monkeypatch: pytest.MonkeyPatch, gap: int = 100) -> Prediction:
    image = np.full(SIZE, 40, np.uint8)
    image[200:300, gap : gap + 100] = 255  # a lesion
    image[350:450, 500:600] = 128  # a cyst
    return open_fake(monkeypatch, FakeSession(bright_and_gray, LESIONS)).predict(image)


def test_each_class_has_its_colour_in_the_order_of_the_classes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    picture = lesions(monkeypatch).overlay().astype(int)
    first, second = overlay.COLOURS_BGR[:2]
    assert first == GREEN
    for (top, left), colour, gray in (((250, 150), first, 255), ((400, 550), second, 128)):
        tinted = [round(0.75 * gray + 0.25 * channel) for channel in colour]
        assert picture[top, left] == pytest.approx(tinted, abs=2)
    assert (picture[480:, 300:] == 40).all()  # what is no class is left alone
    assert near(picture[195:205, 90:210], first).sum() > 80
    assert near(picture[345:355, 490:610], second).sum() > 80
    assert not near(picture[330:470, 480:620], first).any()


def test_a_flag_changes_the_colour_of_the_first_class_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prediction = lesions(monkeypatch, gap=0)
    assert prediction.flags == ("touches_border",)
    picture = prediction.overlay()
    assert near(picture[195:305, :105], ORANGE).sum() > 80
    assert near(picture[345:355, 490:610], overlay.COLOURS_BGR[1]).sum() > 80


def test_colours_differ_and_repeat_after_the_last() -> None:
    colours = overlay.COLOURS_BGR
    assert len(set(colours)) == len(colours)
    assert ORANGE not in colours
    assert overlay.colour_bgr(1) == overlay.colour_bgr(len(colours) + 1) == colours[0]


def test_a_prepared_thread_draws_the_same(heads: Segmenter) -> None:
    prediction = heads.predict(head_image(HEAD, SIZE), 0.2)
    alone = prediction.overlay()
    with overlay.prepared():
        first, second = prediction.overlay(), prediction.overlay()
    assert np.array_equal(first, alone)
    assert np.array_equal(second, alone)


def test_lines_grow_with_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = open_fake(monkeypatch, FakeSession(bright))
    widths = []
    for scale in (1, 2, 4):
        size = (270 * scale, 400 * scale)
        head = Ellipse(200.0 * scale, 150.0 * scale, 95.0 * scale, 75.0 * scale, 0.4)
        picture = segmenter.predict(head_image(head, size)).overlay()
        widths.append(near(picture, GREEN)[60 * scale :].sum() / head.circumference_px)
    assert widths[0] < widths[1] < widths[2]
