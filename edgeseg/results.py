"""The table of results: one row an image, in a file that may be cut off at any moment."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import overload

from edgeseg.errors import DataError, OutputWriteError
from edgeseg.files import csv_text, write_atomic
from edgeseg.prediction import Prediction

COLUMNS = (
    "file",
    "status",
    "error",
    "hc_mm",
    "hc_px",
    "center_x_px",
    "center_y_px",
    "semi_major_px",
    "semi_minor_px",
    "angle_rad",
    "pixel_size_mm",
    "area_mm2",
    "confidence",
    "flags",
    "ga_weeks_hadlock",
    "ga_weeks_intergrowth",
    "decode_ms",
    "preprocess_ms",
    "inference_ms",
    "postprocess_ms",
)
TIMING_COLUMNS = COLUMNS[-4:]

Row = dict[str, str]


def number(value: float | None, decimals: int) -> str:
    """Format a number with fixed decimals; None becomes an empty cell."""
    return "" if value is None else f"{value:.{decimals}f}"


def size_text(pixel_size_mm: float | None) -> str:
    """Format a pixel size in full: it was given, not measured."""
    return "" if pixel_size_mm is None else repr(float(pixel_size_mm))


def prediction_row(file: str, prediction: Prediction, decode_ms: float) -> Row:
    """Return the row of an image that was read, ``ok`` or ``empty`` as a head was found or not."""
    ellipse, times = prediction.ellipse, prediction.times_ms
    values = (
        file,
        "ok" if ellipse else "empty",
        "",
        number(prediction.hc_mm, 3),
        number(prediction.hc_px, 3),
        number(ellipse.center_x_px if ellipse else None, 3),
        number(ellipse.center_y_px if ellipse else None, 3),
        number(ellipse.semi_major_px if ellipse else None, 3),
        number(ellipse.semi_minor_px if ellipse else None, 3),
        number(ellipse.angle_rad if ellipse else None, 6),
        size_text(prediction.pixel_size_mm),
        number(prediction.area_mm2, 2),
        number(prediction.confidence, 4),
        ";".join(prediction.flags),
        number(prediction.ga_weeks_hadlock, 2),
        number(prediction.ga_weeks_intergrowth, 2),
        number(decode_ms, 3),
        number(times.preprocess, 3),
        number(times.inference, 3),
        number(times.postprocess, 3),
    )
    return dict(zip(COLUMNS, values, strict=True))


def failed_row(file: str, sentence: str) -> Row:
    """Return the row of an image that could not be measured, and why."""
    row = dict.fromkeys(COLUMNS, "")
    return row | {"file": file, "status": "failed", "error": sentence}


def read_rows(path: Path) -> Table:
    """Read the rows of a results file; a last row that was cut off is left out.

    Raises
    ------
    DataError
        If it is not a results file.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            text = stream.read()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: cannot be read ({error}); use --overwrite to start anew"
        ) from error
    # Rows end in a newline; what follows the last one was being written.
    rows = csv.reader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
    titles = next(rows, None)
    if titles is None:
        return Table([])
    if tuple(titles) != COLUMNS:
        raise DataError(
            f"{path}: its columns are not those of this edgeseg; choose another output folder or "
            "use --overwrite"
        )
    return Table(csv_text([row]) for row in rows if len(row) == len(COLUMNS))


def line(row: Row) -> str:
    """Return a row as its line of the results file."""
    return csv_text([tuple(row.values())])


class Table(Sequence[Row]):
    """Rows in little memory: each as its line of the file, parsed whenever it is looked at.

    Parameters
    ----------
    lines
        As `line` gives them.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(lines)

    def __len__(self) -> int:
        return len(self.lines)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Table: ...
    def __getitem__(self, index: int | slice) -> Row | Table:
        if isinstance(index, slice):
            return Table(self.lines[index])
        cells = next(csv.reader(io.StringIO(self.lines[index], newline="")))
        return dict(zip(COLUMNS, cells, strict=True))


def write_lines(path: Path, lines: Iterable[str]) -> None:
    """Write a whole results file atomically."""
    write_atomic(path, map(_encoded, (csv_text([COLUMNS]), *lines)))


def _encoded(text: str) -> bytes:
    return text.encode(errors="backslashreplace")


class RowAppender:
    """Appends rows to a results file, each on disk before the next image is reported.

    Raises
    ------
    OutputWriteError
        If the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._stream = path.open("ab")
        except OSError as error:
            raise OutputWriteError(f"{path}: cannot be written ({error.strerror})") from error

    def __enter__(self) -> RowAppender:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def append(self, line: str) -> None:
        """Add one row, given as its line."""
        try:
            self._stream.write(_encoded(line))
            self._stream.flush()
        except OSError as error:
            raise OutputWriteError(f"{self._path}: cannot be written ({error.strerror})") from error
