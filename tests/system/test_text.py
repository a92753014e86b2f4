from __future__ import annotations

import csv
import errno
import io

import cv2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgeseg.errors import ImageDecodeError, ModelError
from edgeseg.images.image_file import decode_frame
from edgeseg.system.text import (
    describe_text_file,
    first_line,
    is_out_of_memory,
    markdown,
    shield,
    short,
    unshield,
    visible,
)

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


TEXTS = st.text(alphabet="=+-@'\t\r\n;, a1\"\uff1d\ud800", max_size=12)


@given(TEXTS)
@example("'")
@example("''=1")
@example("\t\t=1")
def test_what_is_shielded_comes_back_and_no_cell_of_it_is_a_formula(text: str) -> None:
    """However the spreadsheet separates cells: at our commas in quotes, or at its own signs."""
    assert unshield(shield(text)) == text
    line = io.StringIO(newline="")
    csv.writer(line).writerow([shield(text), "x"])
    (cells,) = csv.reader(io.StringIO(line.getvalue(), newline=""))
    assert not cells[0].startswith(tuple("=+-@\t\r\uff1d"))
    for part in cells[0].replace("\t", ";").replace("\n", ";").replace("\r", ";").split(";"):
        assert not part.startswith(tuple("=+-@\uff1d"))


def test_the_form_that_is_written() -> None:
    for text in ("", "a.png", "it's", "'quoted'", "a=1", "0.5", "a;b", "x-1.png"):
        assert shield(text) == unshield(text) == text
    assert [*map(shield, ("=1+1.png", "'=a", "a;=1"))] == ["'=1+1.png", "''=a", "a;'=1"]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory", "a.png"),
        cv2.error("OpenCV(4.12.0) alloc.cpp:73: error: (-4:Insufficient memory)"),
        RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : std::bad_alloc"),
        RuntimeError("can't start new thread"),
        ImportError("libavcodec.so.62: failed to map segment from shared object", name="cv2"),
    ],
)
def test_errors_of_libraries_that_ran_out_of_memory_and_others(error: Exception) -> None:
    assert is_out_of_memory(error)
    wrapped = ModelError("the network failed")
    wrapped.__cause__ = error
    assert is_out_of_memory(wrapped)
    text = "cv2.so: failed to map segment from shared object: Operation not permitted"
    denied = OSError(errno.EACCES, "Permission denied", "bad_alloc.png")
    assert not any(map(is_out_of_memory, (None, denied, ImportError(text))))
