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

from edgeseg.drawing.colours import colour_bgr
from edgeseg.drawing.thumbnail import read_thumbnail
from edgeseg.measure.measurement import Column
from edgeseg.measure.tasks import measure_of
from edgeseg.network.task import Task
from edgeseg.output import table
from edgeseg.output.pictures import picture_names, picture_paths

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
    measure = measure_of(task)
    titles = [*rows[0]] if rows else []
    columns = _read_columns(task, titles)
    head = {
        "task": task.kind,
        "titles": titles,
        "columns": [{"name": column.name, "title": column.title} for column in columns],
        "structures": _structures(task) if task.kind != "head" else [],
        "flags": dict(measure.FLAGS),
        "nothing": measure.NOTHING,
        "decimals": {column.name: column.decimals for column in measure.columns(task)},
    }
    yield _json(head)[:-1] + ',"images":['
    within = _most_doubtful(rows) if overlays else frozenset()
    decimals = table.column_decimals(task)
    for i, row in enumerate(rows):
        image = _image(task, columns, row, overlays, has_thumbnail=i in within)
        yield ("," if i else "") + _json({"cells": table.cells(row, decimals), **image})
    yield "]}"


def _read_columns(task: Task, titles: Sequence[str]) -> list[Column]:
    """Return the columns with a title for people that the rows have."""
    measure = measure_of(task)
    known = (*measure.columns(task), *measure.given_columns(task, ages=True, calibrated=True))
    return [column for column in known if column.title and column.name in titles]


def _structures(task: Task) -> list[dict[str, str]]:
    colours = (colour_bgr(number) for number, _ in enumerate(task.structures, start=1))
    return [
        {"name": name, "colour": f"rgb({red}, {green}, {blue})"}
        for name, (blue, green, red) in zip(task.structures, colours, strict=True)
    ]


def _image(
    task: Task,
    columns: Sequence[Column],
    row: Mapping[str, table.Value],
    overlays: Path | None,
    *,
    has_thumbnail: bool,
) -> dict[str, Any]:
    image: dict[str, Any] = {"texts": _texts(task, columns, row)}
    if overlays is None or row["status"] == "failed":
        return image
    key = table.key(row)
    name = picture_names(*key)["overlays"].removeprefix("overlays/")
    image["overlay"] = f"{quote(overlays.name)}/{quote(os.fsencode(name))}"
    thumbnail = (
        read_thumbnail(picture_paths(overlays.parent, *key)["overlays"]) if has_thumbnail else None
    )
    if thumbnail is not None:
        image["size"] = [thumbnail.width_px, thumbnail.height_px]
        image["thumbnail"] = base64.b64encode(thumbnail.jpeg).decode("ascii")
    return image


def _texts(task: Task, columns: Sequence[Column], row: Mapping[str, table.Value]) -> list[str]:
    """Return the text of each column for people."""
    if row["status"] in ("empty", "failed"):
        return ["" for _ in columns]
    figures = table.figures_of(row, task)
    return [column.text(figures) for column in columns]


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
