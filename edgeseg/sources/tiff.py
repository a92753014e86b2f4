"""What a TIFF file says of itself: which of its images is meant, and what is to know about it."""

from __future__ import annotations

import io
import logging

import tifffile  # rather than Pillow: pure Python, so it is there for every machine, and small

from edgeseg.errors import ImageDecodeError
from edgeseg.sources.header import CUT_SHORT, Header

_BESIDE = 1 | 4  # bits of the tag NewSubfileType: a thumbnail, a transparency mask
_WHITE_IS_ZERO, _RGB, _SEPARATE = 0, 2, 2
# none, fax, LZW, JPEG, deflate and run lengths, which OpenCV decodes: of some others it makes black
_COMPRESSIONS = {1, 2, 3, 4, 5, 6, 7, 8, 32773, 32946}

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
            # tifffile has a leaner kind of page for those that only repeat the first
            file.pages.useframes = False
            pages = [page for page in file.pages if isinstance(page, tifffile.TiffPage)]
            whole = [i for i, page in enumerate(pages) if not page.subfiletype & _BESIDE]
            return _header(data, pages, whole or [*range(len(pages))])
    except ImageDecodeError:
        raise
    except Exception:  # a damaged file can break the reader anywhere
        raise ImageDecodeError(CUT_SHORT) from None


def _header(data: bytes, pages: list[tifffile.TiffPage], whole: list[int]) -> Header:
    page = pages[whole[0]]
    ends = (start + size for start, size in zip(page.dataoffsets, page.databytecounts, strict=True))
    if max(ends) > len(data):
        raise ImageDecodeError(CUT_SHORT)
    if page.compression not in _COMPRESSIONS:
        raise ImageDecodeError(
            f"its compression ({getattr(page.compression, 'name', page.compression)}) is not read; "
            "save the image without, or as PNG"
        )
    planes = page.samplesperpixel if page.planarconfig == _SEPARATE else 1
    if planes > 1 and (page.photometric != _RGB or page.bitspersample > 8):
        raise ImageDecodeError(
            f"the file holds {planes} separate planes, one was expected; save the one to measure"
        )
    return Header(
        "tiff",
        page.imagewidth,
        page.imagelength,
        len(whole),
        may_be_transparent=bool(page.extrasamples),
        white_is_zero=page.photometric == _WHITE_IS_ZERO,
        page=whole[0],
    )
