"""The directories (IFDs) of TIFF and BigTIFF files, in which EXIF data keeps its fields too."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from edgeseg.errors import ImageDecodeError
from edgeseg.images.formats.base import CUT_SHORT

_MOST_DIRECTORIES, _MOST_FIELDS = 4096, 1024
_MOST_VALUES = 1 << 21  # strips and tiles of the largest image are fewer
_LONGEST_TEXT = 1 << 20
_ORIENTATION = 274
_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _UNDEFINED = 1, 2, 3, 4, 5, 7
_WHOLE = {_BYTE: "u1", _UNDEFINED: "u1", _SHORT: "u2", _LONG: "u4", 16: "u8"}
# bytes of a value by its type
_SIZES = {_SHORT: 2, _LONG: 4, _RATIONAL: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 16: 8, 17: 8}


class Directory(NamedTuple):
    """The fields of one image."""

    data: bytes  # The file's bytes.
    order: str  # ``<`` or ``>``.
    # Tag -> type, number of values, and where the values begin.
    fields: dict[int, tuple[int, int, int]]

    def numbers(self, tag: int, *default: int) -> list[int]:
        """Return a field's whole numbers, or the default; raise if some are not there."""
        kind, count, start = self.fields.get(tag, (0, 0, 0))
        if kind not in _WHOLE or not count:
            return [*default]
        if count > _MOST_VALUES or start + count * _SIZES.get(kind, 1) > len(self.data):
            raise ImageDecodeError(CUT_SHORT)
        dtype = np.dtype(self.order + _WHOLE[kind])
        values: list[int] = np.frombuffer(self.data, dtype, count, start).tolist()
        return values

    def number(self, tag: int, default: int = 0) -> int:
        """Return the first whole number of a field."""
        return self.numbers(tag, default)[0]

    def ratio(self, tag: int) -> float:
        """Return a field's fraction; 0 if it has none."""
        kind, _, start = self.fields.get(tag, (0, 0, 0))
        if kind != _RATIONAL:
            return float(self.number(tag))
        above, below = struct.unpack_from(f"{self.order}II", self.data, start)
        return above / below if below else 0.0

    def text(self, tag: int) -> str:
        """Return a field's text; empty if it has none."""
        kind, count, start = self.fields.get(tag, (0, 0, 0))
        if kind not in (_ASCII, _BYTE):
            return ""
        found = self.data[start : start + min(count, _LONGEST_TEXT)]
        return found.rstrip(b"\0").decode("utf-8", "replace")

    def orientation(self) -> int:
        """Return the orientation that it states, 1 to 8; 1 where it states no such number."""
        kind, _, _ = self.fields.get(_ORIENTATION, (0, 0, 0))
        value = self.number(_ORIENTATION, 1) if kind in (_SHORT, _LONG) else 1
        return value if value in range(1, 9) else 1


def read_directories(data: bytes) -> Iterator[Directory]:
    """Yield the directories of a file one after the other.

    Raises ImageDecodeError if there are too many, or one comes after itself; struct.error if the
    file ends within one.
    """
    order = "<" if data.startswith(b"II") else ">"
    is_big = struct.unpack_from(f"{order}H", data, 2) == (43,)
    count_code, offset_code, head_code = ("Q", "Q", "HHQ") if is_big else ("H", "I", "HHI")
    count_size, offset_size, field_size = (8, 8, 20) if is_big else (2, 4, 12)
    (offset,) = struct.unpack_from(order + offset_code, data, offset_size)
    seen: set[int] = set()
    while offset:
        if len(seen) == _MOST_DIRECTORIES:
            raise ImageDecodeError(
                f"the file holds more than {_MOST_DIRECTORIES} images, one was expected; save the "
                "one to measure"
            )
        (n_fields,) = struct.unpack_from(order + count_code, data, offset)
        if offset in seen or n_fields > _MOST_FIELDS:
            raise ImageDecodeError(CUT_SHORT)
        seen.add(offset)
        fields: dict[int, tuple[int, int, int]] = {}
        ends = offset + count_size + n_fields * field_size
        for at in range(offset + count_size, ends, field_size):
            tag, kind, count = struct.unpack_from(order + head_code, data, at)
            start = at + field_size - offset_size
            if _SIZES.get(kind, 1) * count > offset_size:
                (start,) = struct.unpack_from(order + offset_code, data, start)
            fields.setdefault(tag, (kind, count, start))
        yield Directory(data, order, fields)
        (offset,) = struct.unpack_from(order + offset_code, data, ends)


def exif_orientation(exif: bytes) -> int:
    """Return the orientation that EXIF data, from its byte order on, says; 1 if it is broken."""
    if not exif.startswith((b"II*\0", b"MM\0*")):
        return 1
    try:
        return next((directory.orientation() for directory in read_directories(exif)), 1)
    except (ImageDecodeError, struct.error):
        return 1
