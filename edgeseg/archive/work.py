"""Parts of an archive, measured by one process: read ahead, measured, written whole."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from edgeseg.archive.arrow import parquet
from edgeseg.archive.manifest import Listing, Manifest
from edgeseg.archive.place import Place, place_of
from edgeseg.archive.plan import Archive, Plan, part_columns
from edgeseg.archive.reading import Files, RunEnds
from edgeseg.errors import DataError
from edgeseg.images.frame import Frame, PixelSize
from edgeseg.inputs.ages import Ages
from edgeseg.inputs.pixel_sizes import PixelSizes
from edgeseg.inputs.source import Source
from edgeseg.output import table
from edgeseg.output.table import Row
from edgeseg.run.measuring import Measuring, SizesOfImages, decoded
from edgeseg.run.options import Options
from edgeseg.segmenter import Segmenter
from edgeseg.system.host import describe
from edgeseg.system.parallel import ordered_map

_BYTES_AHEAD = 1 << 27
_UPLOADS = 32  # pictures on their way to a store
_LOOKS = 50  # at files of the whole manifest, where one cannot be read


class Done(NamedTuple):
    """A part that is on its disk or store.

    Attributes
    ----------
    number
        The part's.
    statuses
        How many rows have which status.
    wall_s
        From the first image that was asked for to the file that was written.
    """

    number: int
    statuses: dict[str, int]
    wall_s: float

    @property
    def n_rows(self) -> int:
        """Rows of the part."""
        return sum(self.statuses.values())


class _Part:
    """A part under way."""

    def __init__(self, number: int, listings: Sequence[Listing]) -> None:
        self.number, self.listings = number, listings
        self.rows: list[Row] = []
        self.uploads: list[Future[None]] = []
        self.started_s = time.perf_counter()
        self._film = ""  # whose bytes were counted last

    def bytes_ahead(self, listing: Listing) -> int:
        """Return how many bytes are read for an image: none for a film's second frame."""
        item = listing.item
        if item.frame and item.location == self._film:
            return 0
        self._film = item.location if item.frame else ""
        return listing.size_bytes or 0

    @property
    def is_measured(self) -> bool:
        return len(self.rows) == len(self.listings)


class _Batch:
    """Images of a part that go through the network together, and what is known of them."""

    def __init__(self, part: _Part, listings: Sequence[Listing], files: Files) -> None:
        self.part, self.listings = part, listings
        self.items = [listing.item for listing in listings]
        self.size_bytes = sum(map(part.bytes_ahead, listings))
        self._files = files
        self._of = {listing.item.key: listing for listing in listings}
        self._data: dict[tuple[str, int], Future[bytes] | None] = {}

    def start(self) -> None:
        """Begin to read the files."""
        for listing in self.listings:
            self._data[listing.item.key] = self._files.start(listing)

    def decoded(self, item: Source) -> Frame:
        """Return an image; see `Files.decoded`."""
        return self._files.decoded(self._of[item.key], self._data.pop(item.key))

    def has_size(self, item: Source) -> bool:
        """Return whether a pixel size is listed, if only as one that is unknown."""
        return self._of[item.key].row is not None

    def size_of(self, item: Source, size: tuple[int, ...] | None = None) -> PixelSize | None:
        """Return the pixel size that is listed; see `edgeseg.inputs.pixel_sizes`."""
        row = self._of[item.key].row
        if row is None:
            return None
        if row.reason:
            raise DataError(row.reason)
        return row.pixel_size if size is None or row.is_of(size) else None


class Worker:
    """A session of a plan's model, and all else that one process needs to measure parts.

    Parameters
    ----------
    plan
        See `edgeseg.archive.plan.Plan`.
    threads
        Images worked on at once.

    Raises
    ------
    EdgesegError
        If manifest or model cannot be opened, or the archive is one of others.
    """

    def __init__(self, plan: Plan, threads: int = 1) -> None:
        self._plan, self._threads = plan, threads
        self.archive = Archive(plan, Manifest(plan.manifest))
        self.segmenter = Segmenter(plan.model, device=plan.device, threads=1)
        self._record = self.archive.claim(self.segmenter)
        self._host = describe()
        self._out = plan.place
        self._options = Options(masks=plan.masks, overlays=plan.overlays)
        titles = self._measuring(PixelSizes([])).titles
        self._columns = part_columns(self.segmenter.metadata.task, titles)
        self._may_upload = threading.BoundedSemaphore(_UPLOADS)

    def run(
        self, parts: Iterable[int], on_rows: Callable[[int], None] = lambda count: None
    ) -> Iterator[Done]:
        """Measure parts and yield each once it is written; those that are there are passed over.

        Parameters
        ----------
        parts
            Their numbers; the next is asked for when reading ahead comes to it.
        on_rows
            Called with the number of images that were just measured.

        Raises
        ------
        InputNotFoundError
            If a disk or store does not answer: nothing is written of parts that need it.
        OutputWriteError
            If a part or picture cannot be written.
        MissingExtraError
            If pydicom is not installed and one of the images needs it.
        """
        with contextlib.ExitStack() as stack:
            files = stack.enter_context(Files(self._plan.read_ahead, self._all_over))
            self._uploads = stack.enter_context(ThreadPoolExecutor(_UPLOADS, "edgeseg-upload"))
            writing = stack.enter_context(ThreadPoolExecutor(1, "edgeseg-write"))
            waiting: deque[Future[Done]] = deque()
            batches = self._ahead(self._batches(parts, files))
            try:
                for part, rows in ordered_map(self._measure, batches, self._threads):
                    part.rows += rows
                    on_rows(len(rows))
                    if part.is_measured:
                        waiting.append(writing.submit(self._write, part))
                    while waiting and (waiting[0].done() or len(waiting) > 1):
                        yield waiting.popleft().result()
            except RunEnds as end:
                raise end.error from end
            while waiting:
                yield waiting.popleft().result()

    def _batches(self, parts: Iterable[int], files: Files) -> Iterator[_Batch]:
        for number in parts:
            if self.archive.part(number).is_there():  # another worker was quicker
                continue
            listings = self.archive.manifest.listings(*self.archive.rows_of(number))
            part = _Part(number, listings)
            for i in range(0, len(listings), self._plan.batch):
                yield _Batch(part, listings[i : i + self._plan.batch], files)

    def _ahead(self, batches: Iterable[_Batch]) -> Iterator[_Batch]:
        """Yield batches whose files are being read; those of the next ones are too."""
        started: deque[_Batch] = deque()
        n_images = size_bytes = 0
        for batch in batches:
            batch.start()
            started.append(batch)
            n_images += len(batch.items)
            size_bytes += batch.size_bytes
            while started and (n_images > self._plan.read_ahead or size_bytes > _BYTES_AHEAD):
                first = started.popleft()
                n_images -= len(first.items)
                size_bytes -= first.size_bytes
                yield first
        yield from started

    def _measure(self, batch: _Batch) -> tuple[_Part, list[Row]]:
        measuring = self._measuring(batch, batch.decoded, batch.part)
        return batch.part, [measured.row for measured in measuring.measure(batch.items)]

    def _measuring(
        self,
        sizes: SizesOfImages,
        decoded: Callable[[Source], Frame] = decoded,
        part: _Part | None = None,
    ) -> Measuring:
        known = self._options, Ages([]), self._plan.calibration
        if self._out.is_local:
            return Measuring(self.segmenter, self._out.local, sizes, *known, decoded)
        upload = None if part is None else partial(self._upload, part)
        return Measuring(self.segmenter, Path(), sizes, *known, decoded, upload)

    def _upload(self, part: _Part, name: str, data: bytes) -> None:
        """Send a picture on its way to the store; it is waited for before the part is written."""
        self._may_upload.acquire()
        sent = self._uploads.submit(self._out.below(name).write, data)
        sent.add_done_callback(lambda _: self._may_upload.release())
        part.uploads.append(sent)

    def _write(self, part: _Part) -> Done:
        """Write a part, as the last of all that belongs to it."""
        for sent in part.uploads:
            sent.result()
        typed = [table.typed(row) for row in part.rows]
        values = {title: [row[title] for row in typed] for title in self._columns.types}
        wall_s = time.perf_counter() - part.started_s
        told = {
            **self._record,
            "part": part.number,
            "host": self._host,
            "provider": self.segmenter.provider,
            "wall_s": round(wall_s, 3),
        }
        self.archive.part(part.number).write(parquet.table_bytes(self._columns, values, told))
        return Done(part.number, dict(Counter(row["status"] for row in part.rows)), wall_s)

    def _all_over(self) -> list[Place]:
        """Return where some of the files lie that the manifest lists, from its first to its last.

        A store or disk that none can be read of is away.
        """
        manifest = self.archive.manifest
        starts = range(0, manifest.n_rows, max(1, manifest.n_rows // _LOOKS))
        rows = (manifest.listings(start, start + 1)[0] for start in starts)
        found = []
        for row in rows:
            with contextlib.suppress(DataError):  # a URL of no store
                found.append(place_of(row.item.location))
        return found
