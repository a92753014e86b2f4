"""Which image of a TIFF file is meant, what is to know about it, and how Pillow gets it.

Pillow reads neither gray values of 16 bits whose zero is white nor 12 bits in big endian files, and
turns colours of 16 bits to 8 without a word. So it is given a file with one directory, which holds
only what describes the pixels, with zero for black; what it cannot read rightly is refused before.
"""

from __future__ import annotations

import contextlib
import html
import math
import re
import struct
import zlib

import numpy as np

from edgeseg.errors import ImageDecodeError
from edgeseg.images.formats.base import CUT_SHORT, Header, Pixels, decode_by_pillow, open_by_pillow
from edgeseg.images.formats.directories import Directory, read_directories
from edgeseg.images.frame import MAX_PIXELS, PIXEL_SIZE_RANGE_MM, PixelSize, check_sides
from edgeseg.images.kinds import RAW, TIFF

# tags
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_FILL_ORDER, _DESCRIPTION, _STRIPS, _SAMPLES, _ROWS_PER_STRIP = 266, 270, 273, 277, 278
_STRIP_SIZES, _X_PER_UNIT, _Y_PER_UNIT, _PLANES, _PREDICTOR = 279, 282, 283, 284, 317
_PALETTE_COLOURS, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_SIZES = 320, 322, 323, 324, 325
_SUB_IFDS, _EXTRA, _FORMAT, _JPEG_TABLES, _SUBSAMPLING, _DNG = 330, 338, 339, 347, 530, 50706
_KEPT = sorted((
    *(_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _FILL_ORDER, _STRIPS, _SAMPLES),
    *(_ROWS_PER_STRIP, _STRIP_SIZES, _PLANES, _PREDICTOR, _PALETTE_COLOURS, _TILE_WIDTH),
    *(_TILE_HEIGHT, _TILES, _TILE_SIZES, _EXTRA, _FORMAT, _JPEG_TABLES, _SUBSAMPLING),
))  # fmt: skip
_BESIDE = 1 | 4  # bits of the tag for kinds of images: a thumbnail, a transparency mask
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_GRAY = (_WHITE_IS_ZERO, _BLACK_IS_ZERO)
_COLOURS = {_RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3}  # and their samples
_UNSIGNED, _SIGNED, _ALPHA = 1, 2, 2
_TYPES = {1: "unsigned", 2: "signed", 3: "float"}
_NONE, _DEFLATE = 1, (8, 32946)
_COMPRESSIONS = (_NONE, 5, 7, *_DEFLATE, 32773)  # LZW, JPEG and runs of bytes besides
_GRAY_OR_RGB = "as gray or RGB"
_MOST_SAMPLES = 5
_MOST_UNPACKED = 8 * MAX_PIXELS  # bytes, as of the largest image with four samples of 16 bits
_AT_ONCE = 1 << 20  # bytes
_MM = {
    "m": 1000.0, "dm": 100.0, "cm": 10.0, "mm": 1.0, "um": 1e-3, "nm": 1e-6, "micron": 1e-3,
    "meter": 1000.0, "centimeter": 10.0, "millimeter": 1.0, "micrometer": 1e-3, "nanometer": 1e-6,
}  # fmt: skip
# Whoever opens a picture in ImageJ and saves it again gets the printer's figure as a calibration.
_PRINTERS_PER_INCH = (72, 96, 150, 300, 600)
_MM_PER_INCH = 25.4
_ROUNDING = 3e-4  # as of 28.35 per centimetre, which is 72 per inch
_OME_PIXELS = re.compile(r"<(?:\w+:)?Pixels\b[^>]*>")
_ATTRIBUTE = re.compile(r"\b(PhysicalSize[XY](?:Unit)?)\s*=\s*[\"']([^\"']*)[\"']")


def parse(data: bytes) -> Header:
    """Read the header of a TIFF or BigTIFF file; thumbnails and masks beside an image do not count.

    Raises ImageDecodeError if the file is cut short or damaged, or would not be decoded rightly;
    struct.error or ValueError if it ends within a field, or has more strips than sizes.
    """
    pages = [*read_directories(data)]
    whole = [page for page in pages if not page.number(_SUBFILE) & _BESIDE] or pages
    if not whole:
        raise ImageDecodeError(CUT_SHORT)
    page = whole[0]
    is_preview = page.number(_SUBFILE) & 1 and _SUB_IFDS in page.fields
    if _DNG in pages[0].fields or data[8:10] == b"CR" or is_preview:
        raise ImageDecodeError(f"{RAW.name} files are not read; {RAW.advice}")
    width, height = page.number(_WIDTH), page.number(_HEIGHT)
    if not width or not height:
        raise ImageDecodeError(CUT_SHORT)
    check_sides(width, height)
    _check_kind(page)
    _check_whole(page)
    description = page.text(_DESCRIPTION) or pages[0].text(_DESCRIPTION)
    n_images = _read_imagej(description).get("images", "")
    orientation = page.orientation()
    size = read_pixel_size(description, page.ratio(_X_PER_UNIT), page.ratio(_Y_PER_UNIT))
    if size is not None and orientation >= 5:  # rows are columns
        size = size._replace(x_mm=size.y_mm, y_mm=size.x_mm)
    image = open_by_pillow(_make_plain_file(page), TIFF)
    white = 2 ** page.number(_BITS, 1) - 1
    is_white_zero = page.number(_PHOTOMETRIC, _BLACK_IS_ZERO) == _WHITE_IS_ZERO

    def decode(_: int) -> Pixels:
        pixels = decode_by_pillow(image)
        if not is_white_zero:
            return pixels
        inverted = np.asarray(white - pixels.astype(np.int64)).astype(pixels.dtype)
        if pixels.ndim == 3:
            inverted[..., 3:] = pixels[..., 3:]  # how opaque they are
        return inverted

    return Header(
        width,
        height,
        decode,
        # ImageJ writes a large stack as one image with the others behind it
        max(len(whole), int(n_images) if n_images.isdecimal() else 1),
        may_be_transparent=_EXTRA in page.fields,
        orientation=orientation,
        pixel_size=size,
    )


def _check_kind(page: Directory) -> None:
    """Refuse pixels that Pillow does not read, or not rightly."""
    compression = page.number(_COMPRESSION, _NONE)
    photometric = page.number(_PHOTOMETRIC, _BLACK_IS_ZERO)
    samples, bits = page.number(_SAMPLES, 1), page.numbers(_BITS, 1)
    kind = page.number(_FORMAT, _UNSIGNED)
    n_colours = _COLOURS.get(photometric, 1)
    gray_depths = {_UNSIGNED: (8, 12, 16), _SIGNED: (16,)}.get(kind, ())
    depths = gray_depths if photometric in _GRAY else (8,)
    for is_refused, what, how in (
        (compression not in _COMPRESSIONS, f"its compression ({compression}) is", "without it"),
        (photometric not in (*_GRAY, *_COLOURS), f"its colours ({photometric}) are", _GRAY_OR_RGB),
        (
            not n_colours <= samples <= min(n_colours + (_EXTRA in page.fields), _MOST_SAMPLES),
            f"pixels of {samples} samples are",
            _GRAY_OR_RGB,
        ),
        (page.number(_PLANES, 1) != 1 and samples > 1, f"{samples} separate planes are", "without"),
        (
            len({*bits}) > 1 or bits[0] not in depths,
            f"pixels of {bits[0]} bits ({_TYPES.get(kind, kind)}) are",
            "as gray of 8 or 16 bits, or RGB of 8",
        ),
    ):
        if is_refused:
            raise ImageDecodeError(f"{what} not read; save the image {how}")


def _check_whole(page: Directory) -> None:
    """Refuse a file in which pixels are missing, as far as its directory tells."""
    tags = (_TILES, _TILE_SIZES) if _TILES in page.fields else (_STRIPS, _STRIP_SIZES)
    starts, sizes = map(page.numbers, tags)
    ends = map(sum, zip(starts, sizes, strict=True))
    tile_px = page.number(_TILE_WIDTH) * page.number(_TILE_HEIGHT)
    if not starts or max(ends) > len(page.data) or tile_px > MAX_PIXELS:
        raise ImageDecodeError(CUT_SHORT)
    compression = page.number(_COMPRESSION, _NONE)
    row_bits = page.number(_WIDTH) * page.number(_SAMPLES, 1) * page.number(_BITS, 1)
    if compression == _NONE and sum(sizes) < page.number(_HEIGHT) * ((row_bits + 7) // 8):
        raise ImageDecodeError(CUT_SHORT)
    if compression in _DEFLATE:
        _check_deflated(page.data, starts, sizes)


def _check_deflated(data: bytes, starts: list[int], sizes: list[int]) -> None:
    """Unpack the strips once for their checksums, which decoders pass over."""
    left = _MOST_UNPACKED
    for start, size in zip(starts, sizes, strict=True):
        unpacking = zlib.decompressobj()
        try:
            for at in range(start, start + size, _AT_ONCE):
                more = data[at : min(at + _AT_ONCE, start + size)]
                while left > 0 and (unpacked := unpacking.decompress(more, _AT_ONCE)):
                    more, left = unpacking.unconsumed_tail, left - len(unpacked)
        except zlib.error:
            raise ImageDecodeError(CUT_SHORT) from None
        if not unpacking.eof:
            raise ImageDecodeError(CUT_SHORT)


def _make_plain_file(page: Directory) -> bytes:
    """Return a file of one image: the bytes as they are, and behind them a directory of its own."""
    # the order of bytes matters to samples of 16 bits alone, and Pillow reads 12 in one
    order = "<" if page.number(_BITS) == 12 else page.order
    start = len(page.data) + len(page.data) % 2
    values: list[tuple[int, int, int, bytes]] = []  # tag, type, number of values, these
    for tag in _KEPT:
        numbers = page.numbers(tag)
        if tag == _PHOTOMETRIC and numbers and numbers[0] in _GRAY:
            numbers = [_BLACK_IS_ZERO]
        elif tag == _EXTRA:
            numbers = [_ALPHA] * len(numbers)
        if tag == _JPEG_TABLES and numbers:
            values.append((tag, 7, len(numbers), bytes(numbers)))
        elif numbers:
            packed = struct.pack(f"{order}{len(numbers)}I", *numbers)
            values.append((tag, 4, len(numbers), packed))
    directory, behind = struct.pack(f"{order}H", len(values)), b""
    ends = start + 2 + 12 * len(values) + 4
    for tag, kind, count, content in values:
        place = content.ljust(4, b"\0")
        if len(content) > 4:
            place = struct.pack(f"{order}I", ends + len(behind))
            behind += content + bytes(len(content) % 2)
        directory += struct.pack(f"{order}HHI", tag, kind, count) + place
    head = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, start)
    return head + page.data[8:] + bytes(len(page.data) % 2) + directory + bytes(4) + behind


def read_pixel_size(description: str, x_per_unit: float, y_per_unit: float) -> PixelSize | None:
    """Return the size of a pixel as ImageJ and OME-TIFF write it into a description, if any.

    ImageJ writes pixels per unit into the resolution tags. These alone are for printers: 72, 96 or
    300 dots per inch say nothing of the body.
    """
    lengths = [math.nan, math.nan]
    if fields := _read_imagej(description):
        x_unit = fields.get("unit", "")
        units = [x_unit, fields.get("yunit", x_unit)]
        lengths = [1 / n if n > 0 else math.nan for n in (x_per_unit, y_per_unit)]
    elif pixels := _OME_PIXELS.search(description):
        fields = dict(_ATTRIBUTE.findall(pixels.group()))
        units = [fields.get(f"PhysicalSize{axis}Unit", "um") for axis in "XY"]
        with contextlib.suppress(ValueError):
            lengths = [float(fields.get(f"PhysicalSize{axis}", "")) for axis in "XY"]
    else:
        return None
    # a reciprocal adds digits: a fraction in the file has nine good ones
    x_mm, y_mm = (
        float(f"{length * _MM.get(_normalise_unit(unit), math.nan):.9g}")
        for length, unit in zip(lengths, units, strict=True)
    )
    low, high = PIXEL_SIZE_RANGE_MM
    if not (low <= x_mm <= high and low <= y_mm <= high):
        return None
    if any(abs(x_mm * n / _MM_PER_INCH - 1) < _ROUNDING for n in _PRINTERS_PER_INCH):
        return None
    return PixelSize(x_mm, y_mm, "tiff")


def _read_imagej(description: str) -> dict[str, str]:
    """Return the fields of ImageJ's description; none of another."""
    lines = description.splitlines() if description.startswith("ImageJ=") else []
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _normalise_unit(unit: str) -> str:
    """Return a unit in ASCII: the micro sign has two code points, and ImageJ escapes it."""
    unit = re.sub(r"\\u00[bB]5|[\u00b5\u03bc]", "u", html.unescape(unit)).strip().lower()
    return unit.removesuffix("s").replace("metre", "meter") if len(unit) > 2 else unit
