"""Tables of Parquet: written in groups of rows, and read by the numbers of rows."""

from __future__ import annotations

import hashlib
import io
import json
import re
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from edgeseg.system.text import printable

_KEY, _SHA256_KEY = b"edgeseg", b"edgeseg_sha256"
_SHA256 = re.compile(rb"[0-9a-f]{64}")
_NO_SHA256 = b"0" * 64


def write_table(
    stream: BinaryIO,
    schema: Any,
    groups: Iterable[Mapping[str, Sequence[Any]]],
    record: Mapping[str, Any],
) -> None:
    """Write a table into an open file, which then holds its own SHA-256, hashed with zeros for it.

    ``stream`` is open for reading and writing too, ``schema`` a ``pyarrow.Schema``; ``groups`` are
    groups of rows, by column, and ``record`` is kept with the table, as JSON can hold it.
    """
    schema = schema.with_metadata({_KEY: json.dumps(record)})
    with pq.ParquetWriter(stream, schema, compression="zstd", write_page_checksum=True) as writer:
        for values in groups:
            arrays = [_array(values[field.name], field.type) for field in schema]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
        writer.add_key_value_metadata({_SHA256_KEY: _NO_SHA256})
    stream.seek(0)
    digest = hashlib.file_digest(stream, "sha256").hexdigest().encode()  # type: ignore[arg-type]
    start, end = _read_end(stream)
    stream.seek(start + end.index(_NO_SHA256, end.rindex(_SHA256_KEY)))
    stream.write(digest)


def table_bytes(
    schema: Any, values: Mapping[str, Sequence[Any]], record: Mapping[str, Any]
) -> bytes:
    """Return a table of one group as the bytes of its file; see `write_table`."""
    stream = io.BytesIO()
    write_table(stream, schema, [values], record)
    return stream.getvalue()


def is_whole(data: bytes) -> bool:
    """Return whether data are all bytes that `write_table` wrote, and none of them another."""
    found = _SHA256.search(data, max(0, data.rfind(_SHA256_KEY)))
    if found is None:
        return False
    hashed = hashlib.sha256(data[: found.start()] + _NO_SHA256 + data[found.end() :])
    return hashed.hexdigest().encode() == found[0]


def table_digest(stream: BinaryIO) -> str:
    """Return the SHA-256 of a table's file, or of its end where that holds the hash of the rest.

    What is no table of Parquet is a `ValueError`.
    """
    _, end = _read_end(stream)
    if _SHA256_KEY in end:
        return hashlib.sha256(end).hexdigest()
    stream.seek(0)  # of another program, whose end stays the same when values change places
    return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]


def _read_end(stream: BinaryIO) -> tuple[int, bytes]:
    """Return where the end of a table's file begins, which describes the table, and the end."""
    size = stream.seek(0, 2)
    stream.seek(max(0, size - 8))
    length, mark = stream.read(4), stream.read(4)
    if mark != b"PAR1":
        raise ValueError("it does not end as a table of Parquet does")
    start = stream.seek(max(0, size - 8 - int.from_bytes(length, "little")))
    return start, stream.read()


def _array(values: Sequence[Any], kind: Any) -> Any:
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:
        return pa.array([None if v is None else printable(v) for v in values], kind)


class Reader:
    """A table's file, of which rows are read by their numbers; its columns have ``names``."""

    def __init__(self, stream: BinaryIO) -> None:
        self._file = pq.ParquetFile(stream, page_checksum_verification=True)
        self._metadata = self._file.metadata
        self.names: tuple[str, ...] = tuple(self._file.schema_arrow.names)
        self.n_rows = int(self._metadata.num_rows)
        groups = map(self._metadata.row_group, range(self._metadata.num_row_groups))
        self._starts = np.cumsum([0, *(group.num_rows for group in groups)], dtype=np.int64)
        self._group: tuple[int, set[str], Any] | None = None
        self._reading = threading.Lock()  # pyarrow's files are not for two threads at once

    @property
    def is_hashed(self) -> bool:
        """Whether `write_table` wrote it, and nothing since."""
        return _SHA256_KEY in (self._metadata.metadata or {})

    @property
    def record(self) -> dict[str, Any]:
        """What is kept with the table; nothing where it is another program's."""
        text = (self._file.schema_arrow.metadata or {}).get(_KEY)
        record = json.loads(text) if text else {}
        return record if isinstance(record, dict) else {}

    def rows(
        self, start: int, stop: int, names: Sequence[str], schema: Any = None
    ) -> dict[str, list[Any]]:
        """Return rows of some columns, by column, as Python's values, perhaps of other types."""
        kinds = {} if schema is None else dict(zip(schema.names, schema.types, strict=True))
        slices = self._slices(start, stop, names)
        return {name: _cast(column, kinds.get(name)).to_pylist() for name, column in slices}

    def arrays(self, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
        """Return all rows of columns of numbers, by column; NaN where there is none."""
        return {
            name: pc.cast(column, pa.float64()).to_numpy()
            for name, column in self._slices(0, self.n_rows, names)
        }

    def _slices(self, start: int, stop: int, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
        """Yield some rows of columns; groups that they lie in are read, and the last is kept."""
        first = int(np.searchsorted(self._starts, start, "right")) - 1
        last = int(np.searchsorted(self._starts, stop, "left"))
        parts = [self._read_group(i, names) for i in range(first, last)]
        table = pa.concat_tables(parts) if parts else self._file.schema_arrow.empty_table()
        offset = int(self._starts[first]) if parts else 0
        for name in names:
            yield name, table.column(name).slice(start - offset, stop - start)

    def _read_group(self, number: int, names: Sequence[str]) -> Any:
        with self._reading:
            if self._group is None or self._group[0] != number or not {*names} <= self._group[1]:
                read = self._file.read_row_group(number, columns=[*names])
                self._group = number, {*names}, read
            return self._group[2].select(names)


def _cast(column: Any, kind: Any) -> Any:
    """Return a column as another type; what is no number becomes nothing."""
    if kind is None or (column.type == kind and not pa.types.is_floating(kind)):
        return column
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    return column.cast(kind)
