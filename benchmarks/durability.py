"""End runs in the worst ways and see that nothing acknowledged is lost and no row is there twice.

    python benchmarks/durability.py kill --times 20
    python benchmarks/durability.py power --times 10      # as root, on Linux
    python benchmarks/durability.py full                  # as root, on Linux

``kill`` ends `infer` and `watch` with SIGKILL at random moments and goes on until all is measured.
``power`` runs them on an ext4 file system of its own, whose drive stops at a random moment without
writing what it holds (EXT4_IOC_SHUTDOWN without a flush of the log), then mounts it again and goes
on. ``full`` lets them run out of space. Afterwards each row that a run had printed must be there as
printed, each image must have one row, and all figures must be those of a run that nothing ended.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import fcntl
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from edgeseg.drawing.encode import encode
from edgeseg.phantom.head import make_phantom

_SHUTDOWN, _WITHOUT_FLUSH = 0x8004587D, 2  # EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
_SIZE_MM = "0.2"
Row = dict[str, Any]


class Command(NamedTuple):
    """A command that is ended and begun again: `infer` or `watch`."""

    name: str
    folder: Path

    def arguments(self, out: Path, *, again: bool) -> list[str]:
        """Return what is run, so that it prints each row once it is kept."""
        more = ["--once", "--every", "0.05"] if self.name == "watch" else []
        if self.name == "infer" and again:
            more = ["--resume"]
        begin = [sys.executable, "-m", "edgeseg", self.name, str(self.folder), "--out", str(out)]
        return [*begin, "--pixel-size", _SIZE_MM, "--device", "cpu", "--jsonl", "-", *more]


def main() -> None:
    """Run what was asked for; exit 1 where something was lost."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("how", choices=["kill", "power", "full"])
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    chance, n_wrong = random.Random(asked.seed), 0
    with tempfile.TemporaryDirectory(prefix="edgeseg-durability-") as scratch:
        folder = write_images(Path(scratch, "images"), asked.images)
        for name in ("infer", "watch"):
            command = Command(name, folder)
            expected = rows_of_whole_run(command, Path(scratch, f"whole-{name}"))
            rounds = 1 if asked.how == "full" else asked.times
            end = {"kill": killed_runs, "power": power_cuts, "full": full_disk}[asked.how]
            lost = end(command, Path(scratch), expected, rounds, chance)
            lines = [f"{name}: {asked.how} {rounds} times: {len(lost)} faults", *lost[:10]]
            sys.stdout.write("\n  ".join(lines) + "\n")
            sys.stdout.flush()
            n_wrong += len(lost)
    sys.exit(n_wrong > 0)


def write_images(folder: Path, count: int) -> Path:
    """Write phantoms that all differ."""
    folder.mkdir()
    for i in range(count):
        image = make_phantom(i, height=270, width=400).image
        (folder / f"{i:03d}.png").write_bytes(encode(".png", image))
    return folder


def rows_of_whole_run(command: Command, out: Path) -> dict[str, Row]:
    """Return the rows of a run that nothing ends."""
    subprocess.run(command.arguments(out, again=False), check=True, stdout=subprocess.DEVNULL)
    return rows_of(out)


def rows_of(out: Path) -> dict[str, Row]:
    """Return the rows of a table without times, by file; no file may have two."""
    with (out / "results.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = [*csv.DictReader(stream)]
    found = {row["file"]: figures(row) for row in rows}
    if len(found) != len(rows):
        raise SystemExit(f"{out}: {len(rows)} rows of {len(found)} files")
    return found


def figures(row: Row) -> Row:
    """Return what must be the same in each run."""
    return {name: value for name, value in row.items() if not name.endswith("_ms")}


def killed_runs(
    command: Command, scratch: Path, expected: dict[str, Row], times: int, chance: random.Random
) -> list[str]:
    """Kill runs until it has been done so often; each is begun again until all is measured."""
    faults, n_killed, n_outs = [], 0, 0
    while n_killed < times:
        out, told, n_outs = scratch / f"{command.name}-killed-{n_outs}", {}, n_outs + 1
        again = False
        while (
            run_for(command, out, chance.uniform(0.3, 2.0), told, again=again) and n_killed < times
        ):
            n_killed, again = n_killed + 1, (out / ".edgeseg.sqlite").exists()
        run_for(command, out, None, told, again=(out / ".edgeseg.sqlite").exists())
        faults += find_faults(out, expected, told)
    return faults


def run_for(
    command: Command, out: Path, seconds: float | None, told: dict[str, Row], *, again: bool
) -> bool:
    """Run a command, kill it after some time, and tell whether that was before its end."""
    with subprocess.Popen(
        command.arguments(out, again=again), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        timer = threading.Timer(seconds or 1e6, process.kill)
        timer.daemon = True
        timer.start()
        assert process.stdout is not None
        for line in process.stdout:
            with contextlib.suppress(ValueError):  # cut off
                row = json.loads(line)
                told[row["file"]] = row
        timer.cancel()
    return process.returncode != 0


def find_faults(out: Path, expected: dict[str, Row], told: dict[str, Row]) -> list[str]:
    """Return what is not as it must be."""
    rows = rows_of(out)
    faults = [f"{out.name}: {file} was printed and is gone" for file in told.keys() - rows.keys()]
    faults += [f"{out.name}: {file} is missing" for file in expected.keys() - rows.keys()]
    faults += [
        f"{out.name}: {file} has other figures"
        for file, row in rows.items()
        if row != expected.get(file)
    ]
    for file, row in told.items():
        if float(rows.get(file, {}).get("hc_mm") or 0) != (row["hc_mm"] or 0):
            faults.append(f"{out.name}: {file} is not as printed")
    names = {path.stem for path in (out / "masks").glob("*.png") if path.stat().st_size}
    return faults + [f"{out.name}: no mask of {f}" for f in rows if Path(f).stem not in names]


@contextlib.contextmanager
def drive(scratch: Path, mebibytes: int) -> Iterator[tuple[Path, Path]]:
    """Yield an image of an ext4 drive of its own and where it is mounted."""
    image, top = scratch / "drive.img", scratch / "drive"
    image.unlink(missing_ok=True)
    with image.open("wb") as stream:
        stream.truncate(mebibytes << 20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    top.mkdir(exist_ok=True)
    mount(image, top)
    try:
        yield image, top
    finally:
        subprocess.run(["umount", str(top)], check=False)


def mount(image: Path, top: Path) -> None:
    """Mount a drive."""
    subprocess.run(["mount", "-o", "loop", str(image), str(top)], check=True)


def power_cuts(
    command: Command, scratch: Path, expected: dict[str, Row], times: int, chance: random.Random
) -> list[str]:
    """Stop the drive at a random moment of a run, mount it again, and finish the run."""
    faults = []
    for _ in range(times):
        told: dict[str, Row] = {}
        with drive(scratch, 256) as (image, top):
            out = top / "out"
            moment = threading.Timer(chance.uniform(0.8, 3.0), cut_power, [top])
            moment.start()
            run_for(command, out, None, told, again=False)
            moment.join()
            subprocess.run(["umount", str(top)], check=True)
            mount(image, top)
            run_for(command, out, None, told, again=(out / ".edgeseg.sqlite").exists())
            faults += find_faults(out, expected, told)
    return faults


def cut_power(top: Path) -> None:
    """Have a drive take nothing more, and forget what it has not written."""
    descriptor = os.open(top, os.O_RDONLY)
    fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _WITHOUT_FLUSH))
    os.close(descriptor)


def full_disk(
    command: Command, scratch: Path, expected: dict[str, Row], _: int, __: random.Random
) -> list[str]:
    """Let a run meet a full disk, then make room and finish it."""
    told: dict[str, Row] = {}
    with drive(scratch, 64) as (_image, top):
        out, ballast = top / "out", top / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb") as stream:
            while True:
                stream.write(bytes(1 << 16))
        with ballast.open("r+b") as stream:
            stream.truncate(ballast.stat().st_size - (2 << 20))
        run_for(command, out, 20, told, again=False)
        ballast.unlink()
        run_for(command, out, None, told, again=(out / ".edgeseg.sqlite").exists())
        return find_faults(out, expected, told)


if __name__ == "__main__":
    main()
