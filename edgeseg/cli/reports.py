"""Write what a command reports: as JSON to a file or standard output, and as a table."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from edgeseg.cli import console
from edgeseg.cli.options import STANDARD_OUTPUT, plain
from edgeseg.errors import EdgesegError, MissingExtraError, OutputWriteError
from edgeseg.system.text import printable

if TYPE_CHECKING:
    from edgeseg.output.table import Row


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
    """Print a dataclass: its notices as notices, its other fields as figures, and as `--json`."""
    console.notice(*report.notices)
    figures = {key: plain(value) for key, value in asdict(report).items() if key != "notices"}
    print_figures(figures, [(key, _cell(value)) for key, value in figures.items()], json_file)


def print_figures(figures: Any, lines: Sequence[Sequence[str]], json_file: Path | None) -> None:
    """Write figures to the file of `--json`, and print lines of names and texts."""
    with figures_to(json_file) as write_figures:
        write_figures(figures)
        console.table(("", ""), lines)


def _cell(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "-" if value is None else str(value)


@contextlib.contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Name the extra to install if a package is missing in the context."""
    try:
        yield
    except ModuleNotFoundError as error:
        if isinstance(error, EdgesegError):
            raise
        raise MissingExtraError(
            f"this command needs {error.name!r}; install it with pip install "
            f"'edgeseg[{extra}]' (from a checkout: pip install '.[{extra}]')"
        ) from error
