"""Measure phantoms with an exactly known head circumference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from edgeseg.drawing.encode import encode
from edgeseg.inputs.facts import PixelSizes
from edgeseg.inputs.size_table import read_table
from edgeseg.inputs.source import Source
from edgeseg.output.table import figures_of
from edgeseg.phantom.head import demo_phantoms, table
from edgeseg.run.folder import measure_folder
from edgeseg.run.worker import Options, Worker
from edgeseg.system.files import write_atomic

if TYPE_CHECKING:
    from edgeseg.run.folder import Summary
    from edgeseg.segmenter import Segmenter

FOLDER = Path("edgeseg-demo")
TOLERANCE = 0.01
"""Largest relative HC error of a working installation on a phantom."""


class Measured(NamedTuple):
    """One phantom's measured and true head circumference; ``hc_mm`` is None without a head."""

    file: str
    hc_mm: float | None
    hc_true_mm: float
    flags: str

    @property
    def relative_error(self) -> float:
        """(Measured - true) / true; -1 if no head was found."""
        return ((self.hc_mm or 0.0) - self.hc_true_mm) / self.hc_true_mm


def run(segmenter: Segmenter, out: Path = FOLDER) -> tuple[Summary, list[Measured]]:
    """Write the phantoms to ``out/phantoms``, measure them into ``out`` and compare.

    The results of an earlier demo in that folder are replaced. Raises `OutputLockedError` if it is
    in use, `OutputWriteError` if it cannot be written.
    """
    phantoms = {phantom.name: phantom for phantom in demo_phantoms()}
    inputs = out / "phantoms"
    for name, phantom in phantoms.items():
        write_atomic(inputs / name, encode(".png", phantom.image))
    write_atomic(out / "phantoms.csv", table(phantoms.values()).encode())
    items = [Source(name, str(inputs / name)) for name in phantoms]
    pixel_sizes = PixelSizes(items, table=read_table(out / "phantoms.csv"))
    worker = Worker(segmenter, pixel_sizes, Options(overwrite=True))
    summary = measure_folder(worker, items, out)
    measured = []
    for row in summary.rows:
        file, hc_mm = str(row["file"]), figures_of(row, segmenter.metadata.task)["hc_mm"]
        measured.append(Measured(file, hc_mm, phantoms[file].hc_mm, str(row["flags"])))
    return summary, measured
