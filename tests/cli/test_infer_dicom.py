"""DICOM through `edgeseg infer`: rows, films, privacy, and what goes back to an archive."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from typer.testing import Result

from edgeseg.images.image_file import read_gray
from edgeseg.phantom.head import make_phantom
from tests.cli.calls import call, rows

pydicom = pytest.importorskip("pydicom")

from tests.images.dicom import files as dicom_files  # noqa: E402
from tests.images.dicom.files import TOKEN, Region  # noqa: E402

SIZE_MM = 0.35
NO_PICTURES = ("--no-masks", "--no-overlays")


def infer(*arguments: object) -> Result:
    return call("infer", *arguments)


def write_scans(folder: Path, film: np.ndarray) -> Path:
    """Write an image, a film, and an image whose file does not say what a pixel measures."""
    folder.mkdir()
    dicom_files.write(folder / "one.dcm", film[0], pixel_mm=(SIZE_MM, SIZE_MM))
    dicom_files.write(folder / "IM0001", film, pixel_mm=(SIZE_MM, SIZE_MM))
    dicom_files.write(folder / "unsized.dcm", film[0], pixel_mm=None)
    return folder


@pytest.fixture(scope="module")
def scan() -> np.ndarray:
    return make_phantom(3, height=135, width=200).image


@pytest.fixture(scope="module")
def film(scan: np.ndarray) -> np.ndarray:
    """A head, the same nearer to the edge, and nothing."""
    return np.stack([scan, np.roll(scan, 3, axis=1), np.zeros_like(scan)])


@pytest.fixture
def folder(film: np.ndarray, tmp_path: Path) -> Path:
    return write_scans(tmp_path / "scans", film)


class Run(NamedTuple):
    """The scans, and what was measured of them, which tests must not change."""

    folder: Path
    out: Path
    result: Result


@pytest.fixture(scope="module")
def measured(film: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Run:
    pytest.importorskip("highdicom")
    base = tmp_path_factory.mktemp("measured")
    folder, out = write_scans(base / "scans", film), base / "out"
    result = infer(
        folder, "--out", out, "--sr", "--seg", "--keep-ids", "--json", base / "figures.json"
    )
    assert result.exit_code == 0, result.output
    return Run(folder, out, result)


def test_a_row_a_frame_and_a_summary_of_each_film(measured: Run) -> None:
    out, found = measured.out, rows(measured.out)
    assert [(row["file"], row["frame"]) for row in found] == [
        *(("IM0001", number) for number in "123"),
        ("one.dcm", ""),
        ("unsized.dcm", ""),
    ]
    assert [row["status"] for row in found] == ["ok", "ok", "empty", "ok", "doubtful"]
    assert {row["pixel_size_source"] for row in found[:4]} == {"dicom"}
    assert {row["pixel_size_x_mm"] for row in found[:4]} == {str(SIZE_MM)}
    assert found[0]["hc_mm"] == found[3]["hc_mm"]
    assert found[4]["flags"] == "no_pixel_size"
    assert (found[4]["hc_mm"], found[4]["pixel_size_source"]) == ("", "")
    (summary,) = rows(out, "cines.csv")
    assert (summary["file"], summary["n_frames"], summary["n_ok"]) == ("IM0001", "3", "2")
    figures = json.loads((out.parent / "figures.json").read_text())
    assert figures["images"][1]["frame"] == 2
    assert figures["cines"][0]["n_refused"] == 1
    for kind, end in (("masks", ".png"), ("overlays", ".jpg")):
        names = {path.name for path in (out / kind).iterdir()}
        frames = {f"IM0001.frame-000{number}{end}" for number in (1, 2, 3)}
        assert names == {*frames, f"one.dcm{end}", f"unsized.dcm{end}"}
    page = (out / "report.html").read_text()
    assert '{"cells":["IM0001","2",' in page
    assert page.count('"thumbnail":') == 5


def test_identifiers_are_kept_where_that_is_asked_for(measured: Run) -> None:
    dataset = pydicom.dcmread(measured.folder / "one.dcm")
    row = rows(measured.out)[3]
    assert [*row][-4:] == [
        *("patient_id", "accession_number", "study_instance_uid", "sop_instance_uid"),
    ]
    assert row["patient_id"] == dataset.PatientID
    assert row["sop_instance_uid"] == dataset.SOPInstanceUID
    again = infer(measured.folder, "--out", measured.out, "--resume")
    assert again.exit_code == 1  # other columns


def test_nothing_of_the_patient_is_written_or_printed(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    damaged = (folder / "one.dcm").read_bytes()
    (folder / "cut.dcm").write_bytes(damaged[:-999])
    (folder / "wrong.dcm").write_bytes(damaged.replace(b"MONOCHROME2", b"NOTHING    "))
    command = [sys.executable, "-m", "edgeseg", "infer", str(folder), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode == 1  # one is cut short
    assert TOKEN.encode() in damaged
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) > 10
    uid = str(pydicom.dcmread(folder / "one.dcm").SOPInstanceUID).encode()
    for text in (done.stdout, done.stderr, *(path.read_bytes() for path in files)):
        assert TOKEN.encode() not in text
        assert uid not in text


def test_letters_around_the_scan_are_not_in_the_pictures(scan: np.ndarray, tmp_path: Path) -> None:
    """Bright bars stand for them: above the scan, and anywhere where no region is named."""
    (folder := tmp_path / "screens").mkdir()
    screen = np.full((250, 400), 255, np.uint8)
    screen[60:195, 100:300] = scan
    region = Region(100, 60, 299, 194, (SIZE_MM, SIZE_MM))
    dicom_files.write(folder / "region.dcm", screen, regions=[region])
    dicom_files.write(folder / "unnamed.dcm", screen, pixel_mm=None)
    dicom_files.write(folder / "clean.dcm", screen, pixel_mm=None, BurnedInAnnotation="NO")
    infer(folder, "--out", tmp_path / "out", "--no-masks")
    infer(folder / "unnamed.dcm", "--out", tmp_path / "kept", "--no-masks", "--keep-ids")

    def brightness(out: str, name: str) -> float:
        picture = read_gray(tmp_path / out / "overlays" / f"{name}.dcm.jpg")
        return float(picture[230:, 250:].mean())  # beside the scale bar

    assert brightness("out", "region") < 5
    assert brightness("out", "unnamed") < 5
    assert brightness("out", "clean") > 250
    assert brightness("kept", "unnamed") > 250


def test_letters_beside_a_head_are_not_in_the_pictures(tmp_path: Path) -> None:
    """The network looks at all of it, since the head is large; a bar stands for the letters."""
    head = make_phantom(3, height=270, width=400)
    points = head.ellipse.points(180)
    left, top = points.min(axis=0).astype(int) - 20
    right, bottom = points.max(axis=0).astype(int) + 20
    screen = np.zeros((bottom - top, right - left + 40), np.uint8)
    screen[:, :-40] = head.image[top:bottom, left:right]
    screen[:, -12:] = 255
    dicom_files.write(tmp_path / "unnamed.dcm", screen, pixel_mm=None)
    infer(tmp_path / "unnamed.dcm", "--out", tmp_path / "out")
    assert rows(tmp_path / "out")[0]["hc_px"]
    shown = read_gray(tmp_path / "out" / "overlays" / "unnamed.dcm.jpg")
    assert shown[:, -8:].max() < 20
    assert shown[60:-60, 60:-100].mean() > 10  # the head


def test_a_size_that_is_given_beats_the_files(folder: Path, tmp_path: Path) -> None:
    infer(folder, "--pixel-size", "0.7", "--out", tmp_path / "out", *NO_PICTURES)
    found = rows(tmp_path / "out")
    assert {row["pixel_size_source"] for row in found} == {"option"}
    assert found[3]["hc_mm"] == found[4]["hc_mm"]
    table = tmp_path / "sizes.csv"
    table.write_text("filename,pixel size (mm)\nIM0001,NA\none.dcm,0.5\nunsized.dcm,0.35\n")
    result = infer(folder, "--pixel-sizes", table, "--out", tmp_path / "table", *NO_PICTURES)
    assert "IM0001" in result.output
    found = rows(tmp_path / "table")
    assert [row["pixel_size_x_mm"] for row in found] == ["", "", "", "0.5", "0.35"]
    assert [row["hc_mm"] for row in found[:3]] == [""] * 3


def test_a_damaged_table_and_mask_of_a_film_are_made_again(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert infer(folder, "--out", out).exit_code == 0
    before = rows(out)
    (out / "results.csv").write_bytes((out / "results.csv").read_bytes()[:500])
    mask = out / "masks" / "IM0001.frame-0002.png"
    whole = mask.read_bytes()
    mask.write_bytes(whole[:20])
    assert infer(folder, "--out", out, "--resume").exit_code == 0
    assert mask.read_bytes() == whole
    assert [row["hc_px"] for row in rows(out)] == [row["hc_px"] for row in before]
    infer(folder / "one.dcm", "--out", out, "--overwrite")
    assert not (out / "cines.csv").exists()
    assert not [*(out / "masks").glob("IM0001*")]


def test_a_film_on_standard_input(measured: Run, tmp_path: Path) -> None:
    data = (measured.folder / "IM0001").read_bytes()
    result = call("infer", "-", "--out", tmp_path / "out", *NO_PICTURES, data=data)
    assert result.exit_code == 0
    found = [(row["file"], row["frame"]) for row in rows(tmp_path / "out")]
    assert found == [("stdin", number) for number in "123"]


def test_documents_are_left_out_of_folders(folder: Path, tmp_path: Path) -> None:
    dataset = pydicom.dcmread(folder / "one.dcm")
    for keyword in ("PixelData", "Rows", "Columns"):
        delattr(dataset, keyword)
    dataset.save_as(folder / "report.dcm")
    dataset.save_as(folder / "KO0001")
    result = infer(folder, "--out", tmp_path / "out", *NO_PICTURES)
    assert "2 DICOM document" in result.output
    assert len(rows(tmp_path / "out")) == 5
    infer(folder / "report.dcm", "--out", tmp_path / "named")
    (row,) = rows(tmp_path / "named")
    assert row["status"] == "failed"
    assert "no image" in row["reason"]


@pytest.mark.skipif(shutil.which("dcmmkdir") is None, reason="dcmtk is not installed")
def test_an_index_names_its_images(measured: Run, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    (disk / "DICOM").mkdir(parents=True)
    for i, name in enumerate(("one.dcm", "IM0001")):
        dataset = pydicom.dcmread(measured.folder / name)
        dataset.InstanceNumber, dataset.SeriesNumber, dataset.StudyID = i + 1, 1, "1"
        dataset.save_as(disk / "DICOM" / f"IM{i}")
    (disk / "VIEWER.PNG").write_bytes(b"no image")
    command = ["dcmmkdir", "+D", "DICOMDIR", "-W", "+I", "+id", ".", "DICOM/IM0", "DICOM/IM1"]
    subprocess.run(command, cwd=disk, check=True, capture_output=True)
    result = infer(disk / "DICOMDIR", "--out", tmp_path / "out", *NO_PICTURES)
    assert result.exit_code == 0, result.output
    names = [(row["file"], row["frame"]) for row in rows(tmp_path / "out")]
    assert names == [("DICOM/IM0", ""), *(("DICOM/IM1", number) for number in "123")]
    (disk / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(50))
    damaged = infer(disk / "DICOMDIR", "--out", tmp_path / "none")
    assert damaged.exit_code == 1
    assert "DICOMDIR" in str(damaged.exception)


def test_missing_packages_are_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pydicom", None)
        assert infer(folder, "--out", tmp_path / "out").exit_code == 1
    found = rows(tmp_path / "out")
    assert [row["file"] for row in found] == ["IM0001", "one.dcm", "unsized.dcm"]
    assert all("pip install 'edgeseg[dicom]'" in row["reason"] for row in found)
    monkeypatch.setitem(sys.modules, "highdicom", None)
    result = infer(folder, "--out", tmp_path / "report", "--sr")
    assert result.exit_code == 1
    assert "pip install 'edgeseg[dicom-report]'" in str(result.exception)
    assert not (tmp_path / "report" / "results.csv").exists()


def test_documents_go_back_of_images_and_of_the_best_frame(measured: Run, tmp_path: Path) -> None:
    out = measured.out
    assert {path.name for path in (out / "sr").iterdir()} == {"IM0001.img.dcm", "one.dcm"}
    assert "unsized.dcm: no SR was made of it" in measured.result.output
    assert {path.name for path in (out / "seg").iterdir()} == {
        *("IM0001.img.dcm", "one.dcm", "unsized.dcm")
    }
    (summary,) = rows(out, "cines.csv")
    assert _frames(out / "sr" / "IM0001.img.dcm") == {summary["best_frame"]}
    nothing = infer(out, "--out", tmp_path / "none")  # its documents are no images
    assert nothing.exit_code == 1


def test_documents_are_of_what_was_measured_last(
    folder: Path, film: np.ndarray, tmp_path: Path
) -> None:
    pytest.importorskip("highdicom")
    out = tmp_path / "out"

    def check(*options: object) -> list[float]:
        """Measure, and return the circumferences in mm that table and reports agree on."""
        assert infer(folder, "--out", out, *NO_PICTURES, *options).exit_code == 0
        (summary,) = rows(out, "cines.csv")
        found = {(row["file"], row["frame"]): row["hc_mm"] for row in rows(out)}
        expected = [found["IM0001", summary["best_frame"]], found["one.dcm", ""]]
        in_reports = [_hc_mm(out / "sr" / name) for name in ("IM0001.img.dcm", "one.dcm")]
        assert in_reports == [pytest.approx(float(hc_mm), abs=1e-3) for hc_mm in expected]
        return [float(hc_mm) for hc_mm in expected]

    first = check("--sr", "--pixel-size", "0.35")
    (out / "sr" / "one.dcm").unlink()
    assert check("--sr", "--pixel-size", "0.35", "--resume") == first
    # measured again without documents, which are then asked for again
    infer(folder, "--out", out, *NO_PICTURES, "--pixel-size", "0.5", "--resume")
    later = check("--sr", "--pixel-size", "0.5", "--resume")
    assert later == pytest.approx([hc_mm * 0.5 / 0.35 for hc_mm in first], rel=1e-4)
    dicom_files.write(folder / "IM0001", film[1:], pixel_mm=None)  # it has lost a frame
    check("--sr", "--pixel-size", "0.5", "--resume")
    assert [row["frame"] for row in rows(out)] == ["1", "2", "", ""]
    infer(folder, "--out", out, "--overwrite")
    assert not [*(out / "sr").iterdir()]


def _frames(document: Path) -> set[str]:
    """Return every number of a frame that a report refers to."""
    found: set[str] = set()

    def look(dataset: Any, element: Any) -> None:
        if element.keyword == "ReferencedFrameNumber":
            found.add(str(element.value))

    pydicom.dcmread(document).walk(look)
    return found


def _hc_mm(document: Path) -> float:
    """Return the one head circumference in a report."""
    found: list[float] = []

    def look(dataset: Any, element: Any) -> None:
        is_figure = element.keyword == "MeasuredValueSequence"
        if is_figure and dataset.ConceptNameCodeSequence[0].CodeValue == "11984-2":
            found.append(float(element.value[0].NumericValue))

    pydicom.dcmread(document).walk(look)
    (hc_mm,) = found
    return hc_mm
