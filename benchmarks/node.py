"""A DICOM node under load: time to the answer and to the rows, memory, and what a kill costs.

    python benchmarks/node.py --data HC18 --count 500
    python benchmarks/node.py --data HC18 --count 10000 --kill --name kill -- --no-sr --no-masks

Wraps images of HC18 in DICOM, each sending a new instance, and sends them to an `edgeseg listen`
of its own, one after the other and as two callers at once. The lag is from the first byte of the
request to the answer, before which the instance is safe on disk; instances a second are counted
until all are measured. Then a film comes while three callers send images: its lag is from the last
byte. With ``--kill`` there is none, and the node is killed with -9 in the middle and started again:
what was answered must be measured, and once all is sent again each instance must have one row.
What follows ``--`` is given to the node. Prints Markdown, and leaves ``results/node.json``, or
``results/node-NAME.json`` with ``--name NAME``.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import csv
import io
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from library.dicom_images import film, wrapped
from library.processes import write_result
from pydicom import Dataset
from pydicom.uid import (
    JPEGBaseline8Bit,
    UltrasoundImageStorage,
    UltrasoundMultiFrameImageStorage,
    generate_uid,
)
from pynetdicom import AE

from edgeseg.images.image_file import read_gray
from edgeseg.score.hc18 import load_cases

_TO_START_S = 60.0
_LOOK_S, _POLL_S = 1.0, 0.05


class Node:
    """An `edgeseg listen` that writes into a folder."""

    def __init__(self, out: Path, options: Sequence[str]) -> None:
        self._spool = out / ".incoming"
        command = [sys.executable, "-u", "-m", "edgeseg", "listen", "--out", str(out)]
        self._process = subprocess.Popen(
            [*command, "--port", "0", *options], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if " listens on " in line:
                self.port = int(line.split(":")[1].split(";")[0])
                return
        raise SystemExit("the node did not start")

    def rss_mib(self) -> float:
        """Resident memory now."""
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * 4096 / 2**20

    def wait_measured(self) -> None:
        """Wait until nothing waits to be measured."""
        while [*self._spool.iterdir()]:
            time.sleep(_POLL_S)

    def end(self, number: int) -> float:
        """Send a signal and wait; returns how long that took, in seconds."""
        started = time.perf_counter()
        self._process.send_signal(number)
        self._process.wait(_TO_START_S)
        return time.perf_counter() - started


@contextlib.contextmanager
def associated(port: int) -> Iterator[Any]:
    """Give an association that stores ultrasound."""
    entity = AE("BENCH")
    entity.dimse_timeout = 120
    entity.add_requested_context(UltrasoundImageStorage)
    entity.add_requested_context(UltrasoundMultiFrameImageStorage, JPEGBaseline8Bit)
    association = entity.associate("127.0.0.1", port)
    if not association.is_established:
        raise SystemExit("the node takes no association")
    raw = association.dul.socket.socket
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        yield association
    finally:
        association.release()


def store_film(port: int, images: Sequence[Dataset], frames: Dataset) -> dict[str, Any]:
    """Send a film while three others send images; return all lags in milliseconds."""
    ended, others_ms, sent_s = threading.Event(), list[float](), list[float]()

    def send_images() -> None:
        mine = copy.deepcopy([*images])
        while not ended.is_set():
            others_ms.extend(store(port, mine, [generate_uid() for _ in mine]))

    others = [threading.Thread(target=send_images) for _ in range(3)]
    for thread in others:
        thread.start()
    with associated(port) as association:
        time.sleep(_LOOK_S)  # the others are sending
        transport = association.dul.socket
        send = transport.send

        def note(data: bytes) -> None:
            send(data)
            sent_s.append(time.perf_counter())

        transport.send = note
        started_s = time.perf_counter()
        answer = association.send_c_store(frames)
        answered_s = time.perf_counter()
        last_byte_s = sent_s[-1]
    ended.set()
    for thread in others:
        thread.join()
    if answer.get("Status") != 0:
        raise SystemExit(f"the film was answered with {answer.get('Status')}")
    median, p99 = np.percentile(others_ms, [50, 99]).tolist()
    return {
        "frames": int(frames.NumberOfFrames),
        "mb": round(len(frames.PixelData) / 1e6, 1),
        "sent_s": round(last_byte_s - started_s, 2),
        "answered_after_ms": round(1000 * (answered_s - last_byte_s), 1),
        "others": {"median_ms": round(median, 1), "p99_ms": round(p99, 1)},
    }


def store(port: int, images: Sequence[Dataset], uids: Sequence[str]) -> list[float]:
    """Send instances one after the other; returns the lags in milliseconds until one failed."""
    lags_ms = []
    with associated(port) as association:
        for i, uid in enumerate(uids):
            image = images[i % len(images)]
            image.SOPInstanceUID = uid
            started = time.perf_counter()
            answer = association.send_c_store(image)
            if answer.get("Status") != 0:
                break
            lags_ms.append((time.perf_counter() - started) * 1000)
    return lags_ms


def store_by_two(port: int, images: Sequence[Dataset], uids: Sequence[str]) -> list[float]:
    """Send instances as two callers at once."""
    lags_ms: list[float] = []

    def one(part: Sequence[str]) -> None:
        lags_ms.extend(store(port, copy.deepcopy([*images]), part))

    threads = [threading.Thread(target=one, args=(uids[k::2],)) for k in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return lags_ms


def watch_memory(node: Node, seen_mib: list[float], ended: threading.Event) -> None:
    """Note the node's memory every second."""
    while not ended.wait(_LOOK_S):
        with contextlib.suppress(OSError):
            seen_mib.append(node.rss_mib())


def rows(out: Path) -> Counter[str]:
    """Return how many rows each instance has, or each frame of a film."""
    text = (out / "results.csv").read_text(encoding="utf-8-sig")
    return Counter(row["file"] + row["frame"] for row in csv.DictReader(io.StringIO(text)))


def summarize(name: str, lags_ms: Sequence[float], wall_s: float) -> dict[str, Any]:
    """Return a line of the table."""
    median, p99 = np.percentile(lags_ms, [50, 99]).tolist()
    return {
        "callers": name,
        "instances": len(lags_ms),
        "median_ms": round(median, 1),
        "p99_ms": round(p99, 1),
        "per_s": round(len(lags_ms) / wall_s, 1),
    }


def main() -> None:
    """Send, and print what was measured."""
    arguments = parse_arguments()
    cases = load_cases(arguments.data)[: arguments.images]
    images = [wrapped(read_gray(case.image_path), case.pixel_size_mm) for case in cases]
    uids = [generate_uid() for _ in range(arguments.count)]
    record: dict[str, Any] = {"node": arguments.node, "count": arguments.count, "lines": []}
    with tempfile.TemporaryDirectory(prefix="edgeseg-node-") as folder:
        out = Path(folder, "out")
        if arguments.kill:
            record["kill"] = kill(out, images, uids, arguments.node)
        node = Node(out, arguments.node)
        seen_mib: list[float] = []
        ended = threading.Event()
        watching = threading.Thread(target=watch_memory, args=(node, seen_mib, ended))
        watching.start()
        for name, way in (("one", store), ("two", store_by_two)):
            given = uids if arguments.kill else [generate_uid() for _ in uids]
            started = time.perf_counter()
            lags_ms = way(node.port, images, given)
            node.wait_measured()
            line = summarize(name, lags_ms, time.perf_counter() - started)
            record["lines"].append(line)
            print("| {callers} | {instances} | {median_ms} | {p99_ms} | {per_s} |".format(**line))  # noqa: T201
        if not arguments.kill:
            grays = [read_gray(cases[0].image_path)] * arguments.frames
            frames = film(grays, cases[0].pixel_size_mm)
            record["film"] = store_film(node.port, images, frames)
            node.wait_measured()
        ended.set()
        watching.join()
        tenth = max(1, len(seen_mib) // 10)
        record["rss_mib"] = {
            "after_a_tenth": round(float(np.median(seen_mib[tenth : 2 * tenth])), 1),
            "at_the_end": round(float(np.median(seen_mib[-tenth:])), 1),
        }
        record["stop_s"] = round(node.end(signal.SIGTERM), 2)
        counted = rows(out)
        record["rows"] = {"instances": len(counted), "most": max(counted.values())}
        if arguments.kill and counted != Counter(f"{uid}.dcm" for uid in uids):
            raise SystemExit(f"not each instance has one row: {record['rows']}")
    print({name: value for name, value in record.items() if name != "lines"})  # noqa: T201
    write_result(f"node-{arguments.name}" if arguments.name else "node", record)


def kill(
    out: Path, images: Sequence[Dataset], uids: Sequence[str], options: Sequence[str]
) -> dict[str, int]:
    """Kill a node once half is answered; what was answered must be measured by the next."""
    node = Node(out, options)
    lags_ms = store(node.port, images, uids[: len(uids) // 2])
    late = threading.Thread(
        target=lambda: lags_ms.extend(store(node.port, images, uids[len(lags_ms) :]))
    )
    late.start()
    time.sleep(_LOOK_S)
    node.end(signal.SIGKILL)
    late.join()
    node = Node(out, options)
    node.wait_measured()
    node.end(signal.SIGTERM)
    found = rows(out)
    if missing := {f"{uid}.dcm" for uid in uids[: len(lags_ms)]} - {*found}:
        raise SystemExit(f"answered and not measured: {len(missing)}")
    return {"answered": len(lags_ms), "rows": sum(found.values())}


def parse_arguments() -> argparse.Namespace:
    """Return the command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--images", type=int, default=20, help="of HC18 that take turns")
    parser.add_argument("--frames", type=int, default=900, help="of the film")
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--name", default="", help="of the file with the results")
    parser.add_argument("node", nargs="*", help="options of the node, after --")
    return parser.parse_args()


if __name__ == "__main__":
    main()
