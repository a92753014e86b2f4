"""Parts of an archive, measured by one process: read ahead, measured, written whole."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from edgeseg.archive import parquet
from edgeseg.archive.files import FileReader, RunEnds
from edgeseg.archive.manifest import Manifest, ManifestRow
from edgeseg.archive.place import Place, place_of
from edgeseg.archive.plan import Archive, Plan, part_schema
from edgeseg.errors import DataError, OutputWriteError
from edgeseg.images.frame import Frame
from edgeseg.inputs.facts import Ages, PixelSizes
from edgeseg.inputs.source import Source
from edgeseg.output.table import Row
from edgeseg.run.worker import Options, Worker
from edgeseg.segmenter import Segmenter
from edgeseg.system.files import sync, write_atomic
from edgeseg.system.host import describe
from edgeseg.system.parallel import ordered_map

_BYTES_AHEAD = 1 << 27
_UPLOADS = 32  # pictures on their way to a store
_SAMPLES = 50  # files of the whole manifest, looked at where one cannot be read


class Done(NamedTuple):
    """A part that is on its disk or store: its number, and how many rows have which status."""

    number: int
    statuses: Counter[str]


class _Part:
    """A part under way."""

    def __init__(self, number: int, listed: Sequence[ManifestRow]) -> None:
        self.number, self.listed = number, listed
        self.rows: list[Row] = []
        self.uploads: list[Future[None]] = []
        self.pictures: set[Path] = set()  # of this machine
        self.started_s = time.perf_counter()


class _Image(NamedTuple):
    """An image of a part, whose file is being read."""

    part: _Part
    listed: ManifestRow
    data: Future[bytes] | None
    size_bytes: int  # that are read for it: none for a film's next frame


class PartWorker:
    """A session of a plan's model, and all else that one process needs to measure parts.

    ``threads`` images are worked on at once. Raises `EdgesegError` if manifest or model cannot be
    opened, or the archive is one of others.
    """

    def __init__(self, plan: Plan, threads: int = 1) -> None:
        self._plan, self._threads = plan, threads
        self.archive = Archive(plan, Manifest(plan.manifest))
        self.segmenter = Segmenter(plan.model, device=plan.device, threads=1)
        self._record = self.archive.claim(self.segmenter) | {"host": describe()}
        self._out = plan.place
        how = Options(masks=plan.masks, overlays=plan.overlays, ruler=plan.ruler)
        known = how, Ages([]), plan.calibration
        self._worker = Worker(self.segmenter, PixelSizes([]), *known)
        self._schema = part_schema(self.segmenter.metadata.task, self._worker.titles)
        self._may_upload = threading.BoundedSemaphore(_UPLOADS)

    def run(
        self, parts: Iterable[int], on_rows: Callable[[int], None] = lambda count: None
    ) -> Iterator[Done]:
        """Measure parts and yield each once it is written; those that are there are passed over.

        ``on_rows`` is called with the number of images that were just measured. Nothing is written
        of a part if a disk or store does not answer (`InputNotFoundError`), something cannot be
        written (`OutputWriteError`), or an image needs pydicom (`MissingExtraError`).
        """
        with contextlib.ExitStack() as stack:
            files = FileReader(self._plan.read_ahead, self._sample_places)
            stack.callback(files.close)
            self._uploads = stack.enter_context(ThreadPoolExecutor(_UPLOADS, "edgeseg-upload"))
            writing = stack.enter_context(ThreadPoolExecutor(1, "edgeseg-write"))
            waiting: deque[Future[Done]] = deque()
            measure = partial(self._measure, files)
            try:
                for part, row in ordered_map(
                    measure, self._read_ahead(parts, files), self._threads
                ):
                    part.rows.append(row)
                    on_rows(1)
                    if len(part.rows) == len(part.listed):
                        waiting.append(writing.submit(self._write, part))
                    while waiting and (waiting[0].done() or len(waiting) > 1):
                        yield waiting.popleft().result()
            except RunEnds as end:
                raise end.error from end
            while waiting:
                yield waiting.popleft().result()

    def _read_ahead(self, parts: Iterable[int], files: FileReader) -> Iterator[_Image]:
        """Yield the images of parts, whose files are being read; those of the next ones are too."""
        started: deque[_Image] = deque()
        film = ""  # whose bytes were counted last
        for part, row in self._list_images(parts):
            source = row.source
            is_counted = source.frame > 0 and source.location == film
            film = source.location if source.frame else ""
            size_bytes = 0 if is_counted else row.size_bytes or 0
            started.append(_Image(part, row, files.start(row), size_bytes))
            while started and (
                len(started) > self._plan.read_ahead
                or sum(image.size_bytes for image in started) > _BYTES_AHEAD
            ):
                yield started.popleft()
        yield from started

    def _list_images(self, parts: Iterable[int]) -> Iterator[tuple[_Part, ManifestRow]]:
        for number in parts:
            if self.archive.has_part(number):  # another worker was quicker
                continue
            part = _Part(number, self.archive.manifest.read_rows(*self.archive.rows_of(number)))
            yield from ((part, row) for row in part.listed)

    def _measure(self, files: FileReader, image: _Image) -> tuple[_Part, Row]:
        def read(_: Source) -> Frame:
            return files.read_frame(image.listed, image.data)

        write = self._write_picture if self._out.is_local else self._upload
        worker = replace(self._worker, pixel_sizes=image.listed, read=read)
        return image.part, worker.measure(image.listed.source, partial(write, image.part))

    def _write_picture(self, part: _Part, name: str, data: bytes) -> None:
        path = self._out.local / name
        write_atomic(path, data)
        part.pictures |= {path, path.parent}

    def _upload(self, part: _Part, name: str, data: bytes) -> None:
        """Begin to send a picture to the store; it is waited for before the part is written."""
        self._may_upload.acquire()
        upload = self._uploads.submit((self._out / name).write, data)
        upload.add_done_callback(lambda _: self._may_upload.release())
        part.uploads.append(upload)

    def _write(self, part: _Part) -> Done:
        """Write a part, after all that belongs to it."""
        for upload in part.uploads:
            upload.result()
        try:
            for _ in self._uploads.map(sync, part.pictures):  # a row means that they are there
                pass
        except OSError as error:
            text = f"{self._out.text}: cannot be written ({error.strerror})"
            raise OutputWriteError(text) from error
        values = {title: [row[title] for row in part.rows] for title in self._schema.names}
        wall_s = round(time.perf_counter() - part.started_s, 3)
        own = {"part": part.number, "provider": self.segmenter.provider, "wall_s": wall_s}
        data = parquet.table_bytes(self._schema, values, self._record | own)
        self.archive.part(part.number).write(data)
        return Done(part.number, Counter(str(row["status"]) for row in part.rows))

    def _sample_places(self) -> list[Place]:
        """Return where some of the files lie that the manifest lists, from first to last."""
        manifest, found = self.archive.manifest, []
        for start in range(0, manifest.n_rows, max(1, manifest.n_rows // _SAMPLES)):
            (row,) = manifest.read_rows(start, start + 1)
            with contextlib.suppress(DataError):  # a URL of no store
                found.append(place_of(row.source.location))
        return found


_workers: dict[tuple[Plan, int], PartWorker] = {}  # of this process: one, kept for its next part


def measure_part(plan: Plan, threads: int, number: int) -> list[Done]:
    """Measure a part in a process that measures many, as `PartWorker.run` does."""
    if (plan, threads) not in _workers:
        _workers.clear()
        _workers[plan, threads] = PartWorker(plan, threads)
    return list(_workers[plan, threads].run([number]))
