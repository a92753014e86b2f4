"""`edgeseg serve` as a process."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.cli.process import describe_error
from edgeseg.system.addresses import find_own_addresses
from tests.cli.calls import call

TIMEOUT_S = 60


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM and no such terminal")
def test_it_says_its_addresses_and_ends_when_it_is_told() -> None:
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "edgeseg", "serve", "--host", "0.0.0.0", "--port", "0"]
    with subprocess.Popen(command, stdout=theirs, stderr=theirs) as it:
        os.close(theirs)
        try:
            screen = read_until(ours, "HTTPS")
            urls = re.findall(r"http://\S+/", screen)
            assert len(urls) == 1 + len(find_own_addresses())
            for url in urls:
                with urllib.request.urlopen(url, timeout=TIMEOUT_S) as page:
                    assert b"<h1>Head circumference</h1>" in page.read()
            assert read_qr_code(screen) in urls[1:2]
        finally:
            it.send_signal(signal.SIGTERM)
        assert "stopping" in read_until(ours, "stopping")
        assert it.wait(TIMEOUT_S) == 0
    os.close(ours)


def read_until(terminal: int, end: str) -> str:
    text = b""
    while end not in text.decode(errors="ignore"):
        text += os.read(terminal, 1 << 16)
    return text.decode()


def read_qr_code(screen: str) -> str:
    rows = re.findall("[ \u2580\u2584\u2588]{20,}", screen)
    halves = np.array(
        [[" \u2584\u2580\u2588".index(sign) for sign in row] for row in rows], np.uint8
    )
    light = np.stack([halves >> 1, halves & 1], axis=1).reshape(-1, halves.shape[1])
    return cv2.QRCodeDetector().detectAndDecode(np.kron(light * 255, np.ones((8, 8), np.uint8)))[0]


def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = call("serve", "--port", port, "--device", "cpu")
    said = describe_error(result.exception) or ""
    assert f"port {port}" in said and "--port" in said


def test_the_page_is_written_for_other_servers(tmp_path: Path) -> None:
    out = tmp_path / "site"
    result = call("serve", "--export", out, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert (out / "index.html").is_file() and (out / "model.onnx").is_file()
