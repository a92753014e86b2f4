"""A page of an evaluation: every image with its label beside what was measured, and its errors."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.measure.measurement import Column, Measurement, Stroke
from edgeseg.measure.regions import strokes as borders
from edgeseg.output import table
from edgeseg.output.pictures import picture_paths
from edgeseg.output.record import record_of
from edgeseg.output.report.page import REPORT_NAME, write_page
from edgeseg.prediction import Prediction
from edgeseg.score.classes import ClassScore
from edgeseg.score.folds import Labelled
from edgeseg.score.hc18 import Case
from edgeseg.score.heads import Score
from edgeseg.segmenter import Segmenter
from edgeseg.system.files import claim, write_atomic

_OF_HEADS = (Column("hc_reference_mm", 3), Column("hc_error_mm", 3), Column("dice", 6))


@dataclass(slots=True)
class EvaluationReport:
    """A folder that gets ``report.html``, and ``overlays/`` with what it shows.

    Parameters
    ----------
    folder
        It must be empty, or not there.
    segmenter
        The model that is evaluated.

    Raises
    ------
    OutputExistsError, OutputWriteError
        If the folder holds something, or cannot be looked at.
    """

    folder: Path
    segmenter: Segmenter
    _lines: dict[str, str] = field(default_factory=dict, init=False)
    _adding: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        claim(self.folder, overwrite=False)

    def add(self, case: Labelled, prediction: Prediction, score: Score | ClassScore) -> None:
        """Draw an image with its label and note its row; safe to call from several threads.

        Raises
        ------
        OutputWriteError
            If the picture cannot be written.
        """
        overlay = prediction.overlay_jpeg(_label_strokes(case, prediction))
        write_atomic(picture_paths(self.folder, case.file)["overlays"], overlay)
        row = table.prediction_row(case.file, prediction, 0.0)
        row |= table.figure_values(_errors(score), self._error_columns)
        with self._adding:
            self._lines[case.file] = table.pack(row)

    def write(self, cases: Sequence[Labelled], arguments: Mapping[str, Any], wall_s: float) -> Path:
        """Write the page of all cases that were added, in the order given, and return its path.

        Raises
        ------
        OutputWriteError
            If it cannot be written.
        """
        task = self.segmenter.metadata.task
        titles = (*table.columns(task), *(column.name for column in self._error_columns))
        rows = table.Table(titles, (self._lines[case.file] for case in cases))
        record = record_of(
            *(self.segmenter, {"arguments": dict(arguments)}),
            status="done",
            n_images=len(rows),
            rows=rows,
            wall_s=wall_s,
        )
        path = self.folder / REPORT_NAME
        write_page(path, task, rows, record, self.folder / "overlays")
        return path

    @property
    def _error_columns(self) -> tuple[Column, ...]:
        task = self.segmenter.metadata.task
        if task.kind == "head":
            return _OF_HEADS
        return tuple(Column(f"{name}_dice", 6) for name in task.structures)


def _errors(score: Score | ClassScore) -> dict[str, float | None]:
    """Return how an image was scored, by the columns of a report."""
    if isinstance(score, ClassScore):
        present = score.present()
        return {
            f"{name}_dice": present[name].dice if name in present else None
            for name in score.overlaps
        }
    found = score.hausdorff_mm is not None
    return {
        "hc_reference_mm": score.hc_reference_mm,
        "hc_error_mm": score.hc_error_mm if found else None,
        "dice": score.overlap.dice,
    }


def _label_strokes(case: Labelled, prediction: Prediction) -> list[Stroke]:
    """Return the outlines of an image's label."""
    if prediction.task.kind == "head" and isinstance(case, Case):
        return [Stroke(case.reference_ellipse(prediction.size).points(180))]
    label = np.asarray(case.mask(prediction.size), dtype=np.uint8)
    return borders(Measurement(mask=label))
