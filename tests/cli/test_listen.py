"""`edgeseg listen` as a process, with real clients: dcmtk's and an archive."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.errors import MissingExtraError
from edgeseg.node.addresses import NodeAddress
from edgeseg.node.server import run_server
from edgeseg.phantom.head import make_phantom
from tests.cli.calls import call, untimed_rows
from tests.fakes import until
from tests.node.conftest import make_certificate

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("pynetdicom")
pytest.importorskip("highdicom")

from tests.images.dicom import files as dicom_files  # noqa: E402
from tests.output.dicom_sources import items  # noqa: E402

TIMEOUT_S = 60
ORTHANC = shutil.which("Orthanc")
DICOMWEB = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
needs_clients = pytest.mark.skipif(
    os.name == "nt" or shutil.which("storescu") is None, reason="needs SIGTERM, and dcmtk"
)


@pytest.fixture(scope="module")
def scan() -> np.ndarray:
    return make_phantom(3, height=135, width=200).image


def write_images(folder: Path, scan: np.ndarray, count: int) -> list[Path]:
    """Write images of a study, the last a film of three frames, named by their UIDs."""
    folder.mkdir()
    paths, study = [], pydicom.uid.generate_uid()
    for number in range(count):
        pixels = np.stack([scan] * 3) if number == count - 1 else np.roll(scan, number, axis=1)
        file = folder / f"{(uid := pydicom.uid.generate_uid())}.dcm"
        uids = {"SOPInstanceUID": uid, "StudyInstanceUID": study}
        paths.append(dicom_files.write(file, pixels, pixel_mm=(0.7, 0.7), **uids))
    return paths


@pytest.fixture
def images(scan: np.ndarray, tmp_path: Path) -> list[Path]:
    return write_images(tmp_path / "images", scan, 4)


class Node:
    """A process of `edgeseg listen` on a free port."""

    def __init__(self, out: Path, *options: object) -> None:
        self._spool = out / ".incoming"
        command = [sys.executable, "-u", "-m", "edgeseg", "listen", "--out", out, "--port", 0]
        words, pipe = [*map(str, [*command, *options])], subprocess.PIPE
        self.process = subprocess.Popen(words, stdout=pipe, stderr=subprocess.STDOUT, text=True)
        while " listens on " not in (line := self.process.stdout.readline()):
            assert line, "it ended before"
        self.port = line.split(":")[1].split(";")[0]

    def send(self, *arguments: object, check: bool = True) -> int:
        """Send files with dcmtk's storescu; returns how many were answered by success."""
        command = ["storescu", "-v", "-R", "127.0.0.1", self.port, *arguments]
        done = subprocess.run(
            [*map(str, command)], capture_output=True, text=True, timeout=TIMEOUT_S, check=check
        )
        return done.stderr.count("Received Store Response (Success)")

    def wait_measured(self) -> None:
        """Wait until nothing waits to be measured."""
        while left := sorted(self._spool.iterdir()):
            until(lambda: sorted(self._spool.iterdir()) != left)

    def stop(self) -> str:
        """End it as systemd does, and return what it has printed since it listens."""
        self.process.send_signal(signal.SIGTERM)
        text, _ = self.process.communicate(timeout=TIMEOUT_S)
        assert self.process.returncode == 0
        return text


@pytest.fixture
def start() -> Iterator[Callable[..., Node]]:
    """Start nodes, which are killed at the end unless they are stopped before."""
    with contextlib.ExitStack() as stack:

        def start_node(out: Path, *options: object) -> Node:
            node = Node(out, *options)
            stack.enter_context(node.process)
            stack.callback(node.process.kill)
            return node

        yield start_node


@needs_clients
def test_what_is_sent_has_rows_reports_and_pictures(
    images: list[Path], tmp_path: Path, start: Callable[..., Node]
) -> None:
    out = tmp_path / "out"
    how = "--allow", "STORESCU", "--max-instance", 1, "--exam-ends-after", 0
    node = start(out, *how, "--jsonl", tmp_path / "rows.jsonl")
    assert subprocess.run(["echoscu", "-aet", "STORESCU", "127.0.0.1", node.port]).returncode == 0
    assert node.send(*images) == node.send(images[0], *images) - 1 == 4
    assert node.send("-aet", "OTHER", images[0], check=False) == 0
    large = dicom_files.write(tmp_path / "large.dcm", np.zeros((1200, 1000), np.uint8))
    assert node.send(large, check=False) == 0
    node.wait_measured()
    until(lambda: len(untimed_rows(out)) == 6)  # while the node runs
    until(lambda: _count_reported(out.glob("sr/*.dcm")) == 4)
    printed = node.stop()
    assert "OTHER" in printed
    assert "too large" in printed
    assert str(out) in printed
    lines = [*map(json.loads, (tmp_path / "rows.jsonl").read_text().splitlines())]
    assert [line["file"] for line in lines].count(images[-1].name) == 3
    assert len(lines) == 6 and lines[-1]["waiting"] == 0
    call("infer", tmp_path / "images", "--out", tmp_path / "infer", "--no-masks", "--no-overlays")
    assert untimed_rows(out) == untimed_rows(tmp_path / "infer")
    assert {row["status"] for row in untimed_rows(out)} == {"ok"}
    assert len([*(out / "masks").iterdir()]) == len([*(out / "overlays").iterdir()]) == 6
    assert (out / "report.html").is_file() and (out / "cines.csv").is_file()
    assert dicom_files.TOKEN not in printed
    files = [path for path in out.rglob("*") if path.is_file()]
    kept = [path for path in files if not {"sr", "findings"} & {*path.relative_to(out).parts}]
    assert not [path for path in kept if dicom_files.TOKEN.encode() in path.read_bytes()]


def _read(report: Path | bytes) -> pydicom.Dataset:
    return pydicom.dcmread(report if isinstance(report, Path) else BytesIO(report))


def _count_heads(report: Path | bytes) -> int:
    """Return how many heads a report holds."""
    return len(items(_read(report), "Head Circumference"))


@needs_clients
@pytest.mark.parametrize("n_kills", [2, pytest.param(20, marks=pytest.mark.nightly)])
def test_what_was_answered_outlives_kills_and_has_its_rows_once(
    n_kills: int, scan: np.ndarray, tmp_path: Path, start: Callable[..., Node]
) -> None:
    """A report that the archive was sent before a kill may be sent again, but is the same."""
    archive: dict[str, bytes] = {}

    def keep(path: Path, uid: str) -> int:
        assert archive.setdefault(uid, path.read_bytes()) == path.read_bytes()
        return 0

    with run_server(NodeAddress(port=0), keep, tmp_path / "archive", print) as (host, port):
        back = ("--return", f"ARCHIVE@{host}:{port}", "--exam-ends-after", 0.1)
        n_images = _kill_often(n_kills, scan, tmp_path, partial(start, tmp_path / "out", *back))
        until(lambda: _count_reported([*archive.values()]) == n_images)
    assert archive.keys() == {
        str(pydicom.dcmread(path).SOPInstanceUID) for path in (tmp_path / "out" / "sr").iterdir()
    }


def _count_reported(reports: Iterable[Path | bytes]) -> int:
    """Return how many heads the last reports of studies hold."""
    counts: dict[str, int] = {}
    for report in reports:
        study = _read(report).StudyInstanceUID
        counts[study] = max(_count_heads(report), counts.get(study, 0))
    return sum(counts.values())


def _kill_often(n_kills: int, scan: np.ndarray, tmp_path: Path, start: Callable[..., Node]) -> int:
    """Send to a node and kill it; check its rows, and return of how many images they are."""
    out, numbers = tmp_path / "out", random.Random(n_kills)
    answered: set[str] = set()
    for number in range(n_kills):
        batch = write_images(tmp_path / f"sent{number}", scan, 12)
        node = start("--no-masks")
        answered |= _send_and_kill(node, batch, numbers)
    node = start("--no-masks")
    node.wait_measured()
    until(lambda: _count_reported(out.glob("sr/*.dcm")) == len([*(out / "findings").glob("*/*")]))
    node.stop()
    found = untimed_rows(out)
    keys = [(row["file"], row["frame"]) for row in found]
    assert len(keys) == len({*keys})
    measured = {file for file, _ in keys}
    assert answered <= measured  # others were kept just before the kill, and not answered
    assert len(measured) >= n_kills
    (tmp_path / "all").mkdir()
    for file in measured:
        (path,) = tmp_path.glob(f"sent*/{file}")
        path.rename(tmp_path / "all" / file)
    call("infer", tmp_path / "all", "--out", tmp_path / "infer", "--no-masks", "--no-overlays")
    assert found == untimed_rows(tmp_path / "infer")
    assert len([*(out / "overlays").iterdir()]) == len(found)
    return len(measured)


def _send_and_kill(node: Node, paths: Sequence[Path], numbers: random.Random) -> set[str]:
    """Send files and kill the node at a random moment; returns those that were answered."""
    command = ["storescu", "-v", "-R", "127.0.0.1", node.port, *map(str, paths)]
    n_answers = numbers.randint(1, len(paths))
    answered: set[str] = set()
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as sending:
        for line in sending.stderr:
            if "Sending file: " in line:
                file = Path(line.split("Sending file: ")[1].strip()).name
            elif "Store Response (Success)" in line:
                answered.add(file)
                if len(answered) == n_answers:
                    threading.Timer(numbers.random(), node.process.kill).start()
    node.process.kill()
    node.process.wait(TIMEOUT_S)
    return answered


@needs_clients
def test_reports_wait_for_an_archive_that_is_away_and_go_there_over_tls(
    images: list[Path], tmp_path: Path, start: Callable[..., Node]
) -> None:
    certificate, key = make_certificate(tmp_path, "node")
    own = ("--tls-cert", certificate, "--tls-key", key)
    secured = (*own, "--return-tls", "--tls-ca", certificate, "--exam-ends-after", 1)
    tls = ("+tls", key, certificate, "+cf", certificate)
    out, archive = tmp_path / "out", tmp_path / "archive"
    node = start(out, *secured, "--return", f"ARCHIVE@127.0.0.1:{_free_port()}")
    assert node.send(images[0], check=False) == 0  # in the clear
    assert node.send(*tls, *images[:2]) == 2
    node.wait_measured()
    until(lambda: len([*out.glob("sr/*.dcm")]) == 1)
    assert "ARCHIVE@127.0.0.1" in node.stop()
    there = start(archive, "--no-sr", *own)
    node = start(out, *secured, "--return", f"ARCHIVE@127.0.0.1:{there.port}")
    assert node.send(*tls, images[2]) == 1
    node.wait_measured()
    until(lambda: len([*out.glob("sr/*.dcm")]) == 2)
    node.stop()
    assert "left out, which hold no ultrasound image: 2" in there.stop()
    assert len(untimed_rows(out)) == 3
    assert untimed_rows(archive) == []


@pytest.mark.skipif(ORTHANC is None, reason="Orthanc is not installed")
@needs_clients
@pytest.mark.parametrize("way", ["node", "dicom-web"])
def test_an_archive_routes_images_here_and_takes_reports_back(
    images: list[Path], tmp_path: Path, start: Callable[..., Node], way: str
) -> None:
    out, dicom_port, http_port = tmp_path / "out", _free_port(), _free_port()
    to = f"ARCHIVE@127.0.0.1:{dicom_port}"
    if way == "dicom-web":
        pytest.importorskip("dicomweb_client")
        if not DICOMWEB.exists():
            pytest.skip("Orthanc's plugin is not installed: orthanc-dicomweb")
        to = f"http://127.0.0.1:{http_port}/dicom-web"
    back = ("--return", to, "--exam-ends-after", 2)
    node = start(out, *back, "--seg")
    with _orthanc(tmp_path, dicom_port, http_port, node.port):
        until(lambda: _ask(http_port, "/system") is not None)
        command = ["storescu", "-R", "127.0.0.1", str(dicom_port), *map(str, images)]
        subprocess.run(command, timeout=TIMEOUT_S, check=True)
        until(lambda: len(_ask(http_port, "/instances") or []) == 9)
        found = [
            _ask(http_port, f"/instances/{instance}/simplified-tags")["Modality"]
            for instance in _ask(http_port, "/instances")
        ]
        assert [found.count(modality) for modality in ("US", "SR", "SEG")] == [4, 1, 4]
        assert {len(study["Series"]) for study in _ask(http_port, "/studies?expand")} == {6}
        assert to not in node.stop()
    assert len(untimed_rows(out)) == 6


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--aet", "A TITLE FAR TOO LONG"), "1 to 16 characters"),
        (("--return", "ARCHIVE"), "AET@HOST:PORT"),
        (("--tls-cert", "cert.pem"), "--tls-key"),
        (("--tls-ca", "ca.pem"), "--tls-cert"),
        (("--no-sr", "--return", "A@b:1"), "--seg"),
    ],
)
def test_wrong_options_are_refused(options: tuple[str, ...], why: str, tmp_path: Path) -> None:
    result = call("listen", "--out", tmp_path / "out", *options)
    assert result.exit_code in (1, 2)
    assert why in f"{result.output} {result.exception}".replace("\n", " ")
    assert not (tmp_path / "out").exists()


def test_without_its_package_it_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynetdicom", None)
    result = call("listen", "--out", tmp_path / "out")
    assert isinstance(result.exception, MissingExtraError)
    assert "edgeseg[dicom-node]" in str(result.exception)


@contextlib.contextmanager
def _orthanc(folder: Path, dicom_port: int, http_port: int, node_port: str) -> Iterator[None]:
    """Run an archive that sends ultrasound on as it comes."""
    (folder / "route.lua").write_text(
        "function OnStoredInstance(instance, tags, metadata)\n"
        "  if tags['Modality'] == 'US' then SendToModality(instance, 'edgeseg') end\n"
        "end\n"
    )
    configuration = {
        **{"DicomAet": "ARCHIVE", "DicomPort": dicom_port, "HttpPort": http_port},
        **{"StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db")},
        **{
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": False,
            "Plugins": [str(DICOMWEB)],
        },
        **{"DicomCheckCalledAet": False, "DicomAlwaysAllowStore": True},
        "DicomModalities": {"edgeseg": ["EDGESEG", "127.0.0.1", int(node_port)]},
        "LuaScripts": [str(folder / "route.lua")],
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    command = [str(ORTHANC), str(folder / "orthanc.json")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as it:
        try:
            yield
        finally:
            it.terminate()


def _ask(port: int, path: str) -> Any:
    """Return what an archive answers; None while it cannot."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return json.load(answer)
    except OSError:
        return None


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
