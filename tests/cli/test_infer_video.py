"""Video files through `edgeseg infer` and `watch`: a row a frame, as of the frames themselves."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.output.table import TIMING_COLUMNS
from edgeseg.phantom.head import make_phantom
from tests.cli.calls import call, rows
from tests.images import films

N = 4
OTHER = {*TIMING_COLUMNS, "file", "frame", "time_s"}


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    scan = make_phantom(3, height=135, width=200).image
    return np.stack([np.roll(scan, 2 * i, axis=1) for i in range(N)])


@pytest.fixture(scope="module")
def folder(frames: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of each kind, one without a suffix and an image; tests must not change it."""
    folder = tmp_path_factory.mktemp("films")
    for name, codec in films.CODECS.items():
        films.write(folder / name, frames, codec)
    (folder / "a.avi").rename(folder / "a")
    cv2.imwrite(str(folder / "image.png"), frames[0])
    return folder


@pytest.fixture(scope="module")
def measured(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("measured") / "out"
    options = ("--pixel-size", "0.35", "--annotate", "--json", out.parent / "figures.json")
    done = call("infer", folder, "--out", out, *options)
    assert done.exit_code == 0, done.output
    return out


def test_a_frame_is_measured_as_its_picture_is(
    folder: Path, measured: Path, tmp_path: Path
) -> None:
    names = ["a", *[*films.CODECS][1:]]
    (pictures := tmp_path / "pictures").mkdir()
    for name in names:
        for number, frame in enumerate(films.read(folder / name), 1):
            gray = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
            cv2.imwrite(str(pictures / f"{name}-{number}.png"), gray)
    alone = tmp_path / "out"
    assert call("infer", pictures, "--out", alone, "--pixel-size", "0.35").exit_code == 0
    assert "time_s" not in rows(alone)[0] and not (alone / "cines.csv").exists()
    *found, image = rows(measured)
    assert [(row["file"], row["frame"]) for row in found] == [
        (name, str(number)) for name in names for number in range(1, N + 1)
    ]
    assert [*image][-1] == "time_s" and image["time_s"] == ""
    assert [row["time_s"] for row in found[:N]] == ["0.000", "0.080", "0.160", "0.240"]
    for row, picture in zip(found, rows(alone), strict=True):
        assert [(k, v) for k, v in row.items() if k not in OTHER] == [
            (k, v) for k, v in picture.items() if k not in OTHER
        ]
        mask = f"masks/{row['file']}.frame-{int(row['frame']):04d}.png"
        assert (measured / mask).read_bytes() == (alone / f"masks/{picture['file']}").read_bytes()
    summaries = rows(measured, "cines.csv")
    assert [(row["file"], row["n_ok"], row["reason"]) for row in summaries] == [
        (name, str(N), "") for name in names
    ]
    figures = json.loads((measured.parent / "figures.json").read_text())
    assert figures["images"][1]["time_s"] == 0.08


def test_annotated_films_show_the_overlays(folder: Path, measured: Path, tmp_path: Path) -> None:
    annotated = sorted((measured / "annotated").iterdir())
    assert [path.name for path in annotated] == [f"{n}.avi" for n in ("a", *[*films.CODECS][1:])]
    for path in annotated:
        pictures = films.read(path)
        assert len(pictures) == N
        for number, picture in enumerate(pictures, 1):
            overlay = measured / "overlays" / f"{path.stem}.frame-{number:04d}.jpg"
            expected = cv2.imread(str(overlay))
            assert picture.shape == expected.shape
            assert np.mean(cv2.absdiff(picture, expected)) < 2
        capture = cv2.VideoCapture(str(path))
        assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(films.FPS, 0.01)
        assert capture.set(cv2.CAP_PROP_POS_FRAMES, 2)
        assert np.array_equal(capture.read()[1], pictures[2])
    usage = ("infer", folder, "--out", tmp_path / "out", "--annotate", "--no-overlays")
    assert call(*usage).exit_code == 2
    assert call("infer", measured, "--out", tmp_path / "out").exit_code == 1  # all are results


def test_a_film_is_known_again_and_thinned(frames: np.ndarray, tmp_path: Path) -> None:
    path, out = films.write(tmp_path / "a.mp4", frames, "mp4v"), tmp_path / "out"
    command = ("infer", path, "--out", out, "--pixel-size", "0.35", "--resume")
    assert "; 4 in " in call(*command).output
    assert "; 0 in " in call(*command).output
    assert "; 2 in " in call(*command, "--fps", "5").output
    assert [row["frame"] for row in rows(out)] == ["1", "4"]
    assert len([*(out / "masks").iterdir()]) == 2
    films.write(path, frames[:3], "mp4v")
    assert "; 2 in " in call(*command, "--fps", "8").output
    assert [row["frame"] for row in rows(out)] == ["1", "3"]
    assert call(*command, "--fps", "0").exit_code == 2


def test_a_watch_measures_films_and_says_where_one_ends_early(
    frames: np.ndarray, tmp_path: Path
) -> None:
    (folder := tmp_path / "in").mkdir()
    cv2.imwrite(str(folder / "image.png"), frames[0])
    command = ("watch", folder, "--out", tmp_path / "out", "--once", "--every", "0.05")
    assert call(*command).exit_code == 0
    assert "time_s" not in rows(tmp_path / "out")[0]
    films.cut(films.write(folder / "b.mkv", np.concatenate([frames, frames]), "FFV1"), 0.7)
    (folder / "broken.mp4").write_bytes(b"\0\0\0\x14ftypqt  \0\0\2\0qt  ")
    assert call(*command).exit_code == 0
    *film, last, broken, image = rows(tmp_path / "out")
    assert [row["status"] for row in (last, broken, image)] == ["failed", "failed", "ok"]
    assert [row["frame"] for row in (*film, last)] == [str(n + 1) for n in range(len(film) + 1)]
    assert 3 <= len(film) <= 6 and broken["frame"] == ""
    assert film[1]["time_s"] == "0.080" and last["time_s"] == image["time_s"] == ""
    (summary,) = rows(tmp_path / "out", "cines.csv")
    assert summary["reason"] == last["reason"] and "ends early" in last["reason"]


def test_a_film_has_a_ruler_to_show(frames: np.ndarray, tmp_path: Path) -> None:
    films.write(tmp_path / "a.avi", frames)
    done = call("ruler", tmp_path / "a.avi", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("a.avi: no ruler")


def test_manifests_leave_films_out(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    done = call("manifest", folder, "--out", tmp_path / "manifest.parquet")
    assert done.exit_code == 0 and "1 frames of 1 files" in done.output
    assert "left out 6 files" in done.output
