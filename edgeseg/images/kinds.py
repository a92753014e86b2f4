"""Kinds of files by their first bytes, whatever they are called, read or not."""

from __future__ import annotations

import re
from typing import NamedTuple

N_START_BYTES = 1024
"""As many of a file's first bytes tell its kind."""
READABLE = "PNG, JPEG, BMP, TIFF, PGM, PPM or DICOM"


class Kind(NamedTuple):
    """A kind of file."""

    name: str  # What people call it.
    advice: str = ""  # What to do with one that is not read; empty of those that are.
    # Whether it is one picture, for which a user expects a row; others are films, volumes,
    # documents and the like.
    is_picture: bool = False


_AS_PNG, _FRAME = ("save the image as PNG", True), "save the frame to measure as PNG"
_SLICE = "save the slice to measure as PNG"
PNG, JPEG, BMP, TIFF, PNM, DICOM = (
    Kind(name, is_picture=True) for name in ("PNG", "JPEG", "BMP", "TIFF", "PNM", "DICOM")
)
RAW = Kind("camera raw", *_AS_PNG)
_HEIC = Kind("HEIC", *_AS_PNG)
_CONVERT = f"convert it to MP4, or {_FRAME}"
_FILM = f"'edgeseg infer' reads it under a film's name, such as a.mp4; or {_FRAME}"
_FILMS = ("AVI video", "MP4 or QuickTime video", "Matroska or WebM video")
FILMS = _AVI, _MP4, _MATROSKA = tuple(Kind(name, _FILM) for name in _FILMS)
"""Kinds that `edgeseg.images.video` reads."""
_MARKS = [
    (re.compile(mark, re.DOTALL), kind)
    for mark, kind in (
        # without the preamble: the first element's type, group length, or short text
        (
            rb"(?=.{16})[\x02\x08]\0.\0(A[EST]|CS|D[AST]|F[LD]|IS|L[OT]|O[BW]|PN|S[HLST]|TM|U[ILST])",
            DICOM,
        ),
        (rb"(?=.{16})[\x02\x08]\0(\0\0\x04\0\0\0|.\0[\x02-\x40]\0\0\0[\w. \\]{2})", DICOM),
        (rb"\x89PNG\r\n\x1a\n", PNG),
        (rb"\xff\xd8\xff", JPEG),
        (rb"BM", BMP),
        # the latter two are BigTIFF; what is before DICOM's mark may be the head of a TIFF
        (rb"(II\*\0|MM\0\*|II\+\0|MM\0\+)(?!.{124}DICM)", TIFF),
        (rb"P[2356]\s", PNM),
        (rb".{128}DICM", DICOM),
        (rb"GIF8", Kind("GIF", *_AS_PNG)),
        (rb".{8}WEBP", Kind("WebP", *_AS_PNG)),
        (rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", Kind("JPEG 2000", *_AS_PNG)),
        (rb".{8}AVI ", _AVI),
        (rb".{4}(moov|mdat|wide)", _MP4),
        (rb"\x1aE\xdf\xa3", _MATROSKA),
        (rb"\0\0\x01\xba", Kind("MPEG video", _CONVERT)),
        (rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11", Kind("Windows Media video", _CONVERT)),
        (rb"KRETZFILE", Kind("Kretz volume", _SLICE)),
        (rb"NRRD000", Kind("NRRD volume", _SLICE)),
        (rb".{344}n[+i]1\0", Kind("NIfTI volume", _SLICE)),
        (rb"%PDF", Kind("PDF", "save the picture in it as PNG")),
        (rb"PK\x03\x04", Kind("ZIP archive", "unpack it and name the folder")),
    )
]
_BRANDS = {b"avif": Kind("AVIF", *_AS_PNG), b"crx ": RAW} | dict.fromkeys(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), _HEIC
)
_OF_BOTH = (b"mif1", b"msf1")  # HEIC and AVIF are called so; the brands that follow tell


def kind_of(start: bytes) -> Kind | None:
    """Return the kind of a file by its first `N_START_BYTES`; None of text, tables and the like."""
    start = start[:N_START_BYTES]
    for mark, kind in _MARKS:
        if mark.match(start):
            return kind
    return _kind_of_media(start) if start[4:8] == b"ftyp" else None


def _kind_of_media(start: bytes) -> Kind:
    """Return what a file of ISO's media format is, by the brands that it names: film or picture."""
    length = int.from_bytes(start[:4])
    brands = [start[8:12], *(start[i : i + 4] for i in range(16, min(length, len(start)), 4))]
    if brands[0] in _OF_BOTH:
        brands.sort(key=lambda brand: brand in _OF_BOTH)
    return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), _MP4)
