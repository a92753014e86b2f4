"""Measure a folder of images: pictures, table, record and report, safe to kill and to resume."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from edgeseg.errors import DataError, EdgesegError, ImageDecodeError, OutputNameError
from edgeseg.measure.measurement import Column
from edgeseg.measure.tasks import measure_of
from edgeseg.output import overlay, table
from edgeseg.output.pictures import encode, encode_mask, picture_names, picture_paths
from edgeseg.output.record import RUN_NAME, write_record
from edgeseg.output.report.page import write_page
from edgeseg.output.table import RESULTS_NAME, Row
from edgeseg.prediction import Prediction
from edgeseg.run.earlier import REPORT_NAME, remove_earlier, spare_others, take_over
from edgeseg.run.journal import Journal, Stamp, stamp_of
from edgeseg.run.options import Options as Options
from edgeseg.run.options import Summary as Summary
from edgeseg.run.resume import kept_lines
from edgeseg.segmenter import Segmenter
from edgeseg.sources import image_file
from edgeseg.sources.ages import Ages
from edgeseg.sources.calibration import Calibration
from edgeseg.sources.discover import Item
from edgeseg.sources.frame import Frame
from edgeseg.sources.pixel_sizes import PixelSizes
from edgeseg.system.files import claim, locked, write_atomic
from edgeseg.system.parallel import ordered_map, usable_cores

_JPEG_QUALITY = 88


class Read(NamedTuple):
    """An image that was read, and how long that took."""

    frame: Frame
    decode_ms: float


class Measured(NamedTuple):
    """A row, the image it is of, and what its file was when it was read."""

    row: Row
    item: Item
    stamp: Stamp | None


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
    items: Sequence[Item]
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
        spare_others(self.out, self.items, self._pictures)
        with locked(self.out, on_notice):
            lines = self._earlier_lines(on_notice)
            n_kept = len(lines)
            started = time.perf_counter()
            self._write_record("running")
            titles = table.columns(self.segmenter.metadata.task, self._given)
            results = self.out / RESULTS_NAME
            table.write_lines(results, titles, lines.values())
            todo = [item for item in self.items if item.file not in lines]
            with table.RowAppender(results) as appender, Journal(self.out) as journal:
                for row, item, stamp in self._measure_all(todo, journal):
                    lines[row["file"]] = line = table.line(row)
                    if stamp is not None:
                        journal.row(item.location, line, stamp)
                    appender.append(line)
                    on_row(row)
            rows = table.Table(titles, (lines[item.file] for item in self.items))
            wall_s = time.perf_counter() - started
            table.write_lines(results, titles, rows.lines)
            record = self._write_record("done", rows=rows, wall_s=wall_s)
            overlays = self.out / "overlays" if options.overlays else None
            task = self.segmenter.metadata.task
            write_page(self.out / REPORT_NAME, task, rows, record, overlays, self._workers)
        return Summary(self.out, rows, n_kept, wall_s)

    @property
    def _workers(self) -> int:
        return self.options.workers or usable_cores()

    @property
    def _given(self) -> tuple[Column, ...]:
        """Columns of what is known of the images besides."""
        task, calibrated = self.segmenter.metadata.task, self.calibration is not None
        return measure_of(task).given_columns(task, ages=self.ages.known, calibrated=calibrated)

    def _given_cells(self, item: Item) -> dict[str, str]:
        """Return the cells that an image's row has of what was given for it."""
        cells: dict[str, float | None] = {"ga_weeks_given": self.ages.of(item)}
        if self.calibration is not None:
            cells["calibration_factor"] = self.calibration.factor
            cells["calibration_shift_mm"] = self.calibration.shift_mm
        of_run = [column for column in self._given if column.name in cells]
        return table.pixel_size_cells(self.pixel_sizes.of(item)) | table.figure_cells(cells, of_run)

    @property
    def _pictures(self) -> list[str]:
        """The kinds of pictures that are written."""
        kinds = {"masks": self.options.masks, "overlays": self.options.overlays}
        return [kind for kind, wanted in kinds.items() if wanted]

    def _earlier_lines(self, on_notice: Callable[[str], None]) -> dict[str, str]:
        """Return the rows that are kept of an earlier run, or remove what it wrote."""
        out, options = self.out, self.options
        if not (options.resume or options.overwrite):
            return {}
        earlier = take_over(out, self.items, self._pictures)
        if options.overwrite:
            remove_earlier(out, earlier)
            return {}
        return kept_lines(
            *(out, self.segmenter, self.items, self._given_cells, self._given, self._pictures),
            *(earlier.stamps, on_notice),
        )

    def _write_record(self, status: str, **done: Any) -> dict[str, Any]:
        asked = {"arguments": self.arguments, "options": self.options._asdict()}
        if self.calibration is not None:
            asked["calibration"] = asdict(self.calibration)
        n_images = len(self.items)
        return write_record(
            self.out, self.segmenter, asked, status=status, n_images=n_images, **done
        )

    def _measure_all(self, items: Sequence[Item], journal: Journal) -> Iterator[Measured]:
        batches = self._batches(items, journal)
        draws = self.options.overlays and items
        # the first images are in the network meanwhile
        with overlay.prepared() if draws else contextlib.nullcontext():
            for rows in ordered_map(self._measure, batches, self._workers):
                yield from rows

    def _batches(self, items: Sequence[Item], journal: Journal) -> Iterator[Sequence[Item]]:
        """Yield the batches, each once its pictures are noted."""
        for i in range(0, len(items), self.options.batch):
            batch = items[i : i + self.options.batch]
            names = [picture_names(item.file) for item in batch] if self._pictures else []
            journal.pictures(each[kind] for each in names for kind in self._pictures)
            yield batch

    def _measure(self, items: Sequence[Item]) -> list[Measured]:
        """Measure a batch; what fails becomes a failed row, and the others go on."""
        stamps = [stamp_of(item.location) for item in items]  # before they are read
        outcomes: list[Read | str] = [self._read(item) for item in items]
        good = [outcome for outcome in outcomes if isinstance(outcome, Read)]
        predictions = iter(self._predict(good))
        return [
            Measured(
                self._row(
                    item, outcome if isinstance(outcome, str) else next(predictions), outcome
                ),
                item,
                stamp,
            )
            for item, outcome, stamp in zip(items, outcomes, stamps, strict=True)
        ]

    def _read(self, item: Item) -> Read | str:
        """Read an image; a sentence if that fails."""
        started = time.perf_counter()
        try:
            image = image_file.decode(image_file.read_bytes(item.path))
            decode_ms = (time.perf_counter() - started) * 1000
            size = self.pixel_sizes.of(item, image.gray.shape)
            if not self.pixel_sizes.known:
                size = image.pixel_size  # what the user says beats what the file says
            known = size, item.file, self.ages.of(item), self.calibration
            return Read(Frame(image.gray, *known), decode_ms)
        except EdgesegError as error:
            return str(error)

    def _predict(self, images: Sequence[Read]) -> list[Prediction | str]:
        """Predict a batch; a sentence for each image on which the network fails."""
        try:
            return [*self.segmenter.predict_batch([image.frame for image in images])]
        except EdgesegError as error:
            if len(images) == 1:
                return [str(error)]
            return [self._predict([image])[0] for image in images]

    def _row(self, item: Item, prediction: Prediction | str, read: Read | str) -> Row:
        """Write an image's pictures, then return its row: a row means that they are there."""
        task = self.segmenter.metadata.task
        if isinstance(prediction, str) or isinstance(read, str):
            return table.failed_row(item.file, str(prediction), task, self._given)
        paths = picture_paths(self.out, item.file)
        try:
            if self.options.masks:
                write_atomic(paths["masks"], encode_mask(prediction.mask()))
            if self.options.overlays:
                picture = encode(".jpg", overlay.draw(prediction), _JPEG_QUALITY)
                write_atomic(paths["overlays"], picture)
        except (ImageDecodeError, OutputNameError) as error:
            return table.failed_row(item.file, str(error), task, self._given)
        return table.prediction_row(item.file, prediction, read.decode_ms, self._given)
