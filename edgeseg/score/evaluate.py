"""Accuracy of a model on labelled images, whatever its task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import onnxruntime

from edgeseg.images.image_file import read_gray
from edgeseg.network.openvino import PROVIDER as OPENVINO
from edgeseg.prediction import Prediction
from edgeseg.score import metrics
from edgeseg.score.classes import ClassScore, score_classes, summarize_classes
from edgeseg.score.folds import Labelled, data_sha256
from edgeseg.score.hc18 import Case
from edgeseg.score.heads import CSV_COLUMNS, Score, score_head, summarize_heads
from edgeseg.segmenter import Segmenter
from edgeseg.system import host
from edgeseg.system.cells import SIGNATURE, shield
from edgeseg.system.files import csv_text, write_atomic
from edgeseg.system.parallel import ordered_map, usable_cores

AnyScore = Score | ClassScore
"""Of a head on HC18-shaped data, or of any classes."""


def score_all(
    segmenter: Segmenter,
    cases: Sequence[Labelled],
    workers: int | None = None,
    on_score: Callable[[AnyScore], None] = lambda score: None,
    on_prediction: Callable[[Labelled, Prediction, AnyScore], None] = lambda *_: None,
) -> list[AnyScore]:
    """Score all cases, in their order, on ``workers`` threads (None: one for each core).

    A model of heads is scored by its outline where the labels are outlines, any other by its mask.

    Parameters
    ----------
    on_score
        Called with each score, in order.
    on_prediction
        Called with each case and what was measured on it, from several threads, in any order.

    Raises
    ------
    EdgesegError
        If an image or its label cannot be read.
    """
    heads = segmenter.metadata.task.kind == "head"

    def score(case: Labelled) -> AnyScore:
        prediction = segmenter.predict(read_gray(case.image_path), case.pixel_size_mm)
        if heads and isinstance(case, Case):
            scored: AnyScore = score_head(case, prediction)
        else:
            scored = score_classes(case, prediction)
        on_prediction(case, prediction, scored)
        return scored

    scores = []
    for scored in ordered_map(score, cases, workers or usable_cores()):
        scores.append(scored)
        on_score(scored)
    return scores


def summarize(
    segmenter: Segmenter, cases: Sequence[Labelled], scores: Sequence[AnyScore], threads: int
) -> dict[str, Any]:
    """Return the evaluation as JSON-ready values.

    Overlaps are fractions, errors are prediction minus reference in mm, SDs are of the sample
    (n - 1), a missing value is None.
    """
    file, metadata = segmenter.file, segmenter.metadata
    heads = [score for score in scores if isinstance(score, Score)]
    classes = [score for score in scores if isinstance(score, ClassScore)]
    uses_openvino = segmenter.provider == OPENVINO
    figures: dict[str, Any]
    if heads:
        figures = {
            "metrics": summarize_heads(heads),
            "paper_metrics": metrics.pooled_by_batch([score.overlap for score in heads]),
        }
    else:
        figures = {"metrics": summarize_classes(metadata.task.structures, classes)}
    return {
        "model": {
            "name": file.name,
            "sha256": file.sha256,
            "size_bytes": file.size_bytes,
            "input_height": metadata.input_height,
            "input_width": metadata.input_width,
        },
        "data": {
            "n_images": len(scores),
            "n_failed": sum(score.has_failed for score in scores),
            "sha256": data_sha256(cases),
        },
        **figures,
        "runtime": {
            "provider": segmenter.provider,
            "threads": threads,
            "onnxruntime": onnxruntime.__version__,
            **({"openvino": host.extra_version("openvino")} if uses_openvino else {}),
        },
    }


def write_csv(path: Path, scores: Sequence[AnyScore]) -> None:
    """Write one row an image, replacing the file; text that a spreadsheet would run is shielded.

    See `edgeseg.system.cells`.

    Raises
    ------
    OutputWriteError
        If it cannot be written.
    """
    titles = scores[0].columns() if scores else CSV_COLUMNS
    rows = [[shield(file), *cells] for file, *cells in (score.cells() for score in scores)]
    text = SIGNATURE + csv_text([[*map(shield, titles)], *rows])
    write_atomic(path, text.encode(errors="backslashreplace"))
