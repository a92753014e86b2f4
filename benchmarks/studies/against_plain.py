"""Changed images of heads, each measured against its own plain image."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from edgeseg.images.frame import GrayImage
from edgeseg.score.folds import read_folds
from edgeseg.score.hc18 import Case, load_cases

LIMIT_MM = 5.0


class Changed(NamedTuple):
    """An image, and its pixels' size as a multiple of the plain image's, across and down."""

    gray: GrayImage
    scale: float | tuple[float, float] = 1.0


def spread_cases(data: Path, fold: int, count: int) -> list[Case]:
    """Return so many labelled images of a fold, evenly over the heads' sizes."""
    files = set(read_folds(Path("benchmarks/folds.json"))[fold])
    cases = [case for case in load_cases(data) if case.file in files]
    cases = sorted(cases, key=lambda case: case.hc_reference_mm)
    return [cases[i] for i in np.linspace(0, len(cases) - 1, count).astype(int)]


def describe(plain_mm: list[float], rows: list[Any]) -> dict[str, Any]:
    """Return what one change did: errors in mm of the measured, and how many were silent."""
    pairs = list(zip(plain_mm, rows, strict=True))
    errors = [abs(row.hc_mm - hc_mm) for hc_mm, row in pairs if row.hc_mm is not None]
    silent = [row.status == "ok" and abs(row.hc_mm - hc_mm) > LIMIT_MM for hc_mm, row in pairs]
    return {
        "n": len(rows),
        "ok": sum(row.status == "ok" for row in rows),
        "doubtful": sum(row.status == "doubtful" for row in rows),
        "empty": sum(row.status == "empty" for row in rows),
        "median_mm": float(np.median(errors)) if errors else None,
        "p95_mm": float(np.percentile(errors, 95)) if errors else None,
        "silent": sum(silent),
    }


def cells(found: dict[str, Any]) -> list[str]:
    """Return the figures of `describe` as cells of a table."""
    counts = [str(found[status]) for status in ("ok", "doubtful", "empty")]
    spread = ["-" if found[key] is None else f"{found[key]:.2f}" for key in ("median_mm", "p95_mm")]
    return [*counts, *spread, f"{found['silent']} ({100 * found['silent'] / found['n']:.0f} %)"]


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)  # noqa: T201
