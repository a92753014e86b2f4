"""Files that come one by one have their rows exactly once, whatever is killed meanwhile."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from edgeseg.errors import DataError, OutputExistsError, OutputLockedError, OutputWriteError
from edgeseg.inputs.pixel_sizes import PixelSizes
from edgeseg.output.appender import RowAppender
from edgeseg.output.table import read_rows
from edgeseg.phantom.head import make_phantom
from edgeseg.run.arrivals import Arrivals
from edgeseg.run.journal import JOURNAL_NAME, Journal
from edgeseg.run.measuring import Measuring
from edgeseg.run.options import Options
from edgeseg.segmenter import Segmenter

pytest.importorskip("pydicom")

from tests.images.dicom import files as dicom_files

PLAIN = Options(masks=False, overlays=False, workers=2)


@pytest.fixture(scope="module")
def nano() -> Segmenter:
    return Segmenter("hc18-nano", device="cpu", threads=1)


@pytest.fixture(scope="module")
def scan() -> np.ndarray:
    return make_phantom(3, height=135, width=200).image


@pytest.fixture(scope="module")
def image(scan: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dicom_files.write(tmp_path_factory.mktemp("image") / "a.dcm", scan, pixel_mm=(0.7, 0.7))


@pytest.fixture(scope="module")
def film(scan: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    frames = np.stack([scan] * 3)
    return dicom_files.write(tmp_path_factory.mktemp("film") / "f.dcm", frames, pixel_mm=(0.7, 0.7))


def arrivals(nano: Segmenter, out: Path, options: Options = PLAIN, **more: bool) -> Arrivals:
    return Arrivals(Measuring(nano, out, PixelSizes([]), options), **more)


def keys(out: Path) -> list[tuple[str, str]]:
    return [(row["file"], row["frame"]) for row in read_rows(out / "results.csv")]


FILM = [("f.dcm", "1"), ("f.dcm", "2"), ("f.dcm", "3")]


def test_rows_are_on_disk_when_a_file_is_added(
    nano: Segmenter, image: Path, film: Path, tmp_path: Path
) -> None:
    with arrivals(nano, tmp_path / "out") as adding:
        adding.add("a.dcm", image, 0)
        assert keys(tmp_path / "out") == [("a.dcm", "")]
        adding.add("f.dcm", film, 3)
        assert keys(tmp_path / "out") == [("a.dcm", ""), *FILM]
        rows = read_rows(tmp_path / "out" / "results.csv")
        assert {row["status"] for row in rows} == {"ok"}
        assert len({row["hc_mm"] for row in rows}) == 1
    assert (tmp_path / "out" / "report.html").is_file()
    assert "f.dcm" in (tmp_path / "out" / "cines.csv").read_text()


def test_what_comes_again_has_its_rows_once(nano: Segmenter, film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for _ in range(2):  # in the next run too
        with arrivals(nano, out) as adding:
            for _ in range(2):
                adding.add("f.dcm", film, 3)
    assert keys(out) == FILM


def test_threads_that_bring_one_file_wait_for_each_other(
    nano: Segmenter, image: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with arrivals(nano, out) as adding:
        names = [f"{i % 5}.dcm" for i in range(40)]
        threads = [threading.Thread(target=adding.add, args=(name, image, 0)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert Counter(keys(out)) == {(name, ""): 1 for name in names}


class Killed(BaseException):
    """Stands for the end of a process at one moment."""


@pytest.mark.parametrize("moment", range(8))
def test_killed_at_any_moment_and_sent_again_each_has_its_rows_once(
    nano: Segmenter, image: Path, film: Path, tmp_path: Path, moment: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Half of what is written at that moment is on disk, and nothing of what follows."""
    out, told, left = tmp_path / "out", [], [moment]

    def torn(write, text):  # type: ignore[no-untyped-def]
        def writing(stream, data):  # type: ignore[no-untyped-def]
            if left[0] == 0:
                half = text(data)
                stream._stream.write(half[: len(half) // 2])
                stream._stream.flush()
            if left[0] <= 0:
                left[0] = -1
                raise Killed
            left[0] -= 1
            return write(stream, data)

        return writing

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_add", torn(Journal._add, bytes))
        patch.setattr(RowAppender, "append", torn(RowAppender.append, str.encode))
        patch.setattr("edgeseg.run.arrivals.write_results", lambda *_, **__: ())
        try:
            with arrivals(nano, out) as adding:
                for name, path, count in (("a.dcm", image, 0), ("f.dcm", film, 3)):
                    adding.add(name, path, count)
                    told.append(name)
        except Killed:
            pass
    assert left[0] == -1 or len(told) == 2
    with arrivals(nano, out) as adding:
        assert {name for name, _ in keys(out)} == {*told}  # what was told is kept
        adding.add("a.dcm", image, 0)
        adding.add("f.dcm", film, 3)
    assert keys(out) == [("a.dcm", ""), *FILM]


@pytest.mark.parametrize("what", ["append", "_add"])
def test_a_full_disk_loses_nothing_and_doubles_nothing(
    nano: Segmenter, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    out = tmp_path / "out"

    class Full:
        """A stream onto a disk with room for few bytes."""

        def __init__(self, stream, room: int) -> None:  # type: ignore[no-untyped-def]
            self._real, self._room = stream, room

        def __getattr__(self, name: str):  # type: ignore[no-untyped-def]
            return getattr(self._real, name)

        def write(self, data: bytes) -> int:
            n = self._real.write(bytes(data)[: self._room])
            self._room -= n
            if n < len(data):
                raise OSError(28, "No space left on device")
            return n

    with arrivals(nano, out) as adding:
        adding.add("a.dcm", image, 0)
        writer = adding._appender if what == "append" else adding._journal
        whole = writer._stream
        writer._stream = Full(whole, 10)
        with pytest.raises(OutputWriteError, match="No space left"):
            adding.add("b.dcm", image, 0)
        writer._stream = whole
        assert keys(out) == [("a.dcm", "")]
        adding.add("b.dcm", image, 0)
        assert keys(out) == [("a.dcm", ""), ("b.dcm", "")]
    with arrivals(nano, out) as adding:
        adding.add("b.dcm", image, 0)
        assert keys(out) == [("a.dcm", ""), ("b.dcm", "")]


def test_what_is_owed_is_told_to_the_next_run(nano: Segmenter, image: Path, tmp_path: Path) -> None:
    pytest.importorskip("highdicom")
    out, options = tmp_path / "out", PLAIN._replace(sr=True)
    with arrivals(nano, out, options, owes=True) as adding:
        assert adding.add("a.dcm", image, 0) == ["sr/a.dcm"]
        assert adding.add("b.dcm", image, 0) == ["sr/b.dcm"]
        adding.sent(["sr/a.dcm"])
    with arrivals(nano, out, options) as adding:
        assert adding.owed == ["sr/b.dcm"]
        assert adding.add("b.dcm", image, 0) == []


def test_nothing_is_owed_where_nobody_wants_it(
    nano: Segmenter, image: Path, tmp_path: Path
) -> None:
    pytest.importorskip("highdicom")
    out, options = tmp_path / "out", PLAIN._replace(sr=True)
    with arrivals(nano, out, options) as adding:
        adding.add("a.dcm", image, 0)
    with arrivals(nano, out, options, owes=True) as adding:
        assert adding.owed == []


def test_a_folder_of_something_else_is_refused(
    nano: Segmenter, image: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with (
        pytest.raises(OutputExistsError, match="something else"),
        arrivals(nano, tmp_path / "mine"),
    ):
        pytest.fail("opened")
    with arrivals(nano, tmp_path / "out") as adding:
        adding.add("a.dcm", image, 0)
        with pytest.raises(OutputLockedError), arrivals(nano, tmp_path / "out"):
            pytest.fail("opened")
    edge = Segmenter("hc18-edge", device="cpu", threads=1)
    with pytest.raises(DataError, match="another model"), arrivals(edge, tmp_path / "out"):
        pytest.fail("opened")
    with_ids = PLAIN._replace(keep_ids=True)
    with pytest.raises(DataError, match="columns"), arrivals(nano, tmp_path / "out", with_ids):
        pytest.fail("opened")
    assert keys(tmp_path / "out") == [("a.dcm", "")]


def test_a_file_that_is_no_image_has_a_row_that_says_so(nano: Segmenter, tmp_path: Path) -> None:
    (path := tmp_path / "x").write_bytes(bytes(128) + b"DICM" + bytes(40))
    with arrivals(nano, tmp_path / "out") as adding:
        adding.add("x.dcm", path, 0)
    (row,) = read_rows(tmp_path / "out" / "results.csv")
    assert (row["status"], row["file"]) == ("failed", "x.dcm")


def test_rows_without_their_journal_are_kept_and_refused(
    nano: Segmenter, image: Path, tmp_path: Path
) -> None:
    """A copy by ``results/*`` leaves it behind."""
    out = tmp_path / "out"
    with arrivals(nano, out) as adding:
        adding.add("a.dcm", image, 0)
    (out / JOURNAL_NAME).unlink()
    with pytest.raises(DataError, match=r"1 rows, but \.edgeseg\.journal"), arrivals(nano, out):
        pytest.fail("opened")
    assert keys(out) == [("a.dcm", "")]


@pytest.mark.parametrize("replaced", [True, False])
def test_no_row_goes_into_a_file_that_nobody_can_open(
    nano: Segmenter, image: Path, tmp_path: Path, replaced: bool
) -> None:
    """Many programs save a table by replacing it."""
    table = tmp_path / "out" / "results.csv"
    with arrivals(nano, tmp_path / "out") as adding:
        adding.add("a.dcm", image, 0)
        table.rename(aside := tmp_path / "aside.csv")
        if replaced:
            table.write_bytes(aside.read_bytes())
        with pytest.raises(OutputWriteError, match="deleted or replaced"):
            adding.add("b.dcm", image, 0)
        aside.replace(table)
        adding.add("b.dcm", image, 0)
    assert keys(tmp_path / "out") == [("a.dcm", ""), ("b.dcm", "")]


def test_what_is_taken_away_while_it_is_measured_has_no_row(
    nano: Segmenter, film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sender was not answered; a row that it failed would stand for ever."""
    (gone := tmp_path / "gone").write_bytes(film.read_bytes())
    measure = Measuring.measure

    def measure_one(measuring, items):  # type: ignore[no-untyped-def]
        if items[0].frame == 3:
            gone.unlink()
        return measure(measuring, items)

    with arrivals(nano, tmp_path / "out", PLAIN._replace(workers=1)) as adding:
        with monkeypatch.context() as patch:
            patch.setattr(Measuring, "measure", measure_one)
            with pytest.raises(OutputWriteError, match="taken away"):
                adding.add("f.dcm", gone, 3)
        assert keys(tmp_path / "out") == []
        adding.add("f.dcm", film, 3)
    assert keys(tmp_path / "out") == FILM
    rows = read_rows(tmp_path / "out" / "results.csv")
    assert {row["status"] for row in rows} == {"ok"}


def test_a_changed_file_that_could_not_be_written_down_has_one_row_in_the_end(
    nano: Segmenter, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OutputWriteError("the disk is full")

    out = tmp_path / "out"
    with arrivals(nano, out) as run:
        run.add("a.dcm", image, 0, "first")
        with monkeypatch.context() as patch:
            patch.setattr("edgeseg.output.table.write_lines", full)
            with pytest.raises(OutputWriteError, match="disk is full"):
                run.add("a.dcm", image, 0, "second")
        assert keys(out) == [("a.dcm", "")]
        run.add("b.dcm", image, 0)
        run.add("a.dcm", image, 0, "second")
        assert sorted(keys(out)) == [("a.dcm", ""), ("b.dcm", "")]
    with arrivals(nano, out) as run:
        assert run.add("a.dcm", image, 0, "second") == []
        assert sorted(keys(out)) == [("a.dcm", ""), ("b.dcm", "")]
