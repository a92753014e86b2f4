"""Ask where the remaining error comes from: compare two models' held-out errors image by image.

    PYTHONPATH=benchmarks python benchmarks/studies/error_sources.py hc18-nano hc18-edge

Each name stands for ``results/NAME-fold*.csv``. What two different networks get wrong alike is not
noise of one network; what two images of one head do not share is not a property of the head. What
remains is of the image and of its label, one ellipse by one observer. ``by_hc`` and ``worst`` are
of the first model.
"""

from __future__ import annotations

import argparse
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pool import LARGE_ERROR_MM, read_rows

from edgeseg.errors import DataError, EdgesegError
from edgeseg.system.files import write_json

RESULTS = Path(__file__).parents[1] / "results"
BOUNDS_MM = (0, 100, 150, 180, 200, 260, 1000)

Rows = dict[str, dict[str, str]]
FloatArray = npt.NDArray[np.float64]


def read_model(name: str, results: Path) -> Rows:
    """Read a model's held-out rows, by file.

    Raises
    ------
    DataError
        If there are none.
    """
    paths = sorted(results.glob(f"{name}-fold[0-9].csv"))
    if not paths:
        raise DataError(f"{results} has no {name}-fold*.csv; see benchmarks/crossval.py")
    return {row["file"]: row for row in read_rows(paths)}


def column(rows: list[dict[str, str]], name: str) -> FloatArray:
    """Return a column of numbers."""
    return np.array([float(row[name]) for row in rows])


def sources(first: Rows, second: Rows) -> dict[str, Any]:
    """Return what two models have in common, and more of the first one, in mm.

    Raises
    ------
    DataError
        If they were not measured on the same images.
    """
    shared = sorted(first.keys() & second.keys())
    if len(shared) < 2:
        raise DataError("the two models were not measured on the same images")
    errors = np.stack(
        [column([rows[f] for f in shared], "hc_error_mm") for rows in (first, second)]
    )
    return {
        "two_models": {
            "n_images": len(shared),
            "correlation": float(np.corrcoef(errors)[0, 1]),
            "sd_mm": errors.std(axis=1, ddof=1).tolist(),
            "sd_of_difference_mm": float((errors[0] - errors[1]).std(ddof=1)),
            "mad_mm": np.abs(errors).mean(axis=1).tolist(),
            "mad_of_their_mean_mm": float(np.abs(errors.mean(axis=0)).mean()),
        },
        **describe(first),
    }


def describe(model: Rows) -> dict[str, Any]:
    """Return a model's errors between images of one head, by HC, and the twenty largest, in mm."""
    files = sorted(model)
    rows = [model[file] for file in files]
    hc, reference, errors = (
        column(rows, name) for name in ("hc_mm", "hc_reference_mm", "hc_error_mm")
    )
    head_of = [file.split("_")[0] for file in files]
    pairs = np.array(
        [(i, j) for i, j in combinations(range(len(files)), 2) if head_of[i] == head_of[j]],
        dtype=np.intp,
    ).reshape(-1, 2)
    return {
        "two_images_of_one_head": {
            "n_pairs": len(pairs),
            "error_correlation": _symmetric_correlation(*errors[pairs].T),
            "median_label_difference_mm": _median_difference(reference, pairs),
            "median_measured_difference_mm": _median_difference(hc, pairs),
        },
        "by_hc": [
            _stratum(low, high, errors[(reference >= low) & (reference < high)])
            for low, high in pairwise(BOUNDS_MM)
        ],
        "worst": [
            {
                "file": files[k],
                "hc_reference_mm": reference[k],
                "error_mm": errors[k],
                "flags": rows[k]["flags"],
            }
            for k in np.argsort(-np.abs(errors))[:20]
        ],
    }


def _symmetric_correlation(a: FloatArray, b: FloatArray) -> float | None:
    """Correlation within pairs whose order means nothing (Fisher's intraclass correlation)."""
    if len(a) < 2:
        return None
    return float(np.corrcoef(np.concatenate([a, b]), np.concatenate([b, a]))[0, 1])


def _median_difference(values: FloatArray, pairs: npt.NDArray[np.intp]) -> float | None:
    return float(np.median(np.abs(np.diff(values[pairs])))) if len(pairs) else None


def _stratum(low: float, high: float, errors: FloatArray) -> dict[str, Any]:
    known = len(errors) > 0
    return {
        "hc_mm": [low, high],
        "n_images": len(errors),
        "mad_mm": float(np.abs(errors).mean()) if known else None,
        "bias_mm": float(errors.mean()) if known else None,
        "above_5_mm": float((np.abs(errors) > LARGE_ERROR_MM).mean()) if known else None,
    }


def main() -> None:
    """Compare, print and write."""
    parser = argparse.ArgumentParser(description="Where the remaining error comes from.")
    parser.add_argument("models", nargs=2, metavar="MODEL")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    try:
        figures = sources(*(read_model(name, options.results) for name in options.models))
        write_json(options.results / "error_sources.json", {"models": options.models, **figures})
    except EdgesegError as error:
        parser.exit(1, f"error: {error}\n")
    for key in ("two_models", "two_images_of_one_head"):
        print(f"{key}: {figures[key]}")  # noqa: T201
    for line in (*figures["by_hc"], *figures["worst"]):
        print(line)  # noqa: T201


if __name__ == "__main__":
    main()
