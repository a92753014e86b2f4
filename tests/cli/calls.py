"""The command line called in this process, and the tables that it writes."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

from edgeseg.cli import app
from edgeseg.output.table import TIMING_COLUMNS
from tests.tables import read_rows


def call(*arguments: object, data: bytes | None = None) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments], input=data)


def rows(out: Path, name: str = "results.csv") -> list[dict[str, str]]:
    return read_rows(out / name)


def untimed_rows(out: Path) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if k not in TIMING_COLUMNS} for row in rows(out)]
