from __future__ import annotations

from typing import Any

import pytest

from edgeseg.errors import ModelError
from edgeseg.network.task import Task, check_classes, read_task


def test_a_head_says_no_more_than_its_kind() -> None:
    assert Task().as_dict() == {"kind": "head"}
    assert read_task({"kind": "head", "classes": ["x"]}) == Task()
    assert Task().structures == ("head",)


def test_structures_are_the_classes_after_the_background() -> None:
    task = read_task({"kind": "regions", "classes": ["background", "artery", "vein"]})
    assert task.structures == ("artery", "vein")
    assert task.exclusive  # where nothing is said


@pytest.mark.parametrize("classes", [None, "background,lesion", {"a": 1}])
def test_classes_are_a_list(classes: Any) -> None:
    with pytest.raises(ModelError, match="as its classes"):
        read_task({"kind": "regions", "classes": classes})


@pytest.mark.parametrize(
    "name", [*["", "  ", 3, None, "a" * 201], *(f"a{c}b" for c in '",;\n\t\ud800\x1b\u202e')]
)
def test_a_name_that_cannot_title_a_column_is_refused(name: Any) -> None:
    with pytest.raises(ModelError, match="is no class name"):
        check_classes(["background", name])


@pytest.mark.parametrize(
    "names",
    [[], ["background"], ["background", "lesion", "lesion"], [f"c{i}" for i in range(257)]],
)
def test_there_are_2_to_256_different_names(names: list[str]) -> None:
    with pytest.raises(ModelError, match="expected 2 to 256 different names"):
        check_classes(names)
    assert len(check_classes([f"class {i}" for i in range(256)])) == 256
