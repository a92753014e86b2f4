"""All that edgeseg calls of pyarrow: file systems by their URLs, and tables of Parquet."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq

_PROBE = "edgeseg"
_BUFFER_BYTES = 1 << 18
_KEY = b"edgeseg"
_TYPES = {"text": pa.string(), "whole": pa.int64(), "frame": pa.int32(), "number": pa.float64(),
          "time": pa.timestamp("us", tz="UTC")}  # fmt: skip
ERRORS: tuple[type[Exception], ...] = (OSError, ValueError, ImportError, pa.ArrowException)
"""What its functions raise where a file system or a table fails."""


class Entry(NamedTuple):
    """What a store says of a file or folder: its path there, and of a file size and time."""

    path: str
    is_folder: bool
    size_bytes: int | None
    modified_us: int | None


class Store:
    """A file system of pyarrow and the folders of it that URLs of one beginning name.

    Parameters
    ----------
    start, query
        Scheme and host of the URLs, ``s3://bucket``, and what follows a question mark in them.
    """

    def __init__(self, start: str, query: str) -> None:
        self._fs, base = pafs.FileSystem.from_uri(f"{start}/{_PROBE}{query}")
        self._before: str = base.removesuffix(_PROBE)
        # of stores where an object appears once all of it is there
        self.is_whole_at_once = self._fs.type_name in ("s3", "gcs", "abfs")

    def path(self, below: str) -> str:
        """Return the store's own path of what a URL names below its beginning."""
        return self._before + below

    def info(self, path: str) -> Entry | None:
        """Return what is known of a file or folder; None if it is not there."""
        found = self._fs.get_file_info(path)
        return None if found.type == pafs.FileType.NotFound else _entry(found)

    def folder(self, path: str) -> Iterator[Entry]:
        """Yield what is in a folder; nothing if it is not there."""
        selector = pafs.FileSelector(path, allow_not_found=True)
        return map(_entry, self._fs.get_file_info(selector))

    def open(self, path: str) -> BinaryIO:
        """Open a file that may be read from any place on."""
        # each read is a question to the store, and some readers take a few bytes at a time
        return io.BufferedReader(self._fs.open_input_file(path), _BUFFER_BYTES)

    def read(self, path: str, at_most: int | None = None) -> bytes:
        """Read a file, or its beginning."""
        with self._fs.open_input_stream(path) as stream:
            data: bytes = stream.read(at_most)
        return data

    def make_folder(self, path: str) -> None:
        """Make a folder and those above it."""
        self._fs.create_dir(path)

    def write(self, path: str, data: Iterable[bytes]) -> None:
        """Write a file piece by piece; others may see it before all of it is there."""
        stream = self._fs.open_output_stream(path)
        for piece in data:
            stream.write(piece)
        stream.close()

    def move(self, path: str, to: str) -> None:
        """Give a file another name, at once."""
        self._fs.move(path, to)

    def delete(self, path: str) -> None:
        """Delete a file."""
        self._fs.delete_file(path)


@lru_cache(maxsize=32)
def store_of(start: str, query: str) -> Store:
    """Return the store that URLs of one beginning name, and one session with it a process."""
    return Store(start, query)


def _entry(found: Any) -> Entry:
    is_folder = found.type == pafs.FileType.Directory
    modified_us = None if found.mtime_ns is None else found.mtime_ns // 1000
    return Entry(found.path, is_folder, None if is_folder else found.size, modified_us)


class Columns(NamedTuple):
    """The columns of a table: their names, each with ``text``, ``whole``, ``number``... as type."""

    types: Mapping[str, str]

    def schema(self, told: Mapping[str, Any] | None = None) -> Any:
        """Return pyarrow's schema of them, with what is told of the table."""
        fields = [pa.field(name, _TYPES[kind]) for name, kind in self.types.items()]
        return pa.schema(fields, metadata=None if told is None else {_KEY: json.dumps(told)})

    def table(self, values: Mapping[str, Sequence[Any]], told: Mapping[str, Any] | None) -> Any:
        """Return pyarrow's table of values, by column."""
        schema = self.schema(told)
        arrays = [pa.array(values[field.name], field.type) for field in schema]
        return pa.Table.from_arrays(arrays, schema=schema)


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


class Writer:
    """Writes a table group by group into an open file; its end holds the SHA-256 of all before.

    Parameters
    ----------
    told
        What is told of the table, as JSON can hold it.
    """

    def __init__(self, stream: BinaryIO, columns: Columns, told: Mapping[str, Any]) -> None:
        self._columns, self._hashed = columns, _Hashed(stream)
        self._writer = pq.ParquetWriter(self._hashed, columns.schema(told), compression="zstd")

    def write(self, values: Mapping[str, Sequence[Any]]) -> None:
        """Write a group of rows, by column."""
        self._writer.write_table(self._columns.table(values, None).cast(self._writer.schema))

    def close(self) -> None:
        """End the table."""
        digest = self._hashed.sha256.hexdigest()
        self._writer.add_key_value_metadata({"edgeseg_sha256": digest})
        self._writer.close()


def table_bytes(
    columns: Columns, values: Mapping[str, Sequence[Any]], told: Mapping[str, Any]
) -> bytes:
    """Return a whole table as the bytes of its file."""
    sink = pa.BufferOutputStream()
    pq.write_table(columns.table(values, told), sink, compression="zstd")
    return cast(bytes, sink.getvalue().to_pybytes())


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
        self._file = pq.ParquetFile(stream)
        self.names: tuple[str, ...] = tuple(self._file.schema_arrow.names)
        counts = [
            self._file.metadata.row_group(i).num_rows
            for i in range(self._file.metadata.num_row_groups)
        ]
        self._starts = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        self._group: tuple[int, tuple[str, ...], Any] | None = None

    @property
    def n_rows(self) -> int:
        """Rows of all groups."""
        return int(self._file.metadata.num_rows)

    @property
    def told(self) -> dict[str, Any]:
        """What is told of the table; nothing where it is another program's."""
        text = (self._file.schema_arrow.metadata or {}).get(_KEY)
        told = json.loads(text) if text else {}
        return told if isinstance(told, dict) else {}

    def rows(self, start: int, stop: int, names: Sequence[str]) -> dict[str, list[Any]]:
        """Return rows of some columns, by column, as Python's values."""
        return {name: column.to_pylist() for name, column in self._slices(start, stop, names)}

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
        return all(a.equals(b.cast(a.type)) for (_, a), (_, b) in zip(here, there, strict=True))

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
        if self._group is None or self._group[:2] != (number, names):
            read = self._file.read_row_group(number, columns=list(names))
            self._group = number, names, read
        return self._group[2]


def footer_digest(stream: BinaryIO) -> str:
    """Return the SHA-256 of what ends a table's file.

    That is where its columns lie and their extremes, and of what `Writer` wrote the hash of all.

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
    return hashlib.sha256(stream.read()).hexdigest()
