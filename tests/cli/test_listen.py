"""`edgeseg listen` as a process, with real clients: dcmtk's and an archive."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from edgeseg.cli import app
from edgeseg.phantom.head import make_phantom

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("pynetdicom")
pytest.importorskip("highdicom")

from tests.images.dicom import files as dicom_files  # noqa: E402

TIMEOUT_S = 60
ORTHANC = shutil.which("Orthanc")
needs_dcmtk = pytest.mark.skipif(shutil.which("storescu") is None, reason="no dcmtk here")
needs_signals = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")


@pytest.fixture(scope="module")
def scan() -> np.ndarray:
    return make_phantom(3, height=135, width=200).image


@pytest.fixture
def images(scan: np.ndarray, tmp_path: Path) -> list[Path]:
    """Twelve images, and a film of three frames."""
    (folder := tmp_path / "images").mkdir()
    sized = (0.7, 0.7)
    paths = [dicom_files.write(folder / f"{i:02d}.dcm", scan, pixel_mm=sized) for i in range(12)]
    return [*paths, dicom_files.write(folder / "film.dcm", np.stack([scan] * 3), pixel_mm=sized)]


@contextlib.contextmanager
def node(out: Path, *options: object) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a node on a free port; gives its process and port."""
    command = [sys.executable, "-u", "-m", "edgeseg", "listen", "--out", str(out), "--port", "0"]
    with subprocess.Popen(
        [*command, *map(str, options)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout is not None
            said = ""
            for line in process.stdout:
                said += line
                if " listens on " in line:
                    break
            else:
                pytest.fail(said)
            yield process, int(line.split(":")[1].split(";")[0])
        finally:
            process.kill()


def stop(process: subprocess.Popen[str]) -> str:
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=TIMEOUT_S)
    return said


def send(port: int, *paths: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = ["storescu", "-v", "-R", "127.0.0.1", str(port), *map(str, paths)]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=check)


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open(newline="", encoding="utf-8-sig") as stream:
        return list(csv.DictReader(stream))


def keys(paths: list[Path]) -> Counter[tuple[str, str]]:
    """What rows there must be of files."""
    found: Counter[tuple[str, str]] = Counter()
    for path in paths:
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        count = int(dataset.get("NumberOfFrames", 1))
        for number in range(1, count + 1):
            found[f"{dataset.SOPInstanceUID}.dcm", str(number) if count > 1 else ""] += 1
    return found


def until(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not ready():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


@needs_dcmtk
@needs_signals
def test_what_is_sent_has_rows_reports_and_pictures(images: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    with node(out) as (process, port):
        assert subprocess.run(["echoscu", "127.0.0.1", str(port)], check=False).returncode == 0
        assert send(port, *images).stderr.count("Received Store Response (Success)") == 13
        found = rows(out)
        assert Counter((row["file"], row["frame"]) for row in found) == keys(images)
        assert {row["status"] for row in found} == {"ok"}
        assert len({row["hc_mm"] for row in found}) == 1
        assert len([*(out / "sr").iterdir()]) == 13
        assert len([*(out / "masks").iterdir()]) == len([*(out / "overlays").iterdir()]) == 15
        said = stop(process)
    assert process.returncode == 0
    assert "stopped; results in" in said
    assert (out / "report.html").is_file()
    assert (out / "cines.csv").is_file()
    token = dicom_files.TOKEN.encode()
    assert token.decode() not in said
    kept = [path for path in out.rglob("*") if path.is_file() and path.parent.name != "sr"]
    assert not [path for path in kept if token in path.read_bytes()]


@needs_dcmtk
@needs_signals
def test_killed_in_the_middle_and_sent_again_each_has_its_rows_once(
    images: list[Path], tmp_path: Path
) -> None:
    out, plain = tmp_path / "out", ("--no-masks", "--no-overlays", "--no-sr")
    for enough in (1, 4, 9):
        with node(out, *plain) as (process, port):
            before = len(rows(out))
            command = ["storescu", "-R", "127.0.0.1", str(port), *map(str, images)]
            with subprocess.Popen(command, stderr=subprocess.DEVNULL) as sending:
                until(lambda: len(rows(out)) >= min(before + enough, 15))  # noqa: B023
                process.kill()
                sending.wait(TIMEOUT_S)
    with node(out, *plain) as (process, port):
        send(port, *images)
        send(port, *images)
        stop(process)
    assert Counter((row["file"], row["frame"]) for row in rows(out)) == keys(images)


@needs_dcmtk
@needs_signals
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_what_is_asked_of_tls_and_sizes_is_done(images: list[Path], tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    made += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([*made, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    tls = ("--tls-cert", certificate, "--tls-key", key)
    large = pydicom.dcmread(images[0])
    large.Rows, large.Columns = 1200, 1000
    large.PixelData = bytes(1200 * 1000)
    large.save_as(tmp_path / "large.dcm")
    archive = node(tmp_path / "archive", "--no-sr", *tls)
    with archive as (at_archive, there), node(tmp_path / "out", *tls, "--max-instance", 1,
            "--return", f"ARCHIVE@127.0.0.1:{there}", "--return-tls", "--tls-ca", certificate,
    ) as (process, port):  # fmt: skip
        assert send(port, images[0], check=False).returncode != 0  # in the clear
        secured = ["storescu", "-R", "+tls", key, certificate, "+cf", certificate]
        secured += ["127.0.0.1", str(port)]
        subprocess.run([*secured, images[0]], check=True, timeout=TIMEOUT_S)
        too_large = subprocess.run([*secured, tmp_path / "large.dcm"], timeout=TIMEOUT_S)
        assert too_large.returncode != 0
        until(lambda: len(rows(tmp_path / "archive")) == 1)  # which came over TLS, or not at all
        assert "too large" in stop(process)
        stop(at_archive)
    assert len(rows(tmp_path / "out")) == 1


@needs_dcmtk
@needs_signals
def test_only_those_allowed_may_send(images: list[Path], tmp_path: Path) -> None:
    with node(tmp_path / "out", "--no-sr", "--allow", "PROBE") as (process, port):
        assert send(port, images[0], check=False).returncode != 0
        allowed = ["storescu", "-R", "-aet", "PROBE", "127.0.0.1", str(port), str(images[0])]
        subprocess.run(allowed, check=True, timeout=TIMEOUT_S)
        said = stop(process)
    assert len(rows(tmp_path / "out")) == 1
    assert "STORESCU" in said


@pytest.mark.skipif(ORTHANC is None, reason="Orthanc is not installed")
@needs_dcmtk
@needs_signals
def test_an_archive_routes_images_here_and_takes_reports_back(
    images: list[Path], tmp_path: Path
) -> None:
    out, dicom_port, http_port = tmp_path / "out", _free_port(), _free_port()
    back = ("--return", f"ARCHIVE@127.0.0.1:{dicom_port}", "--seg")
    with node(out, *back) as (process, port), _orthanc(tmp_path, dicom_port, http_port, port):
        until(lambda: _asked(http_port, "/system") is not None)
        send(dicom_port, *images[:3], images[-1])
        until(lambda: len(_asked(http_port, "/instances") or []) == 12)
        found = [_asked(http_port, f"/instances/{i}/simplified-tags") for i in
                 _asked(http_port, "/instances")]  # fmt: skip
        assert Counter(tags["Modality"] for tags in found) == {"US": 4, "SR": 4, "SEG": 4}
        assert {len(study["Series"]) for study in _asked(http_port, "/studies?expand")} <= {3, 4}
        said = stop(process)
    assert "no connection" not in said.partition("listens")[2]
    assert Counter((row["file"], row["frame"]) for row in rows(out)) == keys(
        [*images[:3], images[-1]]
    )


@needs_dcmtk
@needs_signals
def test_reports_wait_for_an_archive_that_is_away(images: list[Path], tmp_path: Path) -> None:
    out, away = tmp_path / "out", _free_port()
    with node(out, "--return", f"ARCHIVE@127.0.0.1:{away}") as (process, port):
        send(port, *images[:2])
        said = stop(process)
    assert "ARCHIVE@127.0.0.1" in said
    assert process.returncode == 0
    archive = tmp_path / "archive"
    with (
        node(archive, "--no-sr") as (_, there),
        node(out, "--return", f"ARCHIVE@127.0.0.1:{there}") as (process, _),
    ):
        until(lambda: len(rows(archive)) == 2)
        assert {row["reason"] for row in rows(archive)} == {"the DICOM file holds no image"}
        stop(process)
    assert not [*(archive / ".incoming").iterdir()]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--aet", "A TITLE FAR TOO LONG"), "at most 16 characters"),
        (("--return", "ARCHIVE"), "AET@HOST:PORT"),
        (("--allow", "@x"), "AE title"),
        (("--tls-cert", "cert.pem"), "--tls-cert and --tls-key"),
        (("--tls-cert", "cert.pem", "--tls-key", "key.pem"), "cert.pem: no such file"),
        (("--tls-ca", "ca.pem"), "needs --tls-cert"),
        (("--no-sr", "--return", "A@b:1"), "--return sends reports"),
    ],
)
def test_what_cannot_be_is_said_at_once(options: tuple[str, ...], why: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["listen", "--out", str(tmp_path / "out"), *options])
    assert result.exit_code in (1, 2)
    assert why in f"{result.output} {result.exception}".replace("\n", " ")
    assert not (tmp_path / "out").exists()


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        options = ["--out", str(tmp_path / "out"), "--port", str(port)]
        result = CliRunner().invoke(app, ["listen", *options])
    assert result.exit_code == 1
    assert f"127.0.0.1:{port}" in str(result.exception)


@contextlib.contextmanager
def _orthanc(folder: Path, dicom_port: int, http_port: int, node_port: int) -> Iterator[None]:
    """Run an archive that sends ultrasound on as it comes."""
    (folder / "route.lua").write_text(
        "function OnStoredInstance(instance, tags, metadata)\n"
        "  if tags['Modality'] == 'US' then SendToModality(instance, 'edgeseg') end\n"
        "end\n"
    )
    (folder / "orthanc.json").write_text(
        json.dumps(
            {
                "DicomAet": "ARCHIVE",
                "DicomPort": dicom_port,
                "HttpPort": http_port,
                "StorageDirectory": str(folder / "db"),
                "IndexDirectory": str(folder / "db"),
                "DicomModalities": {"edgeseg": ["EDGESEG", "127.0.0.1", node_port]},
                "LuaScripts": [str(folder / "route.lua")],
                "Plugins": [],
                "RemoteAccessAllowed": False,
                "AuthenticationEnabled": False,
                "DicomCheckCalledAet": False,
                "DicomAlwaysAllowStore": True,
            }
        )
    )
    command = [str(ORTHANC), str(folder / "orthanc.json")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as it:
        try:
            yield
        finally:
            it.terminate()


def _asked(port: int, path: str):  # type: ignore[no-untyped-def]
    """Return what an archive answers; None while it cannot."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return json.load(answer)
    except OSError:
        return None


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
