"""Everything that a command left, as figures that can be compared one by one."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

Figures = dict[str, dict[str, str]]
"""Of each item, such as ``hc18-nano/000_HC.png``, its values by column, all as text."""

_SUMMED = ("counts", "figures", "flags", "n_rows", "n_parts", "n_missing_parts", "missing_parts")


def read_results(out: Path, prefix: str = "") -> Figures:
    """Return the figures of a results folder: rows, films, pictures and DICOM objects.

    Parameters
    ----------
    out
        The folder.
    prefix
        What the items' names begin with.
    """
    figures: Figures = {}
    for table in ("results.csv", "cines.csv"):
        if (out / table).is_file():
            with (out / table).open(newline="", encoding="utf-8-sig") as stream:
                kind = "" if table == "results.csv" else "film "
                add_rows(figures, csv.DictReader(stream), f"{prefix}{kind}")
    if (out / "parts").is_dir():
        add_rows(figures, _parquet_rows(out / "parts"), prefix)
    if (out / "summary.json").is_file():
        summary = json.loads((out / "summary.json").read_text("utf-8"))
        values = dict(_flat({name: summary.get(name) for name in _SUMMED}))
        _add(figures, f"{prefix}summary.json", values)
    for path in _pictures(out):
        pixels = picture_pixels(path.read_bytes())
        _add(figures, f"{prefix}{path.relative_to(out)}", {"pixels": pixels})
    for path in sorted(out.rglob("*.dcm")):
        _add(figures, f"{prefix}{path.relative_to(out)}", dict(_dicom_values(path)))
    return figures


def add_rows(figures: Figures, rows: Iterable[Mapping[str, Any]], prefix: str) -> None:
    """Add rows of a table, of which one names a file, and a frame if it has several."""
    for row in rows:
        frame = f" frame {row['frame']}" if row.get("frame") not in (None, "") else ""
        _add(figures, f"{prefix}{row['file']}{frame}", row)


def _add(figures: Figures, item: str, values: Mapping[str, Any]) -> None:
    while item in figures:
        item += " again"
    figures[item] = {
        column: "" if value is None else str(value)
        for column, value in values.items()
        if not column.endswith(("_ms", "_s"))
    }
    if "reason" in values:
        figures[item]["has a reason"] = str(bool(values["reason"]))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what nested mappings hold, with means as exact as sums in any order are."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", f"{value:.9g}" if isinstance(value, float) else value


def _parquet_rows(parts: Path) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet

    for path in sorted(parts.glob("*.parquet")):
        yield from pyarrow.parquet.read_table(path).to_pylist()


def _pictures(out: Path) -> list[Path]:
    return sorted(p for kind in ("masks", "overlays") for p in (out / kind).rglob("*.*"))


def picture_pixels(file: bytes) -> str:
    """Return what is equal for two picture files if all their pixels are."""
    pixels = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_UNCHANGED) if file else None
    if pixels is None:
        return "no picture"
    size = "x".join(map(str, pixels.shape[1::-1]))
    count = int(np.count_nonzero(pixels))
    return f"{size}, {count} not 0, {hashlib.sha256(pixels.tobytes()).hexdigest()[:16]}"


def _dicom_values(path: Path) -> Iterator[tuple[str, str]]:
    """Yield what a report measures and says, and what a segmentation shows."""
    import pydicom

    dataset = pydicom.dcmread(path)
    for keyword in ("SOPClassUID", "PatientName", "PatientID", "Rows", "Columns", "NumberOfFrames"):
        if keyword in dataset:
            yield keyword, str(dataset[keyword].value)
    if "PixelData" in dataset:
        yield "pixels", hashlib.sha256(dataset.pixel_array.tobytes()).hexdigest()[:16]
    seen: dict[str, int] = {}
    for name, value in _content(dataset):
        seen[name] = seen.get(name, 0) + 1
        yield f"{name} #{seen[name]}", value


def _content(dataset: Any) -> Iterator[tuple[str, str]]:
    for item in dataset.get("ContentSequence", ()):
        names = item.get("ConceptNameCodeSequence", ())
        name = str(names[0].CodeMeaning) if names else item.ValueType
        if item.ValueType == "NUM" and item.get("MeasuredValueSequence"):
            yield name, str(item.MeasuredValueSequence[0].NumericValue)
        elif item.ValueType == "CODE":
            yield name, str(item.ConceptCodeSequence[0].CodeMeaning)
        elif item.ValueType == "TEXT":
            yield name, str(item.TextValue)
        elif item.ValueType == "SCOORD":
            yield name, str(list(item.GraphicData))
        yield from _content(item)
