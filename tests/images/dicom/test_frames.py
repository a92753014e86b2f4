from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from edgeseg.errors import DataError, ImageDecodeError
from edgeseg.images import image_file
from edgeseg.images.dicom import file as dicom_file
from edgeseg.images.dicom.frames import convert_to_gray, count_frames, read_frame, read_frames

pydicom = pytest.importorskip("pydicom")

from pydicom import uid  # noqa: E402

from tests.images.dicom import files as dicom_files  # noqa: E402
from tests.images.dicom.encodings import Maker, encodings, jpeg  # noqa: E402
from tests.images.dicom.files import FILM, IMAGE, Region  # noqa: E402
from tests.images.image_files import peak_bytes  # noqa: E402

LOSSY_LEVELS = 12  # of 255, by which a pixel of coded speckle may differ
_OB = ((120, 60, 800, 518),)
_OB_FILM = (2, 600, 800, 0.2622878766196998, _OB)
_SONOSITE = ((84, 31, 595, 414),)
_ALOKA = ((32, 24, 335, 415), (336, 24, 639, 415))
_IN_PYDICOM: dict[str, tuple[Any, ...]] = {
    "ExplVR_BigEnd.dcm": (1, 60, 80),
    "examples_jpeg2k.dcm": (1, 480, 640),
    "examples_palette.dcm": (1, 350, 800, None, _OB),
    "examples_rgb_color.dcm": (1, 240, 320),
    "examples_ybr_color.dcm": (30, 240, 320, None, _SONOSITE),
}
_IN_PYDICOM_DATA: dict[str, tuple[Any, ...]] = {
    "JPGLosslessP14SV1_1s_1f_8b.dcm": (1, 768, 1024, 0.25476696592378157, ((14, 38, 1010, 758),)),
    "OBXXXX1A_expb_2frame.dcm": _OB_FILM,
    "OBXXXX1A_rle_2frame.dcm": _OB_FILM,
    "US1_J2KR.dcm": (1, 480, 640),
    "color-pl.dcm": (1, 120, 256),
    "color3d_jpeg_baseline.dcm": (120, 480, 640, 0.5104970559477806, _SONOSITE),
    "gdcm-US-ALOKA-16_big.dcm": (1, 480, 640, 0.3826530650258064, _ALOKA),
}


class RealFile(NamedTuple):
    """An ultrasound file that a package ships."""

    name: str
    path: Path
    frames: int  # What it holds.
    rows: int
    columns: int
    pixel_mm: float | None = None  # Where tissue is shown; None if that is not known.
    regions: tuple[tuple[int, int, int, int], ...] = ()  # Of tissue, as stated.


def real_files() -> list[RealFile]:
    """Return the ultrasound files of the packages that are installed; none is downloaded."""
    found = []
    for package, under, files in (
        ("pydicom", "data/test_files", _IN_PYDICOM),
        ("data_store", "data", _IN_PYDICOM_DATA),
    ):
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or []) if spec else []:
            for name, facts in files.items():
                path = Path(folder) / under / name
                if path.is_file():
                    found.append(RealFile(name, path, *facts))
    return found


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.nightly)])
@pytest.mark.parametrize("photometric", ["MONOCHROME2", "RGB"])
def test_every_encoding_shows_the_same(tmp_path: Path, photometric: str, every: bool) -> None:
    tinted = np.stack([FILM, FILM // 2, FILM // 2], axis=3)
    shown = FILM if photometric == "MONOCHROME2" else tinted
    how = {"photometric": photometric, "pixel_mm": (0.2, 0.3)}
    base = dicom_files.write(tmp_path / "base.dcm", shown, **how)
    expected = [read_frame(base, number).pixels for number in (1, 2)]
    if photometric == "MONOCHROME2":
        np.testing.assert_array_equal(expected, FILM)
    (folder := tmp_path / "made").mkdir()
    n_made = 0
    for made in encodings(base, folder, every=every):
        if "JPEG-LS" in made.name:
            pytest.importorskip("jpeg_ls")
        assert count_frames(made.path) == 2, made.name
        for number, wanted in enumerate(expected, start=1):
            found = read_frame(made.path, number)
            differs = int(np.abs(found.pixels.astype(int) - wanted).max())
            assert differs <= (0 if made.lossless else LOSSY_LEVELS), made.name
            assert found.pixel_size[:2] == pytest.approx((0.2, 0.3)), made.name
            assert not found.screen.coloured, made.name
        n_made += 1
    assert n_made >= (27 if photometric == "MONOCHROME2" else 12)


@pytest.mark.parametrize("real", real_files(), ids=lambda real: real.name)
def test_files_of_real_machines_are_read(real: RealFile) -> None:
    assert count_frames(real.path) == real.frames
    image = read_frame(real.path, real.frames)
    assert image.pixels.shape == (real.rows, real.columns)
    assert image.pixels.std() > 5
    if real.pixel_mm is None:
        assert image.pixel_size is None
        why = "resized or cut" if real.regions else "does not say"
        assert why in image.screen.refused
        return
    assert image.pixel_size[:2] == pytest.approx((real.pixel_mm, real.pixel_mm))
    assert image.pixel_size.source == "dicom"
    corners = [(a.left_px, a.top_px, a.right_px - 1, a.bottom_px - 1) for a in image.screen.areas]
    expected = [(x0, y0, min(x1, real.columns - 1), y1) for x0, y0, x1, y1 in real.regions]
    assert corners == expected


def test_around_the_scans_where_machines_write_names_it_is_black(tmp_path: Path) -> None:
    regions = [Region(10, 20, 60, 90), Region(70, 20, 120, 90)]
    path = dicom_files.write(tmp_path / "dual.dcm", IMAGE, regions=regions)
    image = image_file.read_frame(path)
    inside = np.zeros(IMAGE.shape, bool)
    inside[20:91, 10:61] = inside[20:91, 70:121] = True
    np.testing.assert_array_equal(image.pixels[inside], IMAGE[inside])
    assert not image.pixels[~inside].any()
    assert not image.screen.may_name_patient
    # without regions the patient may be named anywhere
    for burned_in, may in (("YES", True), ("NO", False), (None, True)):
        how = {"pixel_mm": None, "BurnedInAnnotation": burned_in}
        path = dicom_files.write(tmp_path / "a.dcm", IMAGE, **how)
        assert _screen(path).may_name_patient == may
        np.testing.assert_array_equal(image_file.read_frame(path).pixels, IMAGE)


def test_flow_without_tissue_is_coloured_however_gray(tmp_path: Path) -> None:
    path = dicom_files.write(tmp_path / "flow.dcm", IMAGE, regions=[Region(10, 20, 60, 90)])
    dataset = pydicom.dcmread(path)
    dataset.SequenceOfUltrasoundRegions[0].RegionDataType = 2
    dataset.save_as(path)
    assert _screen(path).coloured
    assert image_file.read_frame(path).pixel_size is not None


def test_doppler_and_colours_read_wrongly_are_known(tmp_path: Path) -> None:
    plain = dicom_files.write(tmp_path / "plain.dcm", IMAGE, photometric="RGB")
    assert not _screen(plain).coloured
    doppler = np.stack([IMAGE] * 3, axis=2)
    doppler[30:70, 30:90] = (220, 30, 20)
    for kind in ("RGB", "YBR_FULL"):
        assert _screen(dicom_files.write(tmp_path / "d.dcm", doppler, photometric=kind)).coloured
    for stated, real in (("YBR_FULL", "RGB"), ("RGB", "YBR_FULL")):
        path = Maker(plain, tmp_path).native(stated, stored_as=real)
        assert _screen(path).coloured, stated
    sepia = np.stack([IMAGE, IMAGE * 0.9, IMAGE * 0.78], axis=2).astype(np.uint8)
    assert not _screen(dicom_files.write(tmp_path / "s.dcm", sepia, photometric="RGB")).coloured


def test_frames_are_read_one_by_one(tmp_path: Path) -> None:
    """A film never lies in memory as a whole, whether it is compressed or not."""
    plain = dicom_files.write(tmp_path / "film.dcm", np.concatenate([FILM] * 100))
    coded = Maker(plain, tmp_path).coded("MONOCHROME2", jpeg, uid.JPEGBaseline8Bit)
    for path in (plain, coded):
        read_frame(path, 1)
        dicom_file._open_version.cache_clear()
        held_bytes = peak_bytes(lambda path=path: (count_frames(path), read_frame(path, 200)))
        assert held_bytes < path.stat().st_size / 2
        assert count_frames(path) == 200


def test_a_film_is_a_frame_at_a_time_for_programs(tmp_path: Path) -> None:
    path = dicom_files.write(tmp_path / "film.dcm", FILM, pixel_mm=(0.2, 0.2))
    found = [*read_frames(path)]
    assert [frame.name for frame in found] == ["film.dcm", "film.dcm"]
    for frame, wanted in zip(found, FILM, strict=True):
        np.testing.assert_array_equal(frame.pixels, wanted)
        assert frame.pixel_size.source == "dicom"
    (given, _) = read_frames(path, 0.5)
    assert given.pixel_size == (0.5, 0.5, "option")
    with pytest.raises(ImageDecodeError, match="holds 2 frames"):
        image_file.read_frame(path)
    with pytest.raises(DataError, match="frame 3"):
        read_frame(path, 3)
    dicom_files.write(path, np.concatenate([FILM, FILM]))  # it is opened anew
    assert count_frames(path) == 4


@pytest.mark.parametrize(
    ("change", "why"),
    [
        *(({"Modality": "CT"}, "modality is CT"), ({"Rows": None}, "no image")),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.6.2"}, "volume"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.77.1.6"}, "whole-slide"),
        *(({"NumberOfFrames": 2_000_000}, "2000000 frames"), ({"Rows": 16}, "too small")),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "its palette"),
    ],
)
def test_other_images_are_refused(tmp_path: Path, change: dict[str, object], why: str) -> None:
    path = dicom_files.write(tmp_path / "a.dcm", IMAGE, **change)
    with pytest.raises(ImageDecodeError, match=why):
        image_file.read_frame(path)


def test_a_region_that_cannot_be_read_costs_the_scale_alone(tmp_path: Path) -> None:
    path = dicom_files.write(tmp_path / "a.dcm", IMAGE)
    dataset = pydicom.dcmread(path)
    dataset.SequenceOfUltrasoundRegions[0]["PhysicalDeltaX"].VR = "LO"
    dataset.SequenceOfUltrasoundRegions[0].PhysicalDeltaX = "0,01"
    dataset.save_as(path)
    image = image_file.read_frame(path)
    np.testing.assert_array_equal(image.pixels, IMAGE)
    assert "does not say what a pixel measures" in image.screen.refused


def test_odd_files_that_are_read(tmp_path: Path) -> None:
    path = dicom_files.write(tmp_path / "a.dcm", IMAGE, Modality=None)  # a captured screen
    np.testing.assert_array_equal(image_file.read_frame(path).pixels, IMAGE)
    # a preamble may be the head of a TIFF
    path.write_bytes(b"II*\0\x08\0\0\0" + path.read_bytes()[8:])
    np.testing.assert_array_equal(image_file.read_frame(path).pixels, IMAGE)


def test_luma_of_a_part_of_the_range_is_spread() -> None:
    samples = np.full((32, 48, 3), 128, np.uint8)
    samples[0, :3, 0] = 16, 125, 235
    luma, _ = convert_to_gray(samples, "YBR_PARTIAL_422", lambda: pytest.fail("no palette"))
    assert luma[0, :3].tolist() == [0, 127, 255]


def test_deflated_files_are_unpacked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    how = {"syntax": uid.DeflatedExplicitVRLittleEndian}
    films = [dicom_files.write(tmp_path / f"{i}.dcm", FILM, **how) for i in range(3)]
    assert [count_frames(path) for path in films] == [2, 2, 2]
    assert dicom_file._unpack_version.cache_info().currsize == 1
    for path in films:
        np.testing.assert_array_equal(read_frame(path, 2).pixels, FILM[1])
    path = dicom_files.write(tmp_path / "a.dcm", IMAGE, **how)
    monkeypatch.setattr(dicom_file, "_MOST_UNPACKED_BYTES", 5000)
    with pytest.raises(ImageDecodeError, match="deflated; save it without"):
        image_file.read_frame(path)


def _screen(path: Path) -> Any:
    return image_file.read_frame(path).screen
