"""Pool the per-image results of several folds into one table.

    python benchmarks/pool.py results/hc18-edge-fold*.csv --json results/hc18-edge.json

Each CSV is what ``edgeseg evaluate MODEL --data HC18 --split benchmarks/folds.json --fold K --csv``
wrote for the model that was trained without fold K. No image may be in two of them.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgeseg.errors import DataError, EdgesegError, InputNotFoundError
from edgeseg.score import metrics
from edgeseg.score.evaluate import CSV_COLUMNS
from edgeseg.system.files import write_json

LARGE_ERROR_MM = 5.0
LARGE_ERROR_FRACTION = 0.03  # of HC: within it 95 % of one observer's repeats fall (Sarris 2012)


def read_rows(paths: Sequence[Path]) -> list[dict[str, str]]:
    """Read and join per-image results.

    Raises
    ------
    InputNotFoundError
        If a file is missing.
    DataError
        If a file is not of ``edgeseg evaluate --csv``, or an image is there twice.
    """
    rows: list[dict[str, str]] = []
    for path in paths:
        if not path.is_file():
            raise InputNotFoundError(f"{path}: no such file")
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            if tuple(reader.fieldnames or ()) != CSV_COLUMNS:
                raise DataError(f"{path}: expected the columns of edgeseg evaluate --csv")
            rows += reader
    files = [row["file"] for row in rows]
    if len(set(files)) != len(files):
        twice = next(file for file in files if files.count(file) > 1)
        raise DataError(f"{twice} is in two of the files; pool folds of one model")
    return rows


def pool(rows: Sequence[dict[str, str]]) -> dict[str, Any]:
    """Return the pooled figures: overlaps as fractions, distances in mm, one image one vote.

    Images in which no head was found count in full, but for ``of_measured``.

    The ``auroc`` figures tell how well the measurement itself points to its large errors; 0.5 is
    chance. ``confidence`` has no unit and ranks errors relative to HC; for errors in millimetres
    1 - confidence is multiplied by the measured HC (``confidence_and_hc``). ``by_hc`` is what HC
    alone tells: large heads have large errors.
    """
    errors_mm = [float(row["hc_error_mm"]) for row in rows]
    large = [abs(error) > LARGE_ERROR_MM for error in errors_mm]
    large_relative = [
        abs(error) > LARGE_ERROR_FRACTION * float(row["hc_reference_mm"])
        for error, row in zip(errors_mm, rows, strict=True)
    ]
    doubt = [1 - float(row["confidence"]) for row in rows]
    doubt_mm = [d * float(row["hc_mm"]) for d, row in zip(doubt, rows, strict=True)]
    found = [row for row in rows if row["hausdorff_mm"]]
    return {
        "n_images": len(rows),
        "n_refused": len(rows) - len(found),
        "of_measured": {
            "dice": metrics.describe_overlaps([float(row["dice"]) for row in found]),
            "hc_error_mm": metrics.describe_errors([float(row["hc_error_mm"]) for row in found]),
        },
        "dice": metrics.describe_overlaps([float(row["dice"]) for row in rows]),
        "dice_ellipse": metrics.describe_overlaps([float(row["dice_ellipse"]) for row in rows]),
        "hausdorff_mm": metrics.describe_distances([float(row["hausdorff_mm"]) for row in found]),
        "hc_error_mm": metrics.describe_errors(errors_mm),
        "large_error_fraction": sum(large) / len(large) if large else None,
        "auroc": {
            "above_3_percent_by_confidence": metrics.auroc(doubt, large_relative),
            "above_5_mm_by_confidence": metrics.auroc(doubt, large),
            "above_5_mm_by_confidence_and_hc": metrics.auroc(doubt_mm, large),
            "above_5_mm_by_hc": metrics.auroc([float(row["hc_mm"]) for row in rows], large),
        },
    }


def main() -> None:
    """Print the pooled figures, and write them if asked."""
    parser = argparse.ArgumentParser(description="Pool per-image results of several folds.")
    parser.add_argument("csv", nargs="+", type=Path)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    try:
        figures = pool(read_rows(arguments.csv))
        if arguments.json:
            write_json(arguments.json, figures)
    except EdgesegError as error:
        parser.exit(1, f"error: {error}\n")
    for key, value in figures.items():
        print(f"{key:22} {_text(value)}")  # noqa: T201


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{key} {_text(inner)}" for key, inner in value.items())
    return f"{value:.4f}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    main()
