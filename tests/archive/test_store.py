"""Images, manifest and results in a store of S3's kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock
from urllib.parse import parse_qs

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("moto.server")
import boto3

from edgeseg.archive import files, stores
from edgeseg.archive.collect import collect
from edgeseg.archive.manifest import Manifest, ManifestRow
from edgeseg.archive.manifest_writer import write_manifest
from edgeseg.archive.part_worker import PartWorker
from edgeseg.archive.place import place_of
from edgeseg.archive.plan import Plan
from edgeseg.errors import DataError, InputNotFoundError, OutputWriteError
from tests.archive.conftest import CUTS, CuttingProxy, measure, open_archive, same_as_infer, upload

WITHIN_HEAD, WITHIN_LENGTH = CUTS[:2]


def test_an_archive_in_a_store_is_that_of_a_folder(store: str, scans: Path, tmp_path: Path) -> None:
    (scans / "notes.txt").write_text("no image")
    upload(scans, "s3://archive/scans", store)
    manifest, out = place_of(f"s3://archive/m.parquet{store}"), f"s3://archive/out{store}"
    notices: list[str] = []
    made = write_manifest([f"s3://archive/scans{store}"], manifest, 0.2, None, notices.append)
    assert made.n_frames == 7
    assert any("(1 txt)" in text for text in notices)
    plan = Plan(manifest.text, out, part_size=3, masks=True)
    assert [each.number for each in measure(plan, threads=2)] == [0, 1, 2]
    assert same_as_infer(plan, scans, tmp_path / "folder")
    assert (place_of(out) / "masks/a b/ü.png").exists()
    assert not list(measure(plan))
    assert not collect(open_archive(plan)).missing
    assert (place_of(out) / "report.html").exists()


def test_a_part_is_not_written_without_its_pictures(
    store: str, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = PartWorker(replace(plan, out=f"s3://archive/pictures{store}", masks=True))
    monkeypatch.setattr(stores.Store, "write", Mock(side_effect=OSError("full")))
    with pytest.raises(OutputWriteError, match="masks"):
        list(worker.run([0]))


def test_patterns_and_what_is_not_there(store: str, scans: Path, tmp_path: Path) -> None:
    upload(scans, "s3://archive/two", store)
    listed = place_of(str(tmp_path / "m.parquet"))
    assert write_manifest([f"s3://archive/two/a*/*.png{store}"], listed).n_frames == 2
    assert write_manifest([f"s3://archive/two/a.png{store}"], listed).n_frames == 1
    with pytest.raises(InputNotFoundError, match="no such file or folder"):
        write_manifest([f"s3://archive/three{store}"], listed)
    with pytest.raises(InputNotFoundError, match="nothing below it matches"):
        write_manifest([f"s3://archive/two/*.bmp{store}"], listed)
    with pytest.raises(DataError, match="AWS_ACCESS_KEY_ID"):
        place_of("s3://key:secret@bucket/a")


def test_an_object_is_whole_or_as_it_was(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from moto.s3.models import S3Backend

    def interrupted() -> Iterator[bytes]:
        yield bytes(1 << 23)
        raise KeyboardInterrupt

    place = place_of(f"s3://archive/whole/a.csv{store}")
    with monkeypatch.context() as patch:  # a small one is written by one request
        patch.setattr(S3Backend, "create_multipart_upload", lambda *_, **__: 1 / 0)
        place.write(b"as it was")
    with pytest.raises(KeyboardInterrupt):
        place.write(interrupted())
    assert place.read() == b"as it was"
    assert place_of(f"s3://archive/whole{store}").list_names() == {"a.csv"}
    place.write(iter([b"an", b"other"]))
    assert place.read() == b"another"
    monkeypatch.setattr(stores.Store, "write_and_rename", beside := Mock())
    monkeypatch.setattr(stores.store_of("s3://archive", store), "is_whole_at_once", False)
    place.write(b"where others would see it grow")
    beside.assert_called_once()
    # what is not whole is taken if it comes twice
    answers = [OSError("away"), b"other", b"cut", b"cut"]
    monkeypatch.setattr(stores.Store, "read", Mock(side_effect=answers))
    monkeypatch.setattr("edgeseg.archive.place.time.sleep", lambda _: None)
    assert place.read_whole(lambda data: False) == b"cut"


@pytest.mark.parametrize("start", ["", "s3://archive"])
def test_of_two_that_begin_at_once_all_read_the_last(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: str
) -> None:
    """In a store, and on a drive without links."""

    def no_links(*_: object) -> None:
        raise PermissionError

    mine = place_of(f"{start}/record{store}" if start else str(tmp_path / "record"))
    monkeypatch.setattr("os.link", no_links)
    monkeypatch.setattr("edgeseg.archive.place.time.sleep", lambda _: mine.write(b"other"))
    mine.write_first(b"mine")
    assert mine.read() == b"other"
    mine.write_first(b"again")
    assert mine.read() == b"other"


def test_a_store_that_goes_is_known_by_what_was_read_there(
    store: str, scans: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it has few of the images."""
    monkeypatch.setattr(files, "_FEW", 100)
    near, far = str(scans / "a.png"), place_of(f"s3://archive/few{store}")
    for i in range(12):
        (far / f"{i}.png").write(Path(near).read_bytes())
    paths = [*[near] * 92, *((far / f"{i}.png").text for i in range(12))]
    names = [f"{i}.png" for i in range(len(paths))]
    pq.write_table(pa.table({"path": paths, "file": names}), plan.manifest, row_group_size=10)
    parts = measure(replace(plan, part_size=94, read_ahead=0), threads=1)
    assert [next(parts).number] == [0]
    for i in range(12):
        (far / f"{i}.png").delete()
    with pytest.raises(InputNotFoundError, match="no other of the manifest can be read there"):
        list(parts)


def test_a_manifest_that_goes_with_its_store_makes_no_rows(
    store: str, scans: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload(scans, "s3://archive/both", store)
    write_manifest([f"s3://archive/both{store}"], place_of(plan.manifest), 0.2)
    worker = PartWorker(replace(plan, part_size=7))
    paths = worker.archive.manifest.read_rows(0, 7)

    def away(*_: object) -> bytes:
        raise OSError("the host is unreachable")

    def first_alone(manifest: Manifest, start: int, stop: int) -> list[ManifestRow]:
        if stop - start < 7:
            raise DataError("rows cannot be read")
        return paths

    monkeypatch.setattr("edgeseg.archive.place._RETRY_AFTER_S", ())
    monkeypatch.setattr(stores.Store, "read", away)
    monkeypatch.setattr(Manifest, "read_rows", first_alone)
    with pytest.raises(DataError, match="rows cannot be read"):
        list(worker.run([0]))
    assert not worker.archive.list_parts()


@pytest.mark.parametrize("cut", CUTS)
def test_answers_that_are_cut_off_are_asked_for_again(
    store: str, scans: Path, tmp_path: Path, proxy: CuttingProxy, cut: Callable[[bytes], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("edgeseg.archive.place._RETRY_AFTER_S", (0.01,) * 8)
    monkeypatch.setattr("edgeseg.archive.place._RECORD_SETTLES_S", 0.0)
    folder = f"s3://archive/{cut.__name__}"
    upload(scans, folder, store)
    proxy.cut(rb"GET|HEAD|PUT", cut, every=4)
    manifest = place_of(f"{folder}.parquet{proxy.query}")
    assert write_manifest([folder + proxy.query], manifest, 0.2).n_frames == 7
    plan = Plan(manifest.text, f"{folder}-out{proxy.query}", part_size=4)
    list(measure(plan, threads=1))
    assert not collect(open_archive(plan)).missing and not open_archive(plan).find_missing()
    assert proxy.n_cut > 10
    assert same_as_infer(plan, scans, tmp_path / "folder")
    place = place_of(f"{folder}/a.png{proxy.query}")
    if cut is WITHIN_LENGTH:
        proxy.cut(rb"GET", cut)  # always
        with pytest.raises(InputNotFoundError, match="cut off"):
            place.read()
    proxy.cut(rb"HEAD", cut, every=2)
    assert place.info() == place_of(f"{folder}/a.png{store}").info()


def test_a_store_that_cuts_all_answers_off_ends_the_run_without_rows(
    store: str, proxy: CuttingProxy, scans: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeseg.archive.place._RETRY_AFTER_S", (0.01,) * 8)
    upload(scans, "s3://archive/cut", store)
    write_manifest([f"s3://archive/cut{proxy.query}"], place_of(plan.manifest), 0.2)
    proxy.cut(rb"HEAD .*\.(png|jpg)", WITHIN_HEAD)
    with pytest.raises(InputNotFoundError, match="no other of the manifest can be read there"):
        list(measure(plan, threads=1))
    assert not open_archive(plan).list_parts()


def test_double_slashes_are_told_and_end_nothing(store: str, scans: Path, tmp_path: Path) -> None:
    upload(scans, "s3://archive/odd/b", store)
    host = parse_qs(store[1:])["endpoint_override"][0]
    client = boto3.client("s3", endpoint_url=f"http://{host}", region_name="us-east-1")
    for key in ("odd/a//a.png", "odd/a/c.png"):
        client.put_object(Bucket="archive", Key=key, Body=b"none")
    notices: list[str] = []
    out = place_of(str(tmp_path / "m.parquet"))
    made = write_manifest([f"s3://archive/odd{store}"], out, 0.2, on_notice=notices.append)
    assert made.n_files == 8
    assert any("cannot be read" in text and "odd/a//" in text for text in notices)
