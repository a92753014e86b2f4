from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from edgeseg.drawing import lettering
from edgeseg.drawing.encode import encode
from edgeseg.errors import OutputWriteError
from edgeseg.segmenter import Segmenter
from tests.run.folders import run, untimed


@pytest.fixture
def scans(tmp_path: Path, scan: np.ndarray) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(encode(".png", scan))
    return folder


def test_a_name_too_long_for_its_mask_fails_alone(
    segmenter: Segmenter, scans: Path, tmp_path: Path
) -> None:
    long = scans / f"{'x' * 250}.jpg"  # whose mask would be called so with .png behind
    try:
        long.write_bytes((scans / "a.png").read_bytes())
    except OSError:
        pytest.skip("no such name here at all")
    summary = run(segmenter, scans, tmp_path / "out")
    assert [row["status"] for row in summary.rows] == ["ok", "ok", "failed"]
    assert "too long" in summary.rows[2]["reason"]
    assert not list((tmp_path / "out").rglob("*.part"))
    again = run(segmenter, scans, tmp_path / "out", resume=True)
    assert untimed(again.rows) == untimed(summary.rows)


def test_a_folder_called_like_a_picture_fails_no_other(
    segmenter: Segmenter, scans: Path, tmp_path: Path
) -> None:
    (scans / "a.jpg").mkdir()
    (scans / "a.jpg" / "c.png").write_bytes((scans / "b.png").read_bytes())
    rows = {row["file"]: row for row in run(segmenter, scans, tmp_path / "out", workers=1).rows}
    assert rows["b.png"]["status"] == "ok"
    assert sorted((rows["a.jpg/c.png"]["status"], rows["a.png"]["status"])) == ["failed", "ok"]


def test_no_space_ends_the_run(
    segmenter: Segmenter, scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OutputWriteError("masks/a.png: cannot be written (No space left on device)")

    monkeypatch.setattr("edgeseg.run.measuring.write_atomic", full)
    with pytest.raises(OutputWriteError, match="No space"):
        run(segmenter, scans, tmp_path / "out")


def test_an_empty_picture_is_drawn_again(segmenter: Segmenter, scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(segmenter, scans, out)
    whole = (out / "overlays" / "a.jpg").read_bytes()
    (out / "overlays" / "a.jpg").write_bytes(b"")
    assert run(segmenter, scans, out, resume=True).n_kept == 1
    assert (out / "overlays" / "a.jpg").read_bytes() == whole
    shown = (out / "report.html").read_text().count('"thumbnail":')
    (out / "overlays" / "a.jpg").write_bytes(whole[:200])  # there, but no picture
    run(segmenter, scans, out, resume=True)
    page = (out / "report.html").read_text()
    assert page.count('"thumbnail":') == shown - 1
    assert '"overlay":"overlays/a.jpg"' in page


def test_no_thread_is_left_by_a_run_that_draws_nothing(
    segmenter: Segmenter, tmp_path: Path
) -> None:
    scans = tmp_path / "scans"
    scans.mkdir()
    (scans / "a.png").write_bytes(b"")
    before = threading.active_count()
    run(segmenter, scans, tmp_path / "out")
    for thread in threading.enumerate():
        if thread.name.startswith("edgeseg-text"):
            thread.join(10)
    assert threading.active_count() == before


@pytest.mark.skipif(not hasattr(os, "fork") or sys.platform == "darwin", reason="forks")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_can_draw(segmenter: Segmenter, scan: np.ndarray) -> None:
    prediction = segmenter.predict(scan)
    with lettering.prepared():
        child = os.fork()
        if child == 0:
            os._exit(0 if prediction.overlay().any() else 1)
        waiting = threading.Timer(20, lambda: os.kill(child, 9))
        waiting.start()
        _, status = os.waitpid(child, 0)
        waiting.cancel()
    assert status == 0
