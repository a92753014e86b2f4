from __future__ import annotations

import ssl
import threading
from pathlib import Path

import pytest

from edgeseg.errors import ConfigError, InputNotFoundError
from edgeseg.node.addresses import Bounds, Remote, make_tls
from edgeseg.node.report_sender import Outcome, send_files
from tests.node.conftest import Certificates, Start, example, run
from tests.node.peers import answers_echo, connected, read_unit, until

# pynetdicom leaves the socket of a failed handshake to the garbage collection
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def test_both_sides_are_checked(started: Start, certificates: Certificates) -> None:
    context = make_tls(certificates.authority, *certificates.node, is_node=True)
    assert context.minimum_version >= ssl.TLSVersion.TLSv1_2 <= make_tls().minimum_version
    node = started(tls=context)
    authority, stranger = certificates.authority, certificates.stranger
    assert answers_echo(node.address, make_tls(authority, *certificates.caller))
    assert not answers_echo(node.address, make_tls(authority, *stranger))
    assert not answers_echo(node.address, make_tls(authority))
    assert not answers_echo(node.address, make_tls(stranger[0], *certificates.caller))
    assert not answers_echo(node.address)  # in the clear
    assert any("a connection failed" in notice for notice in node.notices)


def test_reports_go_to_named_hosts(started: Start, certificates: Certificates) -> None:
    # callers need no certificate
    node = started(tls=make_tls(None, *certificates.node, is_node=True))
    context, files = make_tls(certificates.authority), [example()]
    (outcome,) = send_files(files, Remote("NODE", *node.address), "EDGESEG", context)
    assert outcome == Outcome(True)
    elsewhere = Remote("NODE", "127.1", node.address[1])  # the same machine
    (outcome,) = send_files(files, elsewhere, "EDGESEG", context)
    assert not outcome.is_done
    assert "certificate" in outcome.reason


def test_a_hanging_handshake_counts_and_holds_nobody_up(
    started: Start, certificates: Certificates
) -> None:
    bounds = Bounds(association_s=2, connections=3)
    node = started(tls=make_tls(None, *certificates.node, is_node=True), bounds=bounds)
    before = threading.active_count()
    context = make_tls(certificates.authority)
    with connected(node.address) as one, connected(node.address) as other:
        one.sendall(b"\x16\x03\x01")
        assert answers_echo(node.address, context)  # while both hang
        with connected(node.address), connected(node.address):
            until(lambda: any("there are too many" in notice for notice in node.notices))
        assert read_unit(one)[0] == read_unit(other)[0] == 0  # and are let go
    until(lambda: threading.active_count() <= before)


def test_files_that_do_not_serve_are_named(certificates: Certificates, tmp_path: Path) -> None:
    absent, text, locked = (tmp_path / name for name in ("absent.pem", "text.pem", "locked.key"))
    text.write_text("no PEM")
    certificate, key = certificates.node
    done = run("openssl", "ec", "-aes256", "-passout", "pass:x", "-in", key, "-out", locked)
    assert done.returncode == 0, done.stderr
    for files, error, why in (
        ((None, absent, key), InputNotFoundError, "absent.pem"),
        ((None, text, key), ConfigError, "text.pem.*PEM"),
        ((None, certificate, certificates.caller[1]), ConfigError, "its own key"),
        ((None, certificate, locked), ConfigError, "without a password"),
        ((text, certificate, key), ConfigError, "text.pem.*PEM"),
    ):
        with pytest.raises(error, match=why):
            make_tls(*files, is_node=True)
