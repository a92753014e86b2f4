"""What the command line prints: progress on a terminal, tables, figures.

Whatever is printed is made `visible` first: names of files and models are others' text.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import typer

from edgeseg.system.text import visible

if TYPE_CHECKING:
    from edgeseg.network.task import Task
    from edgeseg.output.table import Row

# Rich is imported where it draws, so that commands that draw nothing start sooner.

_PIPE_WIDTH = 240  # a table in a pipe is for a file or another program: never cut


def say(text: str) -> None:
    """Print a line of plain text to standard output."""
    typer.echo(visible(text))


def notice(text: str) -> None:
    """Print a remark to standard error, where it does not mix with results."""
    _say_in_colour(text, typer.colors.YELLOW)


def failure(text: str) -> None:
    """Print why a command failed."""
    _say_in_colour(f"error: {text}", typer.colors.RED)


def _say_in_colour(text: str, colour: str) -> None:
    # What cannot be said must not end what is done: there is nobody to say that to either.
    with contextlib.suppress(OSError, ValueError):
        coloured = False if "NO_COLOR" in os.environ else None
        typer.secho(visible(text), fg=colour, err=True, color=coloured)


def shows_progress() -> bool:
    """Return whether there is a terminal to show progress on."""
    return sys.stderr.isatty()


def table(
    titles: Sequence[str], lines: Iterable[Sequence[str]], numeric: Iterable[int] = ()
) -> None:
    """Print a table; columns in ``numeric`` are set to the right."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    right = set(numeric)
    for i, title in enumerate(titles):
        drawn.add_column(escape(visible(title)), justify="right" if i in right else "left")
    for line in lines:
        drawn.add_row(*(escape(visible(cell)) for cell in line))
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    Console(highlight=False, width=width).print(drawn)


@contextlib.contextmanager
def progress(total: int, label: str) -> Iterator[Callable[..., None]]:
    """Show a progress bar on a terminal only; yields the function to call after each item."""
    with counting(total, label) as advance:
        yield lambda *_: advance(1)


@contextlib.contextmanager
def counting(total: int | None, label: str) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal only; yields the function to call with numbers of items.

    ``total``: None where it is not known.
    """
    if not shows_progress():
        yield lambda count: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda count: bar.advance(task, count)


def row(measured: Row, task: Task) -> None:
    """Say what was measured on an image, given as its row; why not is a remark."""
    from edgeseg.measure.measurement import Measurement
    from edgeseg.measure.tasks import measure_of
    from edgeseg.output.table import figures_of, name

    if measured["status"] == "failed":
        notice(f"{name(measured)}: {measured['reason']}")
        return
    empty = measured["reason"] if measured["status"] == "empty" else ""
    found = Measurement(figures_of(measured, task), reason=empty)
    flags = f"; {measured['flags'].replace(';', ', ')}" if measured["flags"] else ""
    caption = measure_of(task).caption(found, task).replace("+/-", "±")
    say(f"{name(measured)}: {caption}{flags}")
