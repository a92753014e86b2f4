"""From an image to its row: read, measured, drawn. Safe to call from several threads."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol

from edgeseg.drawing import avi
from edgeseg.drawing.encode import encode
from edgeseg.drawing.overlay import HIDDEN
from edgeseg.errors import DataError, EdgesegError, ImageDecodeError, OutputNameError
from edgeseg.images import image_file
from edgeseg.images.calibration import Calibration
from edgeseg.images.frame import RULER, Frame, PixelSize
from edgeseg.images.ruler import RulerOption, read_ruler
from edgeseg.images.video import read_film
from edgeseg.inputs.facts import Ages
from edgeseg.inputs.source import ALL_FRAMES, Source, stamp_of
from edgeseg.measure.measurement import Column
from edgeseg.measure.tasks import measure_of
from edgeseg.output import table
from edgeseg.output.record import DOCUMENTS, FINDINGS, KINDS, picture_names
from edgeseg.output.table import Row, best_frame
from edgeseg.prediction import Prediction
from edgeseg.segmenter import Segmenter

_FPS = 25.0  # of annotated films whose frames have no times
Write = Callable[[str, bytes], None]
"""Writes a picture or document, given its name below the folder of results, whole or not at all."""


class Options(NamedTuple):
    """How images are measured, and what is written of them."""

    masks: bool = True
    overlays: bool = True
    resume: bool = False  # keep the rows of an earlier run of the same model, do what is missing
    overwrite: bool = False  # replace an earlier run
    workers: int | None = None  # images worked on at once; None: one for each core
    sr: bool = False  # of DICOM images a structured report a study
    report_each: bool = False  # or one a file
    sr_template: str = "1500"  # see `edgeseg.output.dicom.objects.make_structured_report`
    seg: bool = False  # and a segmentation of each
    keep_ids: bool = False  # of DICOM images rows tell whose they are, and pictures show the screen
    ruler: RulerOption = None  # whether, and how, the ruler in a picture is read
    annotated: bool = False  # of films a video with what was measured
    fps: float | None = None  # of videos at most so many frames of a second are measured


class PixelSizesOfSources(Protocol):
    """Pixel sizes by image; see `edgeseg.inputs.facts.PixelSizes`."""

    @property
    def is_given(self) -> bool:
        """Whether pixel sizes were given, if only as unknown ones."""

    def size_of(self, source: Source, shape: tuple[int, ...] | None = None, /) -> PixelSize | None:
        """Return the pixel size of an image, or None if it is unknown."""


def read_source(source: Source) -> Frame:
    """Read an image from its file, or raise an `EdgesegError`; of a whole film its first frame."""
    if source.frame == ALL_FRAMES:
        source = source._replace(decoded=next(read_film(source.path))[1])
    if isinstance(source.decoded, EdgesegError):
        raise source.decoded
    if source.decoded is not None:
        return source.decoded
    if source.frame:
        from edgeseg.images.dicom.frames import read_frame

        return read_frame(source.path, source.frame)
    return image_file.decode_frame(image_file.read_bytes(source.path))


@dataclass(slots=True)
class Worker:
    """Measures sources: reads, predicts, draws, and returns a row.

    Raises `MissingExtraError` if documents are wanted, and the package for them is not installed.
    """

    segmenter: Segmenter
    pixel_sizes: PixelSizesOfSources
    options: Options = field(default_factory=Options)
    ages: Ages = field(default_factory=Ages)  # these two add columns at the rows' end
    calibration: Calibration | None = None
    read: Callable[[Source], Frame] = read_source
    on_notice: Callable[[str], None] = lambda text: None  # for the user, from any thread
    _noticed: dict[str, Source] = field(default_factory=dict, init=False)  # with what first

    def __post_init__(self) -> None:
        if self.options.sr or self.options.seg:
            from edgeseg.output.dicom.objects import require_highdicom

            require_highdicom()

    @property
    def titles(self) -> tuple[str, ...]:
        """Columns of the rows."""
        task = self.segmenter.metadata.task
        more = {"ruler": self.options.ruler is not None, "keep_ids": self.options.keep_ids}
        return table.columns(task, self._given_columns, **more)

    @property
    def kinds(self) -> list[str]:
        """Kinds of what is written of an image, see `edgeseg.output.record.KINDS`."""
        kinds = [kind for kind in KINDS if getattr(self.options, kind)]
        is_gathered = not self.options.report_each
        return [FINDINGS if kind == "sr" and is_gathered else kind for kind in kinds]

    def version(self, source: Source) -> str:
        """Return what tells a file, and what is given for it, from what they were or will be.

        The file's place, size and time of change, its pixel size, age and calibration.
        """
        stamp = stamp_of(source.location)
        try:
            size = self.pixel_sizes.size_of(source)
            given: list[Any] = [size and [*size], self.ages.age_of(source)]
        except DataError:  # its row says why
            given = []
        options = {"ruler": self.options.ruler, "fps": self.options.fps}
        given += [f"{name} {value}" for name, value in options.items() if value is not None]
        if self.calibration is not None:
            given += [self.calibration.factor, self.calibration.shift_mm]
        place = os.path.abspath(source.location)  # noqa: PTH100 (keeps links)
        return json.dumps([place, stamp, given])

    def frames_of(self, sources: Sequence[Source]) -> Iterator[Source]:
        """Yield the images of a file; those of a film that is read in order are read meanwhile."""
        if sources[0].frame != ALL_FRAMES:
            yield from sources
            return
        for number, found in read_film(sources[0].path, self.options.fps, self.options.ruler):
            yield sources[0]._replace(frame=number, decoded=found)

    def measure(self, source: Source, write: Write) -> Row:
        """Measure an image and write its pictures, of a single image its documents too.

        What fails becomes a failed row. Raises `OutputWriteError` if a picture cannot be written,
        other than for its name.
        """
        started = time.perf_counter()
        try:
            frame = self._read(source)
            decode_ms = None if source.decoded else (time.perf_counter() - started) * 1000
            prediction = self.segmenter.predict(frame)
        except EdgesegError as error:
            return self.failed_row(source, str(error))
        try:
            self._write_pictures(source, prediction, write)
        except (ImageDecodeError, OutputNameError) as error:
            return self.failed_row(source, str(error))
        given = self._given_columns
        row = table.prediction_row(source.file, prediction, decode_ms, given, source.frame)
        if self.options.keep_ids:
            from edgeseg.images.dicom.frames import identifiers

            row |= dict.fromkeys(table.OF_PATIENTS, "")
            row |= identifiers(source.path) if frame.screen else {}
        return row if frame.time_s is None else row | {table.TIME_COLUMN: round(frame.time_s, 3)}

    def write_documents_of_film(
        self, sources: Sequence[Source], rows: Sequence[Row], write: Write
    ) -> None:
        """Write the documents of a film: of its best frame, which is measured once more.

        That costs less than to remember the predictions of all frames.
        """
        best = best_frame(rows)
        if best is None or not (self.options.sr or self.options.seg):
            return
        source = next(source for source in sources if source.key == table.key(best))
        try:
            prediction = self.segmenter.predict(self._read(source))
        except EdgesegError as error:
            self.on_notice(f"{source.file}: no document was made of it: {error}")
            return
        self._write_documents(source, prediction, write)

    def annotated_film(self, rows: Sequence[Row], parts: Mapping[str, Any]) -> Iterator[bytes]:
        """Yield a video of a film's overlays, whose paths are first in the parts of their names."""
        names = (picture_names(*table.key(row))["overlays"] for row in rows)
        lasts_s = max(float(row.get(table.TIME_COLUMN) or 0) for row in rows)
        fps = (len(rows) - 1) / lasts_s if lasts_s else _FPS
        return avi.join([parts[name][0] for name in names if name in parts], fps)

    def failed_row(self, source: Source, sentence: str) -> Row:
        """Return the row of an image that could not be measured, and why."""
        return table.failed_row(source.file, sentence, self.titles, source.frame)

    @property
    def _given_columns(self) -> tuple[Column, ...]:
        """Columns of what is known of the images besides."""
        task, calibrated = self.segmenter.metadata.task, self.calibration is not None
        return measure_of(task).given_columns(task, ages=self.ages.is_given, calibrated=calibrated)

    def _read(self, source: Source) -> Frame:
        """Read an image, with all that is known of it; what a user says beats what a file says."""
        frame = self.read(source)
        size, screen = self.pixel_sizes.size_of(source, frame.size), frame.screen
        is_given = self.pixel_sizes.is_given
        if not is_given:
            size = frame.pixel_size
        if screen is not None and is_given and size is None:
            areas = (area._replace(pixel_size=None) for area in screen.areas)
            screen = screen._replace(areas=tuple(areas))  # as of a whole image
        if screen is not None and self.options.keep_ids:
            screen = screen._replace(may_name_patient=False)
        weeks, ruler = self.ages.age_of(source), None
        if self.options.ruler is not None:
            ruler = frame.ruler or read_ruler(frame, self.options.ruler)
            mm = ruler.pixel_size_mm
            size = size or (PixelSize(mm, mm, RULER) if mm else None)
        own = frame.pixels, size, source.file, weeks, self.calibration, screen, ruler
        return Frame(*own, frame.time_s)

    def _write_pictures(self, source: Source, prediction: Prediction, write: Write) -> None:
        names = picture_names(*source.key)
        if self.options.masks:
            write(names["masks"], encode(".png", prediction.mask(), is_mask=True))
        if self.options.overlays:
            write(names["overlays"], prediction.overlay_jpeg())
            screen = prediction.frame.screen
            if screen is not None and screen.may_name_patient:
                self._notice_once(f"its overlay is {HIDDEN}; so are others", source)
        if not source.frame:
            self._write_documents(source, prediction, write)

    def _write_documents(self, source: Source, prediction: Prediction, write: Write) -> None:
        wanted = [kind for kind in DOCUMENTS if getattr(self.options, kind)]
        if not wanted or prediction.frame.screen is None or prediction.status == "empty":
            return  # none is wanted, no DICOM image, or nothing to report
        from edgeseg.images.dicom.library import read_elements
        from edgeseg.output.dicom import objects

        template = self.options.sr_template
        report = partial(objects.make_structured_report, template=template)
        make: dict[str, Callable[..., bytes]] = {"sr": report, "seg": objects.make_segmentation}
        for kind in wanted:
            name = picture_names(*source.key)[kind]
            try:
                header = read_elements(source.path)
                document = make[kind](header, source.frame, prediction, self.segmenter.file)
                if kind == "sr" and FINDINGS in self.kinds:
                    name = f"{FINDINGS}/{header.StudyInstanceUID}/{header.SOPInstanceUID}.dcm"
            except EdgesegError as error:
                what = f"no {kind.upper()} was made of it"
                self._notice_once(f"{what}, nor of others like it: {error}", source)
            else:
                write(name, document)

    def _notice_once(self, text: str, source: Source) -> None:
        """Say of the first image what holds for others too."""
        if self._noticed.setdefault(text, source) is source:
            self.on_notice(f"{source.file}: {text}")
