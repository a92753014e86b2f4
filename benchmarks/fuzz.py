"""Feed hostile files to the readers and see that nothing but a refusal ever comes of them.

    python benchmarks/fuzz.py image --count 20000 --seed 0 --keep found
    python benchmarks/fuzz.py model --minutes 6
    python benchmarks/fuzz.py table --seed 0 --first 1234 --count 1

Files are made from phantoms and the bundled models, then broken where it hurts; the same seed gives
the same files. They are read in processes of their own, so that a crash or a hang is that of one
file. A finding is any exception but an `EdgesegError`, an error's text of more than 4,000
characters, an answer that breaks a promise, the process's end, and more time or memory than the
kind may take. Prints a row of a Markdown table; the exit code is 1 if anything was found.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import queue
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from library.hostile import dicoms, images, models, tables, videos

from edgeseg.errors import EdgesegError

_START_S = 60.0  # of a process, before its first file
_BATCH = 1000
_LONGEST_TEXT = 4000
_ADDRESS_SPACE = 16 << 30  # spares the machine what a finding would take
_KIB = 1024


class Kind(NamedTuple):
    """A kind of file.

    Attributes
    ----------
    make
        Returns a file, of any random numbers always the same.
    read
        Reads it, with a folder to write into.
    memory_mb
        Resident memory that the process may reach, MiB.
    seconds
        Time that one file may take.
    """

    make: Callable[[random.Random], bytes]
    read: Callable[[bytes, Path], None]
    memory_mb: float
    seconds: float


KINDS = {
    "image": Kind(images.make, images.read, 1024, 20),
    "dicom": Kind(dicoms.make, images.read, 1024, 20),
    "video": Kind(videos.make, videos.read, 1536, 20),
    "table": Kind(tables.make, tables.read, 256, 10),
    "model": Kind(models.make, models.read, 1024, 20),
    "metadata": Kind(models.make_metadata, models.read_metadata, 256, 5),
}
HEAD = (
    "| kind | inputs | accepted | refused | findings | worst time (s) | worst memory (MiB) |\n"
    "|---|--:|--:|--:|--:|--:|--:|"
)


class Outcome(NamedTuple):
    """What came of one file; ``finding`` is empty if all is well."""

    index: int
    accepted: bool
    finding: str
    seconds: float
    peak_mb: float


def file_of(kind: Kind, seed: int, index: int) -> bytes:
    """Return a file by its number."""
    return kind.make(random.Random(f"{seed}/{index}"))


def judge(kind: Kind, data: bytes, index: int, folder: Path) -> Outcome:
    """Read a file in this process."""
    accepted, finding = False, ""
    _forget_peak()
    started = time.perf_counter()
    try:
        kind.read(data, folder)
        accepted = True
    except EdgesegError as error:
        if len(str(error)) > _LONGEST_TEXT:
            finding = f"an error's text of {len(str(error))} characters: {str(error)[:200]}"
    except Exception:
        finding = traceback.format_exc(limit=-6)
    seconds, peak_mb = time.perf_counter() - started, _peak_mb()
    if not finding and seconds > kind.seconds:
        finding = f"took {seconds:.1f} s, more than {kind.seconds:g}"
    if not finding and peak_mb > kind.memory_mb:
        finding = f"took {peak_mb:.0f} MiB, more than {kind.memory_mb:g}"
    return Outcome(index, accepted, finding, seconds, peak_mb)


def _forget_peak() -> None:
    with contextlib.suppress(OSError):  # the peak is then that of all files so far
        Path("/proc/self/clear_refs").write_text("5")


def _peak_mb() -> float:
    try:
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / _KIB
    except (OSError, IndexError):
        return 0.0


def work(kind: Kind, seed: int, first: int, count: int, folder: Path) -> None:
    """Judge files and print each outcome as a line of JSON: what a process started here does."""
    faulthandler.enable()
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_ADDRESS_SPACE, _ADDRESS_SPACE))
    except (ImportError, ValueError, OSError):
        pass
    for index in range(first, first + count):
        outcome = judge(kind, file_of(kind, seed, index), index, folder)
        print(json.dumps(outcome), flush=True)  # noqa: T201


def outcomes(name: str, seed: int, first: int, count: int) -> Iterator[Outcome]:
    """Judge files in processes, a new one after each batch and each that ended early."""
    at, end = first, first + count
    while at < end:
        batch = min(_BATCH, end - at)
        with tempfile.TemporaryDirectory() as folder:
            for outcome in _process(name, seed, at, batch, folder):
                at = outcome.index + 1
                yield outcome


def _process(name: str, seed: int, first: int, count: int, folder: str) -> Iterator[Outcome]:
    """Yield the outcomes of one process; of a file that ended it, that it did is the last."""
    asked = [name, "--seed", seed, "--first", first, "--count", count, "--work-in", folder]
    errors = Path(folder) / "stderr"
    with errors.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, sys.argv[0], *map(str, asked)], stdout=subprocess.PIPE, stderr=stream
        )
    assert process.stdout is not None
    lines: queue.Queue[bytes] = queue.Queue()
    reading = threading.Thread(target=_pass_on, args=(process.stdout, lines), daemon=True)
    reading.start()
    index, seconds, fault, took = first, KINDS[name].seconds, "", 0.0
    try:
        while index < first + count and not fault:
            # twice the time, since one that ends late says so itself
            waited = 2 * seconds + (_START_S if index == first else 0)
            try:
                line = lines.get(timeout=waited)
            except queue.Empty:
                fault, took = f"had not ended after {waited:g} s", waited
                continue
            if line:
                yield Outcome(*json.loads(line))
                index += 1
            else:
                fault = f"the process ended with {process.wait()}"
    finally:
        process.kill()
        process.wait()
        reading.join()
        process.stdout.close()
    if fault:
        said = errors.read_text(errors="replace")[-2000:]
        yield Outcome(index, False, f"{fault}\n{said}", took, 0.0)


def _pass_on(stream: Any, lines: queue.Queue[bytes]) -> None:
    for line in stream:
        if re.match(rb"\[\d+, ", line):  # old engines print lines of their own
            lines.put(line)
    lines.put(b"")


class Tally:
    """What came of all files so far."""

    def __init__(self) -> None:
        self.inputs = self.accepted = self.refused = self.findings = 0
        self.seconds = self.peak_mb = 0.0

    def add(self, outcome: Outcome) -> None:
        """Count one; a finding is neither accepted nor refused."""
        self.inputs += 1
        if outcome.finding:
            self.findings += 1
        elif outcome.accepted:
            self.accepted += 1
        else:
            self.refused += 1
        self.seconds = max(self.seconds, outcome.seconds)
        self.peak_mb = max(self.peak_mb, outcome.peak_mb)

    def line(self, name: str) -> str:
        """Return a row of the table."""
        counts = (self.inputs, self.accepted, self.refused, self.findings)
        figures = [*(f"{count:,}" for count in counts), f"{self.seconds:.2f}"]
        return f"| {' | '.join([name, *figures, f'{self.peak_mb:.0f}'])} |"


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)  # noqa: T201


def main() -> None:
    """Judge, print, and keep what was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kind", choices=[*KINDS])
    parser.add_argument("--count", type=int, help="20000 unless --minutes is given")
    parser.add_argument("--minutes", type=float, help="end after so long")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first file")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="for files that were a finding")
    parser.add_argument("--work-in", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    kind = KINDS[asked.kind]
    count = asked.count or (10**9 if asked.minutes else 20_000)
    if asked.work_in:
        work(kind, asked.seed, asked.first, count, asked.work_in)
        return
    until = time.monotonic() + 60 * asked.minutes if asked.minutes else float("inf")
    tally, found = Tally(), outcomes(asked.kind, asked.seed, asked.first, count)
    for outcome in found:
        tally.add(outcome)
        if outcome.finding:
            name = f"{asked.kind}-{asked.seed}-{outcome.index}"
            print(f"{name}: {outcome.finding}", file=sys.stderr, flush=True)  # noqa: T201
            if asked.keep:
                asked.keep.mkdir(parents=True, exist_ok=True)
                (asked.keep / name).write_bytes(file_of(kind, asked.seed, outcome.index))
                (asked.keep / f"{name}.txt").write_text(outcome.finding)
        if time.monotonic() > until:
            break
    found.close()
    say(HEAD)
    say(tally.line(asked.kind))
    sys.exit(1 if tally.findings else 0)


if __name__ == "__main__":
    main()
