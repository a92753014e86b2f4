"""`edgeseg watch` and `serve` as processes: killed at any time, each file has its rows once."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.cli.process import describe_error
from edgeseg.drawing.encode import encode
from edgeseg.errors import InputNotFoundError
from edgeseg.phantom.head import make_phantom
from edgeseg.system.addresses import find_own_addresses
from tests.cli.calls import call, untimed_rows

TIMEOUT_S = 120
QUICK = ("--device", "cpu", "--threads", "1", "--no-overlays", "--no-masks")
needs_signals = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")


@pytest.fixture(scope="module")
def scans() -> list[bytes]:
    return [encode(".png", make_phantom(i, height=135, width=200).image) for i in range(6)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (made := tmp_path / "in").mkdir()
    return made


@contextlib.contextmanager
def watching(folder: Path, out: Path, *more: object) -> Iterator[subprocess.Popen[str]]:
    """Watch a folder with rows on standard output as they come."""
    command = [sys.executable, "-m", "edgeseg", "watch", str(folder), "--out", str(out)]
    options = ("--every", "0.05", "--jsonl", "-", *more)
    with subprocess.Popen(
        [*command, *map(str, options)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def next_row(process: subprocess.Popen[str]) -> dict[str, Any]:
    line = process.stdout.readline()
    assert line, "it ended before"
    row: dict[str, Any] = json.loads(line)
    return row


def stop(process: subprocess.Popen[str]) -> str:
    """End it by a signal, and return its notices."""
    process.send_signal(signal.SIGTERM)
    _, notices = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0
    return notices


def figures(out: Path) -> dict[str, dict[str, str]]:
    """Return the rows by file without their times; no file has two."""
    found = {row["file"]: row for row in untimed_rows(out)}
    assert len(found) == len(untimed_rows(out))
    return found


def inferred(tmp_path: Path, folder: Path, *more: object) -> dict[str, dict[str, str]]:
    out = tmp_path / "inferred"
    call("infer", folder, "--out", out, *QUICK, *more)
    return figures(out)


@needs_signals
def test_it_measures_as_infer_does(tmp_path: Path, folder: Path, scans: list[bytes]) -> None:
    out = folder / "results"
    (folder / "0.png").write_bytes(scans[0])
    with watching(folder, out, "--pixel-size", "0.4") as process:
        files = [next_row(process)["file"]]
        (folder / "sub").mkdir()
        with (folder / "sub" / "<b>\x1b.png").open("wb", buffering=0) as slow:
            for start in range(0, len(scans[1]), 2000):
                slow.write(scans[1][start : start + 2000])
                time.sleep(0.03)  # a writer slower than the looks
        (folder / "bad.png").write_bytes(b"no image")
        files += [next_row(process)["file"] for _ in range(2)]
        assert "stopping" in stop(process)
    found = figures(out)
    assert found == inferred(tmp_path, folder, "--pixel-size", "0.4")
    assert found["bad.png"]["status"] == "failed"
    assert {*files} == found.keys()
    assert "3 images: 2 ok" in (out / "report.html").read_text("utf-8")
    assert (out / "overlays" / "sub" / "<b>\x1b.jpg").is_file()


@needs_signals
def test_killed_every_file_has_one_row(tmp_path: Path, folder: Path, scans: list[bytes]) -> None:
    out, chance = tmp_path / "out", random.Random(0)
    for part in range(3):
        for i in range(6):
            (folder / f"{part * 6 + i}.png").write_bytes(scans[i])
        (folder / "0.png").write_bytes(scans[part])  # what is known changes
        with watching(folder, out, *QUICK) as process:
            next_row(process)
            time.sleep(chance.random() * 0.1)
            process.kill()
    again = ("watch", folder, "--out", out, "--once", *QUICK, "--jsonl")
    assert call(*again, tmp_path / "rest.jsonl").exit_code == 0
    assert len(figures(out)) == 18
    assert figures(out) == inferred(tmp_path, folder)
    assert not call(*again, "-").stdout  # nothing is measured twice


@needs_signals
def test_a_table_that_grows_gives_sizes_to_what_waited_for_them(
    tmp_path: Path, folder: Path, scans: list[bytes]
) -> None:
    out, table = tmp_path / "out", tmp_path / "sizes.csv"
    for i in (0, 1):
        (folder / f"{i}.png").write_bytes(scans[i])
    table.write_text("filename,pixel size (mm)\n0.png,0.4\n")
    with watching(folder, out, "--pixel-sizes", table, *QUICK) as process:
        first = {row["file"]: row["status"] for row in (next_row(process) for _ in range(2))}
        assert first["1.png"] == "failed" != first["0.png"]
        table.write_text("filename,pixel size (mm)\n0.png,0.4\n1.png,0.5\n")
        row = next_row(process)  # of the one file that is measured again
        assert (row["file"], row["pixel_size_x_mm"]) == ("1.png", 0.5)
        stop(process)
    assert len(figures(out)) == 2


def test_a_failed_file_is_repeated_only_if_asked(folder: Path, tmp_path: Path) -> None:
    result = call("watch", tmp_path / "none", "--out", tmp_path / "o")
    assert isinstance(result.exception, InputNotFoundError) and not (tmp_path / "o").exists()
    (folder / "a.png").write_bytes(b"no image")
    command = ["watch", folder, "--out", tmp_path / "out", "--once", *QUICK, "--jsonl", "-"]
    counts = [len(call(*command, *more).stdout.splitlines()) for more in ([], [], ["--resume"])]
    assert counts == [1, 0, 1]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM and no such terminal")
def test_it_says_its_addresses_and_ends_when_it_is_told() -> None:
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "edgeseg", "serve", "--host", "0.0.0.0", "--port", "0"]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs) as it:
        os.close(theirs)
        try:
            screen = read_until(ours, "Ctrl-C")
            urls = re.findall(r"http://\S+/", screen)
            assert len(urls) == 1 + len(find_own_addresses())
            for url in urls:
                with urllib.request.urlopen(url, timeout=TIMEOUT_S) as page:
                    assert b"<h1>Head circumference</h1>" in page.read()
            assert read_qr_code(screen) in urls[:-1][:1]
        finally:
            it.send_signal(signal.SIGTERM)
        assert "stopping" in read_until(ours, "stopping")
        assert it.wait(TIMEOUT_S) == 0
    os.close(ours)


def read_until(terminal: int, end: str) -> str:
    text = b""
    while end not in text.decode(errors="ignore"):
        text += os.read(terminal, 1 << 16)
    return text.decode()


def read_qr_code(screen: str) -> str:
    rows = re.findall("[ \u2580\u2584\u2588]{20,}", screen)
    halves = np.array(
        [[" \u2584\u2580\u2588".index(sign) for sign in row] for row in rows], np.uint8
    )
    light = np.stack([halves >> 1, halves & 1], axis=1).reshape(-1, halves.shape[1])
    return cv2.QRCodeDetector().detectAndDecode(np.kron(light * 255, np.ones((8, 8), np.uint8)))[0]


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = call("serve", "--port", port, "--device", "cpu")
    said = describe_error(result.exception) or ""
    assert f"port {port}" in said and "--port" in said


def test_the_page_is_written_for_other_servers(tmp_path: Path) -> None:
    out = tmp_path / "site"
    result = call("serve", "--export", out, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert (out / "index.html").is_file() and (out / "model.onnx").is_file()
