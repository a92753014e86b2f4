"""Rows of an earlier run that still hold."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from edgeseg.errors import DataError
from edgeseg.images.frame import GIVEN
from edgeseg.inputs.source import Source
from edgeseg.output import table
from edgeseg.output.pictures import picture_paths
from edgeseg.output.record import RUN_NAME
from edgeseg.output.table import RESULTS_NAME, Row
from edgeseg.run.journal import Stamp, row_key, stamp_of
from edgeseg.segmenter import Segmenter


def kept_lines(
    out: Path,
    segmenter: Segmenter,
    items: Sequence[Source],
    expected: Callable[[Source], Mapping[str, str]],
    titles: Sequence[str],
    pictures: Sequence[str],
    stamps: Mapping[int, Stamp],
    on_notice: Callable[[str], None],
) -> dict[tuple[str, int], str]:
    """Return the rows of an earlier run that need not be measured again, as lines by `Source.key`.

    Parameters
    ----------
    expected
        Gives the cells that an image's row must have to hold still: pixel size, age, calibration.
    titles
        The columns that the table must have.
    pictures
        Kinds of pictures, see `edgeseg.output.pictures.picture_paths`, that must be there too.
    stamps
        What files the rows are of, by `row_key`.
    on_notice
        Called with a sentence if rows are not kept because their files are others now.

    Raises
    ------
    DataError
        If the run there was of another model, engine or input.
    """
    record_path, table_path = out / RUN_NAME, out / RESULTS_NAME
    if not record_path.is_file():
        return {}
    check_same_model(record_path, out, segmenter)
    if not table_path.is_file():
        return {}
    rows = table.read_rows(table_path, titles)
    by_key = {item.key: item for item in items}
    files = {item.file for item in items}
    strangers = {row["file"] for row in rows if row["file"] not in files}
    if strangers:
        raise DataError(
            f"{out}: the run there measured {len(strangers)} files that are not in the input, such "
            f"as {min(strangers)!r}; resume with the same input or choose another folder"
        )
    kept, changed = {}, []
    for row, line in zip(rows, rows.lines, strict=True):
        item = by_key.get(table.key(row))
        if item is None:  # its file is another film now, or none
            changed.append(row["file"])
            continue
        if not _still_holds(row, item, expected):
            continue
        stamp = stamps.get(row_key(item.location, line))
        if stamp is None or stamp != stamp_of(item.location):
            changed.append(row["file"])
        elif _pictures_are_there(out, item, pictures):
            kept[item.key] = line
    if changed:
        on_notice(_measured_again(changed, stamps))
    return kept


def _measured_again(files: Sequence[str], stamps: Mapping[int, Stamp]) -> str:
    count = f"{len(files)} {'images are' if len(files) > 1 else 'image is'} measured again"
    if not stamps:
        return f"{count}: the run there did not note the size and time of its files"
    return f"{count}, such as {files[0]}: the place, size or time of the file is another now"


def check_same_model(record_path: Path, out: Path, segmenter: Segmenter) -> None:
    """Refuse to go on with a run of another model, or on another engine.

    Raises
    ------
    DataError
        If it is one, or its record cannot be read.
    """
    try:
        model = json.loads(record_path.read_text(encoding="utf-8"))["model"]
        sha256, provider = model["sha256"], model["provider"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{record_path}: not the record of a run; choose another folder") from error
    if sha256 != segmenter.file.sha256:
        raise DataError(
            f"{out}: the run there used another model (SHA-256 {sha256[:12]}…, now "
            f"{segmenter.file.sha256[:12]}…); choose another folder, or begin anew (--overwrite)"
        )
    if provider != segmenter.provider:
        raise DataError(
            f"{out}: the run there used {provider}, now {segmenter.provider}, which need not "
            "measure the same to the last digit; resume with the same device or choose another "
            "folder"
        )


def _still_holds(row: Row, item: Source, expected: Callable[[Source], Mapping[str, str]]) -> bool:
    if row["status"] == "failed":
        return False
    try:
        cells = expected(item)
    except DataError:
        return False
    if not cells["pixel_size_source"] and row["pixel_size_source"] not in GIVEN:
        # what the file itself says has not changed
        cells = {name: cell for name, cell in cells.items() if not name.startswith("pixel_size")}
    return all(row[column] == cell for column, cell in cells.items())


def _pictures_are_there(out: Path, item: Source, kinds: Sequence[str]) -> bool:
    paths = picture_paths(out, *item.key)
    # a power cut can leave an empty one
    return all(paths[kind].is_file() and paths[kind].stat().st_size > 0 for kind in kinds)
