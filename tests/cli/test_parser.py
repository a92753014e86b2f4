from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
import typer.core
from typer.testing import CliRunner

from edgeseg.cli.parser import Command, Group


def even(value: int) -> int:
    if value % 2:
        raise typer.BadParameter("not even")
    return value


def command(
    context: typer.Context,
    names: list[str],
    out: Annotated[Path, typer.Option()],
    more: Annotated[list[str] | None, typer.Option()] = None,
    text: Annotated[str, typer.Option()] = "a",
    file: Annotated[Path | None, typer.Option()] = None,
    count: Annotated[int, typer.Option(min=1, max=9, callback=even)] = 2,
    size: Annotated[float | None, typer.Option(min=0)] = None,
    loud: Annotated[bool, typer.Option("--loud/--no-loud")] = True,
    fast: Annotated[bool, typer.Option("--fast")] = False,
) -> None:
    values = (names, out, more, text, file, count, size, loud, fast)
    context.obj.extend((type(value), value) for value in values)


def outcome(group: Any, kind: Any, arguments: list[str]) -> tuple[int, str, Any]:
    """Return the exit code, the text and the values that the command got, with their types."""
    app = typer.Typer(cls=group, rich_markup_mode=None)
    app.callback()(lambda: None)
    app.command(cls=kind)(command)
    got: list[Any] = []
    result = CliRunner().invoke(app, ["command", *arguments], obj=got)
    return result.exit_code, result.output, got


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("a --out o", 0),
        ("a b c --out o --more x --more y --text t --file f --count 4 --size 0.5 --no-loud", 0),
        ("a --out o --size nan", None),
        ("a --out o --text= --file= --fast", 0),
        ("a --out o --count 0", 2),
        ("a --out o --count 3", 2),
        ("a --out o --size -1", 2),
        ("a --out o --size wide", 2),
        ("--out o", 2),
    ],
)
def test_values_are_read_as_typer_reads_them(arguments: str, code: int | None) -> None:
    quick = outcome(Group, Command, arguments.split())
    usual = outcome(typer.core.TyperGroup, typer.core.TyperCommand, arguments.split())
    assert repr(quick) == repr(usual)
    assert code in (quick[0], None)  # None: as this typer has it
