"""Each image's row is its own, and is on disk with its pictures when it is told."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.drawing.encode import encode
from edgeseg.images.frame import PixelSize
from edgeseg.inputs.discover import discover
from edgeseg.inputs.facts import PixelSizes
from edgeseg.inputs.size_table import TableRow
from edgeseg.measure.ellipse import Ellipse
from edgeseg.output.record import picture_names
from edgeseg.output.table import columns
from edgeseg.run import worker as workers_
from edgeseg.run.folder import Summary, measure_folder
from edgeseg.run.worker import Options, Worker
from edgeseg.segmenter import Segmenter
from tests.fakes import LESIONS, Clock, FakeSession, bright, bright_and_gray, head_image, open_fake
from tests.run.conftest import run

# Every image has its own size, head and pixels; c.png is no image and g.png has no head.
HEADS = {
    "a.png": ((384, 576), Ellipse(280.0, 200.0, 140.0, 108.0, 0.3), 0.20),
    "b.png": ((540, 800), Ellipse(420.0, 250.0, 170.0, 140.0, 1.2), 0.15),
    "d.png": ((300, 500), Ellipse(200.0, 160.0, 100.0, 80.0, 2.0), 0.30),
    "e.png": ((600, 400), Ellipse(210.0, 280.0, 150.0, 110.0, 0.8), 0.10),
    "f.png": ((384, 577), Ellipse(300.0, 190.0, 110.0, 90.0, 2.8), 0.25),
}
FILES = ["a.png", "b.png", "c.png", "d.png", "e.png", "f.png", "g.png"]


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for name, (size, head, _) in HEADS.items():
        (folder / name).write_bytes(encode(".png", head_image(head, size)))
    (folder / "c.png").write_text("not an image")
    (folder / "g.png").write_bytes(encode(".png", np.zeros((200, 300), np.uint8)))
    return folder


def measure(segmenter: Segmenter, scans: Path, out: Path, **options: object) -> Summary:
    items = discover([str(scans)], out).items
    sizes_mm = {name: HEADS[name][2] if name in HEADS else 0.5 for name in FILES}
    table = {name: TableRow(PixelSize(mm, mm, "table")) for name, mm in sizes_mm.items()}
    sizes = PixelSizes(items, table=table)
    return measure_folder(Worker(segmenter, sizes, Options(**options)), items, out)  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [1, 3])
def test_every_row_and_picture_is_of_its_own_image(
    monkeypatch: pytest.MonkeyPatch, scans: Path, tmp_path: Path, workers: int
) -> None:
    """Of an image on which the network fails, too."""

    def fails_on_d(gray: np.ndarray) -> np.ndarray:
        maps = bright(gray)
        for i in range(len(gray)):
            # d.png's head is the only one whose middle lies there
            seen = np.argwhere(gray[i, 0] > 127).mean(axis=0) if gray[i].any() else (0, 0)
            if abs(seen[1] - 200 / 500 * 288) < 1:
                maps[i] = np.nan
        return maps

    out = tmp_path / "out"
    segmenter = open_fake(monkeypatch, FakeSession(fails_on_d))
    rows = measure(segmenter, scans, out, workers=workers).rows
    assert [row["file"] for row in rows] == FILES
    assert [row["status"] for row in rows] == ["ok", "ok", "failed", "failed", "ok", "ok", "empty"]
    assert "the model's answers run from nan" in str(rows[3]["reason"])
    for row in rows:
        if row["status"] != "ok":
            assert row["reason"]
            continue
        size, head, size_mm = HEADS[str(row["file"])]
        assert row["pixel_size_x_mm"] == row["pixel_size_y_mm"] == size_mm
        assert row["pixel_size_source"] == "table"
        hc_mm = head.circumference_px * size_mm
        assert row["hc_mm"] == pytest.approx(hc_mm, rel=0.005)
        assert row["center_x_px"] == pytest.approx(head.center_x_px, abs=0.5)
        names = picture_names(str(row["file"]))
        mask = cv2.imread(str(out / names["masks"]), cv2.IMREAD_UNCHANGED)
        assert mask is not None and mask.shape == size
        assert np.mean(mask != head.mask(*size)) < 0.01
        drawn = cv2.imread(str(out / names["overlays"]))
        assert drawn is not None and drawn.shape == (*size, 3)
    assert rows[6]["pixel_size_x_mm"] == 0.5


def test_as_many_images_are_worked_on_at_once_as_there_are_workers(
    monkeypatch: pytest.MonkeyPatch, scans: Path, tmp_path: Path
) -> None:
    workers = 3
    together, most = threading.Barrier(workers), threading.Semaphore(workers)

    def wait_for_the_others(gray: np.ndarray) -> np.ndarray:
        assert most.acquire(blocking=False), "one more than there are workers"
        together.wait(30)
        most.release()
        return np.zeros_like(bright(gray))  # nothing there: no image is looked at twice

    monkeypatch.setattr("edgeseg.segmenter.usable_cores", lambda: 8)
    segmenter = open_fake(monkeypatch, FakeSession(wait_for_the_others))
    rows = measure(segmenter, scans, tmp_path / "out", workers=workers).rows
    assert [row["status"] for row in rows].count("failed") == 1  # c.png: six came together


def test_times_are_as_clocked(monkeypatch: pytest.MonkeyPatch, scans: Path, tmp_path: Path) -> None:
    clock = Clock()
    segmenter = open_fake(monkeypatch, FakeSession(clock.takes(30, bright)))
    monkeypatch.setattr("edgeseg.segmenter.time", clock)
    monkeypatch.setattr("edgeseg.run.results.time", clock)
    monkeypatch.setattr(workers_, "time", clock)
    decode = clock.takes(2, workers_.image_file.decode_frame)
    monkeypatch.setattr(workers_.image_file, "decode_frame", decode)
    with monkeypatch.context() as patch:
        patch.setattr("edgeseg.run.results.Results.exporting", lambda _: contextlib.nullcontext())
        summary = measure(segmenter, scans, tmp_path / "out", workers=1)
    for row, inference_ms in zip(summary.rows, (60, 60, None, 60, 60, 60, 30), strict=True):
        times = [row[name] for name in ("decode_ms", "inference_ms", "postprocess_ms")]
        assert times == ([None] * 3 if inference_ms is None else [2, inference_ms, 0])
    # seven were decoded, one of them in vain; heads are looked at twice
    assert summary.wall_s == pytest.approx(7 * 0.002 + 11 * 0.03)


def test_regions_have_their_own_columns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    (scans / "a.png").write_bytes(encode(".png", np.zeros((384, 576), np.uint8)))
    segmenter = open_fake(monkeypatch, FakeSession(bright_and_gray, LESIONS))
    (row,) = run(segmenter, scans, tmp_path / "out", 0.2).rows
    sides = [f"{name}_{side}_mm" for name in ("lesion", "cyst") for side in ("length", "width")]
    assert tuple(row) == (*columns(LESIONS.task), *sides)
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Areas: lesion, cyst" in page
