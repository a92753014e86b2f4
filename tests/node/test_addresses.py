from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path
from unittest.mock import Mock

import pytest
from pytest import MonkeyPatch

from edgeseg.errors import ConfigError, DataError, InputNotFoundError
from edgeseg.node.addresses import Bounds, Caller, Remote, find_fixed_addresses, make_tls
from edgeseg.node.report_sender import Outcome, Peer
from edgeseg.system.addresses import parse_address
from tests.fakes import until
from tests.node.conftest import (
    Certificates,
    Start,
    answers_echo,
    connected,
    example,
    read_unit,
    run,
)

# pynetdicom leaves the socket of a failed handshake to the garbage collection
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.mark.parametrize(
    ("text", "remote"),
    [
        (" A B  @pacs.local:11112", Remote("A B", "pacs.local", 11112)),
        ("me@home@[FD00::5]:65535", Remote("me@home", "fd00::5", 65535)),
        ("A@[fe80::1%eth0]:104", Remote("A", "fe80::1%eth0", 104)),
        ("A@k\u00f6ln.local:104", Remote("A", "k\u00f6ln.local", 104)),
    ],
)
def test_a_remote_is_read_and_written(text: str, remote: Remote) -> None:
    assert Remote.parse(text) == remote
    assert Remote.parse(str(remote)) == remote


@pytest.mark.parametrize(
    "text",
    [
        *("ARCHIVE", "ARCHIVE@host", "ARCHIVE@host:0", "ARCHIVE@host:65536", "ARCHIVE@:104"),
        *("ARCHIVE@ho st:104", "ARCHIVE@fd00::5:104", "   @host:104", "SEVENTEEN_LETTERS@host:104"),
        *("A\\B@host:104", "A\nB@host:104", "K\u00f6ln@host:104"),
    ],
)
def test_what_is_no_remote_is_refused(text: str) -> None:
    with pytest.raises(DataError):
        Remote.parse(text)


def test_a_caller_is_read_and_admitted_by_title_and_address(monkeypatch: MonkeyPatch) -> None:
    assert Caller.parse(" VOLUSON ") == Caller("VOLUSON")
    assert Caller.parse("VOLUSON@10.0.0.7") == Caller("VOLUSON", "10.0.0.7")
    assert Caller.parse("A@[FD00::7]") == Caller.parse("A@fd00::7") == Caller("A", "fd00::7")
    with pytest.raises(DataError):
        Caller.parse("VOLUSON@10.0.0.7:104")
    assert not Caller("A").admits("a", "10.0.0.7")
    found = [[(socket.AF_INET, 0, 0, "", (f"10.0.0.{last}", 0))] for last in (7, 8)]
    monkeypatch.setattr(socket, "getaddrinfo", Mock(side_effect=[*found, socket.gaierror]))
    caller = Caller.parse("A@scanner.local")
    assert [caller.admits("A", "10.0.0.7") for _ in range(3)] == [True, False, False]


def test_only_addresses_can_be_told_before_the_title_and_have_one_spelling() -> None:
    assert str(parse_address("::ffff:10.0.0.7")) == "10.0.0.7"
    assert str(parse_address("fe80::1%eth0")) == "fe80::1"
    both = [Caller("A", "10.0.0.7"), Caller("B", "::1")]
    assert find_fixed_addresses(both) == {"10.0.0.7", "::1"}
    assert find_fixed_addresses([*both, Caller("B")]) is None
    assert find_fixed_addresses([*both, Caller("A", "scanner.local")]) is None


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
    until(lambda: any("TLS failed: WRONG_VERSION_NUMBER" in notice for notice in node.notices))
    assert any("TLS failed: CERTIFICATE_VERIFY_FAILED" in notice for notice in node.notices)


def test_reports_go_to_named_hosts(started: Start, certificates: Certificates) -> None:
    # callers need no certificate
    node = started(tls=make_tls(None, *certificates.node, is_node=True))
    context, files = make_tls(certificates.authority), [example()]
    (outcome,) = Peer(Remote("NODE", *node.address), "EDGESEG", context).send(files)
    assert outcome == Outcome(True)
    elsewhere = Remote("NODE", "127.1", node.address[1])  # the same machine
    (outcome,) = Peer(elsewhere, "EDGESEG", context).send(files)
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
