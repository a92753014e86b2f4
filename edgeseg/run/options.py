"""How a folder is measured, and what that ended with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from edgeseg.output.table import Row


class Options(NamedTuple):
    """How a folder is measured.

    Attributes
    ----------
    masks, overlays
        Whether these pictures are written.
    sr, seg
        Whether of DICOM images a structured report and a segmentation are written, as DICOM.
    keep_ids
        Whether of DICOM images rows tell whose they are, and pictures show all of the screen where
        no region is named.
    resume
        Keep the rows of an earlier run of the same model and do what is missing.
    overwrite
        Replace an earlier run.
    workers
        Images worked on at once; None: one for each core.
    """

    masks: bool = True
    overlays: bool = True
    resume: bool = False
    overwrite: bool = False
    workers: int | None = None
    sr: bool = False
    seg: bool = False
    keep_ids: bool = False


@dataclass(frozen=True, slots=True)
class Summary:
    """What a run ended with.

    Attributes
    ----------
    rows
        All rows, sorted by file and frame.
    n_kept
        How many came from an earlier run.
    wall_s
        Time of this run, without loading the model.
    cines
        A row a film, see `edgeseg.output.cines`.
    """

    out: Path
    rows: Sequence[Row]
    n_kept: int
    wall_s: float
    cines: Sequence[Row] = ()

    def count(self, status: str) -> int:
        """Return how many rows have a status: ``ok``, ``doubtful``, ``empty`` or ``failed``."""
        return sum(row["status"] == status for row in self.rows)
