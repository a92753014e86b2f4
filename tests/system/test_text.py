from __future__ import annotations

import pytest

from edgeseg.errors import ImageDecodeError
from edgeseg.images.image_file import decode_frame
from edgeseg.system.text import describe_text_file, first_line, markdown, short, visible

HOSTILE = [
    ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
    ("\x9b2J", "\\x9b2J"),
    ("a\r\nb\tc\0d", "a\\r\\nb\\tc\\x00d"),
    ("gnp.\u202egpj", "gnp.\\u202egpj"),
    ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
    ("\udcff\ud800", "\\udcff\\ud800"),
    ("\U000e0041", "\\U000e0041"),
    *[(text, text) for text in ("", "Kopf Müller 37+2 °C.png", "日本語 🙂", "a\\b", "<img> | `x`")],
]


def test_what_steers_a_terminal_or_markdown_is_escaped_and_nothing_else() -> None:
    for text, shown in HOSTILE:
        assert visible(text) == shown
    written = markdown("<img src=x onerror=alert(1)> a|b [a](b) `x` *a* &lt; \x1b")
    assert not set(written.replace("&#", "")) & set("<>|[]`*&\\")
    assert markdown("hc18-edge_2") == "hc18-edge_2"


def test_of_what_an_engine_says_the_first_line_is_kept() -> None:
    assert first_line(RuntimeError(" out of memory\nat some line")) == "out of memory"
    assert first_line(KeyError()) == "KeyError"
    assert short("a\nb") == "'a\\nb'" and len(short("x" * 10**6)) < 100
    assert first_line(RuntimeError("a" * 10_000 + "\nb")) == "a" * 1000 + "…"


def test_texts_in_the_place_of_files() -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
    for page in (b"\n <!DOCTYPE html><html>", b"<HTML><head>"):
        assert "web page" in describe_text_file(page)
    with pytest.raises(ImageDecodeError, match="git lfs pull"):
        decode_frame(pointer)
    assert describe_text_file(b"\x89PNG") == ""
