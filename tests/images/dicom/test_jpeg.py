"""Files that are cut or damaged, and what their JPEGs say of colours."""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgeseg.errors import ImageDecodeError
from edgeseg.images import image_file
from edgeseg.images.dicom.frames import count_frames, decode_frame, read_frame

pydicom = pytest.importorskip("pydicom")

from pydicom import uid  # noqa: E402

from tests.images.dicom import files as dicom_files  # noqa: E402
from tests.images.dicom.encodings import Maker, jpeg  # noqa: E402
from tests.images.dicom.files import FILM, IMAGE  # noqa: E402


def test_deep_pixels_in_jpeg_are_refused_with_advice(tmp_path: Path) -> None:
    maker = Maker(dicom_files.write(tmp_path / "base.dcm", FILM), tmp_path)
    source = maker.native("MONOCHROME2", bits=12)
    coded = maker.by_dcmtk("dcmcjpeg", "+e1", source)
    if coded is None:
        pytest.skip("dcmtk is not installed")
    with pytest.raises(ImageDecodeError, match="save the images uncompressed"):
        read_frame(coded, 1)


def test_samples_may_be_swapped_in_words_or_lie_in_the_upper_bits(tmp_path: Path) -> None:
    path = dicom_files.write(tmp_path / "a.dcm", IMAGE, syntax=uid.ExplicitVRBigEndian)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").byteswap().tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.save_as(path)
    np.testing.assert_array_equal(image_file.read_frame(path).pixels, IMAGE)
    path = dicom_files.write(tmp_path / "a.dcm", IMAGE, bits=12)
    plain = image_file.read_frame(path).pixels
    values = np.frombuffer(pydicom.dcmread(path).PixelData, "<u2")
    with_overlay = rewrite(path, PixelData=(values | 0x8000).tobytes())
    np.testing.assert_array_equal(with_overlay, plain)
    shifted = rewrite(path, PixelData=(values << 4).tobytes(), HighBit=15)
    np.testing.assert_array_equal(shifted, plain)


def test_pixels_that_lack_some_or_lie_in_pieces_are_refused(tmp_path: Path) -> None:
    path = dicom_files.write(tmp_path / "a.dcm", IMAGE)
    dataset = pydicom.dcmread(path)
    dataset.PixelData = dataset.PixelData[:2000]
    dataset.add_new(0xFFFCFFFC, "OB", bytes(IMAGE.size))  # padding
    dataset.save_as(path)
    with pytest.raises(ImageDecodeError, match="2000 of its pixels'"):
        image_file.read_frame(path)
    data = [dataset.PixelData]
    path = dicom_files.save_coded(dataset, data, tmp_path / "b.dcm", uid.JPEGBaseline8Bit)
    named = path.read_bytes()
    path.write_bytes(named.replace(b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.1\0\0\0"))
    with pytest.raises(ImageDecodeError, match="in pieces"):
        image_file.read_frame(path)


def rewrite(path: Path, **attributes: object) -> np.ndarray:
    """Write other attributes into a file, and return the pixels that it then shows."""
    dataset = pydicom.dcmread(path)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)
    return image_file.read_frame(path).pixels


@pytest.fixture
def coded(tmp_path: Path) -> Path:
    """An image as baseline JPEG."""
    maker = Maker(dicom_files.write(tmp_path / "plain.dcm", IMAGE), tmp_path)
    return maker.coded("MONOCHROME2", jpeg, uid.JPEGBaseline8Bit)


def test_every_cut_of_a_file_is_refused(coded: Path) -> None:
    for path in (coded.with_name("plain.dcm"), coded):
        data = path.read_bytes()
        for end in [*range(140, len(data) - 64, 211), len(data) - 64]:
            with pytest.raises(ImageDecodeError):
                decode_frame(data[:end])


def test_a_jpeg_that_contradicts_its_file_or_lacks_its_end_is_refused(coded: Path) -> None:
    dataset = pydicom.dcmread(coded)
    (whole,) = pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)
    cut = whole[: len(whole) // 2] + b"\xff\xd9"
    path = dicom_files.save_coded(dataset, [cut], coded.with_name("c"), uid.JPEGBaseline8Bit)
    with pytest.raises(ImageDecodeError, match="a part of its pixels is missing"):
        image_file.read_frame(path)
    with pytest.raises(ImageDecodeError, match="122x96, the file says 122x95"):
        rewrite(coded, Rows=95)
    dataset.NumberOfFrames = 2
    dataset.add_new("ExtendedOffsetTable", "UL", 1000)  # a number in place of a table
    dataset.save_as(coded)
    with pytest.raises(ImageDecodeError, match="ExtendedOffsetTable"):
        count_frames(coded)


JFIF = b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0"
ADOBE_RGB, ADOBE_YCC = (b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + kind for kind in (b"\0", b"\1"))


def jpeg_of_colours(
    frame: np.ndarray,
    *,
    rgb: bool = False,
    segments: bytes = b"",
    ids: bytes = b"\1\2\3",
    half: int = 0,
) -> bytes:
    """Encode ``rgb`` or YCbCr, colour perhaps of half the width, with these segments and ids."""
    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, "JPEG", quality=95, subsampling=half, keep_rgb=rgb)
    data, position, kept = stream.getvalue(), 2, b"\xff\xd8" + segments
    while True:
        marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4])
        segment = bytearray(data[position : position + 2 + length])
        position += 2 + length
        if marker == 0xC0:
            segment[10:19:3] = ids
        if marker == 0xDA:
            segment[5:11:2] = ids
            return kept + bytes(segment) + data[position:]
        if marker not in (0xE0, 0xEE):
            kept += bytes(segment)


@pytest.mark.parametrize(
    ("how", "photometric"),
    [
        ({"rgb": True}, "RGB"),
        ({"rgb": True, "ids": b"RGB"}, "YBR_FULL_422"),
        ({}, "YBR_FULL_422"),
        ({"segments": JFIF}, "RGB"),
        ({"rgb": True, "segments": ADOBE_RGB}, "YBR_FULL_422"),
        ({"segments": ADOBE_YCC}, "RGB"),
        ({"half": 1}, "RGB"),  # with fewer samples of colour it is no RGB
    ],
)
def test_what_colours_of_a_jpeg_are(tmp_path: Path, how: dict[str, Any], photometric: str) -> None:
    """Its own segments say it, else DICOM does; of a film in fragments too."""
    maker = Maker(dicom_files.write(tmp_path / "plain.dcm", FILM), tmp_path)
    encode = functools.partial(jpeg_of_colours, **how)
    path = maker.coded(photometric, encode, uid.JPEGBaseline8Bit, fragments=3)
    for number in (1, 2):
        found = read_frame(path, number)
        assert np.abs(found.pixels.astype(int) - FILM[number - 1]).max() <= 12
        assert not found.screen.coloured


def test_errors_name_no_patient(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    path = dicom_files.write(tmp_path / "a.dcm", IMAGE)
    data = path.read_bytes()
    for at in range(132, len(data) - IMAGE.size, 7):
        broken = data[:at] + b"\xff\xfe" + data[at + 2 :]
        try:
            decode_frame(broken)
        except ImageDecodeError as error:
            assert dicom_files.TOKEN not in str(error)
    assert dicom_files.TOKEN.encode() in data
    assert not [*recwarn]
