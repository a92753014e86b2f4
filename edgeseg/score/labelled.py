"""Labelled data that edgeseg trains on and scores: HC18's shape, or images and masks.

A folder of images and masks of any structure::

    <root>/images/a.png          PNG, JPEG, BMP or TIFF; folders below are taken too
    <root>/masks/a.png           the same name, its suffix may differ
    <root>/masks/a_mask_1.png    a further mask of it, and so on
    <root>/classes.txt           optional: a name a line, '#rrggbb' behind it for colours; else
                                 the names of nnU-Net's dataset.json
    <root>/groups.csv            optional: file,group; those of one group stay in one fold
    <root>/pixel_sizes.csv       optional: filename,pixel size(mm)
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeseg.errors import DataError, InputNotFoundError, ModelError
from edgeseg.measure.ellipse import Mask
from edgeseg.network.task import Task, check_classes
from edgeseg.score import hc18
from edgeseg.score.folds import Labelled, LabelledData, check_label_size
from edgeseg.score.label_files import LabelCode, learn_code
from edgeseg.score.names import find_groups, match_labels, read_sizes
from edgeseg.segmenter import Segmenter

CLASSES_NAME = "classes.txt"
_NNUNET_NAME = "dataset.json"
BACKGROUND = "background"
_VOID = ("ignore", "void")  # names of what nobody labelled
PIXEL_SIZES_NAME = "pixel_sizes.csv"


@dataclass(frozen=True, slots=True)
class Pair(Labelled):
    """One image and its masks; ``code``: how their files are read."""

    code: LabelCode
    further: tuple[Path, ...] = ()  # masks of the same image

    @property
    def label_paths(self) -> tuple[Path, ...]:
        """All masks of the image."""
        return (self.label_path, *self.further)

    def mask(self, size: tuple[int, int]) -> Mask:
        """Return all masks as one label; see `Labelled.mask` and `LabelCode.read`.

        Raises `DataError` too if two masks give a pixel different classes.
        """
        label = np.zeros(size, dtype=np.uint8)
        for path in self.label_paths:
            mask = self.code.read(path)
            check_label_size(path, mask, size)
            if ((mask != label) & (mask > 0) & (label > 0)).any():
                names = ", ".join(each.name for each in self.label_paths)
                raise DataError(f"{path}: it overlaps another class of its image's masks, {names}")
            label = np.maximum(label, mask)
        return label


def load_labelled(
    root: Path,
    kind: str = "auto",
    group_pattern: str = "",
    names: Sequence[str] = (),
    ignored: Sequence[int] = (),
) -> LabelledData:
    """Load a folder's labelled images, sorted by file.

    The folder is HC18-shaped (see `edgeseg.score.hc18`), or has ``images/`` and ``masks/``. The
    kind ``head`` needs HC18's shape; ``regions`` and ``ellipse``, of one structure, take both, and
    HC18's heads as filled ellipses; ``auto`` is ``head`` or else ``regions``. For
    ``group_pattern`` see `edgeseg.score.names.find_groups`; ``names`` are those of the structures,
    by default of ``classes.txt``; pixels of the values ``ignored``, and of classes that are called
    ignore or void there, belong to no class. Raises `InputNotFoundError` if there is no image, and
    `DataError` if its label, class or group is missing or does not fit the kind.
    """
    shape = f"an HC18 folder with '{hc18.FOLDER_NAME}/' and '{hc18.CSV_NAME}'"
    if not root.is_dir():
        raise InputNotFoundError(
            f"{root}: no such folder; expected {shape}, or one with images/ and masks/"
        )
    if (root / hc18.FOLDER_NAME).is_dir() or (root / hc18.CSV_NAME).is_file():
        data = hc18.load_data(root, group_pattern)
        return data if kind in ("auto", "head") else _as_task(data, kind, names)
    if kind == "head":
        raise DataError(
            f"{root}: a head is learnt from outlines and circumferences; expected {shape}, or "
            "task = regions"
        )
    return _as_task(_load_pairs(root, group_pattern, ignored), kind, names)


def _as_task(data: LabelledData, kind: str, names: Sequence[str]) -> LabelledData:
    """Return data under a task of masks, its structures named anew if there are names."""
    structures = data.task.structures
    if len(names or structures) != len(structures) or (kind == "ellipse" and len(structures) > 1):
        wanted = "one structure" if kind == "ellipse" else f"{len(names)}: {', '.join(names)}"
        raise DataError(f"the labels have {', '.join(structures)}; expected {wanted}")
    classes = check_classes((BACKGROUND, *(names or structures)))
    return data._replace(task=Task("ellipse" if kind == "ellipse" else "regions", classes))


def load_for(segmenter: Segmenter, root: Path, ignored: Sequence[int] = ()) -> LabelledData:
    """Load a folder's labelled images to score a model on.

    Raises `InputNotFoundError` if there is no such data, and `DataError` if it is not as in
    `load_labelled`, or has another number of classes than the model, or other names where both are
    the user's own.
    """
    own = segmenter.metadata.task
    data = load_labelled(root, "auto" if own.kind == "head" else "regions", ignored=ignored)
    mine, theirs = own.structures, data.task.structures
    numbered = tuple(f"class_{i}" for i in range(1, len(theirs) + 1))
    unnamed = (("foreground",), ("structure",), numbered)
    if len(mine) == len(theirs) and (mine == theirs or mine in unnamed or theirs in unnamed):
        return data
    raise DataError(
        f"{segmenter.file.name} was trained for {', '.join(mine)}, the data has "
        f"{', '.join(theirs)}; name the classes alike in {CLASSES_NAME}, in the same order"
    )


def _load_pairs(root: Path, group_pattern: str, ignored: Sequence[int]) -> LabelledData:
    matches, notices = match_labels(root)
    names, colours = _read_classes(root)
    n_named = len(names) + (bool(names) and names[0].lower() != BACKGROUND)
    code = learn_code([p for match in matches for p in match.labels], colours, n_named, ignored)
    if code.note:
        notices.append(code.note)
    classes = _name_classes(names, code)
    if void := [n for n, name in enumerate(classes) if name.lower() in _VOID]:
        notices.append(f"{', '.join(classes[n] for n in void)}: neither trained on nor scored")
        code = code.ignoring(void)
        classes = tuple(name for n, name in enumerate(classes) if n not in void)
    groups = find_groups(root, [match.file for match in matches], group_pattern)
    sizes: list[float | None] = [None] * len(matches)
    if (root / PIXEL_SIZES_NAME).is_file():
        sizes = [mm for _, mm in read_sizes(root / PIXEL_SIZES_NAME, matches, notices)[1]]
    pairs = [
        Pair(match.file, match.image, match.labels[0], group, size_mm, code, match.labels[1:])
        for match, group, size_mm in zip(matches, groups, sizes, strict=True)
    ]
    return LabelledData(pairs, Task("regions", classes), notices)


def _read_classes(root: Path) -> tuple[list[str], dict[int, int]]:
    """Return the names of ``classes.txt``, and the class of each colour if it gives colours.

    Without it, the names are those of nnU-Net's ``dataset.json``, if that is there.
    """
    path = root / CLASSES_NAME
    if not path.is_file():
        path = root / _NNUNET_NAME
    if not path.is_file():
        return [], {}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); save it as UTF-8") from error
    if path.name == _NNUNET_NAME:
        return _read_nnunet_names(path, text), {}
    lines = text.splitlines()
    names, colours = [], []
    for line in filter(None, map(str.strip, lines)):
        found = re.fullmatch(r"(.+?)\s*#([0-9a-fA-F]{6})", line)
        names.append(found[1] if found else line)
        colours += [int(found[2], 16)] if found else []
    if len(colours) not in (0, len(names)):
        raise DataError(
            f"{path}: some classes have a colour such as #ff0000, some none; give all or none"
        )
    if colours and names[0].lower() != BACKGROUND and 0 not in colours:
        names, colours = [BACKGROUND, *names], [0, *colours]
    return names, {colour: number for number, colour in enumerate(colours)}


def _read_nnunet_names(path: Path, text: str) -> list[str]:
    """Return the names in the order of their numbers: version 2 names numbers, 1 numbers names."""
    try:
        labels = {str(key): value for key, value in json.loads(text)["labels"].items()}
        if all(key.isdecimal() for key in labels):
            labels = {str(name): int(number) for number, name in labels.items()}
        names = sorted(labels, key=labels.__getitem__)
        if [labels[name] for name in names] == [*range(len(names))]:
            return names
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise DataError(
        f"{path}: expected 'labels' with names and their numbers from 0 on; classes.txt, a name a "
        "line, may say them too"
    )


def _name_classes(names: Sequence[str], code: LabelCode) -> tuple[str, ...]:
    """Return the classes' names, the background's put in front where it is left out."""
    n_classes = code.n_classes
    if not names:
        names = ["foreground"] if n_classes == 2 else [f"class_{i}" for i in range(1, n_classes)]
    if names[0].lower() != BACKGROUND and len(names) == n_classes - 1:
        names = [BACKGROUND, *names]
    wrong = len(names) < n_classes or (code.ranked and len(names) != n_classes)
    if wrong or names[0].lower() != BACKGROUND:
        raise DataError(
            f"{CLASSES_NAME} names {len(names)} classes, {', '.join(names)}, and the masks have "
            f"{n_classes}, the background among them; begin it with '{BACKGROUND}' and name each"
        )
    try:
        return check_classes(names)
    except ModelError as error:
        raise DataError(f"{CLASSES_NAME}: {error}") from None
