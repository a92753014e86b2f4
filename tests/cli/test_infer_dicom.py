"""DICOM through `edgeseg infer`: rows, films, privacy, and what goes back to an archive."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

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


def infer(*arguments: object, data: bytes | None = None) -> Result:
    return call("infer", *arguments, data=data)


@pytest.fixture(scope="module")
def scan() -> np.ndarray:
    return make_phantom(3, height=270, width=400).image


@pytest.fixture(scope="module")
def film(scan: np.ndarray) -> np.ndarray:
    """A head, the same nearer to the edge, and nothing."""
    return np.stack([scan, np.roll(scan, 6, axis=1), np.zeros_like(scan)])


@pytest.fixture
def folder(scan: np.ndarray, film: np.ndarray, tmp_path: Path) -> Path:
    """An image, a film, and an image whose file does not say what a pixel measures."""
    made = tmp_path / "scans"
    made.mkdir()
    sized = (SIZE_MM, SIZE_MM)
    dicom_files.write(made / "one.dcm", scan, pixel_mm=sized)
    dicom_files.write(made / "IM0001", film, pixel_mm=sized)
    dicom_files.write(made / "unsized.dcm", scan, pixel_mm=None)
    return made


def test_a_row_a_frame_and_a_summary_of_each_film(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = infer(folder, "--out", out, "--json", tmp_path / "figures.json")
    assert result.exit_code == 0, result.output
    found = rows(out)
    assert [(row["file"], row["frame"]) for row in found] == [
        *(("IM0001", number) for number in "123"),
        ("one.dcm", ""),
        ("unsized.dcm", ""),
    ]
    assert [row["status"] for row in found] == ["ok", "ok", "empty", "ok", "doubtful"]
    assert {row["pixel_size_source"] for row in found[:4]} == {"dicom"}
    assert {row["pixel_size_x_mm"] for row in found[:4]} == {"0.35"}
    assert found[0]["hc_mm"] == found[3]["hc_mm"]
    assert found[4]["flags"] == "no_pixel_size"
    assert found[4]["reason"] == "the file does not say what a pixel measures"
    assert (found[4]["hc_mm"], found[4]["pixel_size_source"]) == ("", "")
    (summary,) = rows(out, "cines.csv")
    assert (summary["file"], summary["n_frames"], summary["n_ok"]) == ("IM0001", "3", "2")
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["images"][1]["frame"] == 2
    assert figures["cines"][0]["n_refused"] == 1
    for kind, end in (("masks", ".png"), ("overlays", ".jpg")):
        names = {path.name for path in (out / kind).iterdir()}
        frames = {f"IM0001.frame-000{number}{end}" for number in (1, 2, 3)}
        assert names == {*frames, f"one.dcm{end}", f"unsized.dcm{end}"}
    page = (out / "report.html").read_text()
    assert '{"cells":["IM0001","2",' in page
    assert page.count('"thumbnail":') == 5


def test_nothing_of_the_patient_is_written_or_said(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    damaged = (folder / "one.dcm").read_bytes()
    (folder / "cut.dcm").write_bytes(damaged[:-999])
    (folder / "wrong.dcm").write_bytes(damaged.replace(b"MONOCHROME2", b"NOTHING    "))
    command = [sys.executable, "-m", "edgeseg", "infer", str(folder), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode == 1  # one is cut short
    assert TOKEN.encode() in damaged
    said = [done.stdout, done.stderr]
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) > 10
    for text in [*said, *(path.read_bytes() for path in files)]:
        assert TOKEN.encode() not in text
    uid = str(pydicom.dcmread(folder / "one.dcm").SOPInstanceUID).encode()
    assert not [path for path in files if uid in path.read_bytes()]


def test_what_tells_whose_it_is_can_be_kept(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert infer(folder, "--out", out, "--keep-ids").exit_code == 0
    dataset = pydicom.dcmread(folder / "one.dcm")
    row = rows(out)[3]
    assert [*row][-4:] == [
        *("patient_id", "accession_number", "study_instance_uid", "sop_instance_uid"),
    ]
    assert row["patient_id"] == dataset.PatientID
    assert row["sop_instance_uid"] == dataset.SOPInstanceUID
    again = infer(folder, "--out", out, "--keep-ids", "--resume")
    assert "0 in " in again.output
    assert infer(folder, "--out", out, "--resume").exit_code == 1  # other columns


def test_letters_around_the_scan_are_not_in_the_pictures(scan: np.ndarray, tmp_path: Path) -> None:
    """Bright bars stand for them: above the scan, and anywhere where no region is named."""
    screen = np.full((400, 600), 255, np.uint8)
    screen[60:330, 100:500] = scan
    region = Region(100, 60, 499, 329, (SIZE_MM, SIZE_MM))
    dicom_files.write(tmp_path / "region.dcm", screen, regions=[region])
    dicom_files.write(tmp_path / "unnamed.dcm", screen, pixel_mm=None)
    dicom_files.write(tmp_path / "clean.dcm", screen, pixel_mm=None, BurnedInAnnotation="NO")
    out = tmp_path / "out"
    infer(tmp_path, "--out", out)
    brightness = {
        name: read_gray(out / "overlays" / f"{name}.dcm.jpg")[
            380:, 200:
        ].mean()  # beside the scale bar
        for name in ("region", "unnamed", "clean")
    }
    assert brightness["region"] < 5
    assert brightness["unnamed"] < 5
    assert brightness["clean"] > 250
    infer(tmp_path / "unnamed.dcm", "--out", tmp_path / "kept", "--keep-ids")
    assert read_gray(tmp_path / "kept" / "overlays" / "unnamed.dcm.jpg")[380:].mean() > 250


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
    infer(folder, "--pixel-size", "0.7", "--out", tmp_path / "out")
    found = rows(tmp_path / "out")
    assert {row["pixel_size_source"] for row in found} == {"option"}
    assert found[3]["hc_mm"] == found[4]["hc_mm"]
    table = tmp_path / "sizes.csv"
    table.write_text("filename,pixel size (mm)\nIM0001,0.5\none.dcm,0.35\nunsized.dcm,0.35\n")
    result = infer(folder, "--pixel-sizes", table, "--out", tmp_path / "table")
    assert result.exit_code == 0, result.output
    by_table = rows(tmp_path / "table")
    assert [row["pixel_size_x_mm"] for row in by_table] == ["0.5"] * 3 + ["0.35"] * 2
    table.write_text("filename,pixel size (mm)\nIM0001,NA\none.dcm,0.35\nunsized.dcm,0.35\n")
    result = infer(folder, "--pixel-sizes", table, "--out", tmp_path / "unknown")
    assert "'IM0001': their lengths are in pixels" in result.output
    assert [row["hc_mm"] for row in rows(tmp_path / "unknown")[:3]] == [""] * 3


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


def test_a_film_on_standard_input(folder: Path, tmp_path: Path) -> None:
    data = (folder / "IM0001").read_bytes()
    assert infer("-", "--out", tmp_path / "out", data=data).exit_code == 0
    found = [(row["file"], row["frame"]) for row in rows(tmp_path / "out")]
    assert found == [("stdin", number) for number in "123"]


def test_documents_are_left_out_of_folders(folder: Path, tmp_path: Path) -> None:
    dataset = pydicom.dcmread(folder / "one.dcm")
    for keyword in ("PixelData", "Rows", "Columns"):
        delattr(dataset, keyword)
    dataset.save_as(folder / "report.dcm")
    dataset.save_as(folder / "KO0001")
    result = infer(folder, "--out", tmp_path / "out")
    assert "left out 2 files of kinds that are not read (2 DICOM document)" in result.output
    assert len(rows(tmp_path / "out")) == 5
    infer(folder / "report.dcm", "--out", tmp_path / "named")
    (row,) = rows(tmp_path / "named")
    assert row["reason"] == "the DICOM file holds no image"


@pytest.mark.skipif(shutil.which("dcmmkdir") is None, reason="dcmtk is not installed")
def test_an_index_names_its_images(folder: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    (disk / "DICOM").mkdir(parents=True)
    for i, name in enumerate(("one.dcm", "IM0001")):
        dataset = pydicom.dcmread(folder / name)
        dataset.InstanceNumber, dataset.SeriesNumber, dataset.StudyID = i + 1, 1, "1"
        dataset.save_as(disk / "DICOM" / f"IM{i}")
    (disk / "VIEWER.PNG").write_bytes(b"no image")
    command = ["dcmmkdir", "+D", "DICOMDIR", "-W", "+I", "+id", ".", "DICOM/IM0", "DICOM/IM1"]
    subprocess.run(command, cwd=disk, check=True, capture_output=True)
    result = infer(disk / "DICOMDIR", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    names = [(row["file"], row["frame"]) for row in rows(tmp_path / "out")]
    assert names == [("DICOM/IM0", ""), *(("DICOM/IM1", number) for number in "123")]


def test_an_index_that_is_none_says_so(tmp_path: Path) -> None:
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(50))
    result = infer(tmp_path / "DICOMDIR", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "no index of DICOM files" in str(result.exception)


def test_reports_without_their_package_are_refused_before_anything_is_measured(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "highdicom", None)
    result = infer(folder, "--out", tmp_path / "out", "--sr")
    assert result.exit_code == 1
    assert "pip install 'edgeseg[dicom-report]'" in str(result.exception)
    assert not (tmp_path / "out" / "results.csv").exists()


def test_without_pydicom_a_sentence_names_the_extra(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pydicom", None)
    result = infer(folder, "--out", tmp_path / "out")
    assert result.exit_code == 1
    found = rows(tmp_path / "out")
    assert [row["file"] for row in found] == ["IM0001", "one.dcm", "unsized.dcm"]
    assert all("pip install 'edgeseg[dicom]'" in row["reason"] for row in found)


def test_documents_go_back_of_images_and_of_the_best_frame(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    out = tmp_path / "out"
    result = infer(folder, "--out", out, "--sr", "--seg")
    assert result.exit_code == 0, result.output
    reports = {path.name for path in (out / "sr").iterdir()}
    assert reports == {"IM0001.img.dcm", "one.dcm"}
    assert "unsized.dcm: no SR was made of it" in result.output
    assert {path.name for path in (out / "seg").iterdir()} == {*reports, "unsized.dcm"}
    (summary,) = rows(out, "cines.csv")
    report = pydicom.dcmread(out / "sr" / "IM0001.img.dcm")
    assert _frames(report) == {summary["best_frame"]}
    best = next(row for row in rows(out) if row["frame"] == summary["best_frame"])
    assert f"{float(best['hc_mm']):.2f}"[:-1] in str(report)
    shutil.rmtree(out / "sr")
    (out / "seg" / "one.dcm").unlink()
    resumed = infer(folder, "--out", out, "--sr", "--seg", "--resume")
    assert resumed.exit_code == 0
    assert {path.name for path in (out / "sr").iterdir()} == reports
    nothing = infer(out, "--out", tmp_path / "none")
    assert nothing.exit_code == 1
    infer(folder, "--out", out, "--overwrite")
    assert not [*(out / "sr").iterdir()]


def _frames(report) -> set[str]:  # type: ignore[no-untyped-def]
    """Every number of a frame that a report refers to."""
    found: set[str] = set()
    report.walk(
        lambda _, element: (
            found.add(str(element.value)) if element.keyword == "ReferencedFrameNumber" else None
        )
    )
    return found


def _circumferences_mm(document: Path) -> list[float]:
    """Return every head circumference in a report."""
    found: list[float] = []

    def look(dataset, element) -> None:  # type: ignore[no-untyped-def]
        is_figure = element.keyword == "MeasuredValueSequence"
        if is_figure and dataset.ConceptNameCodeSequence[0].CodeValue == "11984-2":
            found.append(float(element.value[0].NumericValue))

    pydicom.dcmread(document).walk(look)
    return found


def test_documents_tell_what_was_measured_last(
    folder: Path, film: np.ndarray, tmp_path: Path
) -> None:
    pytest.importorskip("highdicom")
    out = tmp_path / "out"
    given = (folder, "--out", out, "--sr")
    assert infer(*given, "--pixel-size", "0.35").exit_code == 0

    def told() -> list[float]:
        (summary,) = rows(out, "cines.csv")
        found = {(row["file"], row["frame"]): row["hc_mm"] for row in rows(out)}
        expected = [found["IM0001", summary["best_frame"]], found["one.dcm", ""]]
        names = ("IM0001.img.dcm", "one.dcm")
        in_reports = [_circumferences_mm(out / "sr" / name) for name in names]
        assert in_reports == [[pytest.approx(float(hc_mm), abs=1e-3)] for hc_mm in expected]
        return [float(hc_mm) for hc_mm in expected]

    first = told()
    # measured anew without documents, which are then asked for again
    infer(folder, "--out", out, "--pixel-size", "0.5", "--resume")
    infer(*given, "--pixel-size", "0.5", "--resume")
    assert told() == pytest.approx([hc_mm * 0.5 / 0.35 for hc_mm in first], rel=1e-4)
    dicom_files.write(folder / "IM0001", film[1:], pixel_mm=None)
    assert infer(*given, "--pixel-size", "0.5", "--resume").exit_code == 0
    told()


def test_a_film_that_lost_frames_is_measured_again(
    folder: Path, film: np.ndarray, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    infer(folder, "--out", out)
    dicom_files.write(folder / "IM0001", film[:2], pixel_mm=(SIZE_MM, SIZE_MM))
    result = infer(folder, "--out", out, "--resume")
    assert result.exit_code == 0, result.output
    assert "2 in " in result.output
    assert [row["frame"] for row in rows(out)] == ["1", "2", "", ""]
    left = {path.name for path in (out / "masks").glob("IM0001*")}
    assert left == {"IM0001.frame-0001.png", "IM0001.frame-0002.png"}


def test_documents_asked_for_later_are_the_runs_own(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    out = tmp_path / "out"
    infer(folder, "--out", out)
    for more in (("--sr", "--resume"), ("--sr", "--resume"), ("--sr", "--overwrite")):
        assert infer(folder, "--out", out, *more).exit_code == 0, more
    infer(folder, "--out", out, "--resume", "--sr")
    infer(folder, "--out", out, "--overwrite")
    assert not [*(out / "sr").iterdir()]
