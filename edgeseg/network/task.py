"""What a model measures: a head, or the regions of any classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgeseg.errors import ModelError
from edgeseg.network.checks import require
from edgeseg.system.text import short

_FORBIDDEN = frozenset('\r\n\t,;"')
_LONGEST_NAME = 200  # characters


@dataclass(frozen=True, slots=True)
class Task:
    """A model's task, as its metadata says it."""

    kind: str = "head"  # a key of `edgeseg.measure.tasks.TASKS`
    # the background first; a class's place is its number in masks
    classes: tuple[str, ...] = ("background", "head")
    # whether the maps and a background share each pixel's probability (softmax), so that the
    # largest of them decides; else a class needs the threshold, and the largest of those wins
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
    """Parse what `Task.as_dict` gives; `ModelError` if it has no kind, or no classes."""
    require(isinstance(value, dict) and isinstance(value.get("kind"), str), value, "task")
    if value["kind"] == "head":
        return Task()
    classes = value.get("classes")
    require(isinstance(classes, list | tuple), classes, "classes", "a list of names")
    return Task(value["kind"], check_classes(classes), bool(value.get("exclusive", True)))


def check_classes(names: Any) -> tuple[str, ...]:
    """Return class names, the background first, that can title columns; `ModelError` if not so."""
    listed = tuple(names)
    for name in listed:
        is_title = isinstance(name, str) and name.strip() and name.isprintable()
        if not is_title or len(name) > _LONGEST_NAME or not _FORBIDDEN.isdisjoint(name):
            raise ModelError(
                f"{short(name)} is no class name; expected a line of text without separators"
            )
    if not 2 <= len(listed) <= 256 or len(set(listed)) != len(listed):
        raise ModelError(
            f"the classes are {short(', '.join(listed)) if listed else 'none'}; expected 2 to 256 "
            "different names, the background first"
        )
    return listed
