from __future__ import annotations

import pytest

from edgeseg.system.addresses import caller_key, parse_authority


@pytest.mark.parametrize("text", [
    "", ".", "a..b", "a b", "a:", "a:x", "a:70000", "u@a", "a/b", "::1", "[::1", "[a]", "ä.example",
    "a\n", "a:１",  # noqa: RUF001 (a digit that is not ASCII)
])  # fmt: skip
def test_authorities_are_parsed_and_other_texts_are_none(text: str) -> None:
    name = "Scanner-1.Ward.example"
    assert parse_authority(f"{name}:8000") == (name.lower(), 8000)
    assert parse_authority("localhost.") == ("localhost", None)
    assert parse_authority("[0:0::1]:80") == ("::1", 80)
    with pytest.raises(ValueError, match=r"\S"):
        parse_authority(text)


def test_a_caller_is_an_address_or_a_network_of_ipv6() -> None:
    assert caller_key("10.0.0.1") == caller_key("::ffff:10.0.0.1")
    assert caller_key("2001:db8::1") == caller_key("2001:db8::ff:2")
    assert caller_key("2001:db8::1") != caller_key("2001:db8:0:1::1")
    assert caller_key("10.0.0.1") != caller_key("10.0.0.2")
    assert caller_key("fe80::1%eth0") == caller_key("fe80::2")
