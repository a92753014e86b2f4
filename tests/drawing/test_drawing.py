"""Overlays, and how pictures become files with a small copy in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.drawing import letters
from edgeseg.drawing.encode import add_thumbnail, encode, read_thumbnail, shrink
from edgeseg.drawing.overlay import COLOURS_BGR, colour_bgr
from edgeseg.errors import ImageDecodeError
from edgeseg.images import image_file
from edgeseg.images.formats.jpeg import parse
from edgeseg.measure.ellipse import Ellipse
from edgeseg.segmenter import Segmenter
from tests.fakes import LESIONS, FakeSession, bright, bright_and_gray, head_image, open_fake

GREEN, ORANGE = (80, 220, 60), (0, 150, 255)  # blue, green, red
SIZE = (540, 800)
DOUBTS = ("hc_out_of_range", "field_of_view_out_of_range")
HEAD = Ellipse(400.0, 300.0, 190.0, 150.0, 0.4)


@pytest.fixture
def heads(monkeypatch: pytest.MonkeyPatch) -> Segmenter:
    return open_fake(monkeypatch, FakeSession())


def near(picture: np.ndarray, colour: tuple[int, int, int], within: float = 60) -> np.ndarray:
    """Tell which pixels have nearly a colour."""
    return np.abs(picture.astype(int) - colour).max(axis=2) < within


def off_the_calipers(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Tell which pixels are far from the crosses at the ends of the head's axes."""
    return np.all([np.hypot(columns - x, rows - y) > 9 for x, y in HEAD.points(4)], axis=0)


def on_the_outline(picture: np.ndarray, colour: tuple[int, int, int]) -> float:
    """Return the share of the head's outline that has a colour, which nothing off it has."""
    rows, columns = np.nonzero(near(picture, colour))
    below_the_letters = rows > 130
    off = np.abs(HEAD.signed_distance(columns, rows)) > 2
    assert not np.any(off & off_the_calipers(rows, columns) & below_the_letters)
    x, y = np.round(HEAD.points(720)).astype(int).T
    thick = cv2.dilate(near(picture, colour, 120).astype(np.uint8), np.ones((3, 3), np.uint8))
    return float(thick[y, x].mean())


def test_the_outline_is_drawn_where_it_was_measured(heads: Segmenter) -> None:
    image = head_image(HEAD, SIZE)
    prediction = heads.predict(image, 0.2)
    picture = prediction.overlay()
    assert (picture.shape, picture.dtype) == ((*SIZE, 3), np.uint8)
    assert not prediction.flags
    assert on_the_outline(picture, GREEN) > 0.97
    assert not near(picture, ORANGE).any()
    rows, columns = np.ogrid[: SIZE[0], : SIZE[1]]
    free = (np.abs(HEAD.signed_distance(columns, rows)) > 4) & (rows > 80) & (rows < 500)
    free &= off_the_calipers(rows, columns)  # elsewhere it is the image
    assert np.array_equal(picture[free], np.repeat(image[free][:, None], 3, axis=1))


def test_a_doubtful_outline_is_orange_and_dashed(heads: Segmenter) -> None:
    prediction = heads.predict(head_image(HEAD, SIZE), 9.0)
    assert "hc_out_of_range" in prediction.flags
    picture = prediction.overlay()
    assert 0.4 < on_the_outline(picture, ORANGE) < 0.8
    assert not near(picture, GREEN).any()


def test_calipers_stand_at_the_ends_of_the_axes(heads: Segmenter) -> None:
    drawn = near(heads.predict(head_image(HEAD, SIZE), 0.2).overlay(), GREEN, 100)
    for x, y in np.round(HEAD.points(4)).astype(int):
        across, down = drawn[y - 1 : y + 2, x - 5 : x + 6], drawn[y - 5 : y + 6, x - 1 : x + 2]
        assert across.any(axis=0).all()
        assert down.any(axis=1).all()


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """What is written on pictures, and how large; a line that is cut off fails."""
    lines: list[tuple[str, int]] = []
    draw = letters._draw

    def spy(
        room: np.ndarray, texts: list[tuple[str, ...]], size_px: int, colour: letters.Colour
    ) -> None:
        lines.extend((" ".join(text), size_px) for text in texts)
        blank = np.full((*room.shape[:2], 3), 128, np.uint8)
        draw(blank, texts, size_px, colour)
        assert (blank[-1] == 128).all() and (blank[:, -1] == 128).all(), texts
        draw(room, texts, size_px, colour)

    monkeypatch.setattr(letters, "_draw", spy)
    return lines


def test_figures_doubts_and_the_size_of_pixels_are_written(
    heads: Segmenter, written: list[tuple[str, int]]
) -> None:
    prediction = heads.predict(head_image(HEAD, SIZE), 9.0)
    picture = prediction.overlay()
    bar, *figures, doubt = [text for text, _ in written]
    assert figures == [*prediction.caption().split("; "), "pixel 9 mm (option)"]
    assert doubt == prediction.reason
    assert bar == "200 mm"
    assert near(picture[:60], (255, 255, 255)).sum() > 200
    assert near(picture[70:130], ORANGE).sum() > 100


@pytest.mark.parametrize(
    ("size", "letters_px"),
    [((256, 256), 11), ((3000, 4000), 80), ((4000, 3000), 80), ((60, 90), 1)],
)
def test_letters_are_readable_and_hide_no_outline(
    heads: Segmenter,
    written: list[tuple[str, int]],
    size: tuple[int, int],
    letters_px: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where an image is too small for that, they fit at least."""
    axis = 0.3 * min(size)
    head = Ellipse(0.35 * size[1], 0.35 * size[0], axis, 0.8 * axis, 0.1)
    prediction = heads.predict(head_image(head, size), 5.0)
    prediction = replace(prediction, measurement=replace(prediction.measurement, flags=DOUBTS))
    picture = prediction.overlay()
    assert " ".join(text for text, _ in written).endswith(prediction.reason)
    assert min(size_px for _, size_px in written) >= letters_px
    monkeypatch.setattr(letters.Lettering, "write", lambda *_: None)
    x, y = np.round(head.points(720)).astype(int).T
    is_free = picture[y, x] == prediction.overlay()[y, x]
    assert letters_px == 1 or is_free.all()


@pytest.mark.parametrize(
    ("pixel_mm", "length_mm"),
    [(0.05, 10), ((0.4, 0.1), 50), (0.004, None), (None, None)],
)
def test_a_scale_bar_is_as_long_as_it_says(
    heads: Segmenter, written: list[tuple[str, int]], pixel_mm: Any, length_mm: int | None
) -> None:
    """It lies across the image, so the pixels' width counts."""
    picture = heads.predict(head_image(HEAD, SIZE), pixel_mm).overlay()
    bar = near(picture[530:534, :300], (255, 255, 255), 30).any(axis=0)
    if length_mm is None:
        assert not bar.any()
        return
    width_mm = pixel_mm if isinstance(pixel_mm, float) else pixel_mm[0]
    assert f"{length_mm} mm" in dict(written)
    assert np.flatnonzero(bar)[[0, -1]] == pytest.approx([8, 8 + length_mm / width_mm], abs=1.5)


def test_an_empty_image_has_no_line_but_says_why(
    heads: Segmenter, written: list[tuple[str, int]]
) -> None:
    prediction = heads.predict(np.zeros(SIZE, np.uint8))
    picture = prediction.overlay()
    assert not picture[60:].any()
    assert " ".join(dict(written)) == prediction.reason


def test_the_thumbnail_shows_the_outline_without_letters(heads: Segmenter, tmp_path: Path) -> None:
    prediction = heads.predict(head_image(HEAD, SIZE), 0.2)
    (tmp_path / "a.jpg").write_bytes(prediction.overlay_jpeg())
    whole = cv2.imread(str(tmp_path / "a.jpg"))
    assert whole is not None
    assert np.abs(whole.astype(int) - prediction.overlay()).mean() < 3
    found = read_thumbnail(tmp_path / "a.jpg")
    assert found is not None
    assert (found.height_px, found.width_px) == SIZE
    small = cv2.imdecode(np.frombuffer(found.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert small is not None
    assert small[:20].max() < 90  # the image is dark there
    ring = HEAD.resized(SIZE, small.shape[:2]).points(90)
    x, y = np.round(ring).astype(int).T
    greener = small[..., 1].astype(int) - small[..., 2]
    assert (greener[y, x] > 15).mean() > 0.9


def test_each_class_has_its_colour_in_the_order_of_the_classes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where the measurement is doubtful: then they are dashed."""
    segmenter = open_fake(monkeypatch, FakeSession(bright_and_gray, LESIONS))
    first, second = COLOURS_BGR[:2]
    assert first == GREEN == colour_bgr(len(COLOURS_BGR) + 1)
    assert len({*COLOURS_BGR, ORANGE}) == len(COLOURS_BGR) + 1
    for left, flags in ((100, ()), (0, ("touches_border",))):
        image = np.full(SIZE, 40, np.uint8)
        image[200:300, left : left + 100] = 255  # a lesion
        image[350:450, 500:600] = 128  # a cyst
        prediction = segmenter.predict(image)
        assert prediction.flags == flags
        picture = prediction.overlay()
        for (top, inside), colour, gray in (
            ((250, left + 50), first, 255),
            ((400, 550), second, 128),
        ):
            tinted = [round(0.75 * gray + 0.25 * channel) for channel in colour]
            assert picture[top, inside] == pytest.approx(tinted, abs=2)
        assert (picture[480:, 300:] == 40).all()  # what is no class is left alone
        assert near(picture[195:305, : left + 110], first).sum() > 40
        assert not near(picture[330:470, 480:620], first).any()
        top = near(picture[348:353, 500:600], second).any(axis=0)
        assert 0.3 < top.mean() < 0.8 if flags else top.all()


def test_lines_grow_with_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = open_fake(monkeypatch, FakeSession(bright))
    widths = []
    for scale in (1, 8):
        size = (270 * scale, 400 * scale)
        head = Ellipse(200.0 * scale, 150.0 * scale, 95.0 * scale, 75.0 * scale, 0.4)
        picture = segmenter.predict(head_image(head, size)).overlay()
        widths.append(near(picture, GREEN)[60 * scale :].sum() / head.circumference_px)
    assert widths[0] < widths[1]


def scan(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    gray = (127 + 60 * np.sin(rows / 30) + 60 * np.cos(columns / 40)).astype(np.uint8)
    return np.dstack([gray, gray, gray])


@pytest.mark.parametrize(
    ("size", "small"),
    [((540, 800), (162, 240)), ((90, 160), (90, 160))],
)
def test_a_picture_holds_its_small_copy(
    tmp_path: Path, size: tuple[int, int], small: tuple[int, int]
) -> None:
    picture = scan(*size)
    (tmp_path / "plain.jpg").write_bytes(encode(".jpg", picture, 88))
    (tmp_path / "a.jpg").write_bytes(add_thumbnail(encode(".jpg", picture, 88), shrink(picture)))
    found = read_thumbnail(tmp_path / "a.jpg")
    assert found is not None
    assert (found.height_px, found.width_px) == size
    copy = cv2.imdecode(np.frombuffer(found.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert copy is not None
    assert copy.shape == (*small, 3)
    assert np.abs(copy.astype(int) - shrink(picture)).mean() < 3
    assert len(found.jpeg) < 10_000
    whole, plain = (cv2.imread(str(tmp_path / name)) for name in ("a.jpg", "plain.jpg"))
    assert np.array_equal(whole, plain)
    assert (parse((tmp_path / "a.jpg").read_bytes()).height) == size[0]


def test_what_has_no_small_copy(tmp_path: Path) -> None:
    plain, path = encode(".jpg", scan(270, 400), 88), tmp_path / "a.jpg"
    assert read_thumbnail(path) is None
    cut = add_thumbnail(plain, shrink(scan(270, 400)))[:900]
    for content in (b"", b"P5 3 3 255 " + bytes(9), plain, cut):
        path.write_bytes(content)
        assert read_thumbnail(path) is None


def test_a_mask_comes_back_as_it_was_and_small() -> None:
    mask = Ellipse(400.0, 270.0, 180.0, 140.0, 0.3).mask(540, 800)
    data = encode(".png", mask, is_mask=True)
    assert np.array_equal(image_file.decode_frame(data).pixels, mask)
    assert data[24:26] == bytes([8, 0])  # 8 bits, gray: 0 and 255 in any reader
    assert len(data) < len(encode(".png", mask))


def test_what_no_file_can_hold_is_said() -> None:
    with pytest.raises(ImageDecodeError, match=r"70000x2 pixels do not fit into a \.jpg file"):
        encode(".jpg", np.zeros((2, 70_000), dtype=np.uint8), 80)
