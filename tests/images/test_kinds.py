from __future__ import annotations

import struct

import pytest

from edgeseg.images.kinds import DICOM, N_START_BYTES, kind_of
from tests.images.image_files import refused


def media(*brands: bytes) -> bytes:
    content = brands[0] + bytes(4) + b"".join(brands[1:])
    return struct.pack(">I", 8 + len(content)) + b"ftyp" + content + bytes(64)


NIFTI = struct.pack("<i", 348) + bytes(340) + b"n+1\0" + bytes(700)
KINDS = {
    "GIF": b"GIF89a\x10\0\x10\0",
    "WebP": b"RIFF\x24\0\0\0WEBPVP8 ",
    "AVI video": b"RIFF\x24\0\0\0AVI LIST",
    "MP4 or QuickTime video": media(b"isom", b"mp42"),
    "HEIC": media(b"heic", b"mif1"),
    "AVIF": media(b"mif1", b"miaf", b"avif"),
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + media(b"jp2 "),
    "camera raw": media(b"crx "),
    "DICOM": bytes(128) + b"DICM" + bytes(60),
    "NIfTI volume": NIFTI,
    "Kretz volume": b"KRETZFILE 1.0   ",
    "ZIP archive": b"PK\3\4" + bytes(60),
}


@pytest.mark.parametrize("name", KINDS)
def test_kinds_are_known_by_their_first_bytes(name: str) -> None:
    data = KINDS[name]
    kind = kind_of(data[:N_START_BYTES])
    assert kind.name == name
    if kind is DICOM:  # which is read, and here holds nothing
        pytest.importorskip("pydicom")
    for length in range(40):  # a start that is cut short breaks nothing
        kind_of(data[:length])
    sentence = refused(data)
    assert name in sentence
    assert kind.advice in sentence


def test_dicom_without_its_preamble_is_known_and_text_is_no_kind() -> None:
    for data in (
        b"\x02\0\0\0UL\4\0\x9c\0\0\0" + bytes(60),
        b"\x08\0\0\0\4\0\0\0\x10\1\0\0" + bytes(60),  # implicit, as before 1993
        b"\x08\0\x05\0\x0a\0\0\0ISOIR100  " + bytes(60),
    ):
        assert kind_of(data) is DICOM
    for data in (
        *(b"", b"x", b"filename,pixel size(mm)\n", b'{"a": 1}', bytes(2000), b"\xff" * 2000),
        *(b"RIFF\x24\0\0\0WAVEfmt ", b"\x08\0\x01\0\0\0\0\0" + bytes(90)),
    ):
        assert kind_of(data) is None, data[:20]
