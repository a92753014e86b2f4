"""What is made of all rows of a run: the summary of films, the record, the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeseg.output.cines import CINES_NAME, write_cines
from edgeseg.output.record import write_record
from edgeseg.output.report.page import REPORT_NAME, write_page
from edgeseg.output.table import Row, Table
from edgeseg.segmenter import Segmenter


def write_results(
    out: Path,
    segmenter: Segmenter,
    rows: Table,
    asked: Mapping[str, Any],
    *,
    status: str = "done",
    wall_s: float,
    overlays: bool,
) -> Sequence[Row]:
    """Write all that, and return the summary of films.

    Parameters
    ----------
    asked, status
        See `edgeseg.output.record.write_record`.
    wall_s
        Time of the run, without loading the model.
    overlays
        Whether there are overlays to show.

    Raises
    ------
    OutputWriteError
        If something cannot be written.
    """
    task = segmenter.metadata.task
    cines = write_cines(out / CINES_NAME, rows, task)
    record = write_record(
        out, segmenter, asked, status=status, n_images=len(rows), rows=rows, wall_s=wall_s
    )
    shown = out / "overlays" if overlays else None
    write_page(out / REPORT_NAME, task, rows, record, shown)
    return cines
