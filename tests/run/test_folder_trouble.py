from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

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
    assert "too long" in str(summary.rows[2]["reason"])
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
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OutputWriteError, match="No space"):
            run(segmenter, scans, tmp_path / "out")
    rows = run(segmenter, scans, tmp_path / "out", resume=True).rows
    assert {row["status"] for row in rows} == {"ok"}


def test_a_picture_that_was_emptied_or_cut_is_drawn_again(
    segmenter: Segmenter, scans: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(segmenter, scans, out)
    whole = (out / "overlays" / "a.jpg").read_bytes()
    (out / "overlays" / "a.jpg").write_bytes(b"")
    assert run(segmenter, scans, out, resume=True).n_kept == 1
    assert (out / "overlays" / "a.jpg").read_bytes() == whole
    (out / "overlays" / "a.jpg").write_bytes(whole[: len(whole) // 2])
    assert run(segmenter, scans, out, resume=True).n_kept == 1
    assert (out / "overlays" / "a.jpg").read_bytes() == whole
