"""The data of a report's page, as JSON."""

from __future__ import annotations

import base64
import heapq
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from edgeseg.drawing.overlay import colour_bgr
from edgeseg.drawing.thumbnail import read_thumbnail
from edgeseg.measure.tasks import measure_of
from edgeseg.network.task import Task
from edgeseg.output import table
from edgeseg.output.pictures import picture_names

MAX_THUMBNAILS = 2000
"""Of the most doubtful images; the pictures of others are loaded from the overlays folder."""
_STATUS_ORDER = {"failed": 0, "doubtful": 1, "empty": 2, "ok": 3}

Rows = Sequence[Mapping[str, table.Value]]


def page_data(task: Task, rows: Rows, overlays: Path | None) -> Iterator[str]:
    """Yield the JSON of a page in parts, one an image, such that no part can end a script.

    Parameters
    ----------
    rows
        Of the table of results, in order; columns that it does not have otherwise are shown too.
    overlays
        Folder of the overlays, which lies beside the page; None if none were written.
    """
    measure, titles = measure_of(task), [*rows[0]] if rows else []
    columns = [c for c in table.known_columns(task) if c.title and c.name in titles]
    colours = [colour_bgr(number) for number, _ in enumerate(task.structures, start=1)]
    head = {
        "task": task.kind,
        "titles": titles,
        "columns": [{"name": column.name, "title": column.title} for column in columns],
        "structures": [
            {"name": name, "colour": f"rgb({red}, {green}, {blue})"}
            for name, (blue, green, red) in zip(task.structures, colours, strict=True)
            if task.kind != "head"
        ],
        "flags": dict(measure.FLAGS),
        "nothing": measure.NOTHING,
        "decimals": {column.name: column.decimals for column in measure.columns(task)},
    }
    yield _json(head)[:-1] + ',"images":['
    within = _most_doubtful(rows) if overlays else frozenset()
    decimals = table.column_decimals(task)
    for i, row in enumerate(rows):
        image: dict[str, Any] = {"cells": table.cells(row, decimals), "texts": [""] * len(columns)}
        if row["status"] in ("ok", "doubtful"):
            figures = table.figures_of(row, task)
            image["texts"] = [column.text(figures) for column in columns]
        if overlays and row["status"] != "failed":
            image |= _picture(row, overlays, has_thumbnail=i in within)
        yield ("," if i else "") + _json(image)
    yield "]}"


def _picture(
    row: Mapping[str, table.Value], overlays: Path, *, has_thumbnail: bool
) -> dict[str, Any]:
    """Return where a row's overlay is, and if wanted its thumbnail and the overlay's own size."""
    name = picture_names(*table.key(row))["overlays"].removeprefix("overlays/")
    picture: dict[str, Any] = {"overlay": f"{quote(overlays.name)}/{quote(os.fsencode(name))}"}
    if has_thumbnail and (thumbnail := read_thumbnail(overlays / name)):
        picture["size"] = [thumbnail.width_px, thumbnail.height_px]
        picture["thumbnail"] = base64.b64encode(thumbnail.jpeg).decode("ascii")
    return picture


def _most_doubtful(rows: Rows) -> frozenset[int]:
    """Return the places of the rows whose pictures the page itself holds."""
    need = (
        (_STATUS_ORDER.get(str(row["status"]), 0), float(row["confidence"] or 0), i)
        for i, row in enumerate(rows)
    )
    return frozenset(i for _, _, i in heapq.nsmallest(MAX_THUMBNAILS, need))


def _json(value: Any) -> str:
    """Return JSON in ASCII that holds no ``<``, so that it can end no script."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")
