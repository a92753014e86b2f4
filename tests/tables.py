"""Tables that a run wrote, as a program reads them that knows nothing of edgeseg."""

from __future__ import annotations

import csv
from pathlib import Path

from edgeseg.output.table import TEXTS, Row
from edgeseg.system.text import unshield


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV by its titles, as text; none if there is no such file."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return [{k: unshield(v) for k, v in row.items()} for row in csv.DictReader(stream)]


def values_of(texts: dict[str, str]) -> Row:
    """Return the values of a row that is given as its texts."""
    return {
        name: text if name in TEXTS else None if text == "" else float(text)
        for name, text in texts.items()
    } | ({"frame": int(texts["frame"])} if texts.get("frame") else {})


def write_table(tmp_path: Path, text: str, encoding: str = "utf-8") -> Path:
    """Write a table, and return where it lies."""
    (tmp_path / "table.csv").write_bytes(text.encode(encoding))
    return tmp_path / "table.csv"
