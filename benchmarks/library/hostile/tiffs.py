"""TIFF files whose tags lie."""

from __future__ import annotations

import io
import random
import struct
from typing import Any

import numpy as np
import tifffile

from library.hostile import mutations

_TAGS = (
    *(254, 256, 257, 258, 259, 262, 266, 270, 273, 274, 277, 278, 279, 282, 283, 284, 296),
    *(317, 320, 322, 323, 324, 325, 330, 338, 339, 34665, 50706),
)
_VALUES = (
    *mutations.NUMBERS,
    *(4, 5, 6, 10, 12, 14, 24, 72, 96, 600, 7000, 8 << 16, 32773, 32946, 34712, 50_000_000),
)
_DEFLATE, _STRIPS, _COUNTS = 8, 273, 279


def seeds(gray: np.ndarray, deep: np.ndarray, colours: np.ndarray) -> list[bytes]:
    """Return whole files: of several depths, tiles, orders and pages."""
    tiles = {"tile": (32, 32)}
    return [
        _written(gray),
        _written(gray, compression="zlib", rowsperstrip=16),
        _written(gray, photometric="miniswhite", byteorder=">"),
        _written(gray, **tiles),
        _written(gray, imagej=True, resolution=(8, 8), metadata={"unit": "mm"}),
        _written(gray, bigtiff=True),
        _written(deep, compression="zlib"),
        _written(deep, photometric="miniswhite"),
        _written(deep.astype(np.int16)),
        _written(colours, photometric="rgb"),
        _written(colours, photometric="rgb", compression="zlib", **tiles),
        _written(gray, metadata=None),
        _written(np.stack([gray, gray])),
    ]


def _written(pixels: np.ndarray, **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **options)
    return stream.getvalue()


def mutated(rng: random.Random, data: bytes) -> bytes:
    """Return a file with some fields of its first directory changed, or with a bomb for pixels."""
    order = "<" if data[:2] == b"II" else ">"
    (magic,) = struct.unpack_from(order + "H", data, 2)
    if magic != 42:
        return mutations.mutated(rng, data)
    changed = bytearray(data)
    (start,) = struct.unpack_from(order + "I", data, 4)
    (n_fields,) = struct.unpack_from(order + "H", data, start)
    fields = [start + 2 + 12 * i for i in range(n_fields)]
    tag_at = {struct.unpack_from(order + "H", data, at)[0]: at for at in fields}
    if rng.random() < 0.1 and {_STRIPS, _COUNTS, 259} <= tag_at.keys():
        packed = mutations.bomb(rng.choice((64, 256, 512)) << 20)
        _set(changed, order, tag_at[259], _DEFLATE)
        _set(changed, order, tag_at[_STRIPS], len(data))
        _set(changed, order, tag_at[_COUNTS], len(packed))
        if 278 in tag_at:
            _set(changed, order, tag_at[278], 72)
        changed += packed
    for _ in range(rng.randint(1, 3)):
        at, how = rng.choice(fields), rng.randrange(6)
        if how < 4:
            _set(changed, order, at, rng.choice(_VALUES))
        elif how == 4:
            struct.pack_into(order + "H", changed, at, rng.choice(_TAGS))
        else:
            struct.pack_into(order + "HI", changed, at + 2, rng.randint(0, 18), rng.choice(_VALUES))
    if rng.random() < 0.1:  # a directory that comes after itself, or another
        struct.pack_into(order + "I", changed, fields[-1] + 12, rng.choice((start, 8, *_VALUES)))
    return bytes(changed)


def _set(data: bytearray, order: str, at: int, value: int) -> None:
    struct.pack_into(order + "HII", data, at + 2, 4, 1, value % 2**32)
