"""Measure a folder of images: pictures, table, record and report, safe to kill and to resume."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from edgeseg.drawing import lettering
from edgeseg.errors import DataError
from edgeseg.images.calibration import Calibration
from edgeseg.inputs.ages import Ages
from edgeseg.inputs.left_out import may_be_dicom
from edgeseg.inputs.pixel_sizes import PixelSizes
from edgeseg.inputs.source import Source
from edgeseg.output import table
from edgeseg.output.appender import RowAppender
from edgeseg.output.pictures import PICTURES
from edgeseg.output.record import RUN_NAME, write_record
from edgeseg.output.table import RESULTS_NAME, Row
from edgeseg.run.earlier import remove_earlier, remove_outdated, spare_others, take_over
from edgeseg.run.journal import Journal
from edgeseg.run.measuring import Measured, Measuring
from edgeseg.run.options import Options as Options
from edgeseg.run.options import Summary as Summary
from edgeseg.run.results import write_results
from edgeseg.run.resume import kept_lines
from edgeseg.segmenter import Segmenter
from edgeseg.system.files import claim, locked
from edgeseg.system.parallel import ordered_map, usable_cores

Lines = dict[tuple[str, int], str]
"""Rows as lines of the table, by `Source.key`."""


@dataclass(slots=True)
class FolderRun:
    """One run of a model over images into a folder.

    Parameters
    ----------
    segmenter
        The model; on a CPU best opened with one thread, the images are worked on in parallel.
    items, pixel_sizes
        The images.
    out
        Folder for everything that is written.
    options
        See `Options`.
    arguments
        Recorded in ``run.json`` as they are.
    ages, calibration
        What else is known of the images: then the table has more columns, at its end.
    """

    segmenter: Segmenter
    items: Sequence[Source]
    pixel_sizes: PixelSizes
    out: Path
    options: Options = field(default_factory=Options)
    arguments: dict[str, Any] = field(default_factory=dict)
    ages: Ages = field(default_factory=Ages)
    calibration: Calibration | None = None

    def run(
        self,
        on_row: Callable[[Row], None] = lambda row: None,
        on_notice: Callable[[str], None] = lambda text: None,
    ) -> Summary:
        """Measure what is not yet measured and write everything.

        Parameters
        ----------
        on_row
            Called after each row is on disk, in the order of the items.
        on_notice
            Called with sentences on the folder that a user should read.

        Raises
        ------
        OutputExistsError, OutputLockedError, OutputWriteError
            If the folder holds something, is in use or cannot be written.
        DataError
            If the run in it cannot be resumed with these images and this model.
        """
        options = self.options
        if options.batch < 1 or (options.workers is not None and options.workers < 1):
            raise DataError("batch and workers must be 1 or more")
        if not (options.resume and (self.out / RUN_NAME).is_file()):
            claim(self.out, options.overwrite, " (--resume continues an earlier run)")
        measuring = self._measuring
        spare_others(self.out, self.items, measuring.kinds)
        with locked(self.out, on_notice):
            lines = self._earlier_lines(measuring, on_notice)
            n_kept = len(lines)
            started = time.perf_counter()
            n_images = len(self.items)
            write_record(self.out, self.segmenter, self._asked, status="running", n_images=n_images)
            table.write_lines(self.out / RESULTS_NAME, measuring.titles, lines.values())
            self._measure_rest(measuring, lines, on_row)
            rows = table.Table(measuring.titles, (lines[item.key] for item in self.items))
            self._finish_documents(measuring, rows, on_notice)
            wall_s = time.perf_counter() - started
            table.write_lines(self.out / RESULTS_NAME, measuring.titles, rows.lines)
            cines = write_results(
                *(self.out, self.segmenter, rows, self._asked),
                wall_s=wall_s,
                overlays=options.overlays,
            )
        return Summary(self.out, rows, n_kept, wall_s, cines)

    @property
    def _measuring(self) -> Measuring:
        known = self.pixel_sizes, self.options, self.ages, self.calibration
        return Measuring(self.segmenter, self.out, *known)

    def _measure_rest(
        self, measuring: Measuring, lines: Lines, on_row: Callable[[Row], None]
    ) -> None:
        """Measure what has no line yet, and add its lines, each on disk before it is told."""
        todo = [item for item in self.items if item.key not in lines]
        results = self.out / RESULTS_NAME
        with RowAppender(results) as appender, Journal(self.out) as journal:
            for row, item, stamp in self._measure_all(measuring, todo, journal):
                lines[item.key] = line = table.line(row)
                if stamp is not None:
                    journal.row(item.location, line, stamp)
                appender.append(line)
                on_row(row)

    def _finish_documents(
        self, measuring: Measuring, rows: Iterable[Row], on_notice: Callable[[str], None]
    ) -> None:
        """Write documents that are missing, those of films among them; say which cannot be."""
        documents = measuring.documents
        if documents.kinds:
            pairs = zip(self.items, rows, strict=True)
            with Journal(self.out) as journal:
                for _, of_file in groupby(pairs, key=lambda pair: pair[0].file):
                    items, of_items = zip(*of_file, strict=True)
                    if may_be_dicom(items[0].location) and not documents.are_there(items[0]):
                        journal.pictures(documents.names(items[0]))  # rows may be of earlier runs
                        documents.finish(items, of_items, measuring.remeasure)
        for text in documents.take_notices():
            on_notice(text)

    @property
    def _workers(self) -> int:
        return self.options.workers or usable_cores()

    def _earlier_lines(self, measuring: Measuring, on_notice: Callable[[str], None]) -> Lines:
        """Return the rows that are kept of an earlier run, or remove what it wrote."""
        out, options = self.out, self.options
        if not (options.resume or options.overwrite):
            return {}
        earlier = take_over(out, self.items, measuring.kinds)
        if options.overwrite:
            remove_earlier(out, earlier)
            return {}
        pictures = [kind for kind in PICTURES if kind in measuring.kinds]
        kept = kept_lines(
            *(out, self.segmenter, self.items, measuring.given_cells, measuring.titles, pictures),
            *(earlier.stamps, on_notice),
        )
        remove_outdated(out, earlier, self.items, kept)
        return kept

    @property
    def _asked(self) -> dict[str, Any]:
        """What the run's record says that was asked."""
        asked = {"arguments": self.arguments, "options": self.options._asdict()}
        if self.calibration is not None:
            asked["calibration"] = asdict(self.calibration)
        return asked

    def _measure_all(
        self, measuring: Measuring, items: Sequence[Source], journal: Journal
    ) -> Iterator[Measured]:
        batches = self._batches(measuring, items, journal)
        draws = self.options.overlays and items
        # the first images are in the network meanwhile
        with lettering.prepared() if draws else contextlib.nullcontext():
            for rows in ordered_map(measuring.measure, batches, self._workers):
                yield from rows

    def _batches(
        self, measuring: Measuring, items: Sequence[Source], journal: Journal
    ) -> Iterator[Sequence[Source]]:
        """Yield the batches, each once what is written of it is noted."""
        for i in range(0, len(items), self.options.batch):
            batch = items[i : i + self.options.batch]
            journal.pictures(measuring.names(batch))
            yield batch
