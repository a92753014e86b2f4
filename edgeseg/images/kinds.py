"""Kinds of files by their first bytes, whatever they are called: those that are read, and others.

DICOM is among the others: `edgeseg.images.dicom` reads it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

N_START_BYTES = 1024
"""As many of a file's first bytes tell its kind."""
READABLE = "PNG, JPEG, BMP, TIFF, PGM, PPM or DICOM"


class Kind(NamedTuple):
    """A kind of file that is not read."""

    name: str  # What people call it.
    advice: str  # What to do with it.
    # Whether it is one picture, for which a user expects a row; others are films, volumes,
    # documents and the like.
    is_picture: bool = False


def _picture(name: str) -> Kind:
    return Kind(name, "save the image as PNG", is_picture=True)


def _film(name: str) -> Kind:
    return Kind(name, "save the frame to measure as PNG")


def _volume(name: str) -> Kind:
    return Kind(name, "save the slice to measure as PNG")


DICOM = Kind("DICOM", "", is_picture=True)
RAW = _picture("camera raw")
_HEIC, _JPEG_2000 = _picture("HEIC"), _picture("JPEG 2000")
_MP4, _NIFTI = _film("MP4 or QuickTime video"), _volume("NIfTI volume")
_MARKS: tuple[tuple[int, bytes, Kind], ...] = (  # where they stand
    (0, b"GIF8", _picture("GIF")),
    (8, b"WEBP", _picture("WebP")),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", _JPEG_2000),
    (0, b"\xff\x4f\xff\x51", _JPEG_2000),
    (8, b"AVI ", _film("AVI video")),
    (4, b"moov", _MP4),
    (4, b"mdat", _MP4),
    (4, b"wide", _MP4),
    (0, b"\x1aE\xdf\xa3", _film("Matroska or WebM video")),
    (0, b"\0\0\x01\xba", _film("MPEG video")),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _film("Windows Media video")),
    (0, b"KRETZFILE", _volume("Kretz volume")),
    (0, b"NRRD000", _volume("NRRD volume")),
    (344, b"n+1\0", _NIFTI),
    (344, b"ni1\0", _NIFTI),
    (0, b"%PDF", Kind("PDF", "save the picture in it as PNG")),
    (0, b"PK\x03\x04", Kind("ZIP archive", "unpack it and name the folder")),
)
_BRANDS = {b"avif": _picture("AVIF"), b"crx ": RAW} | dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), _HEIC
)
_OF_BOTH = (b"mif1", b"msf1")  # HEIC and AVIF are called so; the brands that follow tell
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the latter two are BigTIFF
_DICOM_TYPES = frozenset(
    b"AE AS AT CS DA DS DT FL FD IS LO LT OB OW PN SH SL SS ST TM UI UL US UT".split()
)
_LONGEST_FIRST_ELEMENT = 64
_FIRST_TEXT = re.compile(rb"[A-Za-z0-9_. \\\\]+")  # a character set, perhaps several, or a UID


def format_of(start: bytes) -> str:
    """Return how a file that begins so is read: ``png``, ``jpeg``, ``bmp``, ``tiff`` or ``pnm``.

    ``pnm`` is a PGM or PPM; empty of any other kind, DICOM among them.
    """
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if start.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if start.startswith(b"BM"):
        return "bmp"
    # what is before DICOM's mark may be the head of a TIFF (PS3.10, 7.1)
    if start.startswith(_TIFF) and start[128:132] != b"DICM":
        return "tiff"
    return "pnm" if re.match(rb"P[2356]\s", start) else ""


def is_readable(start: bytes) -> bool:
    """Tell whether a file that begins so is of a kind that is read, other than DICOM."""
    return bool(format_of(start))


def is_dicom(start: bytes) -> bool:
    """Tell whether a file that begins so is one of DICOM."""
    return not is_readable(start) and kind_of(start) is DICOM


def kind_of(start: bytes) -> Kind | None:
    """Return the kind of a file that is not read; None of any other, text and tables among them.

    ``start`` is its first `N_START_BYTES` bytes, or more.
    """
    start = start[:N_START_BYTES]
    if start[128:132] == b"DICM" or _is_bare_dicom(start):
        return DICOM
    for at, mark, kind in _MARKS:
        if start.startswith(mark, at):
            return kind
    return _kind_of_media(start) if start[4:8] == b"ftyp" else None


def _kind_of_media(start: bytes) -> Kind:
    """Return what a file of ISO's media format is, by the brands that it names: film or picture."""
    length = int.from_bytes(start[:4])
    brands = [start[8:12], *(start[i : i + 4] for i in range(16, min(length, len(start)), 4))]
    if brands[0] in _OF_BOTH:
        brands = [brand for brand in brands if brand not in _OF_BOTH] + brands[:1]
    return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), _MP4)


def _is_bare_dicom(start: bytes) -> bool:
    """Tell whether a file begins with DICOM's first element, without the preamble before it."""
    if start[:2] not in (b"\x02\0", b"\x08\0") or len(start) < 16 or start[3:4] != b"\0":
        return False
    if start[4:6] in _DICOM_TYPES:
        return True
    length = int.from_bytes(start[4:8], "little")
    text = start[8 : 8 + length].rstrip(b"\0 ")
    is_group_length = start[2:8] == b"\0\0\4\0\0\0"
    return is_group_length or (
        0 < length <= _LONGEST_FIRST_ELEMENT
        and length % 2 == 0
        and _FIRST_TEXT.fullmatch(text) is not None
    )
