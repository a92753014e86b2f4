"""Write what a command reports: as JSON to a file or standard output, and as a table."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import typer

from edgeseg.cli import console
from edgeseg.cli.options import plain
from edgeseg.errors import EdgesegError, MissingExtraError, OutputWriteError
from edgeseg.system.text import printable

if TYPE_CHECKING:
    from edgeseg.output.table import Row

_STANDARD_OUTPUT = Path("-")


def check_reports(*paths: Path | None) -> None:
    """Check before a long run that reports can be written; None and ``-`` are skipped.

    Raises
    ------
    OutputWriteError
        If one is a folder, or its folder is not writable.
    """
    from edgeseg.system.files import check_targets

    if paths.count(_STANDARD_OUTPUT) > 1:
        raise typer.BadParameter("--json and --jsonl cannot both be standard output")
    check_targets(*(path for path in paths if path != _STANDARD_OUTPUT))


@contextlib.contextmanager
def figures_to(json_file: Path | None) -> Iterator[Callable[[Any], None]]:
    """Yield the function that writes a command's figures to the file of `--json`.

    If that is standard output, prints go to standard error meanwhile. Call it before printing,
    which may fail.
    """
    from edgeseg.system.files import json_text, write_json

    stdout, alone = sys.stdout, json_file == _STANDARD_OUTPUT

    def write(figures: Any) -> None:
        if alone:
            stdout.write(json_text(figures))
            stdout.flush()
        elif json_file:
            write_json(json_file, figures)

    with contextlib.redirect_stdout(sys.stderr if alone else stdout):
        yield write


@contextlib.contextmanager
def lines_to(jsonl_file: Path | None, *, append: bool = False) -> Iterator[Callable[[Row], None]]:
    """Yield the function that writes a row to the file of `--jsonl`, as a line of JSON, at once.

    If that is standard output, prints go to standard error meanwhile.

    Raises
    ------
    OutputWriteError
        If the file cannot be written.
    """
    stdout, alone = sys.stdout, jsonl_file == _STANDARD_OUTPUT
    with contextlib.ExitStack() as stack:
        stream: TextIO | None = stdout if alone else None
        if jsonl_file is not None and not alone:
            try:
                opened = jsonl_file.open("a" if append else "w", encoding="utf-8", newline="\n")
            except OSError as error:
                raise _write_error(jsonl_file, error) from error
            stream = stack.enter_context(opened)

        def write(row: Row) -> None:
            if stream is None:
                return
            text = json.dumps(row, ensure_ascii=False, allow_nan=False)
            try:
                stream.write(printable(text) + "\n")
                stream.flush()
            except OSError as error:
                if alone:
                    raise
                raise _write_error(jsonl_file, error) from error

        stack.enter_context(contextlib.redirect_stdout(sys.stderr if alone else stdout))
        yield write


def _write_error(path: Path | None, error: OSError) -> OutputWriteError:
    return OutputWriteError(f"{path}: cannot be written ({error.strerror})")


def print_report(report: Any, json_file: Path | None) -> None:
    """Print a dataclass: its notices as notices, its other fields as figures, and as `--json`."""
    for text in report.notices:
        console.notice(text)
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


class NeedsExtra:
    """Context in which a missing package is an error that names the extra to install."""

    def __init__(self, extra: str) -> None:
        self._extra = extra

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ModuleNotFoundError) and not isinstance(error, EdgesegError):
            raise MissingExtraError(
                f"this command needs {error.name!r}; install it with pip install "
                f"'edgeseg[{self._extra}]' (from a checkout: pip install '.[{self._extra}]')"
            ) from error
