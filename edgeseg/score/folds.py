"""Labelled images, the folds that part them by group, and the hash of the data itself."""

from __future__ import annotations

import hashlib
import json
import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from edgeseg.errors import DataError, EdgesegError, InputNotFoundError
from edgeseg.measure.ellipse import Mask
from edgeseg.network.task import Task

IGNORED = 255
"""In masks of class numbers: nobody labelled this pixel, which neither loss nor score counts."""


@dataclass(frozen=True, slots=True)
class Labelled(ABC):
    """A labelled image of any data set."""

    file: str  # its name there
    image_path: Path
    label_path: Path
    group: str  # what it shares with images that must not part: its head, its patient
    pixel_size_mm: float | None

    @property
    def label_paths(self) -> tuple[Path, ...]:
        """The files that the label is read of."""
        return (self.label_path,)

    @property
    def facts(self) -> tuple[object, ...]:
        """What is known of it beside its pixels; part of the data's hash."""
        return (self.pixel_size_mm,)

    @abstractmethod
    def mask(self, size: tuple[int, int]) -> Mask:
        """Return the label as class numbers, or `IGNORED`; ``size``: (height, width) of the image.

        Raises `DataError` if it cannot be read, or has another size.
        """


AnyLabelled = TypeVar("AnyLabelled", bound=Labelled)
T = TypeVar("T")


class LabelledData(NamedTuple):
    """Labelled images, sorted by file, what they can teach, and what was understood or left out."""

    cases: Sequence[Labelled]
    task: Task
    notices: list[str]


def check_label_size(path: Path, label: Mask, size: tuple[int, int]) -> None:
    """Raise `DataError` if a label is not of its image's (height, width)."""
    if label.shape != size:
        raise DataError(
            f"{path}: the label is {label.shape[1]}x{label.shape[0]} pixels, its image "
            f"{size[1]}x{size[0]}; bring them to one size"
        )


def read_each(read: Callable[[Any], T], items: Iterable[Any]) -> Iterator[T]:
    """Yield what is read of each item, after which a `DataError` says how many cannot be read."""
    errors = []
    for item in items:
        try:
            read_item = read(item)
        except EdgesegError as error:
            errors.append(error)
            continue
        yield read_item
    if errors:
        more = f" (and {len(errors) - 1} more files)" if len(errors) > 1 else ""
        raise DataError(f"{errors[0]}{more}") from errors[0]


def data_sha256(cases: Iterable[Labelled]) -> str:
    """Return the hash of the data itself: names, facts, image and label bytes, in order."""
    digest = hashlib.sha256()
    for case in cases:
        facts = ",".join((case.file, *map(repr, case.facts)))
        digest.update(f"{facts}\n".encode())
        digest.update(case.image_path.read_bytes())
        for path in case.label_paths:
            digest.update(path.read_bytes())
    return digest.hexdigest()


def grouped_folds(cases: Sequence[Labelled], count: int, seed: int) -> list[list[str]]:
    """Return file names, sorted within each fold: groups are kept whole, folds nearly equal."""
    groups: dict[str, list[str]] = {}
    for case in cases:
        groups.setdefault(case.group, []).append(case.file)
    order = sorted(groups)
    random.Random(seed).shuffle(order)
    folds: list[list[str]] = [[] for _ in range(count)]
    for group in order:
        min(folds, key=len).extend(groups[group])
    return [sorted(fold) for fold in folds]


def read_folds(path: Path) -> list[list[str]]:
    """Read a split file: JSON with ``folds``, a list of lists of file names.

    The record of a training run, ``run.json``, is one too: its one fold is what it held out. Raises
    `InputNotFoundError` if there is no such file, `DataError` if it is not a split, or a file is in
    two folds.
    """
    try:
        split = json.loads(path.read_text(encoding="utf-8"))
        folds = split["folds"] if "folds" in split else [split["split"]["validation"]]
        folds = [[str(name) for name in fold] for fold in folds]
    except FileNotFoundError:
        raise InputNotFoundError(f"{path}: no such split file") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: expected JSON with 'folds', a list of lists of names") from error
    names = [name for fold in folds for name in fold]
    if len(names) != len(set(names)):
        raise DataError(f"{path}: a file is in two folds")
    return folds


def select_fold(
    cases: Sequence[AnyLabelled], folds: Sequence[Sequence[str]], fold: int
) -> list[AnyLabelled]:
    """Return the cases of one fold.

    Raises `DataError` if there is no such fold, or it names a file the data lacks.
    """
    if not 0 <= fold < len(folds):
        raise DataError(f"fold {fold} was asked for, the split has folds 0 to {len(folds) - 1}")
    by_name = {case.file: case for case in cases}
    if missing := [name for name in folds[fold] if name not in by_name]:
        raise DataError(f"fold {fold} names {missing[0]!r}, which the data lacks")
    return [by_name[name] for name in folds[fold]]
