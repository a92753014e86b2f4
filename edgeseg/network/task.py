"""What a model measures: a head, or the regions of any classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgeseg.errors import ModelError
from edgeseg.system.text import short

_HEAD_CLASSES = ("background", "head")
_FORBIDDEN = frozenset('\r\n\t,;"')
_LONGEST_NAME = 200  # characters


@dataclass(frozen=True, slots=True)
class Task:
    """A model's task, as its metadata says it.

    Attributes
    ----------
    kind
        A key of `edgeseg.measure.tasks.TASKS`.
    classes
        Names, the background first; a class's place is its number in masks.
    exclusive
        Whether the maps and a background share each pixel's probability (softmax), so that the
        largest of them decides; else a class needs the threshold, and the largest of those wins.
    """

    kind: str = "head"
    classes: tuple[str, ...] = _HEAD_CLASSES
    exclusive: bool = True

    @property
    def structures(self) -> tuple[str, ...]:
        """Names of the classes after the background: one for each of the network's maps."""
        return self.classes[1:]

    def as_dict(self) -> dict[str, Any]:
        """Return what the metadata holds."""
        if self.kind == "head":
            return {"kind": "head"}
        return {"kind": self.kind, "classes": list(self.classes), "exclusive": self.exclusive}


def read_task(value: Any) -> Task:
    """Parse what `Task.as_dict` gives.

    Raises
    ------
    ModelError
        If it has no kind, or its classes are not at least two different names.
    """
    kind = value.get("kind") if isinstance(value, dict) else None
    if not isinstance(kind, str):
        raise ModelError(f"the model's metadata gives {short(value)} as its task")
    if kind == "head":
        return Task()
    classes = value.get("classes")
    if not isinstance(classes, list | tuple):
        raise ModelError(f"the model's task {short(kind)} lists no classes, got {short(classes)}")
    return Task(kind, check_classes(classes), bool(value.get("exclusive", True)))


def check_classes(names: Any) -> tuple[str, ...]:
    """Return class names, the background first, that can title columns.

    Raises
    ------
    ModelError
        If there are fewer than two, more than 256, one repeats, is empty or too long, or holds a
        separator or what is not printable.
    """
    listed = list(names)
    for name in listed:
        if not isinstance(name, str) or not name.strip() or not _may_be_a_title(name):
            raise ModelError(
                f"{short(name)} is no class name; expected a line of text without separators"
            )
    if not 2 <= len(listed) <= 256 or len(set(listed)) != len(listed):
        raise ModelError(
            f"the classes are {short(', '.join(listed)) if listed else 'none'}; expected 2 to 256 "
            "different names, the background first"
        )
    return tuple(listed)


def _may_be_a_title(name: str) -> bool:
    """Tell whether a name can stand in files and on a terminal as it is."""
    return len(name) <= _LONGEST_NAME and name.isprintable() and _FORBIDDEN.isdisjoint(name)
