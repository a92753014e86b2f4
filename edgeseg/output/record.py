"""A run's record, ``run.json``: what was asked, with what, and how long it took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgeseg.output.table import TIMING_COLUMNS, Row
from edgeseg.system import host

if TYPE_CHECKING:
    from edgeseg.segmenter import Segmenter

RUN_NAME = "run.json"


def record_of(
    segmenter: Segmenter,
    asked: Mapping[str, Any],
    *,
    status: str,
    n_images: int,
    rows: Sequence[Row] = (),
    wall_s: float = 0.0,
) -> dict[str, Any]:
    """Return what a run's record holds, which is ``running`` or ``done``.

    What was ``asked``, its ``arguments`` and ``options``, is recorded as it is; ``n_images`` are
    those of the input, and ``wall_s`` is the time of the run without loading the model.
    """
    file, metadata = segmenter.file, segmenter.metadata
    seen = Counter(row["status"] for row in rows)
    return {
        "status": status,
        **asked,
        "versions": host.versions(),
        "host": host.describe(),
        "model": {
            "name": file.name,
            "sha256": file.sha256,
            "size_bytes": file.size_bytes,
            "precision": metadata.precision,
            "input_height": metadata.input_height,
            "input_width": metadata.input_width,
            "task": metadata.task.as_dict(),
            "provider": segmenter.provider,
        },
        "counts": {
            "n_images": n_images,
            **{status: seen[status] for status in ("ok", "doubtful", "empty", "failed")},
        },
        "timings": {"wall_s": round(wall_s, 3), "stages_ms": _mean_stages_ms(rows)},
    }


def _mean_stages_ms(rows: Iterable[Row]) -> dict[str, float | None]:
    """Return the mean time of each stage over the rows that were measured."""
    sums, counts = dict.fromkeys(TIMING_COLUMNS, 0.0), Counter[str]()
    for row in rows:
        for column in TIMING_COLUMNS:
            if (ms := row[column]) is not None:
                sums[column] += float(ms)
                counts[column] += 1
    return {
        column.removesuffix("_ms"): sums[column] / counts[column] if counts[column] else None
        for column in TIMING_COLUMNS
    }
