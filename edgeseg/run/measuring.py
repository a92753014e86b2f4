"""From an image of a run to its row: read, measured, drawn. Safe to call from several threads."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from edgeseg.drawing.encode import encode_mask
from edgeseg.errors import EdgesegError, ImageDecodeError, OutputNameError
from edgeseg.images import image_file
from edgeseg.images.calibration import Calibration
from edgeseg.images.frame import Frame, PixelSize
from edgeseg.inputs.ages import Ages
from edgeseg.inputs.source import Source
from edgeseg.measure.measurement import Column
from edgeseg.measure.tasks import measure_of
from edgeseg.output import table
from edgeseg.output.pictures import picture_names
from edgeseg.output.table import Row
from edgeseg.prediction import Prediction
from edgeseg.run.documents import Documents
from edgeseg.run.journal import Stamp, stamp_of
from edgeseg.run.options import Options
from edgeseg.segmenter import Segmenter
from edgeseg.system.files import write_atomic


class SizesOfImages(Protocol):
    """Pixel sizes by image; see `edgeseg.inputs.pixel_sizes.PixelSizes`."""

    def has_size(self, source: Source, /) -> bool:
        """Return whether the pixel size of an image was given, if only as one that is unknown."""

    def size_of(self, source: Source, shape: tuple[int, ...] | None = None, /) -> PixelSize | None:
        """Return the pixel size of an image, or None if it is unknown."""


class Read(NamedTuple):
    """An image that was read, and how long that took."""

    frame: Frame
    decode_ms: float


class Measured(NamedTuple):
    """A row, the image it is of, and what its file was when it was read."""

    row: Row
    item: Source
    stamp: Stamp | None


def decoded(item: Source) -> Frame:
    """Read an image from its file, or raise an `EdgesegError`."""
    if item.frame:
        from edgeseg.images.dicom.frames import read_frame

        return read_frame(item.path, item.frame)
    return image_file.decode_frame(image_file.read_bytes(item.path))


@dataclass(slots=True)
class Measuring:
    """How the images of a run are measured.

    Parameters
    ----------
    segmenter
        The model.
    out
        Folder that pictures and documents are written into.
    pixel_sizes
        What is given of the images' pixels.
    options
        See `Options`.
    ages, calibration
        What else is known of the images: then rows have more columns, at their end.
    decoded
        Reads an image, or raises an `EdgesegError`.
    write
        Writes a picture, given its name below ``out``, whole or not at all; None: as a file.
    """

    segmenter: Segmenter
    out: Path
    pixel_sizes: SizesOfImages
    options: Options = field(default_factory=Options)
    ages: Ages = field(default_factory=Ages)
    calibration: Calibration | None = None
    decoded: Callable[[Source], Frame] = decoded
    write: Callable[[str, bytes], None] | None = None
    documents: Documents = field(init=False)

    def __post_init__(self) -> None:
        kinds = [kind for kind in ("sr", "seg") if getattr(self.options, kind)]
        self.documents = Documents(self.out, self.segmenter.file, kinds)

    @property
    def titles(self) -> tuple[str, ...]:
        """Columns of the rows."""
        task = self.segmenter.metadata.task
        return table.columns(task, self._given, keep_ids=self.options.keep_ids)

    @property
    def kinds(self) -> list[str]:
        """Kinds of what is written of an image, see `edgeseg.output.pictures.KINDS`."""
        return [kind for kind in ("masks", "overlays", "sr", "seg") if getattr(self.options, kind)]

    def names(self, items: Sequence[Source]) -> list[str]:
        """Return what is about to be written of images: names below the folder."""
        if not self.kinds:
            return []
        named = (picture_names(*item.key) for item in items)
        return [each[kind] for each in named for kind in self.kinds]

    def given_cells(self, item: Source) -> dict[str, str]:
        """Return the cells that an image's row has of what was given for it."""
        cells: dict[str, float | None] = {"ga_weeks_given": self.ages.age_of(item)}
        if self.calibration is not None:
            cells["calibration_factor"] = self.calibration.factor
            cells["calibration_shift_mm"] = self.calibration.shift_mm
        of_run = [column for column in self._given if column.name in cells]
        return table.pixel_size_cells(self.pixel_sizes.size_of(item)) | table.figure_cells(
            cells, of_run
        )

    def measure(self, items: Sequence[Source]) -> list[Measured]:
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

    def remeasure(self, item: Source) -> Prediction | str:
        """Measure an image once more, and write nothing; a sentence if that fails."""
        read = self._read(item)
        return read if isinstance(read, str) else self._predict([read])[0]

    @property
    def _given(self) -> tuple[Column, ...]:
        """Columns of what is known of the images besides."""
        task, calibrated = self.segmenter.metadata.task, self.calibration is not None
        return measure_of(task).given_columns(task, ages=self.ages.is_given, calibrated=calibrated)

    def _read(self, item: Source) -> Read | str:
        """Read an image; a sentence if that fails."""
        started = time.perf_counter()
        try:
            image = self.decoded(item)
            decode_ms = (time.perf_counter() - started) * 1000
            size = self.pixel_sizes.size_of(item, image.size)
            given = self.pixel_sizes.has_size(item)
            if not given:
                size = image.pixel_size  # what the user says beats what the file says
            screen = image.screen
            if screen is not None and given and size is None:
                areas = (area._replace(pixel_size=None) for area in screen.areas)
                screen = screen._replace(areas=tuple(areas))  # as of a whole image
            if screen is not None and self.options.keep_ids:
                screen = screen._replace(may_name_patient=False)
            known = size, item.file, self.ages.age_of(item), self.calibration, screen
            return Read(Frame(image.pixels, *known), decode_ms)
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

    def _row(self, item: Source, prediction: Prediction | str, read: Read | str) -> Row:
        """Write an image's pictures, then return its row: a row means that they are there."""
        row = self._plain_row(item, prediction, read)
        if not self.options.keep_ids:
            return row
        from edgeseg.images.dicom.frames import identifiers

        told = identifiers(item.path) if isinstance(read, Read) and read.frame.screen else {}
        return {**row, **dict.fromkeys(table.OF_PATIENTS, ""), **told}

    def _plain_row(self, item: Source, prediction: Prediction | str, read: Read | str) -> Row:
        task, frame = self.segmenter.metadata.task, item.frame
        if isinstance(prediction, str) or isinstance(read, str):
            return table.failed_row(item.file, str(prediction), task, self._given, frame)
        names = picture_names(*item.key)
        try:
            if self.options.masks:
                self._write(names["masks"], encode_mask(prediction.mask()))
            if self.options.overlays:
                self._write(names["overlays"], prediction.overlay_jpeg())
        except (ImageDecodeError, OutputNameError) as error:
            return table.failed_row(item.file, str(error), task, self._given, frame)
        self.documents.measured(item, prediction)
        return table.prediction_row(item.file, prediction, read.decode_ms, self._given, frame)

    def _write(self, name: str, data: bytes) -> None:
        if self.write is None:
            write_atomic(self.out / name, data)
        else:
            self.write(name, data)
