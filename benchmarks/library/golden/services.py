"""The commands that go on until they are stopped: watch, listen and serve."""

from __future__ import annotations

import base64
import contextlib
import csv
import http.client
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pydicom
from pynetdicom import AE

from .figures import Figures, add_rows, picture_pixels, read_results
from .inputs import Inputs
from .trees import CPU, Tree

_PATIENCE_S = 600.0  # a busy machine is no difference
_LOOK_S = 0.25
_N_WATCHED, _N_SENT, _N_POSTED = 60, 60, 100


def run_watch(tree: Tree, inputs: Inputs, out: Path) -> Figures:
    """Let images come into a watched folder in two lots, then replace one by another."""
    scans = inputs.scan_files(_N_WATCHED)
    folder, results = out / "scans", out / "results"
    folder.mkdir()
    options = ("--pixel-sizes", inputs.pixel_sizes, "--every", 0.2, *CPU)
    with running(tree, "watching", "watch", folder, "--out", results, *options):
        for lot in (scans[::2], scans[1::2]):
            for path in lot:
                bring(path, folder / path.name)
            come = {path.name for path in folder.iterdir()}
            wait_until(tree, lambda come=come: come <= {*rows(results)})
        first = scans[0].name
        before = rows(results)[first]["hc_px"]
        bring(scans[-1], folder / first)
        wait_until(tree, lambda: rows(results).get(first, {}).get("hc_px", before) != before)
    return read_results(results)


def run_node(tree: Tree, inputs: Inputs, out: Path) -> Figures:
    """Send images and films to a node, one after the other."""
    sent = {}
    for path in sorted(inputs.instances().iterdir()):
        dataset = pydicom.dcmread(path)
        sent[f"{dataset.SOPInstanceUID}.dcm"] = dataset
    options = ("--port", 0, "--seg", *tree.of_each)
    with running(tree, "listens on", "listen", "--out", out, *options, *CPU) as line:
        entity = AE("GOLDEN")
        entity.dimse_timeout = entity.network_timeout = _PATIENCE_S
        for dataset in sent.values():
            entity.requested_contexts = []
            entity.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
            association = entity.associate("127.0.0.1", port_of(line))
            status = association.send_c_store(dataset).get("Status")
            association.release()
            if status != 0:
                sys.exit(f"{tree.name}: the node answers {status!r}")
        wait_until(tree, lambda: sent.keys() <= rows(out).keys())
    return read_results(out)


def run_serve(tree: Tree, inputs: Inputs, out: Path) -> Figures:
    """Post images, and files that are none, to the server."""
    figures: Figures = {}
    files = [*inputs.scan_files(_N_POSTED), *sorted(inputs.phantoms().iterdir())]
    with running(tree, "http", "serve", "--port", 0, *CPU) as line:
        for number, path in enumerate(files):
            asked = {"pixel_size": "0.1", "name": path.name, "include": "mask,overlay"}
            if number % 2:
                asked["ga"] = "21w3d"
            connection = http.client.HTTPConnection("127.0.0.1", port_of(line), _PATIENCE_S)
            connection.request("POST", f"/v1/measure?{urlencode(asked)}", path.read_bytes())
            answer = connection.getresponse()
            values: dict[str, Any] = json.loads(answer.read())
            connection.close()
            for kind in ("mask", "overlay"):
                if kind in values:
                    values[kind] = picture_pixels(base64.b64decode(values[kind]))
            refusal = {"reason": values.pop("error")} if "error" in values else {}
            row = {**values, **refusal, "file": path.name, "HTTP status": answer.status}
            add_rows(figures, [row], "")
    return figures


@contextlib.contextmanager
def running(tree: Tree, sign: str, *arguments: object) -> Iterator[str]:
    """Run a command until the body ends; gives the line that has the sign of its being ready."""
    process = subprocess.Popen(
        tree.command(*arguments), env=tree.environment, text=True, errors="replace",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        read: list[str] = []
        for line in process.stdout:
            read.append(line)
            if sign in line:
                break
        else:
            sys.exit(f"{tree.name}: edgeseg {arguments[0]} did not start:\n{''.join(read)}")
        yield line
        process.send_signal(signal.SIGTERM)
        rest = process.communicate(timeout=_PATIENCE_S)[0]
        if "Traceback" in rest:
            sys.exit(f"{tree.name}: edgeseg {arguments[0]}:\n{rest[-3000:]}")
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def port_of(line: str) -> int:
    """Return the port that a line names."""
    return int(re.findall(r":(\d+)", line)[0])


def rows(out: Path) -> dict[str, dict[str, str]]:
    """Return the rows that are in a results folder now, by file."""
    try:
        with (out / "results.csv").open(newline="", encoding="utf-8-sig") as stream:
            return {row["file"]: row for row in csv.DictReader(stream)}
    except FileNotFoundError:
        return {}


def bring(source: Path, target: Path) -> None:
    """Let a file appear whole."""
    unfinished = target.with_name(f".{target.name}.part")
    shutil.copyfile(source, unfinished)
    unfinished.replace(target)


def wait_until(tree: Tree, is_done: Callable[[], bool]) -> None:
    """Wait until something is so.

    Raises
    ------
    SystemExit
        If it never is.
    """
    deadline = time.monotonic() + _PATIENCE_S
    while not is_done():
        if time.monotonic() > deadline:
            sys.exit(f"{tree.name}: not all is measured after {_PATIENCE_S:.0f} s")
        time.sleep(_LOOK_S)
