"""What `edgeseg infer` is given and gives back: pixel sizes, standard input, figures."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edgeseg.cli import app, console
from edgeseg.drawing.encode import encode
from edgeseg.phantom.head import Phantom

QUICK = ("--model", "hc18-nano", "--no-overlays", "--no-masks")


def infer(*arguments: object, data: bytes | None = None) -> Result:
    return CliRunner().invoke(app, ["infer", *map(str, (*arguments, *QUICK))], input=data)


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open(newline="", encoding="utf-8-sig") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def png(phantoms: list[Phantom]) -> bytes:
    return encode(".png", phantoms[0].image)


@pytest.fixture
def scans(tmp_path: Path, png: bytes) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(png)
    return folder


def test_a_pixel_size_across_and_down(scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert infer(scans, "--pixel-size", "0.2x0.3", "--out", out).exit_code == 0
    row = rows(out)[0]
    assert (row["pixel_size_x_mm"], row["pixel_size_y_mm"]) == ("0.2", "0.3")
    assert json.loads((out / "run.json").read_text())["arguments"]["pixel_size"] == [0.2, 0.3]
    assert infer(scans, "--pixel-size", "0.2x0.2", "--out", tmp_path / "square").exit_code == 0
    square = rows(tmp_path / "square")[0]
    assert 1.15 < float(row["hc_mm"]) / float(square["hc_mm"]) < 1.35  # one side is as it was


@pytest.mark.parametrize("size", ["0,12", "0.12,0.11", "wide", "70", "0.12x70"])
def test_a_wrong_pixel_size_is_wrong_usage(size: str, tmp_path: Path) -> None:
    result = infer("x", "--pixel-size", size, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "--pixel-size" in result.stderr


def test_what_a_table_lacks_is_said_and_the_others_go_on(scans: Path, tmp_path: Path) -> None:
    table = tmp_path / "sizes.csv"
    table.write_text("filename,pixel size(mm)\na.png,0.2\nb.png,NA\nx.png,0.2\n")
    result = infer(scans, "--pixel-sizes", table, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "no size for 1 images, such as 'b.png'" in result.stderr
    assert "1 rows of the pixel-size table have no image" in result.stderr
    assert [bool(row["hc_mm"]) for row in rows(tmp_path / "out")] == [True, False]


def test_a_resized_copy_is_measured_in_pixels_and_said(scans: Path, tmp_path: Path) -> None:
    table = tmp_path / "sizes.csv"
    table.write_text("filename,pixel size(mm),width,height\na.png,0.2,400,270\nb.png,0.1,800,540\n")
    result = infer(scans, "--pixel-sizes", table, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert "b.png is 400x270, the table says 800x540" in result.stderr
    assert [bool(row["hc_mm"]) for row in rows(tmp_path / "out")] == [True, False]
    assert [bool(row["hc_px"]) for row in rows(tmp_path / "out")] == [True, True]


def test_one_size_for_all_says_that_the_table_is_not_used(scans: Path, tmp_path: Path) -> None:
    table = tmp_path / "sizes.csv"
    table.write_text("filename,pixel size(mm)\na.png,0.2\nb.png,0.2\n")
    options = ("--pixel-sizes", table, "--pixel-size", "0.1")
    result = infer(scans, *options, "--out", tmp_path / "out")
    assert "sizes.csv is not used" in result.stderr
    assert {row["pixel_size_source"] for row in rows(tmp_path / "out")} == {"option"}


def test_an_image_on_standard_input(png: bytes, scans: Path, tmp_path: Path) -> None:
    result = infer("-", "--pixel-size", "0.2", "--out", tmp_path / "out", data=png)
    assert result.exit_code == 0, result.output
    (row,) = rows(tmp_path / "out")
    assert (row["file"], row["status"]) == ("stdin", "ok")
    assert infer("-", scans, "-", "--out", tmp_path / "all", data=png).exit_code == 0
    assert [row["file"] for row in rows(tmp_path / "all")] == ["a.png", "b.png", "stdin"]
    (scans / "stdin").write_bytes(png)
    both = infer("-", scans / "stdin", "--out", tmp_path / "two", data=png)
    assert "as the image on standard input is" in str(both.exception)


def test_nothing_but_figures_on_standard_output(png: bytes, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "edgeseg", "infer", "-", "--out", str(tmp_path / "out")]
    done = subprocess.run(
        [*command, *QUICK, "--json", "-"], input=png, capture_output=True, check=True
    )
    (image,) = json.loads(done.stdout)["images"]
    (row,) = rows(tmp_path / "out")
    assert list(image) == list(row)
    assert image["hc_px"] == float(row["hc_px"])
    assert image["hc_mm"] is None
    assert b"1 measured" in done.stderr


def test_figures_of_a_run_with_a_failure(scans: Path, tmp_path: Path) -> None:
    (scans / "a.png").write_text("no image")
    result = infer(scans, "--out", tmp_path / "out", "--json", tmp_path / "f.json")
    assert result.exit_code == 1
    images = json.loads((tmp_path / "f.json").read_text())["images"]
    assert [image["status"] for image in images] == ["failed", "ok"]
    assert images[0]["reason"]
    assert images[0]["confidence"] is None
    wrong = infer(scans, "--out", tmp_path / "other", "--json", tmp_path)
    assert "is a folder" in str(wrong.exception)
    assert not (tmp_path / "other").exists()


def test_names_that_would_run_or_steer_are_kept_and_resumed(
    scans: Path, png: bytes, tmp_path: Path
) -> None:
    names = ["=1+1.png", "-a.png", "'=c.png", "\x1b[31mred\u202e.png", "x\ny.png"]
    for name in names:
        (scans / name).write_bytes(png)
    out = tmp_path / "out"
    assert infer(scans, "--pixel-size", "0.2", "--out", out).exit_code == 0
    again = infer(scans, "--pixel-size", "0.2", "--out", out, "--resume")
    assert "7 measured" in again.stdout
    assert "; 0 in" in again.stdout
    raw = {row["file"] for row in rows(out)}
    assert {"'=1+1.png", "'-a.png", "''=c.png"} <= raw
    # the table is one of pixel sizes too, and its names are read as they were
    back = infer(scans, "--pixel-sizes", out / "results.csv", "--out", tmp_path / "back")
    assert back.exit_code == 0, back.output
    assert all(row["pixel_size_x_mm"] == "0.2" for row in rows(tmp_path / "back"))
    (scans / names[3]).write_text("no image")
    (scans / names[4]).write_text("no image")
    failed = infer(scans, "--out", tmp_path / "failed")
    assert "\\x1b[31mred\\u202e.png: " in failed.stderr
    assert "x\\ny.png: " in failed.stderr
    assert not re.search("\x1b\\[31mred|\u202e", failed.stderr)


def test_control_signs_are_written_out() -> None:
    assert console.visible("a\x1b[1m\x9b\u202eb\n") == "a\\x1b[1m\\x9b\\u202eb\\n"
    assert console.visible("ü 'b' µ") == "ü 'b' µ"
