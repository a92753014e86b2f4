"""The tasks edgeseg can measure: a new one is a module of this package and an entry here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from edgeseg.errors import ModelError
from edgeseg.measure import head, regions, round_structure
from edgeseg.system.text import short

if TYPE_CHECKING:
    from edgeseg.measure.measurement import TaskMeasure
    from edgeseg.network.task import Task

TASKS: Mapping[str, TaskMeasure] = {
    "head": head,
    "ellipse": round_structure,
    "regions": regions,
}


def measure_of(task: Task) -> TaskMeasure:
    """Return how a task is measured, or raise a ModelError if this edgeseg does not know it."""
    if task.kind not in TASKS:
        raise ModelError(
            f"the model's task is {short(task.kind)}; this edgeseg knows {', '.join(TASKS)}: "
            "install a newer one"
        )
    return TASKS[task.kind]
