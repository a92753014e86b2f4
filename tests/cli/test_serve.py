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

import pytest

from edgeseg.cli.failures import describe_error
from tests.cli.calls import call

TIMEOUT_S = 60


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM")
def test_it_says_its_address_and_ends_when_it_is_told() -> None:
    command = [sys.executable, "-m", "edgeseg", "serve", "--port", "0", "--device", "cpu"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as it:
        line = it.stdout.readline()
        address = re.findall(r"http://\S+/", line)[0]
        assert "hc18-nano" in line
        with urllib.request.urlopen(address, timeout=TIMEOUT_S) as page:
            assert b"<h1>Head circumference</h1>" in page.read()
        it.send_signal(signal.SIGTERM)
        out, _ = it.communicate(timeout=TIMEOUT_S)
    assert it.returncode == 0
    assert "stopping" in out


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
