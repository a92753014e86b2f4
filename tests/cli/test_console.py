"""What is printed is text, whatever a file or a model is called."""

from __future__ import annotations

import re
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from edgeseg.cli import console

NAME = "a\x1b[2Jb\u202ec\nd"
SHOWN = "a\\x1b[2Jb\\u202ec\\nd"


@pytest.mark.parametrize("say", [console.say, console.notice, console.failure])
def test_lines_are_escaped(say, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    say(f"{NAME} is said")
    captured = capsys.readouterr()
    assert f"{SHOWN} is said" in captured.out + captured.err
    assert "\x1b[2J" not in captured.out + captured.err
    assert len((captured.out + captured.err).splitlines()) == 1


def test_cells_and_titles_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    console.table([NAME, "b"], [[NAME, "[red]x[/red]"]])
    printed = capsys.readouterr().out
    assert printed.count(SHOWN) == 2
    assert "[red]x[/red]" in printed
    assert "\u202e" not in printed


def test_a_remark_that_cannot_be_said_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Mock(side_effect=OSError(28, "No space left on device"))
    monkeypatch.setattr("sys.stderr", SimpleNamespace(encoding="utf-8", write=full))
    console.notice("x")
    console.failure("y")
    assert full.called


@pytest.mark.parametrize("width", [80, 50])
def test_a_table_on_a_narrow_terminal_cuts_no_word(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    titles = ["model", *(f"figure {i}" for i in range(9)), "what it is called"]
    cells = ["hc18-edge-int8", *(f"12345.6{i}" for i in range(9)), "--name-of-an-option and more"]
    console.table(titles, [cells, cells], range(1, 10))
    lines = re.sub("\x1b.*?m", "", capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    assert all(words.count(word) >= 2 for cell in cells for word in cell.split())
    assert words.count("model") == words.count(cells[0]) / 2 > 1
