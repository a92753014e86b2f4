"""Tables of Parquet: written in groups of rows, and read by the numbers of rows."""

from __future__ import annotations

import hashlib
import io
import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from edgeseg.system.text import printable

_KEY = b"edgeseg"
_SHA256_KEY = "edgeseg_sha256"
_SHA256 = re.compile(rb"[0-9a-f]{64}")
_NO_SHA256 = b"0" * 64
_PIECE_BYTES = 1 << 20


class _Hashed(io.RawIOBase):
    """An open file that knows the SHA-256 of what was written into it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self.sha256 = stream, hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        return self._stream.write(data)

    def tell(self) -> int:
        return self._stream.tell()


def _table(schema: Any, values: Mapping[str, Sequence[Any]]) -> Any:
    """Return pyarrow's table of values, by column."""
    arrays = [_array(values[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(values: Sequence[Any], kind: Any) -> Any:
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:
        return pa.array([None if v is None else printable(v) for v in values], kind)


def _add_record(schema: Any, record: Mapping[str, Any]) -> Any:
    return schema.with_metadata({_KEY: json.dumps(record)})


class Writer:
    """Writes a table group by group into an open file; its end holds the SHA-256 of all before.

    A page that is damaged later cannot be read.

    Parameters
    ----------
    schema
        Names and types of the columns, a ``pyarrow.Schema``.
    record
        What is kept with the table, as JSON can hold it.
    """

    def __init__(self, stream: BinaryIO, schema: Any, record: Mapping[str, Any]) -> None:
        self._schema, self._hashed = _add_record(schema, record), _Hashed(stream)
        self._writer = pq.ParquetWriter(
            self._hashed, self._schema, compression="zstd", write_page_checksum=True
        )

    def write(self, values: Mapping[str, Sequence[Any]]) -> None:
        """Write a group of rows, by column."""
        self._writer.write_table(_table(self._schema, values))

    def close(self) -> None:
        """End the table."""
        digest = self._hashed.sha256.hexdigest()
        self._writer.add_key_value_metadata({_SHA256_KEY: digest})
        self._writer.close()


def table_bytes(
    schema: Any, values: Mapping[str, Sequence[Any]], record: Mapping[str, Any]
) -> bytes:
    """Return a whole table as the bytes of its file, which hold their own SHA-256; see `Writer`."""
    sink = pa.BufferOutputStream()
    schema = _add_record(schema, record)
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        writer.write_table(_table(schema, values))
        writer.add_key_value_metadata({_SHA256_KEY: _NO_SHA256.decode()})
    data = cast(bytes, sink.getvalue().to_pybytes())
    return _replace_digest(data, hashlib.sha256(data).hexdigest().encode())


def is_whole(data: bytes) -> bool:
    """Return whether data are all bytes that `table_bytes` gave, and none of them another."""
    digest = _SHA256.search(data, max(0, data.rfind(_SHA256_KEY.encode())))
    if digest is None:
        return False
    return hashlib.sha256(_replace_digest(data, _NO_SHA256)).hexdigest() == digest[0].decode()


def _replace_digest(data: bytes, digest: bytes) -> bytes:
    """Return a table's file with another digest in its end, which is hashed as zeros."""
    start = data.rfind(_SHA256_KEY.encode())
    return data[:start] + _SHA256.sub(digest, data[start:], count=1)


class Reader:
    """A table's file, of which rows are read by their numbers.

    Parameters
    ----------
    stream
        Open for reading from any place on.

    Attributes
    ----------
    names
        Of the columns, in order.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._file = pq.ParquetFile(stream, page_checksum_verification=True)
        self.names: tuple[str, ...] = tuple(self._file.schema_arrow.names)
        counts = [
            self._file.metadata.row_group(i).num_rows
            for i in range(self._file.metadata.num_row_groups)
        ]
        self._starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        self._group: tuple[int, set[str], Any] | None = None
        self._reading = threading.Lock()  # pyarrow's files are not for two threads at once

    @property
    def n_rows(self) -> int:
        """Rows of all groups."""
        return int(self._file.metadata.num_rows)

    @property
    def is_hashed(self) -> bool:
        """Whether `Writer` wrote it, and nothing since."""
        return _SHA256_KEY.encode() in (self._file.metadata.metadata or {})

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

    def counts(self, name: str) -> dict[str, int]:
        """Return how often each text stands in a column."""
        ((_, column),) = self._slices(0, self.n_rows, [name])
        return {str(pair["values"]): pair["counts"] for pair in column.value_counts().to_pylist()}

    def equals(self, start: int, other: Reader, names: Sequence[str]) -> bool:
        """Tell whether the rows from a number on are, in some columns, all those of another."""
        here = self._slices(start, start + other.n_rows, names)
        there = other._slices(0, other.n_rows, names)
        pairs = ((a, b) for (_, a), (_, b) in zip(here, there, strict=True))
        return all(a.type == b.type and a.equals(b) for a, b in pairs)

    def _slices(self, start: int, stop: int, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
        """Yield some rows of columns; groups that they lie in are read, and the last is kept."""
        first = int(np.searchsorted(self._starts, start, "right")) - 1
        last = int(np.searchsorted(self._starts, stop, "left"))
        parts = [self._read_group(i, tuple(names)) for i in range(first, last)]
        table = pa.concat_tables(parts) if parts else self._file.schema_arrow.empty_table()
        offset = int(self._starts[first]) if parts else 0
        for name in names:
            yield name, table.column(name).slice(start - offset, stop - start)

    def _read_group(self, number: int, names: tuple[str, ...]) -> Any:
        with self._reading:
            if self._group is None or self._group[0] != number or not {*names} <= self._group[1]:
                read = self._file.read_row_group(number, columns=list(names))
                self._group = number, {*names}, read
            return self._group[2].select(names)


def _cast(column: Any, kind: Any) -> Any:
    """Return a column as another type; what is no number becomes nothing."""
    if kind is None or (column.type == kind and not pa.types.is_floating(kind)):
        return column
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    return column.cast(kind)


def table_digest(stream: BinaryIO) -> str:
    """Return the SHA-256 of a table's file, or of its end where that holds the hash of the rest.

    Raises
    ------
    ValueError
        If it is no table of Parquet.
    """
    size = stream.seek(0, 2)
    stream.seek(max(0, size - 8))
    length, mark = stream.read(4), stream.read(4)
    if mark != b"PAR1":
        raise ValueError("it does not end as a table of Parquet does")
    stream.seek(max(0, size - 8 - int.from_bytes(length, "little")))
    end = stream.read()
    if _SHA256_KEY.encode() in end:
        return hashlib.sha256(end).hexdigest()
    stream.seek(0)  # of another program, whose end stays the same when values change places
    digest = hashlib.sha256()
    while piece := stream.read(_PIECE_BYTES):
        digest.update(piece)
    return digest.hexdigest()
