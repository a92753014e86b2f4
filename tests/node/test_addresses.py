from __future__ import annotations

import socket

import pytest

from edgeseg.errors import DataError
from edgeseg.node.addresses import Caller, Remote, find_fixed_addresses, normalize_address


@pytest.mark.parametrize(
    ("text", "remote"),
    [
        ("ARCHIVE@10.0.0.5:104", Remote("ARCHIVE", "10.0.0.5", 104)),
        ("A B@pacs.local:11112", Remote("A B", "pacs.local", 11112)),
        ("ARCHIVE@[FD00::5]:104", Remote("ARCHIVE", "fd00::5", 104)),
        ("me@home@host:1", Remote("me@home", "host", 1)),
        (" SPACES  @host:65535", Remote("SPACES", "host", 65535)),
    ],
)
def test_a_remote_is_read_and_written(text: str, remote: Remote) -> None:
    assert Remote.parse(text) == remote
    assert Remote.parse(str(remote)) == remote


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ARCHIVE", "AET@HOST:PORT"),
        ("ARCHIVE@host", "AET@HOST:PORT"),
        ("ARCHIVE@host:0", "1 to 65535"),
        ("ARCHIVE@host:65536", "1 to 65535"),
        ("ARCHIVE@host:\u0661", "1 to 65535"),
        ("ARCHIVE@:104", "name or address"),
        ("ARCHIVE@ho st:104", "name or address"),
        ("ARCHIVE@fd00::5:104", "in brackets"),
        ("ARCHIVE@[host]:104", "in brackets"),
        ("   @host:104", "not only spaces"),
        ("SEVENTEEN_LETTERS@host:104", "this has 17"),
        ("A\\B@host:104", "no backslash"),
        ("A\nB@host:104", "printable ASCII"),
        ("K\u00f6ln@host:104", "printable ASCII"),
    ],
)
def test_what_is_no_remote_is_refused(text: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        Remote.parse(text)


def test_a_caller_is_read_with_and_without_its_host() -> None:
    assert Caller.parse(" VOLUSON ") == Caller("VOLUSON")
    assert Caller.parse("VOLUSON@10.0.0.7") == Caller("VOLUSON", "10.0.0.7")
    assert Caller.parse("VOLUSON@[FD00::7]") == Caller.parse("VOLUSON@fd00::7")
    assert str(Caller.parse("VOLUSON@fd00::7")) == "VOLUSON@[fd00::7]"
    with pytest.raises(DataError, match="in brackets"):
        Caller.parse("VOLUSON@10.0.0.7:104")


def test_a_caller_is_admitted_by_title_and_address() -> None:
    assert Caller("A").admits("A", "10.0.0.7")
    assert not Caller("A").admits("a", "10.0.0.7")
    assert Caller("A", "10.0.0.7").admits("A", "10.0.0.7")
    assert not Caller("A", "10.0.0.7").admits("A", "10.0.0.8")


def test_a_callers_name_is_looked_up_when_it_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    now = ["10.0.0.7"]

    def look_up(*_: object, **__: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, 0, 0, "", (address, 0)) for address in now]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    caller = Caller.parse("A@scanner.local")
    assert caller.admits("A", "10.0.0.7")
    now[:] = ["10.0.0.8"]
    assert not caller.admits("A", "10.0.0.7")


def test_an_unknown_name_admits_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    assert not Caller("A", "scanner.local").admits("A", "10.0.0.7")


def test_an_ipv4_address_within_ipv6_is_the_ipv4_address() -> None:
    assert normalize_address("::ffff:10.0.0.7") == "10.0.0.7"
    assert normalize_address("fe80::1%eth0") == "fe80::1"


def test_only_addresses_can_be_told_before_the_title() -> None:
    assert find_fixed_addresses([Caller("A", "10.0.0.7"), Caller("B", "::1")]) == {
        "10.0.0.7",
        "::1",
    }
    assert find_fixed_addresses([Caller("A", "10.0.0.7"), Caller("B")]) is None
    assert find_fixed_addresses([Caller("A", "scanner.local")]) is None
