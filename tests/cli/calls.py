"""The command line called in this process, and the tables that it writes."""

from __future__ import annotations

import csv
from pathlib import Path

from typer.testing import CliRunner, Result

from edgeseg.cli import app


def call(*arguments: object, data: bytes | None = None) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments], input=data)


def rows(out: Path, name: str = "results.csv") -> list[dict[str, str]]:
    with (out / name).open(newline="", encoding="utf-8-sig") as stream:
        return list(csv.DictReader(stream))
