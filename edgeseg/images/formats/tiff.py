"""What a TIFF file says of itself: which of its images is meant, and what is to know about it."""

from __future__ import annotations

import io
import logging
import zlib

import numpy as np
import numpy.typing as npt
import tifffile  # rather than Pillow: pure Python, so it is there for every machine, and small

from edgeseg.errors import ImageDecodeError
from edgeseg.images.formats.base import CUT_SHORT, Header
from edgeseg.images.formats.kinds import RAW
from edgeseg.images.formats.tiff_scale import n_images, pixel_size_of

_BESIDE = 1 | 4  # bits of the tag NewSubfileType: a thumbnail, a transparency mask
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_PHOTOMETRICS = (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR)
_SEPARATE = 2
_TURNED = 5  # and larger values of the tag Orientation: rows are columns
_UNSIGNED, _SIGNED = 1, 2
_WHOLE_BYTES = (8, 16)
_TOP_16_BITS = 65535
# none, fax, LZW, JPEG, deflate and run lengths, which OpenCV decodes: of some others it makes black
_COMPRESSIONS = {1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946}
_NONE, _DEFLATE = 1, (8, 32946)
_DNG_VERSION = "DNGVersion"
_MOST_PAGES = 4096
_MOST_SAMPLES = 4
_LARGEST_TILE_PX = 50_000_000
_MOST_UNPACKED = 8 * _LARGEST_TILE_PX  # bytes, as of the largest image with four samples of 16 bits
_AT_ONCE = 1 << 20  # bytes

# What is wrong with a file is said in an error, and not printed beside it too.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def parse(data: bytes) -> Header:
    """Read the header of a TIFF or BigTIFF file; thumbnails and masks beside an image do not count.

    Raises
    ------
    ImageDecodeError
        If the file is cut short or damaged, or would not be decoded rightly.
    """
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            pages = _pages(file)
            whole = [i for i, page in enumerate(pages) if not page.subfiletype & _BESIDE]
            return _header(data, pages, whole or [*range(len(pages))])
    except ImageDecodeError:
        raise
    except Exception:  # a damaged file can break the reader anywhere
        raise ImageDecodeError(CUT_SHORT) from None


def read(data: bytes, page: int) -> npt.NDArray[np.generic]:
    """Return the samples of an image that `parse` says OpenCV does not read rightly.

    Returns
    -------
    ndarray, shape (height, width) or (height, width, samples)
        As they are in the file; those of fewer than 8 bits brought to 0 to 255.

    Raises
    ------
    ImageDecodeError
        If they cannot be read.
    """
    try:
        with tifffile.TiffFile(io.BytesIO(data)) as file:
            chosen = _pages(file)[page]
            if chosen.bitspersample not in (1, *_WHOLE_BYTES):
                return _unpacked(data, chosen)
            samples: npt.NDArray[np.generic] = chosen.asarray()
            if chosen.bitspersample == 1:
                return np.where(samples, np.uint8(255), np.uint8(0))
    except ImageDecodeError:
        raise
    except Exception:
        raise ImageDecodeError(
            "the pixels cannot be decoded: damaged or of a rare kind; save the image as PNG"
        ) from None
    if samples.ndim == 3 and chosen.planarconfig == _SEPARATE:
        samples = np.ascontiguousarray(np.moveaxis(samples, 0, 2))
    return samples


def _pages(file: tifffile.TiffFile) -> list[tifffile.TiffPage]:
    # tifffile has a leaner kind of page for those that only repeat the first
    file.pages.useframes = False
    pages: list[tifffile.TiffPage] = []
    seen: set[int] = set()
    for page in file.pages:
        if not isinstance(page, tifffile.TiffPage):
            continue
        # tifffile would follow a page that comes after itself for hours
        if page.offset in seen:
            raise ImageDecodeError(CUT_SHORT)
        if len(pages) == _MOST_PAGES:
            raise ImageDecodeError(
                f"the file holds more than {_MOST_PAGES} images, one was expected; save the one to "
                "measure"
            )
        seen.add(page.offset)
        pages.append(page)
    return pages


def _header(data: bytes, pages: list[tifffile.TiffPage], whole: list[int]) -> Header:
    page = pages[whole[0]]
    if _DNG_VERSION in pages[0].tags or data[8:10] == b"CR" or _is_preview(page):
        raise ImageDecodeError(f"{RAW.name} files are not read; {RAW.advice}")
    ends = (start + size for start, size in zip(page.dataoffsets, page.databytecounts, strict=True))
    if max(ends) > len(data):
        raise ImageDecodeError(CUT_SHORT)
    _check_readable(page)
    bits = page.bitspersample
    many = page.samplesperpixel > 1
    description = page.description or pages[0].description
    # ImageJ writes a large stack as one image with the others behind it
    n_frames = max(len(whole), n_images(description))
    turned = page.tags.valueof("Orientation", 1)
    size = pixel_size_of(description, _per_unit(page, "X"), _per_unit(page, "Y"))
    if size is not None and turned >= _TURNED:
        size = size._replace(x_mm=size.y_mm, y_mm=size.x_mm)
    own_decoder = _needs_own_decoder(page)
    return Header(
        "tiff",
        int(page.imagewidth),
        int(page.imagelength),
        n_frames,
        may_be_transparent=bool(page.extrasamples),
        white_from=_white_from(page, own_decoder),
        page=whole[0],
        wide_colours=many and bits > 8,
        orientation=int(turned) if own_decoder else 1,
        pixel_size=size,
        own_decoder=own_decoder,
    )


def _is_preview(page: tifffile.TiffPage) -> bool:
    """Tell whether a page stands for a larger image that lies below it, as in camera raw."""
    return bool(page.subfiletype & 1) and "SubIFDs" in page.tags


def _check_readable(page: tifffile.TiffPage) -> None:
    if page.compression not in _COMPRESSIONS:
        raise ImageDecodeError(
            f"its compression ({getattr(page.compression, 'name', page.compression)}) is not read; "
            "save the image without, or as PNG"
        )
    if page.photometric not in _PHOTOMETRICS:
        raise ImageDecodeError(
            f"its colours ({getattr(page.photometric, 'name', page.photometric)}) are not read; "
            "save the image as gray or RGB"
        )
    bits = page.bitspersample
    unsigned = page.sampleformat == _UNSIGNED and bits <= 16
    if not unsigned and (page.sampleformat, bits) != (_SIGNED, 16):
        raise ImageDecodeError(
            f"pixels of type {page.dtype} are not read; save the image as 8 or 16 bits"
        )
    planes = page.samplesperpixel if page.planarconfig == _SEPARATE else 1
    if planes > 1 and page.photometric != _RGB:
        raise ImageDecodeError(
            f"the file holds {planes} separate planes, one was expected; save the one to measure"
        )
    if page.samplesperpixel > _MOST_SAMPLES:
        raise ImageDecodeError(
            f"pixels of {page.samplesperpixel} samples are not read; save the image as gray or RGB"
        )
    if page.is_tiled and page.tilewidth * page.tilelength > _LARGEST_TILE_PX:
        raise ImageDecodeError(CUT_SHORT)
    if page.compression in _DEFLATE:
        _check_deflated(page)


def _check_deflated(page: tifffile.TiffPage) -> None:
    """Unpack the strips once for their checksums, which OpenCV passes over."""
    stream, left = page.parent.filehandle, _MOST_UNPACKED
    for start, size in zip(page.dataoffsets, page.databytecounts, strict=True):
        stream.seek(start)
        try:
            unpacking = zlib.decompressobj()
            while (more := stream.read(min(size, _AT_ONCE))) and left > 0:
                size -= len(more)
                while (unpacked := unpacking.decompress(more, _AT_ONCE)) and left > 0:
                    more, left = unpacking.unconsumed_tail, left - len(unpacked)
        except zlib.error:
            raise ImageDecodeError(CUT_SHORT) from None
        if not unpacking.eof:
            raise ImageDecodeError(CUT_SHORT)


def _needs_own_decoder(page: tifffile.TiffPage) -> bool:
    """Tell whether OpenCV refuses an image, or makes another of it."""
    bits = page.bitspersample
    if bits == 1:
        return bool(page.is_tiled)
    if bits < 8:
        return page.photometric != _PALETTE
    # of 16-bit planes OpenCV makes stripes
    return bits == 16 and page.planarconfig == _SEPARATE and page.samplesperpixel > 1


def _white_from(page: tifffile.TiffPage, own_decoder: bool) -> int:
    """Return the value that is black in a file whose zero is white; OpenCV turns 8 bits itself."""
    if page.photometric != _WHITE_IS_ZERO or not (own_decoder or page.bitspersample > 8):
        return 0
    # OpenCV brings 10, 12 and 14 bits to 16
    return 2 ** max(page.bitspersample, 8) - 1 if own_decoder else _TOP_16_BITS


def _unpacked(data: bytes, page: tifffile.TiffPage) -> npt.NDArray[np.uint8]:
    """Return samples of less than 8 bits, which follow each other from the highest bit on."""
    bits, width, height = page.bitspersample, page.imagewidth, page.imagelength
    plain = page.compression == _NONE or page.compression in _DEFLATE
    if page.is_tiled or page.samplesperpixel > 1 or page.fillorder != 1 or not plain:
        raise ImageDecodeError(f"this kind of {bits}-bit TIFF is not read; save the image as PNG")
    row_bytes = (width * bits + 7) // 8
    levels = np.round(np.arange(2**bits) * (255 / (2**bits - 1))).astype(np.uint8)
    weights = 1 << np.arange(bits - 1, -1, -1)
    rows: list[npt.NDArray[np.uint8]] = []
    for start, size in zip(page.dataoffsets, page.databytecounts, strict=True):
        if len(rows) >= height:
            break
        strip = data[start : start + size]
        if page.compression in _DEFLATE:
            strip = zlib.decompressobj().decompress(strip, row_bytes * height)
        packed = np.frombuffer(strip[: len(strip) // row_bytes * row_bytes], np.uint8)
        for row in packed.reshape(-1, row_bytes):
            ones = np.unpackbits(row)[: width * bits].reshape(width, bits)
            rows.append(levels[ones @ weights])
    if len(rows) < height:
        raise ImageDecodeError(CUT_SHORT)
    return np.array(rows[:height])


def _per_unit(page: tifffile.TiffPage, axis: str) -> float:
    """Return pixels per unit, as a tag says it; 0 if it says none."""
    value = page.tags.valueof(f"{axis}Resolution", (0, 1))
    number, parts = value if isinstance(value, tuple) else (value, 1)
    return number / parts if parts else 0.0
