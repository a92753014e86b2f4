from __future__ import annotations

import socket
from unittest.mock import Mock

import pytest
from pytest import MonkeyPatch

from edgeseg.errors import DataError
from edgeseg.node.addresses import Caller, Remote, find_fixed_addresses, normalize_address


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
    assert normalize_address("::ffff:10.0.0.7") == "10.0.0.7"
    assert normalize_address("fe80::1%eth0") == "fe80::1"
    both = [Caller("A", "10.0.0.7"), Caller("B", "::1")]
    assert find_fixed_addresses(both) == {"10.0.0.7", "::1"}
    assert find_fixed_addresses([*both, Caller("B")]) is None
    assert find_fixed_addresses([*both, Caller("A", "scanner.local")]) is None
