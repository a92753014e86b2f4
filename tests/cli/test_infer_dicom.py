"""DICOM through `edgeseg infer`: rows, films, privacy, and what goes back to an archive."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.images.image_file import read_gray
from edgeseg.phantom.head import make_phantom
from tests.cli.calls import call, rows

pydicom = pytest.importorskip("pydicom")

from tests.images.dicom import files as dicom_files  # noqa: E402
from tests.images.dicom.files import TOKEN, Region  # noqa: E402
from tests.output.dicom_sources import items, predecessor  # noqa: E402

SIZE_MM = 0.35
NO_PICTURES = ("--no-masks", "--no-overlays")


def write_scans(folder: Path, film: np.ndarray) -> Path:
    """Write an image, a film, and an image whose file does not say what a pixel measures."""
    folder.mkdir()
    study: dict[str, Any] = {"StudyInstanceUID": "1.2.3"}
    dicom_files.write(folder / "one.dcm", film[0], pixel_mm=(SIZE_MM, SIZE_MM), **study)
    dicom_files.write(folder / "IM0001", film, pixel_mm=(SIZE_MM, SIZE_MM), **study)
    dicom_files.write(folder / "unsized.dcm", film[0], pixel_mm=None, **study)
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


@pytest.fixture(scope="module")
def measured(film: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the scans, and out, what was measured of them; tests must not change it."""
    pytest.importorskip("highdicom")
    base = tmp_path_factory.mktemp("measured")
    folder, out = write_scans(base / "scans", film), base / "out"
    options = ("--sr", "--seg", "--keep-ids", "--json", base / "figures.json")
    result = call("infer", folder, "--out", out, *options)
    assert result.exit_code == 0, result.output
    assert "unsized.dcm: no SR was made of it" in result.output
    return base


def test_a_row_a_frame_and_a_summary_of_each_film(measured: Path) -> None:
    found = rows(out := measured / "out")
    film = [("IM0001", number) for number in "123"]
    places = [(row["file"], row["frame"]) for row in found]
    assert places == [*film, ("one.dcm", ""), ("unsized.dcm", "")]
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
    frames = {f"IM0001.frame-000{number}.png" for number in (1, 2, 3)}
    names = {path.name for path in (out / "masks").iterdir()}
    assert names == {*frames, "one.dcm.png", "unsized.dcm.png"}
    assert (out / "report.html").read_text().count('"thumbnail":') == 5


def test_identifiers_are_kept_where_that_is_asked_for(measured: Path) -> None:
    dataset = pydicom.dcmread(measured / "scans" / "one.dcm")
    row = rows(measured / "out")[3]
    named = ["patient_id", "accession_number", "study_instance_uid", "sop_instance_uid"]
    assert [*row][-4:] == named
    assert row["patient_id"] == dataset.PatientID
    assert row["sop_instance_uid"] == dataset.SOPInstanceUID
    again = call("infer", measured / "scans", "--out", measured / "out", "--resume")
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
    hidden = call("infer", folder, "--out", tmp_path / "out", "--no-masks")
    assert "unnamed.dcm: its overlay is black" in hidden.output and "--keep-ids" in hidden.output
    call("infer", folder / "unnamed.dcm", "--out", tmp_path / "kept", "--no-masks", "--keep-ids")

    def brightness(out: str, name: str) -> float:
        picture = read_gray(tmp_path / out / "overlays" / f"{name}.dcm.jpg")
        return float(picture[230:, 250:].mean())  # beside the scale bar

    assert brightness("out", "region") < 5
    assert brightness("out", "unnamed") < 5
    assert brightness("out", "clean") > 250
    assert brightness("kept", "unnamed") > 250


def test_a_size_that_is_given_beats_the_files(folder: Path, tmp_path: Path) -> None:
    table = tmp_path / "sizes.csv"
    table.write_text("filename,pixel size (mm)\nIM0001,NA\none.dcm,0.5\nunsized.dcm,0.35\n")
    result = call(
        "infer", folder, "--pixel-sizes", table, "--out", tmp_path / "table", *NO_PICTURES
    )
    assert "IM0001" in result.output
    found = rows(tmp_path / "table")
    assert [row["pixel_size_x_mm"] for row in found] == ["", "", "", "0.5", "0.35"]
    assert [row["hc_mm"] for row in found[:3]] == [""] * 3


def test_missing_packages(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pydicom", None)
        assert call("infer", folder, "--out", tmp_path / "out").exit_code == 1
    found = rows(tmp_path / "out")
    assert [row["file"] for row in found] == ["IM0001", "one.dcm", "unsized.dcm"]
    assert all("pip install 'edgeseg[dicom]'" in row["reason"] for row in found)
    monkeypatch.setitem(sys.modules, "highdicom", None)
    result = call("infer", folder, "--out", tmp_path / "report", "--sr")
    assert result.exit_code == 1
    assert "pip install 'edgeseg[dicom-report]'" in str(result.exception)
    assert not (tmp_path / "report" / "results.csv").exists()


def test_documents_go_back_of_images_and_of_the_best_frame(measured: Path, tmp_path: Path) -> None:
    out = measured / "out"
    (report,) = (out / "sr").iterdir()
    segmented = {path.name for path in (out / "seg").iterdir()}
    assert segmented == {"IM0001.img.dcm", "one.dcm", "unsized.dcm"}
    (summary,) = rows(out, "cines.csv")
    made = pydicom.dcmread(report)
    assert report.name == f"{made.StudyInstanceUID}.dcm"
    frames = {str(e.value) for e in made.iterall() if e.keyword == "ReferencedFrameNumber"}
    assert frames == {summary["best_frame"]}
    assert len(items(made, "Measurement Group")) == 2
    nothing = call("infer", out, "--out", tmp_path / "none")  # its documents are no images
    assert nothing.exit_code == 1


def test_documents_are_of_what_was_measured_last(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    out = tmp_path / "out"

    def measure(*options: object) -> pydicom.Dataset:
        """Return the last report, which is another one for other figures."""
        assert call("infer", folder, "--out", out, *NO_PICTURES, *options).exit_code == 0
        return max(map(pydicom.dcmread, (out / "sr").iterdir()), key=lambda r: r.InstanceNumber)

    first = measure("--sr", "--pixel-size", "0.35")
    next((out / "sr").iterdir()).unlink()
    assert (
        measure("--sr", "--pixel-size", "0.35", "--resume").SOPInstanceUID == first.SOPInstanceUID
    )
    # measured again without documents, which are then asked for again
    call("infer", folder, "--out", out, *NO_PICTURES, "--pixel-size", "0.5", "--resume")
    second = measure("--sr", "--pixel-size", "0.5", "--resume")
    assert second.SeriesInstanceUID == first.SeriesInstanceUID
    assert predecessor(second) == first.SOPInstanceUID != second.SOPInstanceUID
    call("infer", folder, "--out", out, "--overwrite")
    assert not [*(out / "sr").iterdir()]


def test_each_file_may_have_a_report_of_its_own(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    options = ("--sr", "--report-each", *NO_PICTURES)
    call("infer", folder, "--out", out := tmp_path / "out", *options)
    reports = {path.name: pydicom.dcmread(path) for path in (out / "sr").iterdir()}
    assert reports.keys() == {"IM0001.img.dcm", "one.dcm"}
    assert len({report.SeriesInstanceUID for report in reports.values()}) == 2
    assert not (out / "findings").exists()
