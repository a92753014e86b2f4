"""DICOM in an archive: a row a frame, of films here and in stores."""

from __future__ import annotations

import sys
import tempfile
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

pytest.importorskip("pydicom")
from pydicom import dcmread, uid

from edgeseg.archive import files, stores
from edgeseg.archive.collect import collect
from edgeseg.archive.manifest_writer import write_manifest
from edgeseg.archive.place import place_of
from edgeseg.archive.plan import Plan
from edgeseg.drawing.encode import encode
from edgeseg.errors import InputNotFoundError, MissingExtraError, OutputWriteError
from edgeseg.phantom.head import make_phantom
from tests.archive.conftest import measure, open_archive, rows_of, same_as_infer, upload
from tests.fakes import record_calls
from tests.images.dicom import files as dicom_files

FILM = [("a/film.dcm", i) for i in range(1, 6)]
FRAMES = [("IM1", None), *FILM, *((name, None) for name in ("broken.dcm", "cut.dcm", "jpeg.dcm"))]


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """A film of five frames, an image without a suffix, three files that are cut off; no images."""
    scans = np.stack([make_phantom(i, height=135, width=200).image for i in range(5)])
    folder = tmp_path / "films"
    (folder / "a").mkdir(parents=True)
    dicom_files.write(folder / "a" / "film.dcm", scans, pixel_mm=(0.7, 0.7))
    dicom_files.write(folder / "IM1", scans[0], pixel_mm=(0.7, 0.7))
    (folder / "broken.dcm").write_bytes((folder / "IM1").read_bytes()[:400])
    whole = (folder / "a" / "film.dcm").read_bytes()
    (folder / "cut.dcm").write_bytes(whole[: len(whole) // 2])
    coded = [encode(".jpg", scan) for scan in scans]
    film = dcmread(folder / "a" / "film.dcm")
    path = dicom_files.save_coded(film, coded, folder / "jpeg.dcm", uid.JPEGBaseline8Bit)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (folder / "notes").write_text("no image")
    (folder / "DICOMDIR").write_bytes((folder / "IM1").read_bytes())
    document = dcmread(folder / "IM1")
    del document.Rows, document.PixelData
    document.save_as(folder / "a" / "SR1")
    document.save_as(folder / "a" / "report.dcm")
    return folder


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(str(tmp_path / "m.parquet"), str(tmp_path / "out"), part_size=3, masks=True)


def test_frames_are_a_folder_s_digit_for_digit(plan: Plan, films: Path, tmp_path: Path) -> None:
    made = write_manifest([str(films)], place_of(plan.manifest))
    assert (made.n_files, made.n_frames) == (5, 9)
    list(measure(plan, threads=2))
    assert same_as_infer(plan, films, tmp_path / "folder", None)
    assert {(row["file"], row["frame"]) for row in rows_of(plan)} == {*FRAMES}
    assert (tmp_path / "out" / "masks" / "a" / "film.dcm.frame-0004.png").is_file()
    assert not collect(open_archive(plan)).missing


def test_films_of_a_store_are_fetched_once_a_part_and_removed_or_make_no_rows(
    plan: Plan, films: Path, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (scratch := tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    upload(films, "s3://archive/films", store)
    notices: list[str] = []
    inputs, out = [f"s3://archive/films{store}"], place_of(plan.manifest)
    made = write_manifest(inputs, out, on_notice=notices.append)
    assert (made.n_files, made.n_frames) == (5, 9)
    assert any("2 DICOM document, 1 DICOM index" in text for text in notices)
    threads: list[str] = []

    def reader(_: stores.Store, path: str, *__: object) -> str | None:
        return threading.current_thread().name if path.endswith("a/film.dcm") else None

    with monkeypatch.context() as patch:
        record_calls(patch, threads, stores.Store, "read", reader)
        list(measure(plan, threads=2))
    assert same_as_infer(plan, films, tmp_path / "folder", None)
    assert 1 <= len(threads) <= 2 and not list(scratch.iterdir())
    assert all(thread.startswith("edgeseg-read") for thread in threads)  # before it is wanted
    with pytest.raises(TypeError):
        files._write_film(None)  # type: ignore[arg-type]
    scratch.rmdir()  # nothing of it is left
    again = replace(plan, out=plan.out + "2")
    with pytest.raises(OutputWriteError, match=r"a film of \d+ bytes cannot be kept .* TMPDIR"):
        list(measure(again, threads=1))
    assert not open_archive(again).list_parts()


def test_without_pydicom_nothing_is_listed_or_measured(
    plan: Plan, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_manifest([str(films)], place_of(plan.manifest))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(MissingExtraError, match=r"edgeseg\[dicom\]"):
        write_manifest([str(films)], place_of(str(tmp_path / "other.parquet")))
    with pytest.raises(MissingExtraError, match=r"edgeseg\[dicom\]"):
        list(measure(plan))
    assert not open_archive(plan).list_parts()


def test_one_object_that_cannot_be_read_is_a_row_and_all_are_none(
    plan: Plan, films: Path, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two can be opened, but not read behind their beginning."""
    upload(films, "s3://archive/frozen", store)
    read = stores._StoreFile._read_checked

    def read_some(file: stores._StoreFile, buffer: memoryview) -> int:
        if file.tell() and file.name in ("archive/frozen/a/film.dcm", "archive/frozen/IM1"):
            raise OSError("INVALID_OBJECT_STATE")
        return read(file, buffer)

    monkeypatch.setattr(stores._StoreFile, "_read_checked", read_some)
    monkeypatch.setattr(stores, "_BUFFER_BYTES", 200)
    notices: list[str] = []
    out = place_of(plan.manifest)
    write_manifest([f"s3://archive/frozen{store}"], out, on_notice=notices.append)
    rows = pq.read_table(plan.manifest).to_pylist()
    assert [(row["file"], row["frame"]) for row in rows] == [
        (name, None) for name in ("a/film.dcm", "broken.dcm", "cut.dcm", "jpeg.dcm")
    ]
    assert any("cannot be read" in text and "IM1" in text for text in notices)
    with pytest.raises(InputNotFoundError, match="INVALID_OBJECT_STATE"):
        write_manifest([f"s3://archive/frozen/a/film.dcm{store}"], out)
