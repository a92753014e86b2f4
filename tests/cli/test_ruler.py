"""Millimetres from rulers: the command that shows them, and the option that takes them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.drawing.encode import encode
from edgeseg.phantom.head import Phantom, make_phantom
from tests.cli.calls import call, rows
from tests.images.rulers import STYLES, draw_ruler

KEYS = [
    "file", "period_px", "side", "ticks", "candidates_mm", "decided_mm", "pixel_size_mm", "reason",
]  # fmt: skip


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(7, hc_mm=330.0)


@pytest.fixture(scope="module")
def scans(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that tells its pixel size, one whose ticks are alike, and one without a ruler."""
    folder = tmp_path_factory.mktemp("scans")
    image, size_mm = phantom.image, phantom.pixel_size_mm
    for name, style in (("a_tells", "dashes"), ("b_alike", "alike"), ("c_none", None)):
        drawn = image if style is None else draw_ruler(image, size_mm, STYLES[style])
        (folder / f"{name}.png").write_bytes(encode(".png", drawn))
    return folder


def test_the_command_shows_what_is_found(scans: Path, phantom: Phantom, tmp_path: Path) -> None:
    report, out = tmp_path / "r.json", tmp_path / "out"
    done = call("ruler", scans, "--out", out, "--json", report)
    assert done.exit_code == 0, done.output
    tells, alike, none = json.loads(report.read_text())["images"]
    assert [*tells] == KEYS
    assert tells["pixel_size_mm"] == pytest.approx(phantom.pixel_size_mm, rel=0.005)
    assert (alike["decided_mm"], none["period_px"], none["ticks"]) == (None, None, 0)
    assert alike["reason"] and none["reason"] and not tells["reason"]
    assert len(done.stdout.splitlines()) == 3
    shown = cv2.imread(str(out / "overlays" / "a_tells.jpg"))
    is_marked = shown[..., 1].astype(int) - shown[..., 0] > 50  # yellow
    assert cv2.connectedComponents(is_marked.astype(np.uint8))[0] - 1 == tells["ticks"]
    (scans.parent / "bad.png").write_bytes(b"none")
    assert call("ruler", scans.parent / "bad.png").exit_code == 1


def test_infer_takes_what_is_sure(scans: Path, phantom: Phantom, tmp_path: Path) -> None:
    done = call("infer", scans, "--out", tmp_path / "plain")
    assert done.stderr.count("2 of the first 3 images show a ruler") == 1
    assert "ruler_pixel_size_mm" not in rows(tmp_path / "plain")[0]
    assert call("infer", scans, "--ruler", "auto", "--out", tmp_path / "a").exit_code == 0
    tells, *others = found = rows(tmp_path / "a")
    assert [row["pixel_size_source"] for row in found] == ["ruler", "", ""]
    assert float(tells["hc_mm"]) == pytest.approx(phantom.hc_mm, rel=0.02)
    assert tells["ruler_pixel_size_mm"] == tells["pixel_size_x_mm"]
    assert [*tells][-1] == "ruler_pixel_size_mm"
    assert all(row["hc_px"] and not row["hc_mm"] and "ruler" in row["reason"] for row in others)
    assert call("infer", scans, "--ruler", "ten", "--out", tmp_path / "b").exit_code == 2


def test_a_given_size_is_used_and_checked(scans: Path, phantom: Phantom, tmp_path: Path) -> None:
    size_mm, out = phantom.pixel_size_mm, tmp_path / "out"
    for factor, flagged in ((1.0, False), (1.05, True)):
        options = ("--ruler", "10", "--pixel-size", factor * size_mm, "--out", out, "--overwrite")
        assert call("infer", scans / "b_alike.png", *options).exit_code == 0
        (row,) = rows(out)
        assert (row["pixel_size_source"], "ruler_differs" in row["flags"]) == ("option", flagged)
        assert row["status"] == ("doubtful" if flagged else row["status"])
        assert float(row["ruler_pixel_size_mm"]) == pytest.approx(size_mm, rel=0.005)


def test_watch_and_archive_take_it_too(scans: Path, tmp_path: Path) -> None:
    watched = call("watch", scans, "--out", tmp_path / "w", "--once", "--ruler", "auto")
    assert watched.exit_code == 0, watched.output
    assert {row["pixel_size_source"] for row in rows(tmp_path / "w")} == {"ruler", ""}
    parquet = pytest.importorskip("pyarrow.parquet")
    assert call("manifest", scans, "--out", tmp_path / "m.parquet").exit_code == 0
    command = ("archive", tmp_path / "m.parquet", "--out", tmp_path / "archive")
    assert call(*command, "--ruler", "auto").exit_code == 0
    (part,) = (tmp_path / "archive" / "parts").iterdir()
    values = parquet.read_table(part).to_pydict()
    assert (values["pixel_size_source"][0], [*values][-1]) == ("ruler", "ruler_pixel_size_mm")
    assert call(*command, "--ruler", "10").exception is not None  # never mixed
