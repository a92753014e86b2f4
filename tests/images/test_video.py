"""Films in video files: their frames, in order, and what hostile or damaged ones come to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import cv2
import numpy as np
import pytest

from edgeseg.errors import ImageDecodeError
from edgeseg.images import video
from edgeseg.images.frame import Frame
from edgeseg.images.video import read_film
from edgeseg.phantom.head import make_phantom
from tests.images import films
from tests.images.rulers import STYLES, draw_ruler


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    scan = make_phantom(3, height=90, width=120).image
    return np.stack([np.roll(scan, 3 * i, axis=1) for i in range(10)])


def good(path: Path, **more: float | str) -> list[tuple[int, float | None]]:
    return [(n, f.time_s) for n, f in read_film(path, **more) if isinstance(f, Frame)]  # type: ignore[arg-type]


def failure(path: Path) -> tuple[int, str]:
    number, error = [*read_film(path)][-1]
    assert isinstance(error, ImageDecodeError)
    return number, str(error)


@pytest.mark.parametrize(("name", "codec"), films.CODECS.items())
def test_a_film_gives_its_frames_in_order(
    frames: np.ndarray, tmp_path: Path, name: str, codec: str
) -> None:
    path = films.write(tmp_path / name, frames, codec)
    expected = [cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY) for frame in films.read(path)]
    assert len(expected) == 10
    found = [*read_film(path)]
    assert [number for number, _ in found] == [*range(1, 11)]
    for i, (_, frame) in enumerate(found):
        assert isinstance(frame, Frame)
        assert np.array_equal(frame.pixels, expected[i])
        assert np.mean(np.abs(frame.pixels.astype(int) - frames[i])) < 5
        assert frame.time_s == pytest.approx(i / films.FPS, abs=1e-3)


def test_a_film_is_thinned_by_its_times(frames: np.ndarray, tmp_path: Path) -> None:
    path = films.write(tmp_path / "a.avi", frames)
    assert good(path, fps=5) == [(1, 0.0), (4, 0.24), (6, 0.4), (9, 0.64)]
    assert good(path, fps=0.1) == [(1, 0.0)]
    assert good(path, fps=12.5) == good(path, fps=1000) == good(path)


@pytest.mark.parametrize(("name", "codec"), films.CODECS.items())
def test_a_film_that_is_cut_gives_what_is_whole_and_says_so(
    frames: np.ndarray, tmp_path: Path, name: str, codec: str
) -> None:
    path = films.write(tmp_path / name, frames, codec)
    whole = films.read(path)
    if path.suffix in (".mp4", ".mov"):
        films.move_index_first(path)
    *found, (number, error) = read_film(films.cut(path, 0.7))
    assert 2 <= len(found) <= 8
    for (_, frame), expected in zip(found, whole, strict=False):
        assert isinstance(frame, Frame)
        assert np.array_equal(frame.pixels, cv2.cvtColor(expected, cv2.COLOR_BGR2GRAY))
    assert number == len(found) + 1
    assert isinstance(error, ImageDecodeError)
    assert "ends early" in str(error) and "of 10 frames" in str(error)


def test_what_cannot_be_opened_says_why(frames: np.ndarray, tmp_path: Path) -> None:
    number, reason = failure(films.cut(films.write(tmp_path / "a.mp4", frames, "mp4v"), 0.7))
    assert number == 0 and "cut short" in reason  # its index was at the end
    for name, codec in (("a.avi", b"MJPG"), ("a.mov", b"jpeg"), ("a.mkv", b"V_MJPEG")):
        path = films.write(tmp_path / name, frames)
        unknown = codec[:2] + b"QQ" + codec[4:]
        path.write_bytes(path.read_bytes().replace(codec, unknown))
        number, reason = failure(path)
        assert number == 0 and unknown.decode() in reason
    number, reason = failure(films.cut(films.write(tmp_path / "b.mkv", frames), 0.1))
    assert number == 0 and "V_MJPEG" in reason  # it opens, and has no frame
    assert failure(tmp_path / "gone.avi") == (0, "cannot be read (No such file or directory)")


@pytest.mark.parametrize(("sides", "is_square"), [((4320, 4319), True), ((16, 11), False)])
def test_pixels_that_are_not_square_are_refused(
    frames: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    sides: tuple[int, int], is_square: bool,
) -> None:  # fmt: skip
    path, open_capture = films.write(tmp_path / "a.avi", frames), video.open_capture

    def open_with_sides(*how: Any) -> Any:
        capture = open_capture(*how)
        said = dict(zip((cv2.CAP_PROP_SAR_NUM, cv2.CAP_PROP_SAR_DEN), sides, strict=True))
        fake = Mock(wraps=capture)
        fake.get = lambda name: said.get(name, capture.get(name))
        return fake

    monkeypatch.setattr(video, "open_capture", open_with_sides)
    if is_square:
        assert len(good(path)) == 10
    else:
        number, reason = failure(path)
        assert number == 0 and "16:11" in reason


def test_headers_that_say_what_is_not_so_are_bounded(
    frames: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = films.write(tmp_path / "a.avi", frames)
    plain = path.read_bytes()
    number, reason = failure(films.claim_frames(path, 10**9))
    assert number == 11 and "10 of 1000000000 frames" in reason
    path.write_bytes(plain)
    assert len(good(films.claim_no_rate(path))) == 10
    path.write_bytes(plain)
    assert failure(films.claim_size(path, 30_000, 30_000))[0] == 0
    path.write_bytes(plain)
    assert "16000x16000 pixels" in failure(films.claim_size(path, 16_000, 16_000))[1]
    path.write_bytes(plain)
    for name, value in (("_MOST_FRAMES", 4), ("_MOST_PIXELS", 4 * 90 * 120)):
        with monkeypatch.context() as patched:
            patched.setattr(video, name, value)
            assert len(good(path)) == 4
            assert failure(path)[0] == 5


def test_a_film_has_one_ruler(tmp_path: Path) -> None:
    """That of the first frame that shows one."""
    phantom = make_phantom(7, hc_mm=330.0)
    shown = draw_ruler(phantom.image, phantom.pixel_size_mm, STYLES["dashes"])
    frames = np.stack([np.zeros_like(shown), shown, np.zeros_like(shown)])
    path = films.write(tmp_path / "a.avi", frames, "FFV1")
    found = [frame for _, frame in read_film(path, ruler="auto")]
    sizes_mm = [f.ruler.pixel_size_mm for f in found if isinstance(f, Frame) and f.ruler]
    assert sizes_mm == [None, pytest.approx(phantom.pixel_size_mm, rel=0.005), sizes_mm[1]]


def test_neither_names_nor_ffmpeg_disturb(frames: np.ndarray, tmp_path: Path) -> None:
    """Names that are not UTF-8 crash OpenCV, and it prints where a film is damaged."""
    path = films.write(tmp_path / "a.mkv", frames, "MJPG")
    films.cut(path, 0.7).rename(tmp_path / "b\udcfc %03d.mkv")
    (tmp_path / "c.mp4").write_bytes(b"\0\0\0\x14ftypqt  \0\0\2\0qt  ")
    code = (
        "import pathlib, sys; from edgeseg.images.video import read_film\n"
        "print([len([*read_film(p)]) for p in sorted(pathlib.Path(sys.argv[1]).iterdir())])"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True, text=True)
    assert done.stderr == ""
    assert eval(done.stdout)[1] == 1
