"""DICOM files with wrong parts."""

from __future__ import annotations

import functools
import random
import struct
import zlib
from dataclasses import replace

from library.hostile import mutations
from library.hostile.dicom_writer import (
    ALLOCATED,
    BIG,
    CHARSET,
    COLUMNS,
    DEFLATED,
    DIRECTORY,
    EXPLICIT,
    EXTENDED,
    FRAMES,
    HIGH,
    IMPLICIT,
    ITEM,
    ITEM_END,
    JPEG,
    JPEG_2000,
    JPEG_LS,
    LEFT_OUT,
    LOSSLESS,
    PHOTOMETRIC,
    PIXELS,
    PLANAR,
    REGIONS,
    RLE,
    ROWS,
    SAMPLES,
    SEQUENCE_END,
    SIGNED,
    STORED,
    TABLES,
    UNDEFINED,
    VIDEO,
    Element,
    File,
    elements_of,
    header_of,
    numbers,
    region_of,
    seeds,
    tag_of,
    written,
)

_NUMBERS = (SAMPLES, PLANAR, ROWS, COLUMNS, ALLOCATED, STORED, HIGH, SIGNED)
_TEXTS = (
    *(b"", b"0", b"-1", b"2.5", b"1e9", b"99999999999", b"2\\3", b"nan", b"x" * 5000),
    *(b"\xff\xfe\x00", b"2147483648", b" 2 ", b"\0\0", b"2" * 5000),
)
_PHOTOMETRICS = (
    *(b"RGB", b"YBR_FULL", b"YBR_FULL_422", b"YBR_PARTIAL_420", b"YBR_RCT", b"YBR_ICT", b"HSV"),
    *(b"MONOCHROME1", b"MONOCHROME2", b"PALETTE COLOR", b"ARGB", b"CMYK", b"", b"rgb", b"A" * 5000),
)
_SYNTAXES = (IMPLICIT, EXPLICIT, BIG, DEFLATED, RLE, JPEG, LOSSLESS, JPEG_2000, JPEG_LS, VIDEO)
_CHARSETS = (
    *(b"ISO_IR 192", b"ISO 2022 IR 87", b"\\ISO 2022 IR 149", b"nothing", b"GB18030"),
    b"\\" * 99,
)
_VRS = ("US", "SS", "UL", "FD", "DS", "IS", "OB", "OW", "UN", "SQ", "UI", "PN", "AT", "??", "\0\0")
_FLOATS = (0.0, -1.0, 1e-300, 1e300, float("nan"), float("inf"), 0.03, 1e9)
_DEPTHS = (1, 3, 50, 400, 3000)


def make(rng: random.Random) -> bytes:
    """Return a file that may be DICOM."""
    file = rng.choice(seeds())
    if rng.random() < 0.03:
        return _bomb(rng.choice((1, 64, 256)) << 20)
    if rng.random() < 0.85:
        for _ in range(rng.randint(1, 3)):
            file = rng.choice(_WAYS)(rng, file)
    data = written(file)
    if rng.random() < 0.3:
        # most of a file is its pixels, and what is broken there says least
        end = min(len(data), rng.choice((600, 1200, len(data))))
        data = mutations.mutated(rng, data[:end]) + data[end:]
    return data


@functools.cache
def _bomb(n_bytes: int) -> bytes:
    """Return a deflated file whose pixels are so many zeros."""
    seed = next(each for each in seeds() if each.syntax == DEFLATED)
    body = elements_of(seed.without(PIXELS).elements, EXPLICIT)
    body += header_of(Element(PIXELS, "OW", b""), EXPLICIT, n_bytes)
    head = written(replace(seed, elements=(), real=EXPLICIT))
    packing = zlib.compressobj(9, wbits=-15)
    parts = [head, packing.compress(body)]
    parts += [packing.compress(bytes(1 << 20)) for _ in range(n_bytes >> 20)]
    return b"".join([*parts, packing.flush()])


def _order(file: File) -> str:
    return ">" if (file.real or file.syntax) == BIG else "<"


def _numbers(rng: random.Random, file: File) -> File:
    number = rng.choice((*mutations.NUMBERS, 12, 72, 96))
    return file.put(numbers(rng.choice(_NUMBERS), number, order=_order(file)))


def _shapes(rng: random.Random, file: File) -> File:
    """Let an image be as large as can be stated, or have any number of frames."""
    if rng.random() < 0.5:
        return file.put(Element(FRAMES, "IS", rng.choice((*_TEXTS, b"1", b"3", b"500", b"65536"))))
    for tag in (ROWS, COLUMNS):
        side = rng.choice((1, 31, 72, 7000, 7072, 32768, 65535))
        file = file.put(numbers(tag, side, order=_order(file)))
    return file


def _texts(rng: random.Random, file: File) -> File:
    if rng.random() < 0.5:
        return file.put(Element(PHOTOMETRIC, "CS", rng.choice(_PHOTOMETRICS)))
    if rng.random() < 0.5:
        return file.put(Element(CHARSET, "CS", rng.choice(_CHARSETS)))
    name = rng.randbytes(rng.choice((3, 64, 60000)))
    return file.put(Element(0x00100010, "PN", name))


def _syntax(rng: random.Random, file: File) -> File:
    """State another transfer syntax than the real one, or write in another than is stated."""
    stated = rng.choice((*_SYNTAXES, "", "1.2.3", "9" * 64, "1.2.840.10008.1.2.1\0", "x" * 5000))
    if rng.random() < 0.5:
        return replace(file, syntax=stated, real=file.real or file.syntax)
    return replace(file, real=rng.choice((IMPLICIT, EXPLICIT, BIG, DEFLATED)))


def _frame_of(rng: random.Random, file: File) -> File:
    """Break the file's frame: preamble, meta information, directory, what lengths are stated."""
    how = rng.randrange(5)
    if how == 0:
        return replace(file, preamble=not file.preamble)
    if how == 1:
        return replace(file, undefined=not file.undefined)
    if how == 2:
        length = Element(0x00020000, "UL", struct.pack("<I", rng.choice(mutations.NUMBERS)))
        return replace(file, meta=(length, *file.meta))
    if how == 3:
        record = (Element(0x00041430, "CS", b"IMAGE"), Element(0x00041500, "CS", b"..\\..\\A"))
        file = file.put(Element(0x00080016, "UI", DIRECTORY.encode()))
        return file.put(Element(0x00041220, "SQ", (record,) * rng.choice((1, 20_000))))
    return replace(file, elements=tuple(rng.sample(file.elements, len(file.elements))))


def _lengths(rng: random.Random, file: File) -> File:
    element = rng.choice(file.elements)
    length = rng.choice((*mutations.NUMBERS, UNDEFINED, 0xFFFFFFFE))
    return file.put(replace(element, length=length))


def _kinds(rng: random.Random, file: File) -> File:
    element = rng.choice(file.elements)
    vr = rng.choice(_VRS)
    if rng.random() < 0.3:
        return file.without(element.tag)
    if isinstance(element.value, bytes) and rng.random() < 0.5:
        return file.put(replace(element, value=mutations.mutated(rng, element.value[:70_000], 2)))
    return file.put(replace(element, vr=vr))


def _nested(rng: random.Random, file: File) -> File:
    """Put sequences into each other, very deep, with or without lengths, and cut them."""
    tag = rng.choice((LEFT_OUT, REGIONS, 0x00081140, 0x00540220))
    order, syntax = _order(file), file.real or file.syntax
    depth, known = rng.choice(_DEPTHS), Element(tag, rng.choice(("SQ", "UN")), b"")
    opened = (
        header_of(known, syntax, UNDEFINED) + tag_of(order, ITEM) + struct.pack("<I", UNDEFINED)
    )
    closed = (tag_of(order, ITEM_END) + bytes(4) + tag_of(order, SEQUENCE_END) + bytes(4)) * depth
    inner = opened * depth + closed[: rng.choice((0, len(closed) // 2, len(closed)))]
    # a sequence's bytes, written as those of an element without a length
    return file.put(Element(tag, "SQ", inner[len(header_of(known, syntax, 0)) :], UNDEFINED))


def _regions(rng: random.Random, file: File) -> File:
    order = _order(file)
    x0, y0, x1, y1 = (rng.choice((0, 1, 71, 95, 96, *mutations.NUMBERS)) for _ in range(4))
    item = region_of(x0, y0, x1, y1, order, rng.choice(_FLOATS))
    item = tuple(each for each in item if rng.random() < 0.9)
    if rng.random() < 0.3:
        item = tuple(replace(each, vr=rng.choice(_VRS)) for each in item)
    items = (item,) * rng.choice((0, 1, 2, 2, 5000))
    return file.put(Element(REGIONS, "SQ", items))


def _palettes(rng: random.Random, file: File) -> File:
    """Change what a palette's tables state, or give one to what has none."""
    file = file.put(Element(PHOTOMETRIC, "CS", b"PALETTE COLOR"))
    order, tags = _order(file), rng.sample(TABLES, rng.randint(1, 3))
    for tag in tags:
        n_numbers = rng.choice((3, 3, 3, 1, 9))
        described = [rng.choice((*mutations.NUMBERS, 256)) for _ in range(n_numbers)]
        file = file.put(numbers(tag - 0x100, *described, order=order))
        how = rng.randrange(4)
        if how == 0:
            file = file.put(Element(tag, "OW", rng.randbytes(rng.choice((0, 2, 256, 512, 513)))))
        elif how == 1:
            n_words = rng.choice((0, 3, 9, 999))
            words = tuple(rng.choice((0, 1, 2, 255, 256, 65535)) for _ in range(n_words))
            file = file.without(tag).put(numbers(tag + 0x20, *words, order=order))
        elif how == 2:  # a segment that is copied from itself, and long straight lines
            words = rng.choice(((2, 1, 0, 0), (0, 1, 0) + (1, 65535, 9) * 3000))
            file = file.without(tag).put(numbers(tag + 0x20, *words, order=order))
    return file


def _pixels(rng: random.Random, file: File) -> File:
    """Cut, lengthen, drop or wrap the pixels."""
    data = file.get(PIXELS)
    if file.fragments is not None or data is None or not isinstance(data.value, bytes):
        return _fragments(rng, file)
    how = rng.randrange(6)
    if how == 0:
        return file.without(PIXELS)
    if how == 1:  # pixels that are said to be parts
        parts = tuple(rng.randbytes(rng.choice((0, 4, 100))) for _ in range(rng.randint(0, 4)))
        return replace(file.without(PIXELS), fragments=parts)
    if how == 2:
        return file.put(replace(data, tag=rng.choice((0x7FE00008, 0x7FE00009, 0x7FE00020))))
    keep = rng.randrange(len(data.value) + 1)
    value = data.value[:keep] if how < 5 else data.value * rng.choice((2, 9))
    return file.put(replace(data, value=value))


def _fragments(rng: random.Random, file: File) -> File:
    """Break the parts of encapsulated pixels, and the tables that say where frames begin."""
    parts = [*(file.fragments or (b"", b"\xff\xd8\xff\xd9"))]
    i, how = rng.randrange(len(parts)), rng.randrange(8)
    if how == 0:
        del parts[i]
    elif how == 1:
        parts[i:i] = [parts[i]] * rng.choice((1, 2, 3000))
    elif how == 2:
        parts[0] = struct.pack("<3I", *(rng.choice(mutations.NUMBERS) for _ in range(3)))
    elif how == 3:
        parts[i] = mutations.mutated(rng, parts[i])
    elif how == 4:
        parts[i] = rng.choice((b"", b"\0\0", bytes(64), struct.pack("<16I", *[2**32 - 1] * 16)))
    elif how == 5:  # each frame in small pieces
        size = rng.choice((2, 16, 100))
        whole = b"".join(parts[1:])
        parts[1:] = [whole[at : at + size] for at in range(0, len(whole), size)]
    elif how == 6:
        tables = [struct.pack("<2Q", *(rng.choice(mutations.NUMBERS) for _ in "ab")) for _ in "ab"]
        for k, table in enumerate(tables):
            file = file.put(Element(EXTENDED + k, "OV", table))
    else:
        parts[i] = parts[i][: rng.randrange(len(parts[i]) + 1)]
    return replace(file.without(PIXELS), fragments=tuple(parts))


def _levels(rng: random.Random, file: File) -> File:
    """State windows, slopes and tables for the gray values."""
    tags = (0x00281050, 0x00281051, 0x00281052, 0x00281053, 0x00280106, 0x00280107, 0x00280120)
    for tag in rng.sample(tags, 3):
        file = file.put(Element(tag, "DS", rng.choice((*_TEXTS, b"127.5", b"1\\2\\3", b"-1e308"))))
    return file


_WAYS = (
    *(_numbers, _shapes, _shapes, _texts, _syntax, _frame_of, _lengths, _kinds, _nested),
    *(_regions, _palettes, _pixels, _pixels, _fragments, _levels),
)
