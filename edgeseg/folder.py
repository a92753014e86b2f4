"""Measure a folder of images: pictures, table, record and report, safe to kill and to resume."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from edgeseg import host, image, overlay, report, results
from edgeseg.errors import DataError, EdgesegError, ImageDecodeError, OutputNameError
from edgeseg.files import claim, locked, write_atomic, write_json
from edgeseg.inputs import Item, PixelSizes, picture_name
from edgeseg.parallel import ordered_map, usable_cores
from edgeseg.results import Row
from edgeseg.segmenter import Segmenter

RESULTS_NAME = "results.csv"
RUN_NAME = "run.json"
REPORT_NAME = "report.html"
_JPEG_QUALITY = 88


class Options(NamedTuple):
    """How a folder is measured.

    Attributes
    ----------
    masks, overlays
        Whether these pictures are written.
    resume
        Keep the rows of an earlier run of the same model and do what is missing.
    overwrite
        Replace an earlier run.
    batch
        Images in one run of the network.
    workers
        Images, or batches, worked on at once; None: one for each core.
    """

    masks: bool = True
    overlays: bool = True
    resume: bool = False
    overwrite: bool = False
    batch: int = 1
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run ended with.

    Attributes
    ----------
    rows
        All rows, sorted by file.
    n_kept
        How many came from an earlier run.
    wall_s
        Time of this run, without loading the model.
    """

    out: Path
    rows: Sequence[Row]
    n_kept: int
    wall_s: float

    def count(self, status: str) -> int:
        """Return how many rows have a status: ``ok``, ``empty`` or ``failed``."""
        return sum(row["status"] == status for row in self.rows)

    @property
    def n_flagged(self) -> int:
        """Number of rows with at least one flag."""
        return sum(bool(row["flags"]) for row in self.rows)


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
    """

    segmenter: Segmenter
    items: Sequence[Item]
    pixel_sizes: PixelSizes
    out: Path
    options: Options = field(default_factory=Options)
    arguments: dict[str, Any] = field(default_factory=dict)

    def run(self, on_row: Callable[[Row], None] = lambda row: None) -> Summary:
        """Measure what is not yet measured and write everything.

        Parameters
        ----------
        on_row
            Called after each row is on disk, in the order of the items.

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
        with locked(self.out):
            lines = self._kept_lines() if options.resume else {}
            n_kept = len(lines)
            if options.overwrite and not options.resume:
                self._remove_earlier()
            started = time.perf_counter()
            self._write_record("running", [], 0.0)
            results.write_lines(self.out / RESULTS_NAME, lines.values())
            todo = [item for item in self.items if item.file not in lines]
            with results.RowAppender(self.out / RESULTS_NAME) as appender:
                for row in self._measure_all(todo):
                    lines[row["file"]] = line = results.line(row)
                    appender.append(line)
                    on_row(row)
            rows = results.Table(lines[item.file] for item in self.items)
            wall_s = time.perf_counter() - started
            results.write_lines(self.out / RESULTS_NAME, rows.lines)
            record = self._write_record("done", rows, wall_s)
            overlays = self.out / "overlays" if options.overlays else None
            report.write_page(self.out / REPORT_NAME, rows, record, overlays, self._workers)
        return Summary(self.out, rows, n_kept, wall_s)

    @property
    def _workers(self) -> int:
        return self.options.workers or usable_cores()

    def _measure_all(self, items: Sequence[Item]) -> Iterator[Row]:
        size = self.options.batch
        batches = (items[i : i + size] for i in range(0, len(items), size))
        draws = self.options.overlays and items
        # while the first images are still in the network
        with overlay.prepared() if draws else contextlib.nullcontext():
            for rows in ordered_map(self._measure, batches, self._workers):
                yield from rows

    def _measure(self, items: Sequence[Item]) -> list[Row]:
        """Read, predict and draw a batch; a file that cannot be read becomes a failed row."""
        rows: dict[str, Row] = {}
        good = []
        for item in items:
            started = time.perf_counter()
            try:
                gray = image.decode_gray(image.read_bytes(item.path))
                decode_ms = (time.perf_counter() - started) * 1000
                good.append((item, gray, self.pixel_sizes.of(item), decode_ms))
            except EdgesegError as error:
                rows[item.file] = results.failed_row(item.file, str(error))
        predictions = self.segmenter.predict_batch([g[1] for g in good], [g[2] for g in good])
        for (item, gray, _, decode_ms), prediction in zip(good, predictions, strict=True):
            # Pictures before the row: a row on disk means that its pictures are there.
            mask_path, overlay_path = self._picture_paths(item.file)
            try:
                if self.options.masks:
                    write_atomic(mask_path, image.encode_mask(prediction.mask()))
                if self.options.overlays:
                    picture = overlay.draw(gray, prediction)
                    write_atomic(overlay_path, image.encode(".jpg", picture, _JPEG_QUALITY))
                rows[item.file] = results.prediction_row(item.file, prediction, decode_ms)
            except (ImageDecodeError, OutputNameError) as error:
                rows[item.file] = results.failed_row(item.file, str(error))
        return [rows[item.file] for item in items]

    def _picture_paths(self, file: str) -> tuple[Path, Path]:
        """Return the paths of an image's mask and overlay."""
        name = picture_name(file)
        return self.out / "masks" / f"{name}.png", self.out / "overlays" / f"{name}.jpg"

    def _kept_lines(self) -> dict[str, str]:
        """Return the rows of an earlier run that need not be measured again, as lines by file."""
        record_path, table_path = self.out / RUN_NAME, self.out / RESULTS_NAME
        if not record_path.is_file():
            return {}
        try:
            model = json.loads(record_path.read_text(encoding="utf-8"))["model"]
            sha256, provider = model["sha256"], model["provider"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{record_path}: not the record of a run; choose another folder or --overwrite"
            ) from error
        if sha256 != self.segmenter.file.sha256:
            raise DataError(
                f"{self.out}: the run there used another model (SHA-256 {sha256[:12]}…, now "
                f"{self.segmenter.file.sha256[:12]}…); choose another folder or --overwrite"
            )
        if provider != self.segmenter.provider:
            raise DataError(
                f"{self.out}: the run there used {provider}, now {self.segmenter.provider}, which "
                "need not measure the same to the last digit; resume with the same device or "
                "choose another folder"
            )
        if not table_path.is_file():
            return {}
        table = results.read_rows(table_path)
        items = {item.file: item for item in self.items}
        if strangers := {row["file"] for row in table} - items.keys():
            raise DataError(
                f"{self.out}: the run there measured {len(strangers)} files that are not in the "
                f"input, such as {min(strangers)!r}; resume with the same input or choose another "
                "folder"
            )
        return {
            row["file"]: line
            for row, line in zip(table, table.lines, strict=True)
            if self._still_holds(row, items[row["file"]])
        }

    def _still_holds(self, row: Row, item: Item) -> bool:
        if row["status"] == "failed":
            return False
        try:
            same_size = row["pixel_size_mm"] == results.size_text(self.pixel_sizes.of(item))
        except DataError:
            return False
        wanted = (self.options.masks, self.options.overlays)
        paths = self._picture_paths(item.file)
        return same_size and all(
            path.is_file() and path.stat().st_size > 0  # a power cut can leave an empty one
            for path, wants in zip(paths, wanted, strict=True)
            if wants
        )

    def _remove_earlier(self) -> None:
        """Remove what an earlier run wrote, and nothing else."""
        table = self.out / RESULTS_NAME
        try:
            rows = results.read_rows(table) if table.is_file() else []
        except DataError:
            rows = []  # another program's table: replaced, as --overwrite says
        for row in rows:
            for path in self._picture_paths(row["file"]):
                if path.resolve().is_relative_to(self.out.resolve()):
                    path.unlink(missing_ok=True)
        for name in (RESULTS_NAME, RUN_NAME, REPORT_NAME):
            (self.out / name).unlink(missing_ok=True)

    def _write_record(self, status: str, rows: Sequence[Row], wall_s: float) -> dict[str, Any]:
        file, metadata = self.segmenter.file, self.segmenter.metadata
        seen = Counter(row["status"] for row in rows)
        record = {
            "status": status,
            "arguments": self.arguments,
            "options": self.options._asdict(),
            "versions": host.versions(),
            "host": host.describe(),
            "model": {
                "name": file.name,
                "sha256": file.sha256,
                "size_bytes": file.size_bytes,
                "precision": metadata.precision,
                "input_height": metadata.input_height,
                "input_width": metadata.input_width,
                "provider": self.segmenter.provider,
            },
            "counts": {
                "n_images": len(self.items),
                **{status: seen[status] for status in ("ok", "empty", "failed")},
            },
            "timings": {"wall_s": round(wall_s, 3), "stages_ms": mean_stages_ms(rows)},
        }
        write_json(self.out / RUN_NAME, record)
        return record


def mean_stages_ms(rows: Iterable[Row]) -> dict[str, float | None]:
    """Return the mean time of each stage over the rows that were measured, in milliseconds."""
    sums = dict.fromkeys(results.TIMING_COLUMNS, 0.0)
    counts = dict.fromkeys(results.TIMING_COLUMNS, 0)
    for row in rows:
        for column in results.TIMING_COLUMNS:
            if row[column]:
                sums[column] += float(row[column])
                counts[column] += 1
    return {
        column.removesuffix("_ms"): sums[column] / counts[column] if counts[column] else None
        for column in results.TIMING_COLUMNS
    }
