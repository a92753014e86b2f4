"""`edgeseg watch` as a process: killed at any time, each file has its rows once."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edgeseg.cli import app
from edgeseg.drawing.encode import encode
from edgeseg.phantom.head import Phantom, make_phantom
from tests.tables import read_rows

TIMEOUT_S = 60
QUICK = ("--device", "cpu", "--every", "0.05", "--threads", "1")
needs_signals = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")


@pytest.fixture(scope="module")
def scans() -> list[Phantom]:
    return [make_phantom(i, height=135, width=200, name=f"{i}.png") for i in range(6)]


@contextlib.contextmanager
def watching(folder: Path, out: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "edgeseg", "watch", str(folder), "--out", str(out)]
    with subprocess.Popen(
        [*command, *QUICK, *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as it:
        try:
            yield it
        finally:
            it.kill()


def ended(it: subprocess.Popen[str], number: int = signal.SIGTERM) -> tuple[str, str]:
    it.send_signal(number)
    return it.communicate(timeout=TIMEOUT_S)


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def rows(out: Path) -> dict[str, dict[str, str]]:
    """Return the rows by file; no file has two."""
    if not (out / "results.csv").is_file():
        return {}
    found = [*read_rows(out / "results.csv")]
    assert len({row["file"] for row in found}) == len(found)
    return {row["file"]: row for row in found}


def measured(row: dict[str, str]) -> dict[str, str]:
    return {name: cell for name, cell in row.items() if not name.endswith("_ms")}


def infer(tmp_path: Path, folder: Path, *more: str) -> dict[str, dict[str, str]]:
    out = tmp_path / "inferred"
    CliRunner().invoke(app, ["infer", str(folder), "--out", str(out), "--device", "cpu", *more])
    return rows(out)


@needs_signals
def test_what_comes_is_measured_as_infer_does(tmp_path: Path, scans: list[Phantom]) -> None:
    folder, out = tmp_path / "in", tmp_path / "in" / "results"
    folder.mkdir()
    (folder / "0.png").write_bytes(encode(".png", scans[0].image))
    with watching(folder, out, "--pixel-size", "0.4", "--jsonl", "-") as it:
        until(lambda: len(rows(out)) == 1)
        (folder / "sub").mkdir()
        with (folder / "sub" / "<b>\x1b.png").open("wb") as slow:
            data = encode(".png", scans[1].image)
            for i in range(0, len(data), len(data) // 5):
                slow.write(data[i : i + len(data) // 5])
                slow.flush()
                time.sleep(0.03)
        (folder / "bad.png").write_bytes(b"no image")
        until(lambda: len(rows(out)) == 3)
        said, remarks = ended(it)
    assert it.returncode == 0
    found = rows(out)
    expected = infer(tmp_path, folder, "--pixel-size", "0.4")
    assert {f: measured(r) for f, r in found.items()} == {
        f: measured(r) for f, r in expected.items()
    }
    assert found["bad.png"]["status"] == "failed"
    assert {json.loads(line)["file"] for line in said.splitlines()} == found.keys()
    assert "stopping" in remarks
    page = (out / "report.html").read_text("utf-8")
    assert "3 images: 2 ok" in page
    assert (out / "overlays" / "sub" / "<b>\x1b.jpg").is_file()


@needs_signals
def test_a_file_that_changes_has_its_row_replaced(tmp_path: Path, scans: list[Phantom]) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    last = folder / "last.png"
    with watching(folder, out) as it:
        for phantom in scans[:3]:
            last.write_bytes(encode(".png", phantom.image))
            area = phantom.ellipse.circumference_px
            until(
                lambda area=area: (
                    float(rows(out).get("last.png", {}).get("hc_px") or 0)
                    == pytest.approx(area, rel=0.02)
                )
            )
        last.unlink()
        time.sleep(0.3)
        ended(it)
    assert list(rows(out)) == ["last.png"]


@needs_signals
def test_killed_at_any_time_every_file_has_one_row(tmp_path: Path, scans: list[Phantom]) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    count, chance = 24, random.Random(0)
    for part in range(4):
        for i in range(part * 6, part * 6 + 6):
            (folder / f"{i}.png").write_bytes(encode(".png", scans[i % 6].image))
        if part:  # what is known changes too
            (folder / "0.png").write_bytes(encode(".png", scans[part].image))
        with watching(folder, out) as it:
            known = len(rows(out))
            until(lambda known=known: len(rows(out)) > known or len(rows(out)) == count)
            time.sleep(chance.random() * 0.1)
            it.kill()
    result = CliRunner().invoke(
        app, ["watch", str(folder), "--out", str(out), "--once", *QUICK], catch_exceptions=False
    )
    assert result.exit_code == 0
    expected = infer(tmp_path, folder)
    found = rows(out)
    assert len(found) == count
    assert {f: measured(r) for f, r in found.items()} == {
        f: measured(r) for f, r in expected.items()
    }
    journal = (out / ".edgeseg.journal").read_text()
    again = CliRunner().invoke(app, ["watch", str(folder), "--out", str(out), "--once", *QUICK])
    assert again.exit_code == 0
    assert (out / ".edgeseg.journal").read_text() == journal  # nothing was measured twice


@needs_signals
def test_a_table_that_grows_gives_sizes_to_what_waited_for_them(
    tmp_path: Path, scans: list[Phantom]
) -> None:
    folder, out, table = tmp_path / "in", tmp_path / "out", tmp_path / "sizes.csv"
    folder.mkdir()
    for phantom in scans[:2]:
        (folder / phantom.name).write_bytes(encode(".png", phantom.image))
    table.write_text("filename,pixel size (mm)\n0.png,0.4\n")
    with watching(folder, out, "--pixel-sizes", str(table)) as it:
        until(lambda: len(rows(out)) == 2)
        assert rows(out)["1.png"]["status"] == "failed"
        first = rows(out)["0.png"]
        table.write_text("filename,pixel size (mm)\n0.png,0.4\n1.png,0.5\n")
        until(lambda: rows(out)["1.png"]["status"] != "failed")
        ended(it)
    assert rows(out)["1.png"]["pixel_size_x_mm"] == "0.5"
    assert rows(out)["0.png"] == first  # not measured again


@needs_signals
def test_a_folder_that_goes_away_is_waited_for(tmp_path: Path, scans: list[Phantom]) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "0.png").write_bytes(encode(".png", scans[0].image))
    with watching(folder, out) as it:
        until(lambda: len(rows(out)) == 1)
        folder.rename(tmp_path / "away")
        time.sleep(0.3)
        (tmp_path / "away" / "1.png").write_bytes(encode(".png", scans[1].image))
        (tmp_path / "away").rename(folder)
        until(lambda: len(rows(out)) == 2)
        _, remarks = ended(it)
    assert remarks.count("waiting for it") == 1
    assert remarks.count("back again") == 1


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["watch", str(tmp_path / "none"), "--out", str(tmp_path / "o")]
    )
    assert "make it first" in str(result.exception)
    assert not (tmp_path / "o").exists()


def test_lines_of_json_are_the_rows(tmp_path: Path, scans: list[Phantom]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for phantom in scans[:3]:
        (folder / phantom.name).write_bytes(encode(".png", phantom.image))
    arguments = ["infer", str(folder), "--out", str(tmp_path / "out"), "--device", "cpu"]
    files = ["--json", str(tmp_path / "a.json"), "--jsonl", str(tmp_path / "a.jsonl")]
    assert CliRunner().invoke(app, [*arguments, *files]).exit_code == 0
    lines = (tmp_path / "a.jsonl").read_text("utf-8").splitlines()
    whole = json.loads((tmp_path / "a.json").read_text("utf-8"))["images"]
    assert [json.loads(line) for line in lines] == whole
    both = CliRunner().invoke(app, [*arguments, "--json", "-", "--jsonl", "-", "--overwrite"])
    assert both.exit_code == 2
    alone = CliRunner().invoke(app, [*arguments, "--jsonl", "-", "--overwrite"])
    assert [json.loads(line)["file"] for line in alone.stdout.splitlines()] == [
        "0.png", "1.png", "2.png",
    ]  # fmt: skip
