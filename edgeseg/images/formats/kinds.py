"""Kinds of files known by their first bytes, whatever they are called: those that are not read.

DICOM is among them, which a module of its own reads.
"""

from __future__ import annotations

import re
import struct
import zlib
from typing import NamedTuple

N_START_BYTES = 1024
"""As many of a file's first bytes tell its kind."""


class Kind(NamedTuple):
    """A kind of file that is not read.

    Attributes
    ----------
    name
        What people call it.
    advice
        What to do with it.
    is_picture
        Whether it is one picture, for which a user expects a row; others are films, volumes,
        documents and the like.
    """

    name: str
    advice: str
    is_picture: bool = False


def _picture(name: str, advice: str = "save the image as PNG") -> Kind:
    return Kind(name, advice, is_picture=True)


def _film(name: str) -> Kind:
    return Kind(name, "save the frame to measure as PNG")


def _volume(name: str) -> Kind:
    return Kind(name, "save the slice to measure as PNG")


def _document(name: str) -> Kind:
    return Kind(name, "save the picture in it as PNG")


def _archive(name: str) -> Kind:
    return Kind(name, "unpack it and name the folder")


def _array(name: str) -> Kind:
    return Kind(name, "save the image to measure as PNG")


DICOM = _picture("DICOM", "")
RAW = _picture("camera raw", "save the image as PNG from the program that opens it")
_HEIC = _picture("HEIC", "save the image as PNG or JPEG")
_JPEG_2000 = _picture("JPEG 2000")
_QUICKTIME = _film("QuickTime video")
_NIFTI = _volume("NIfTI volume")
_PDF = _document("PDF")
_TAR = _archive("TAR archive")

_STARTS: tuple[tuple[bytes, Kind], ...] = (
    (b"GIF8", _picture("GIF")),
    (b"\0\0\0\x0cjP  \r\n\x87\n", _JPEG_2000),
    (b"\xff\x4f\xff\x51", _JPEG_2000),
    (b"\0\0\0\x0cJXL ", _picture("JPEG XL")),
    (b"\xff\x0a", _picture("JPEG XL")),
    (b"II\xbc\x01", _picture("JPEG XR")),
    (b"\x8aMNG", _film("MNG animation")),
    (b"8BPS", _picture("Photoshop")),
    (b"gimp xcf", _picture("GIMP")),
    (b"#?RADIANCE", _picture("Radiance HDR")),
    (b"#?RGBE", _picture("Radiance HDR")),
    (b"\x76\x2f\x31\x01", _picture("OpenEXR")),
    (b"DDS ", _picture("DDS")),
    (b"qoif", _picture("QOI")),
    (b"SIMPLE  =", _picture("FITS")),
    (b"\x59\xa6\x6a\x95", _picture("Sun raster")),
    (b"\x01\xda\x00\x01", _picture("SGI")),
    (b"\x01\xda\x01\x01", _picture("SGI")),
    (b"P7\n", _picture("PAM")),
    (b"PF\n", _picture("PFM")),
    (b"Pf\n", _picture("PFM")),
    (b"AT&TFORM", _document("DjVu")),
    (b"FUJIFILMCCD-RAW", RAW),
    (b"IIRO", RAW),
    (b"IIRS", RAW),
    (b"IIU\0", RAW),
    (b"FOVb", RAW),
    (b"KRETZFILE", _volume("Kretz volume")),
    (b"NRRD000", _volume("NRRD volume")),
    (b"ObjectType", _volume("MetaImage volume")),
    (b"NDims", _volume("MetaImage volume")),
    (b"%PDF", _PDF),
    (b"%!PS", _document("PostScript")),
    (b"\xc5\xd0\xd3\xc6", _document("PostScript")),
    (b"\x1aE\xdf\xa3", _film("Matroska or WebM video")),
    (b"\0\0\x01\xba", _film("MPEG video")),
    (b"\0\0\x01\xb3", _film("MPEG video")),
    (b"FLV\x01", _film("Flash video")),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _film("Windows Media video")),
    (b"OggS", _film("Ogg video")),
    (b"PK\x03\x04", _archive("ZIP archive")),
    (b"7z\xbc\xaf\x27\x1c", _archive("7-Zip archive")),
    (b"Rar!", _archive("RAR archive")),
    (b"\x93NUMPY", _array("NumPy array")),
    (b"\x89HDF\r\n", _array("HDF5")),
    (b"MATLAB 5.0", _array("MATLAB")),
)
# by what a file of ISO's media format says at its start that it is
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_BRANDS = {
    **dict.fromkeys(_HEIC_BRANDS, _HEIC),
    **dict.fromkeys((b"avif", b"avis"), _picture("AVIF")),
    **dict.fromkeys((b"M4A ", b"M4B "), None),  # sound
    b"crx ": RAW,
    b"jp2 ": _JPEG_2000,
    b"qt  ": _QUICKTIME,
}
_OF_BOTH = (b"mif1", b"msf1")  # HEIC and AVIF are called so; the brands that follow tell
_QUICKTIME_ATOMS = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_TAR_AT = slice(257, 262)
_NIFTI_SIZES = {348: (344, (b"n+1\0", b"ni1\0")), 540: (4, (b"n+2\0", b"ni2\0"))}
_DRAWING = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:\?xml|!DOCTYPE svg|!--|svg)")
_DICOM_TYPES = frozenset(
    b"AE AS AT CS DA DS DT FL FD IS LO LT OB OW PN SH SL SS ST TM UI UL US UT".split()
)
_LONGEST_FIRST_ELEMENT = 64
_FIRST_TEXT = re.compile(rb"[A-Za-z0-9_. \\\\]+")  # a character set, perhaps several, or a UID


def kind_of(start: bytes) -> Kind | None:
    """Return the kind of a file that is not read; None of any other, text and tables among them.

    Parameters
    ----------
    start
        Its first `N_START_BYTES` bytes, or more.
    """
    start = start[:N_START_BYTES]
    for magic, kind in _STARTS:
        if start.startswith(magic):
            return kind
    if start[128:132] == b"DICM" or _is_bare_dicom(start):
        return DICOM
    if start[:4] == b"RIFF":  # films, pictures and sounds alike
        return {b"AVI ": _film("AVI video"), b"WEBP": _picture("WebP")}.get(start[8:12])
    if start[4:8] == b"ftyp":
        return _media(start)
    if start[4:8] in _QUICKTIME_ATOMS:
        return _QUICKTIME
    if start[:2] == b"\x1f\x8b":
        return _compressed(start)
    if start[_TAR_AT] == b"ustar":
        return _TAR
    if start[:2] in (b"P1", b"P4") and start[2:3].isspace():
        return _picture("PBM")
    if b"%PDF-" in start:
        return _PDF
    if _DRAWING.match(start) and b"<svg" in start:
        return _document("SVG")
    return _NIFTI if _is_nifti(start) else None


def _media(start: bytes) -> Kind | None:
    """Return what a file of ISO's media format is: films, sounds and pictures alike."""
    (length,) = struct.unpack_from(">I", start)
    brands = [start[8:12], *(start[i : i + 4] for i in range(16, min(length, len(start)), 4))]
    if brands[0] in _OF_BOTH:
        brands = [brand for brand in brands if brand not in _OF_BOTH] + brands[:1]
    return next((_BRANDS[brand] for brand in brands if brand in _BRANDS), _film("MP4 video"))


def _compressed(start: bytes) -> Kind | None:
    """Return what is inside a gzip file, where its first bytes tell."""
    try:
        inside = zlib.decompressobj(wbits=31).decompress(start, N_START_BYTES)
    except zlib.error:
        return None
    if _is_nifti(inside):
        return _NIFTI
    return _TAR if inside[_TAR_AT] == b"ustar" else None


def _is_nifti(start: bytes) -> bool:
    for order in ("little", "big"):
        size = int.from_bytes(start[:4], "little" if order == "little" else "big")
        if size in _NIFTI_SIZES:
            at, magics = _NIFTI_SIZES[size]
            return start[at : at + 4] in magics
    return False


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
