"""Files that are cut or damaged, and what their JPEGs say of colours."""

from __future__ import annotations

import io
from pathlib import Path

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


def test_samples_may_lie_in_the_upper_bits(gray: np.ndarray, tmp_path: Path) -> None:
    path = dicom_files.write(tmp_path / "a.dcm", gray[0], bits=12)
    plain = image_file.read_frame(path).pixels
    values = np.frombuffer(pydicom.dcmread(path).PixelData, "<u2")
    with_overlay = rewrite(path, PixelData=(values | 0x8000).tobytes())
    np.testing.assert_array_equal(with_overlay, plain)
    shifted = rewrite(path, PixelData=(values << 4).tobytes(), HighBit=15)
    np.testing.assert_array_equal(shifted, plain)


def test_deep_pixels_in_jpeg_are_refused_with_advice(gray: np.ndarray, tmp_path: Path) -> None:
    maker = Maker(dicom_files.write(tmp_path / "base.dcm", gray), tmp_path)
    source = maker.native("MONOCHROME2", bits=12)
    coded = maker.by_dcmtk("dcmcjpeg", "+e1", source)
    if coded is None:
        pytest.skip("dcmtk is not installed")
    with pytest.raises(ImageDecodeError, match="save the images uncompressed"):
        read_frame(coded, 1)


def test_pixels_that_lack_some_or_lie_in_pieces_are_refused(
    gray: np.ndarray, tmp_path: Path
) -> None:
    path = dicom_files.write(tmp_path / "a.dcm", gray[0])
    dataset = pydicom.dcmread(path)
    dataset.PixelData = dataset.PixelData[:2000]
    dataset.add_new(0xFFFCFFFC, "OB", bytes(gray[0].size))  # padding
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
def coded(gray: np.ndarray, tmp_path: Path) -> Path:
    """An image as baseline JPEG."""
    maker = Maker(dicom_files.write(tmp_path / "plain.dcm", gray[0]), tmp_path)
    return maker.coded("MONOCHROME2", jpeg, uid.JPEGBaseline8Bit)


def test_every_cut_of_a_file_is_refused(coded: Path) -> None:
    for path in (coded.with_name("plain.dcm"), coded):
        data = path.read_bytes()
        for end in [*range(140, len(data) - 64, 211), len(data) - 64]:
            with pytest.raises(ImageDecodeError):
                decode_frame(data[:end])


def test_a_number_in_place_of_a_table_of_offsets_is_refused(
    gray: np.ndarray, tmp_path: Path
) -> None:
    maker = Maker(dicom_files.write(tmp_path / "plain.dcm", gray), tmp_path)
    path = maker.coded("MONOCHROME2", jpeg, uid.JPEGBaseline8Bit)
    dataset = pydicom.dcmread(path)
    dataset.add_new("ExtendedOffsetTable", "UL", 1000)
    dataset.save_as(path)
    with pytest.raises(ImageDecodeError, match="ExtendedOffsetTable"):
        count_frames(path)


def test_a_jpeg_that_lacks_its_end_or_is_of_another_size_is_refused(coded: Path) -> None:
    dataset = pydicom.dcmread(coded)
    (whole,) = pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)
    cut = whole[: len(whole) // 2] + b"\xff\xd9"
    path = dicom_files.save_coded(dataset, [cut], coded.with_name("c"), uid.JPEGBaseline8Bit)
    with pytest.raises(ImageDecodeError, match="a part of its pixels is missing"):
        image_file.read_frame(path)
    with pytest.raises(ImageDecodeError, match="122x96, the file says 122x95"):
        rewrite(coded, Rows=95)


SEGMENTS = {
    "": b"",
    "JFIF": b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0",
    "Adobe RGB": b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0",
    "Adobe YCbCr": b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\1",
}


def jpeg_of_colours(gray: np.ndarray, coded: str, segments: bytes, ids: bytes) -> bytes:
    """Encode gray as ``RGB`` or ``YCbCr`` components of these ids, with no other segments."""
    stream = io.BytesIO()
    image = Image.fromarray(np.dstack([gray] * 3))
    image.save(stream, "JPEG", quality=95, subsampling=0, keep_rgb=coded == "RGB")
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
    ("coded", "segments", "ids", "photometric"),
    [
        ("RGB", "", b"\1\2\3", "RGB"),
        ("RGB", "", b"RGB", "YBR_FULL_422"),
        ("YCbCr", "", b"\1\2\3", "YBR_FULL_422"),
        ("YCbCr", "JFIF", b"\1\2\3", "RGB"),
        ("RGB", "Adobe RGB", b"\1\2\3", "YBR_FULL_422"),
        ("YCbCr", "Adobe YCbCr", b"\1\2\3", "RGB"),
    ],
)
def test_what_the_colours_of_a_jpeg_are(
    gray: np.ndarray, tmp_path: Path, coded: str, segments: str, ids: bytes, photometric: str
) -> None:
    """Its own segments say it, else DICOM does; of a film in fragments too."""
    maker = Maker(dicom_files.write(tmp_path / "plain.dcm", gray), tmp_path)

    def encode(frame: np.ndarray) -> bytes:
        return jpeg_of_colours(frame[..., 0], coded, SEGMENTS[segments], ids)

    path = maker.coded(photometric, encode, uid.JPEGBaseline8Bit, fragments=3)
    for number in (1, 2):
        found = read_frame(path, number)
        assert np.abs(found.pixels.astype(int) - gray[number - 1]).max() <= 12
        assert found.screen is not None
        assert not found.screen.coloured


def test_a_jpeg_with_fewer_samples_of_colour_is_no_rgb(gray: np.ndarray, tmp_path: Path) -> None:
    maker = Maker(dicom_files.write(tmp_path / "plain.dcm", gray), tmp_path)

    def encode(frame: np.ndarray) -> bytes:
        data = jpeg(frame)  # 4:2:2, and begins with JFIF's segment
        return data[:2] + data[4 + int.from_bytes(data[4:6]) :]

    path = maker.coded("RGB", encode, uid.JPEGBaseline8Bit)
    assert np.abs(read_frame(path, 1).pixels.astype(int) - gray[0]).max() <= 12


def test_errors_and_warnings_tell_nothing_of_the_patient(
    gray: np.ndarray, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    path = dicom_files.write(tmp_path / "a.dcm", gray[0])
    data = path.read_bytes()
    token = dicom_files.TOKEN.encode()
    for at in range(132, len(data) - gray[0].size, 7):
        broken = data[:at] + b"\xff\xfe" + data[at + 2 :]
        try:
            decode_frame(broken)
        except ImageDecodeError as error:
            assert dicom_files.TOKEN not in str(error)
    assert token in data
    assert not [*recwarn]
