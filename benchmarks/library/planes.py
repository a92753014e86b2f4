"""Scans of other planes and organs, listed in a folder's ``labels.csv``."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import NamedTuple

HEAD, UNUSED = "brain", "breast"  # a plane of heads; an organ that no model is taught with
FOLDS = 5
_SEED = 2018


class Plane(NamedTuple):
    """One scan.

    Attributes
    ----------
    plane
        What it shows, such as ``abdomen``.
    fold
        To which its patient belongs.
    """

    path: Path
    plane: str
    fold: int


def read_planes(folder: Path) -> list[Plane]:
    """Read ``labels.csv`` (columns file, plane, patient) and deal the patients to folds."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    patients = sorted({row["patient"] for row in rows if row["plane"] != UNUSED})
    random.Random(_SEED).shuffle(patients)
    folds = {patient: i % FOLDS for i, patient in enumerate(patients)}
    return [
        Plane(folder / "images" / row["file"], row["plane"], folds.get(row["patient"], -1))
        for row in rows
    ]
