"""Check the demo on 64-bit ARM, in emulation: the same millimetres as on this machine.

    apt-get install qemu-user-static mmdebstrap
    python benchmarks/aarch64.py

Unpacks Debian for arm64 and the aarch64 wheels of edgeseg and what it needs under ``--work``, runs
`edgeseg demo` there through QEMU as the processors of a Raspberry Pi 4 and 5, and here, and fails
if a circumference differs by more than 0.05 mm. Speed means nothing in emulation and is not told.
Leaves ``results/aarch64.json``.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

from library.processes import write_result

TOLERANCE_MM = 0.05
ROOT = Path(__file__).parents[1]
_EMULATOR = "qemu-aarch64-static"
_SUITE, _PYTHON = "bookworm", "3.11"  # Debian 12, as Raspberry Pi OS is
_PACKAGES = "python3,libstdc++6,libgomp1"
_WHEELS = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")


class Board(NamedTuple):
    """A processor as QEMU names it and as /proc/cpuinfo describes it."""

    cpu: str
    part: str
    features: str


BOARDS = {
    "Raspberry Pi 4": Board("cortex-a72", "0xd08", "fp asimd evtstrm crc32 cpuid"),
    "Raspberry Pi 5": Board(
        "cortex-a76",
        "0xd0b",
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc "
        "dcpop asimddp",
    ),
}


def prepare(work: Path) -> None:
    """Unpack Debian, unless it is there, and install edgeseg as it is now beside it."""
    debian, site = work / "debian", work / "site"
    work.mkdir(parents=True, exist_ok=True)
    if not debian.is_dir():
        _call(
            ["mmdebstrap", "--quiet", "--variant=extract", "--architectures=arm64",
             f"--include={_PACKAGES}", _SUITE, str(debian)]
        )  # fmt: skip
    shutil.rmtree(site, ignore_errors=True)
    shutil.rmtree(work / "wheel", ignore_errors=True)
    pip = [sys.executable, "-m", "pip"]
    _call([*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(work / "wheel"), str(ROOT)])
    (wheel,) = (work / "wheel").glob("*.whl")
    _call(
        [*pip, "install", "--quiet", "--target", str(site), "--only-binary=:all:",
         "--python-version", _PYTHON, *(f"--platform={name}" for name in _WHEELS), str(wheel)]
    )  # fmt: skip


def emulated_demo(work: Path, board: Board, model: str) -> dict[str, float]:
    """Run the demo through QEMU and return each phantom's circumference in mm."""
    work = work.resolve()
    # onnxruntime reads which processor it is on and would find the host's. Files below the
    # folder given to -L hide the host's.
    proc = work / "debian" / "proc"
    proc.mkdir(exist_ok=True)
    text = "".join(
        f"processor\t: {i}\nFeatures\t: {board.features}\nCPU implementer\t: 0x41\n"
        f"CPU architecture: 8\nCPU variant\t: 0x0\nCPU part\t: {board.part}\nCPU revision\t: 3\n\n"
        for i in range(os.cpu_count() or 1)
    )
    (proc / "cpuinfo").write_text(text, encoding="utf-8")
    python = work / "debian" / "usr" / "bin" / f"python{_PYTHON}"
    emulator = [_EMULATOR, "-cpu", board.cpu, "-L", str(work / "debian")]
    return demo([*emulator, str(python)], work / "arm", model, {"PYTHONPATH": str(work / "site")})


def demo(
    python: list[str], folder: Path, model: str, environment: dict[str, str] | None = None
) -> dict[str, float]:
    """Run the demo in a folder and return each phantom's circumference in mm."""
    folder.mkdir(parents=True, exist_ok=True)
    command = [*python, "-m", "edgeseg", "demo", "--model", model]
    _call(command, folder, {**os.environ, **(environment or {})})
    with (folder / "edgeseg-demo" / "results.csv").open(encoding="utf-8-sig", newline="") as stream:
        return {row["file"]: float(row["hc_mm"]) for row in csv.DictReader(stream)}


def _call(
    command: list[str], folder: Path | None = None, environment: dict[str, str] | None = None
) -> None:
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} ended with status {done.returncode}:\n{done.stderr}")


def main() -> None:
    """Prepare, compare, print and store."""
    parser = argparse.ArgumentParser(description="edgeseg on emulated 64-bit ARM.")
    parser.add_argument("--work", type=Path, default=ROOT / "build" / "aarch64")
    parser.add_argument("--models", nargs="+", default=["hc18-edge", "hc18-edge-int8", "hc18-nano"])
    options = parser.parse_args()
    for tool in (_EMULATOR, "mmdebstrap"):
        if shutil.which(tool) is None:
            sys.exit(
                f"{tool} is not installed; on Debian: apt-get install qemu-user-static mmdebstrap"
            )
    prepare(options.work)
    installed = sum(p.stat().st_size for p in (options.work / "site").rglob("*") if p.is_file())
    rows: list[dict[str, Any]] = []
    for model in options.models:
        here = demo([sys.executable], options.work / "here", model)
        for name, board in BOARDS.items():
            there = emulated_demo(options.work, board, model)
            largest_mm = max(abs(there[file] - hc_mm) for file, hc_mm in here.items())
            rows.append(
                {
                    "model": model,
                    "board": name,
                    "cpu": board.cpu,
                    "phantoms": len(here),
                    "largest_difference_mm": round(largest_mm, 4),
                }
            )
            print(rows[-1], flush=True)  # noqa: T201
    result = {"installed_mb": round(installed / 1e6), "tolerance_mm": TOLERANCE_MM, "rows": rows}
    write_result("aarch64", {"compared_with": platform.machine(), **result})
    if worst := [row for row in rows if row["largest_difference_mm"] > TOLERANCE_MM]:
        sys.exit(f"{len(worst)} of {len(rows)} differ by more than {TOLERANCE_MM} mm")


if __name__ == "__main__":
    main()
