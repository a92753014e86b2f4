"""A page of an evaluation: every image with its label beside what was measured, and its errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeseg.measure.measurement import Column, Measurement, Stroke
from edgeseg.measure.regions import strokes as borders
from edgeseg.output import table
from edgeseg.output.record import picture_names, record_of
from edgeseg.output.report.page import REPORT_NAME, write_page
from edgeseg.prediction import Prediction
from edgeseg.score.evaluate import AnyScore
from edgeseg.score.folds import Labelled
from edgeseg.score.hc18 import Case
from edgeseg.segmenter import Segmenter
from edgeseg.system.files import claim, write_atomic


class EvaluationReport:
    """A folder that gets ``report.html``, and ``overlays/`` with what it shows.

    Raises `OutputExistsError` or `OutputWriteError` if it holds something or cannot be looked at.
    """

    def __init__(self, folder: Path, segmenter: Segmenter) -> None:
        claim(folder, overwrite=False)
        self._folder, self._segmenter = folder, segmenter
        self._rows: dict[str, table.Row] = {}

    def add(self, case: Labelled, prediction: Prediction, score: AnyScore) -> None:
        """Draw an image with its label and note its row; safe to call from several threads.

        Raises `OutputWriteError` if the picture cannot be written.
        """
        overlay = prediction.overlay_jpeg(_label_strokes(case, prediction))
        write_atomic(self._folder / picture_names(case.file)["overlays"], overlay)
        errors = score.errors()
        columns = [Column(name, 3 if name.endswith("_mm") else 6) for name in errors]
        row = table.prediction_row(case.file, prediction, 0.0)
        self._rows[case.file] = row | table.figure_values(errors, columns)

    def write(self, cases: Sequence[Labelled], arguments: Mapping[str, Any], wall_s: float) -> Path:
        """Write the page of all cases that were added, in the order given, and return its path.

        Raises `OutputWriteError` if it cannot be written.
        """
        rows = [self._rows[case.file] for case in cases]
        asked = {"arguments": dict(arguments)}
        record = record_of(
            self._segmenter, asked, status="done", n_images=len(rows), rows=rows, wall_s=wall_s
        )
        path = self._folder / REPORT_NAME
        write_page(path, self._segmenter.metadata.task, rows, record, self._folder / "overlays")
        return path


def _label_strokes(case: Labelled, prediction: Prediction) -> list[Stroke]:
    """Return the outlines of an image's label."""
    if prediction.task.kind == "head" and isinstance(case, Case):
        return [Stroke(case.reference_ellipse(prediction.size).points(180))]
    return borders(Measurement(mask=case.mask(prediction.size)))
