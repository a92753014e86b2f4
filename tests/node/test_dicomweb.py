"""Reports go to an archive over DICOMweb, and what it answers decides whether they go again."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator

import pytest

from edgeseg.errors import ConfigError
from edgeseg.node import dicomweb
from edgeseg.node.dicomweb import WebArchive
from tests.node.conftest import example

pytest.importorskip("dicomweb_client")
pytest.importorskip("pydicom")


class Archive(http.server.BaseHTTPRequestHandler):
    """Answers each request with the next of ``answers``: a status, and a FailureReason."""

    answers: Iterator[tuple[int, int]]
    asked: list[str | None]

    def do_POST(self) -> None:
        size = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(size)
        self.asked.append(self.headers.get("Authorization"))
        status, reason = next(self.answers)
        failed = {"00081197": {"vr": "US", "Value": [reason]}}
        told = {"00081198": {"vr": "SQ", "Value": [failed]}} if reason else {}
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    Archive.asked = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Archive) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/dicom-web"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("status", "reason", "is_done", "said"),
    [
        (200, 0, True, ""),
        (202, 0xA700, False, "0xA700"),
        (202, 0xC000, True, "0xC000"),
        (400, 0, True, "HTTP 400"),
        (401, 0, False, "EDGESEG_DICOMWEB_USER"),
        (503, 0, False, "HTTP 503"),
    ],
)
def test_what_may_pass_is_sent_again(
    url: str, status: int, reason: int, is_done: bool, said: str
) -> None:
    Archive.answers = iter([(status, reason)])
    (outcome,) = WebArchive.open(url).send([example()])
    assert outcome.is_done is is_done and said in outcome.reason
    assert bool(outcome.reason) is bool(said)


def test_an_archive_that_is_away_is_tried_again() -> None:
    archive = WebArchive.open("http://127.0.0.1:1/dicom-web")
    first, second = archive.send([example(), example()], iter([True, False]).__next__)
    assert not first.is_done and "no answer" in first.reason
    assert second == (False, "")


def test_passwords_travel_over_tls_alone(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(dicomweb.USER, "me")
    with pytest.raises(ConfigError, match="unencrypted"):
        WebArchive.open(url)
    archive = WebArchive.open("https://archive.example/dicom-web")
    assert archive.client._session.auth == ("me", "") and archive.client._session.verify is True
    monkeypatch.delenv(dicomweb.USER)
    with pytest.raises(ConfigError, match="EDGESEG_DICOMWEB_PASSWORD"):
        WebArchive.open("https://me:secret@archive.example/dicom-web")
