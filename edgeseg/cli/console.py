"""Print lines, tables and progress, and write what a command reports as JSON.

All text is made `visible` first, since names of files and models may hold control characters.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import typer

from edgeseg.errors import OutputWriteError
from edgeseg.system.text import printable, visible

if TYPE_CHECKING:
    from edgeseg.network.task import Task
    from edgeseg.output.table import Row

# Rich is imported where it is used, so that commands without a table start sooner.

STANDARD_OUTPUT = Path("-")
_PIPE_WIDTH = 240  # a table in a pipe is read by a program: do not cut it


def say(text: str) -> None:
    """Print a line of plain text to standard output."""
    typer.echo(visible(text))


def notice(*texts: str) -> None:
    """Print notices to standard error, apart from results."""
    for text in texts:
        _print_coloured(text, typer.colors.YELLOW)


def qr_code(text: str) -> None:
    """Print a QR code, dark on light whatever the colours, and on a terminal only."""
    if sys.stdout.isatty():
        import segno

        drawn = io.StringIO()
        segno.make_qr(text).terminal(drawn, border=2, compact=True)
        with contextlib.suppress(UnicodeEncodeError):  # of a terminal without blocks
            typer.secho(drawn.getvalue(), fg="bright_white", bg="black")


def failure(text: str) -> None:
    """Print why a command failed."""
    _print_coloured(f"error: {text}", typer.colors.RED)


def _print_coloured(text: str, colour: str) -> None:
    # A notice that cannot be printed must not end a run.
    with contextlib.suppress(OSError, ValueError):
        coloured = False if "NO_COLOR" in os.environ else None
        typer.secho(visible(text), fg=colour, err=True, color=coloured)


def format_counts(what: str, counts: Mapping[str, int], nothing: str = "no head") -> str:
    """Return how many images have each status: ``62 images: 58 ok, 4 doubtful, ...``."""
    from edgeseg.output.table import STATUSES

    names = {"empty": nothing}
    return f"{what}: " + ", ".join(f"{counts[name]} {names.get(name, name)}" for name in STATUSES)


def shows_progress() -> bool:
    """Return whether there is a terminal to show progress on."""
    return sys.stderr.isatty()


def table(
    titles: Sequence[str],
    lines: Iterable[Sequence[str]],
    numeric: Collection[int] = (),
    n_keys: int = 1,
) -> None:
    """Print a table; columns in ``numeric`` are right-aligned.

    On a narrow terminal texts of the last column are broken, and columns for which there is no room
    stand below, beside the first ``n_keys`` again.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    printer = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    columns = [[visible(cell) for cell in column] for column in zip(titles, *lines, strict=True)]
    widths = [max(map(cell_len, column)) + 2 for column in columns]
    widths[-1] = max(cell_len(word) + 2 for cell in columns[-1] for word in cell.split(" "))
    parts: list[list[int]] = []
    for i in range(n_keys, len(columns)):
        if not parts or sum(widths[j] for j in [*parts[-1], i]) > printer.width + 2:
            parts.append([*range(n_keys)])
        parts[-1].append(i)
    for part in parts:
        drawn = Table(box=None, pad_edge=False, header_style="bold", show_header=any(titles))
        for i in part:
            is_whole = n_keys <= i < len(columns) - 1  # keys that are too long are broken too
            drawn.add_column(
                escape(columns[i][0]),
                justify="right" if i in numeric else "left",
                min_width=widths[i] - 2 if is_whole else None,
                no_wrap=is_whole,
                overflow="fold",
            )
        for cells in zip(*(columns[i][1:] for i in part), strict=True):
            drawn.add_row(*map(escape, cells))
        printer.print(drawn, *[""] * (part is not parts[-1]))


@contextlib.contextmanager
def progress(total: int | None, label: str) -> Iterator[Callable[..., None]]:
    """Show a progress bar on a terminal; yields the function to call after an item.

    ``total`` is None if it is not known. The function takes anything, and a ``count`` of items.
    """
    if not shows_progress():
        yield lambda *_, count=1: None
        return
    from rich import progress as parts
    from rich.console import Console

    with parts.Progress(
        parts.TextColumn("{task.description}"),
        parts.BarColumn(),
        parts.MofNCompleteColumn(),
        parts.TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(label, total=total)
        yield lambda *_, count=1: bar.advance(task, count)


def row(measured: Row, task: Task) -> None:
    """Say what was measured on an image, given as its row; why not is a remark."""
    from edgeseg.measure.measurement import Measurement
    from edgeseg.measure.tasks import measure_of
    from edgeseg.output.table import figures_of, name

    if measured["status"] == "failed":
        notice(f"{name(measured)}: {measured['reason']}")
        return
    empty = str(measured["reason"]) if measured["status"] == "empty" else ""
    found = Measurement(figures_of(measured, task), reason=empty)
    flags = f"; {str(measured['flags']).replace(';', ', ')}" if measured["flags"] else ""
    say(f"{name(measured)}: {measure_of(task).caption(found, task)}{flags}")


@contextlib.contextmanager
def _stream_alone(path: Path | None) -> Iterator[TextIO | None]:
    """Yield standard output if a report goes there, and have prints go to standard error."""
    alone, stdout = path == STANDARD_OUTPUT, sys.stdout
    with contextlib.redirect_stdout(sys.stderr if alone else stdout):
        yield stdout if alone else None


@contextlib.contextmanager
def figures_to(json_file: Path | None) -> Iterator[Callable[[Any], None]]:
    """Yield the function that writes a command's figures to the file of `--json`.

    If that is standard output, prints go to standard error meanwhile. Call it before printing,
    which may fail.
    """
    from edgeseg.system.files import json_text, write_json

    with _stream_alone(json_file) as stream:

        def write(figures: Any) -> None:
            if stream is not None:
                stream.write(json_text(figures))
                stream.flush()
            elif json_file:
                write_json(json_file, figures)

        yield write


@contextlib.contextmanager
def lines_to(jsonl_file: Path | None, *, append: bool = False) -> Iterator[Callable[[Row], None]]:
    """Yield the function that writes a row at once as a line of JSON, as `figures_to` does."""
    with contextlib.ExitStack() as stack:
        stream = alone = stack.enter_context(_stream_alone(jsonl_file))
        if jsonl_file is not None and alone is None:
            with _name_in_errors(jsonl_file):
                opened = jsonl_file.open("a" if append else "w", encoding="utf-8", newline="\n")
            stream = stack.enter_context(opened)

        def write(row: Row) -> None:
            if stream is not None:
                text = json.dumps(row, ensure_ascii=False, allow_nan=False)
                with _name_in_errors(None if alone else jsonl_file):
                    stream.write(printable(text) + "\n")
                    stream.flush()

        yield write


@contextlib.contextmanager
def _name_in_errors(path: Path | None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if path is None:
            raise
        raise OutputWriteError(f"{path}: cannot be written ({error.strerror})") from error


def print_report(report: Any, json_file: Path | None) -> None:
    """Print a dataclass: its notices, its other fields that have a value, and all as `--json`."""
    notice(*report.notices)
    figures = {key: plain(value) for key, value in asdict(report).items() if key != "notices"}
    lines = [(key, _cell(value)) for key, value in figures.items() if value is not None]
    print_figures(figures, lines, json_file)


def print_figures(figures: Any, lines: Sequence[Sequence[str]], json_file: Path | None) -> None:
    """Write figures to the file of `--json`, and print lines of names and texts."""
    with figures_to(json_file) as write_figures:
        write_figures(figures)
        table(("", ""), lines)


def _cell(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "-" if value is None else str(value)


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    return str(value) if isinstance(value, Path) else value
