from __future__ import annotations

import pytest

from edgeseg.errors import ModelError
from edgeseg.measure import head, regions
from edgeseg.measure.tasks import TASKS, measure_of
from edgeseg.network.task import Task

CLASSES = ("background", "lesion", "cyst")


def test_a_task_of_a_newer_edgeseg_is_refused_with_advice() -> None:
    assert measure_of(Task()) is head and measure_of(Task("regions", CLASSES)) is regions
    with pytest.raises(ModelError, match=r"'spine'; this edgeseg knows head, regions: install a"):
        measure_of(Task("spine"))


@pytest.mark.parametrize("kind", TASKS)
def test_columns_differ_and_end_in_a_unit(kind: str) -> None:
    names = [column.name for column in TASKS[kind].columns(Task(kind, CLASSES))]
    assert len(set(names)) == len(names)
    units = ("_mm", "_mm2", "_px", "_rad", "_hadlock", "_intergrowth", "_index", "_count")
    assert all(name.endswith(units) for name in names)
