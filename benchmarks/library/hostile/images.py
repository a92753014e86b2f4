"""Image files with wrong parts: PNG, JPEG, BMP, TIFF, PGM and PPM, made from one phantom."""

from __future__ import annotations

import contextlib
import functools
import random
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from edgeseg.images.frame import MAX_PIXELS
from edgeseg.images.image_file import decode_frame
from edgeseg.phantom.head import make_phantom
from library.hostile import mutations, tiffs

_SIDES = (0, 1, 31, 32, 64, 500, 7000, 7071, 7072, 20000, 65535, 2**31 - 1, 2**31, 2**32 - 1)
_PNG_EXTRAS = (b"acTL", b"fcTL", b"fdAT", b"tRNS", b"PLTE", b"eXIf", b"gAMA", b"sBIT", b"cHRM")
_PACKED = (b"iCCP", b"zTXt", b"iTXt")
_EXIF = b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, 0)
_SCAN = 0xDA
_BMP_FIELDS = (
    *((2, 4), (10, 4), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2), (30, 4), (34, 4), (46, 4)),
    (50, 4),
)


@functools.cache
def seeds() -> dict[str, list[bytes]]:
    """Return whole files of each format."""
    gray = make_phantom(1, height=72, width=96).image
    colours = np.dstack([gray, gray[::-1], gray])
    deep = (gray.astype(np.uint16) << 4) + 7
    alpha = np.dstack([colours, np.full_like(gray, 255)])
    return {
        "png": [_encoded(".png", p) for p in (gray, colours, deep, alpha)]
        + [_encoded(".png", np.dstack([deep] * 3)), _encoded(".png", gray, 18, 1)],
        "jpeg": [
            _encoded(".jpg", gray),
            _encoded(".jpg", colours, cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
            _encoded(".jpg", colours, cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        ],
        "bmp": [_encoded(".bmp", p) for p in (gray, colours, alpha)],
        "tiff": tiffs.seeds(gray, deep, colours),
        "pnm": [
            *(_encoded(".pgm", p) for p in (gray, deep)),
            _encoded(".ppm", colours),
            _encoded(".pgm", gray, cv2.IMWRITE_PXM_BINARY, 0),
        ],
    }


def _encoded(suffix: str, pixels: np.ndarray, *options: int) -> bytes:
    return cv2.imencode(suffix, pixels, options)[1].tobytes()


def make(rng: random.Random) -> bytes:
    """Return a file that may be an image."""
    kind = rng.choice([*seeds()])
    data = rng.choice(seeds()[kind])
    if rng.random() < 0.75:
        data = _BY_FORMAT[kind](rng, data)
    if rng.random() < 0.4:
        data = mutations.mutated(rng, data)
    return data


def read(data: bytes, folder: Path) -> None:
    """Decode it and hold the answer to what is promised."""
    gray = decode_frame(data).pixels
    if gray.dtype != np.uint8 or gray.ndim != 2 or not 0 < gray.size <= MAX_PIXELS:
        raise AssertionError(f"decoded to {gray.dtype}, {gray.shape}")


def _png(rng: random.Random, data: bytes) -> bytes:
    chunks, at = [], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    for _ in range(rng.randint(1, 3)):
        i = rng.randrange(len(chunks))
        kind, content = chunks[i]
        how = rng.randrange(8)
        if how == 0:
            sides = [rng.choice(_SIDES) for _ in "xy"]
            rest = rng.choice((chunks[0][1][8:], mutations.mutated(rng, chunks[0][1][8:])))
            chunks[0] = (chunks[0][0], struct.pack(">II", *sides) + rest)
        elif how == 1:
            extra = rng.choice((_EXIF, bytes(8), rng.randbytes(26), struct.pack(">II", 1, 0)))
            chunks.insert(rng.randrange(len(chunks) + 1), (rng.choice(_PNG_EXTRAS), extra))
        elif how == 2:
            packed = b"a\0\0" + mutations.bomb(rng.choice((1, 64, 256)) << 20)
            chunks.insert(1, (rng.choice(_PACKED), packed))
        elif how == 3:
            chunks[i] = (kind, mutations.mutated(rng, content))
        elif how == 4:
            del chunks[i]
        elif how == 5:
            chunks[i:i] = [(kind, content)] * rng.choice((1, 2, 300))
        elif kind == b"IDAT" and how == 6:
            with contextlib.suppress(zlib.error):  # of a later part, or one that is changed
                pixels = zlib.decompressobj().decompress(content)
                chunks[i] = (kind, zlib.compress(mutations.mutated(rng, pixels)))
        elif kind == b"IDAT":
            chunks[i] = (kind, mutations.bomb(rng.choice((1, 64, 256)) << 20))
        if not chunks:
            break
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, content in chunks:
        checksum = zlib.crc32(kind + content) ^ (rng.random() < 0.02)
        parts.append(struct.pack(">I", len(content)) + kind + content)
        parts.append(struct.pack(">I", checksum))
    return b"".join(parts)


def _jpeg(rng: random.Random, data: bytes) -> bytes:
    segments, at = [], 2
    while at + 4 <= len(data):
        marker, (length,) = data[at + 1], struct.unpack_from(">H", data, at + 2)
        body, coded, at = data[at + 4 : at + 2 + length], b"", at + 2 + length
        if marker == _SCAN:
            end = re.compile(rb"\xff[^\x00\xd0-\xd7]").search(data, at)
            coded, at = data[at : end.start() if end else len(data)], end.start() if end else at
        segments.append((marker, body, coded))
    for _ in range(rng.randint(1, 3)):
        i = rng.randrange(len(segments))
        marker, body, coded = segments[i]
        how = rng.randrange(7)
        if how == 0:
            segments[i] = (marker, mutations.mutated(rng, body, 2)[:60000], coded)
        elif how == 1:
            at = next((k for k, s in enumerate(segments) if s[0] in (0xC0, 0xC1, 0xC2)), i)
            sides = struct.pack(">HH", *(rng.choice(_SIDES) & 0xFFFF for _ in "xy"))
            body = segments[at][1]
            segments[at] = (rng.choice((0xC0, 0xC1, 0xC2, 0xC9)), body[:1] + sides + body[5:], b"")
        elif how == 2:
            exif = mutations.mutated(rng, _EXIF) if rng.random() < 0.5 else _EXIF
            segments.insert(0, (0xE1, b"Exif\0\0" + exif, b""))
        elif how == 3:
            segments[i:i] = [segments[i]] * rng.choice((1, 2, 2000))
        elif how == 4 and len(segments) > 1:
            del segments[i]
        elif how == 5:
            segments[i] = (marker, body, mutations.mutated(rng, coded) if coded else coded)
        else:
            segments[i] = (rng.randrange(0xC0, 0x100), body, coded)
    parts = [b"\xff\xd8"]
    for marker, body, coded in segments:
        length = (len(body) + 2 + (rng.choice((-1, 1, 500)) if rng.random() < 0.02 else 0)) & 0xFFFF
        parts.append(b"\xff" + bytes([marker]) + struct.pack(">H", length) + body + coded)
    return b"".join([*parts, b"\xff\xd9"])


def _bmp(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at, size = rng.choice(_BMP_FIELDS)
        (old,) = struct.unpack_from("<I" if size == 4 else "<H", data, at)
        value = rng.choice((*_SIDES, 4, 8, 24, 40, 108, 124, old + 1, -old, -72))
        changed[at : at + size] = (value % 256**size).to_bytes(size, "little")
    return bytes(changed)


def _pnm(rng: random.Random, data: bytes) -> bytes:
    tokens = data.split(None, 4)
    for _ in range(rng.randint(1, 2)):
        i = rng.randrange(4)
        choices = [b"P2", b"P3", b"P5", b"P6"] if i == 0 else [b"%d" % n for n in _SIDES]
        tokens[i] = rng.choice([*choices, b"-1", b"9" * 9, b"0x10", b"# a\n12", b"1e3"])
    if rng.random() < 0.3:
        tokens[4] = b" ".join(
            rng.choice((b"0", b"255", b"-1", b"99999999999")) for _ in range(7000)
        )
    blank = rng.choice((b"\n", b" ", b"\n# comment\n", b"\r\n", b"\t"))
    return blank.join(tokens)


_BY_FORMAT: dict[str, Callable[[random.Random, bytes], bytes]] = {
    "png": _png,
    "jpeg": _jpeg,
    "bmp": _bmp,
    "tiff": tiffs.mutated,
    "pnm": _pnm,
}
