from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import BENCHMARKS, benchmark_script

# A kind of file whose reader does to each of the first files what no reader may.
PLANTED = """
import os, sys, time
import fuzz
from edgeseg.errors import DataError

DOES = {
    1: lambda: int("a fault"),
    2: lambda: time.sleep(600),
    3: lambda: os._exit(3),
    4: os.abort,
    5: lambda: time.sleep(3.5),
    6: lambda: bytearray(250 << 20),
}

def read(data, folder):
    if data[0] in (7, 8):
        raise DataError("x" * (5000 if data[0] == 7 else 5))
    DOES.get(data[0], int)()

fuzz.file_of = lambda kind, seed, index: bytes([index])
fuzz.KINDS["planted"] = fuzz.Kind(None, read, 200, 3)
fuzz.main()
"""
SAID = (
    *("ValueError: ", "had not ended", "ended with 3", "ended with -6"),
    *("more than 3", "MiB, more than 200", "text of 5000"),
)


def run(script: Path, *asked: object) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": f"{BENCHMARKS}{os.pathsep}{BENCHMARKS.parent}"}
    command = [sys.executable, str(script), *map(str, asked)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        *[pytest.param(kind, 50, marks=pytest.mark.slow) for kind in ("image", "dicom", "video")],
        *[("table", 200), ("metadata", 200), pytest.param("model", 150, marks=pytest.mark.nightly)],
    ],
)
def test_hostile_files_are_read_or_refused(kind: str, count: int, tmp_path: Path) -> None:
    if kind == "dicom":
        pytest.importorskip("pydicom")
    done = run(BENCHMARKS / "fuzz.py", kind, "--count", count, "--seed", 11, "--keep", tmp_path)
    assert done.returncode == 0, done.stderr
    name, inputs, accepted, refused, findings, *_ = done.stdout.splitlines()[-1].split(" | ")
    assert (name, int(inputs), int(findings)) == (f"| {kind}", count, 0)
    assert int(accepted) + int(refused) == count
    assert min(int(accepted), int(refused)) > count / 20
    assert not [*tmp_path.iterdir()]


@pytest.mark.nightly
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_whatever_a_reader_does_is_found_and_kept(tmp_path: Path) -> None:
    script, kept = tmp_path / "planted.py", tmp_path / "kept"
    script.write_text(PLANTED)
    done = run(script, "planted", "--count", 10, "--keep", kept)
    assert done.returncode == 1
    assert "| planted | 10 | 2 | 1 | 7 |" in done.stdout, done.stderr
    found = {path.stem[-1]: path.read_text() for path in kept.glob("*.txt")}
    assert sorted(found) == list("1234567")
    assert (kept / "planted-0-3").read_bytes() == b"\3"
    for number, said in enumerate(SAID, start=1):
        assert said in found[str(number)]


def test_a_file_is_known_by_its_seed_and_number() -> None:
    fuzz = benchmark_script("fuzz")
    for name, kind in fuzz.KINDS.items():
        files = {fuzz.file_of(kind, seed, index) for seed in (0, 1) for index in range(4)}
        assert len(files) > 4, name
        assert fuzz.file_of(kind, 0, 3) in files
