"""Call a DICOM node as no proper peer does, and see that it goes on and gives back what it took.

    python benchmarks/fuzz_node.py --count 20000 --seed 0 --at-once 4

The same seed gives the same calls. A finding is an instance that cannot be stored, an echo
that is not answered afterwards, and threads, files or memory that are left. Prints a row of a
Markdown table; the exit code is 1 if anything was found.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

from library.hostile import dicom_peer

from edgeseg.node.addresses import Bounds, NodeAddress
from edgeseg.node.server import run_server

_WARM = 500  # calls before memory is compared; after fewer, growth may be what is taken once
_GROWTH_MIB = 32.0
_PATIENCE_S = 10.0
_BOUNDS = Bounds(association_s=1, pdu_s=1, idle_s=1)


def main() -> None:
    """Call, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5000, help="calls")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--at-once", type=int, default=1, help="peers that call at the same time")
    given = parser.parse_args()
    findings: list[str] = []

    def on_notice(text: str) -> None:
        if "could not be stored" in text:
            findings.append(text)

    with tempfile.TemporaryDirectory() as folder:
        spool = Path(folder, "spool")
        node = NodeAddress(port=0, bounds=_BOUNDS)
        with run_server(node, lambda path, uid: 0, spool, on_notice) as address:
            waiting = threading.active_count()
            _call(address, given.seed - 1, min(_WARM, given.count), given.at_once)
            before_mib = _resident_mib()
            began = time.monotonic()
            _call(address, given.seed, given.count, given.at_once)
            took_s = time.monotonic() - began
            deadline = time.monotonic() + _PATIENCE_S
            while not dicom_peer.answers_echo(address):
                if time.monotonic() > deadline:  # by now the last callers are gone
                    findings.append("the node answers no echo")
                    break
                time.sleep(0.1)
            while threading.active_count() > waiting and time.monotonic() < deadline:
                time.sleep(0.01)
            if left := threading.active_count() - waiting:
                findings.append(f"{left} threads are left")
            while [*spool.iterdir()] and time.monotonic() < deadline:
                time.sleep(0.1)
            if files := [*spool.iterdir()]:
                findings.append(f"{len(files)} files are left")
            growth_mib = _resident_mib() - before_mib
            if growth_mib > _GROWTH_MIB and given.count >= _WARM:
                findings.append(f"memory grew by {growth_mib:.0f} MiB")
    print("| calls | seed | at once | s | resident MiB | growth MiB | findings |")  # noqa: T201
    print("|---|---|---|---|---|---|---|")  # noqa: T201
    print(  # noqa: T201
        f"| {given.count} | {given.seed} | {given.at_once} | {took_s:.0f} "
        f"| {before_mib:.0f} | {growth_mib:+.1f} | {len(findings)} |"
    )
    for text in dict.fromkeys(findings):
        print(text, file=sys.stderr)  # noqa: T201
    sys.exit(bool(findings))


def _call(address: tuple[str, int], seed: int, count: int, at_once: int) -> None:
    def one(number: int) -> None:
        numbers = random.Random(f"{seed} {number}")
        for _ in range(number, count, at_once):
            dicom_peer.carry_out(address, dicom_peer.attack(numbers))

    threads = [threading.Thread(target=one, args=(number,)) for number in range(at_once)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


if __name__ == "__main__":
    main()
