from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.phantom.head import make_phantom

pydicom = pytest.importorskip("pydicom")

from pydicom import uid  # noqa: E402
from pydicom.encaps import generate_frames  # noqa: E402
from pydicom.pixels.decoders.base import get_decoder  # noqa: E402
from pydicom.pixels.processing import apply_color_lut, convert_color_space  # noqa: E402

from tests.images.dicom import files as dicom_files  # noqa: E402
from tests.images.dicom.encodings import encodings, mislabelled, rare  # noqa: E402
from tests.images.dicom.files import TOKEN, Region  # noqa: E402
from tests.images.dicom.real import real_files  # noqa: E402

JFIF = re.compile(rb"\xff\xe0..JFIF.{10}", re.DOTALL)
UNTOUCHED = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0"
LOSSY_LEVELS = 12  # of 255, by which a pixel of coded speckle may differ


@pytest.fixture(scope="module")
def gray() -> np.ndarray:
    """Two frames of gray values that differ."""
    image = make_phantom(1, height=96, width=122).image
    return np.stack([image, image[::-1]])


@pytest.fixture(scope="module")
def colours(gray: np.ndarray) -> np.ndarray:
    return np.stack([gray, gray // 2, 255 - gray], axis=3)


def read(path: Path) -> Any:
    """Read a file by pydicom, which must be told of what is no whole file."""
    dataset = pydicom.dcmread(path, force=True)
    if "TransferSyntaxUID" not in dataset.file_meta:
        implicit = dataset.is_implicit_VR
        dataset.file_meta.TransferSyntaxUID = (
            uid.ImplicitVRLittleEndian if implicit else uid.ExplicitVRLittleEndian
        )
    return dataset


def decode_frame(dataset: Any) -> np.ndarray:
    """Return what is stored, by pydicom, or by OpenCV where pydicom has no decoder here."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated or get_decoder(syntax).is_available:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*codestream")  # of what is stated wrongly
            return np.asarray(dataset.pixel_array)
    n_frames = int(dataset.get("NumberOfFrames", 1))
    streams = generate_frames(dataset.PixelData, number_of_frames=n_frames)
    if dataset.PhotometricInterpretation != "YBR_FULL":
        return np.stack([_by_opencv(stream) for stream in streams])
    # this marker tells the decoder to leave the three components as they are, JFIF's would not
    raw = [_by_opencv(JFIF.sub(UNTOUCHED, stream, count=1)) for stream in streams]
    return convert_color_space(np.stack(raw), "YBR_FULL", "RGB")


def _by_opencv(stream: bytes) -> np.ndarray:
    frame = cv2.imdecode(np.frombuffer(stream, np.uint8), cv2.IMREAD_UNCHANGED)
    assert frame is not None
    return frame[..., ::-1] if frame.ndim == 3 else frame


def seen(path: Path) -> np.ndarray:
    """Return what a file shows, as `dicom_files` takes frames."""
    dataset = read(path)
    frames = decode_frame(dataset)
    if dataset.PhotometricInterpretation == "PALETTE COLOR":
        frames = apply_color_lut(frames, dataset)
        frames = frames >> (8 * (frames.itemsize - 1))
    elif frames.dtype.itemsize == 2:
        frames = frames.astype(np.uint16) >> (dataset.BitsStored - 8)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        frames = 255 - frames
    return frames.astype(np.uint8)


def test_gray_values_are_the_same_in_every_encoding(gray: np.ndarray, tmp_path: Path) -> None:
    base = dicom_files.write(tmp_path / "base.dcm", gray)
    (folder := tmp_path / "made").mkdir()
    names = set()
    for made in encodings(base, folder):
        assert made.name not in names
        names.add(made.name)
        assert TOKEN.encode() in made.path.read_bytes() or "deflated" in made.name
        frames = seen(made.path)
        assert frames.shape[:3] == gray.shape, made.name
        shown = frames if frames.ndim == 4 else frames[..., None]
        differs = int(np.abs(shown.astype(int) - gray[..., None]).max())
        assert differs <= (0 if made.lossless else LOSSY_LEVELS), made.name
    assert len(names) >= 27
    assert {"palette, segments", "gray, 12 bits", "ybr_full_422", "rgb, bare, implicit"} <= names


def test_colours_are_the_same_in_every_encoding(colours: np.ndarray, tmp_path: Path) -> None:
    base = dicom_files.write(tmp_path / "base.dcm", colours, photometric="RGB")
    (folder := tmp_path / "made").mkdir()
    n_exact = 0
    for made in encodings(base, folder):
        if made.lossless:
            np.testing.assert_array_equal(seen(made.path), colours, made.name)
            n_exact += 1
    assert n_exact >= 5


@pytest.mark.parametrize("preamble", [True, False])
def test_a_file_names_the_patient_or_nobody(
    gray: np.ndarray, tmp_path: Path, preamble: bool
) -> None:
    path = tmp_path / "scan.dcm"
    dicom_files.write(path, gray[0], preamble=preamble)
    dataset = read(path)
    for keyword in (
        *("PatientName", "PatientID", "ReferringPhysicianName", "InstitutionName"),
        *("AccessionNumber", "OperatorsName", "StationName", "PatientComments"),
    ):
        assert TOKEN in str(dataset[keyword].value), keyword
    assert TOKEN in dataset[0x0011, 0x1001].value
    assert (path.read_bytes()[128:132] == b"DICM") == preamble
    dicom_files.write(path, gray[0], preamble=preamble, names=False)
    assert TOKEN.encode() not in path.read_bytes()
    assert not read(path).PatientName


def test_regions_are_those_asked_for(gray: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "scan.dcm"
    (item,) = read(dicom_files.write(path, gray, pixel_mm=(0.2, 0.3))).SequenceOfUltrasoundRegions
    assert (item.RegionLocationMaxX1, item.RegionLocationMaxY1) == (121, 95)
    assert (item.PhysicalDeltaX, item.PhysicalDeltaY) == pytest.approx((0.02, 0.03))
    assert (item.RegionSpatialFormat, item.RegionDataType, item.PhysicalUnitsXDirection) == (
        1,
        1,
        3,
    )
    for without in (
        dicom_files.write(path, gray, pixel_mm=None),
        dicom_files.write(tmp_path / "none.dcm", gray, regions=[]),
    ):
        assert "SequenceOfUltrasoundRegions" not in read(without)
    two = [Region(1, 2, 3, 4), Region(5, 6, 7, 8, None, 3, 10, (3, 4))]
    items = read(dicom_files.write(path, gray, regions=two)).SequenceOfUltrasoundRegions
    assert [item.RegionLocationMinX0 for item in items] == [1, 5]
    assert "PhysicalDeltaX" not in items[1]
    assert (items[1].RegionSpatialFormat, items[1].RegionDataType) == (3, 10)


def test_frames_and_attributes_are_as_asked(gray: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "scan.dcm"
    dataset = read(dicom_files.write(path, gray, FrameTime="20", Manufacturer=None))
    assert (dataset.SOPClassUID, dataset.NumberOfFrames) == (dicom_files.CINE, 2)
    assert dataset.FrameTime == 20
    assert "Manufacturer" not in dataset
    dataset = read(dicom_files.write(path, gray[0], syntax=uid.ExplicitVRBigEndian, bits=16))
    assert dataset.SOPClassUID == dicom_files.SINGLE
    assert "NumberOfFrames" not in dataset
    np.testing.assert_array_equal(dataset.pixel_array, gray[0] * np.uint16(257))


def test_what_is_stated_wrongly_has_colours_that_no_scan_has(
    gray: np.ndarray, tmp_path: Path
) -> None:
    base = dicom_files.write(tmp_path / "base.dcm", gray)
    (folder := tmp_path / "made").mkdir()
    made = [*mislabelled(base, folder)]
    assert len(made) == 2
    for name, path in made:
        assert np.ptp(seen(path).astype(int), axis=3).mean() > 50, name


def test_no_decoder_of_ours_reads_rare_encodings(gray: np.ndarray, tmp_path: Path) -> None:
    base = dicom_files.write(tmp_path / "base.dcm", gray)
    (folder := tmp_path / "made").mkdir()
    for _, path in rare(base, folder):
        dataset = read(path)
        assert dataset.BitsStored == 12
        (stream, _) = generate_frames(dataset.PixelData, number_of_frames=2)
        assert cv2.imdecode(np.frombuffer(stream, np.uint8), cv2.IMREAD_UNCHANGED) is None


def test_shipped_files_are_as_described() -> None:
    files = real_files()
    assert len(files) >= 5  # those of pydicom's own wheel
    for file in files:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Expected explicit VR")
            dataset = read(file.path)
        shape = (int(dataset.get("NumberOfFrames") or 1), dataset.Rows, dataset.Columns)
        assert shape == (file.frames, file.rows, file.columns), file.name
        tissue = [
            item
            for item in dataset.get("SequenceOfUltrasoundRegions") or []
            if (item.RegionSpatialFormat, item.RegionDataType) == (1, 1)
        ]
        rectangles = tuple(
            (
                *(item.RegionLocationMinX0, item.RegionLocationMinY0),
                *(item.RegionLocationMaxX1, item.RegionLocationMaxY1),
            )
            for item in tissue
        )
        assert rectangles == file.regions, file.name
        # a last column that is the number of columns is a slip of one, not a cut image
        beyond = any(x1 > file.columns or y1 > file.rows for _, _, x1, y1 in rectangles)
        assert beyond == (file.why == "beyond the image"), file.name
        assert (not rectangles) == (file.why == "no regions"), file.name
        if file.pixel_mm is not None:
            sides = {s for item in tissue for s in (item.PhysicalDeltaX, item.PhysicalDeltaY)}
            assert [10 * side for side in sides] == pytest.approx([file.pixel_mm]), file.name
