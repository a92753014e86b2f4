"""Labelled images of any structure, as a folder of images and a folder of masks.

A folder of such data::

    <root>/images/a.png          PNG, JPEG, BMP or TIFF; folders below are taken too
    <root>/masks/a.png           the same name, its suffix may differ
    <root>/classes.txt           optional: a name a line, '#rrggbb' behind it for colours
    <root>/groups.csv            optional: file,group; images of one group never part
    <root>/pixel_sizes.csv       optional: filename,pixel size(mm)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeseg.errors import DataError, InputNotFoundError, ModelError
from edgeseg.inputs.matching import match_rows
from edgeseg.inputs.size_table import read_table
from edgeseg.inputs.source import Source
from edgeseg.measure.ellipse import Mask
from edgeseg.network.task import Task, check_classes
from edgeseg.score.folds import Labelled, LabelledData
from edgeseg.score.label_files import LabelCode, learn_code
from edgeseg.score.names import Match, find_groups, match_labels, picture_files, size_of_row

CLASSES_NAME = "classes.txt"
BACKGROUND = "background"
PIXEL_SIZES_NAME = "pixel_sizes.csv"


@dataclass(frozen=True, slots=True)
class Pair(Labelled):
    """One image and its mask; ``code``: how the mask's file is read."""

    code: LabelCode

    def mask(self, size: tuple[int, int] | None = None) -> Mask:
        """Return the label; see `Labelled.mask` and `LabelCode.read`."""
        return self.code.read(self.label_path, size)


def load_pairs(root: Path, group_pattern: str = "") -> LabelledData:
    """Find the labelled images of a folder with ``images/`` and ``masks/``, sorted by file.

    Parameters
    ----------
    root
        See the module.
    group_pattern
        See `edgeseg.score.names.find_groups`.

    Raises
    ------
    InputNotFoundError
        If there is no such folder, or no image in it.
    DataError
        If an image lacks its label, labels are no classes, or groups are incomplete.
    """
    if not root.is_dir():
        raise InputNotFoundError(f"{root}: no such folder; expected one with images/ and masks/")
    matches = match_labels(root)
    notices = _unused_labels(root, matches)
    names, colours = _read_classes(root / CLASSES_NAME)
    n_named = len(names) + (bool(names) and names[0].lower() != BACKGROUND)
    code = learn_code((match.label for match in matches), colours, n_named)
    if code.note:
        notices.append(code.note)
    groups = find_groups(root, [match.file for match in matches], group_pattern)
    sizes = _pixel_sizes(root, matches, notices)
    pairs = [
        Pair(*match, group, size_mm, code)
        for match, group, size_mm in zip(matches, groups, sizes, strict=True)
    ]
    return LabelledData(pairs, Task("regions", _name_classes(names, code)), notices)


def _unused_labels(root: Path, matches: Sequence[Match]) -> list[str]:
    used = {path for match in matches for path in (match.image, match.label)}
    unused = [path for path in picture_files(root) if path not in used]
    if not unused:
        return []
    return [f"labels without an image: {len(unused)}, such as {unused[0].relative_to(root)}"]


def _read_classes(path: Path) -> tuple[list[str], dict[int, int]]:
    """Return the names of ``classes.txt``, and the class of each colour if it gives colours."""
    if not path.is_file():
        return [], {}
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}); save it as UTF-8") from error
    names, colours = [], []
    for line in filter(None, map(str.strip, lines)):
        found = re.fullmatch(r"(.+?)\s*#([0-9a-fA-F]{6})", line)
        names.append(found.group(1) if found else line)
        colours += [int(found.group(2), 16)] if found else []
    if len(colours) not in (0, len(names)):
        raise DataError(
            f"{path}: some classes have a colour such as #ff0000, some none; give all or none"
        )
    if not colours:
        return names, {}
    if names[0].lower() != BACKGROUND and 0 not in colours:
        names, colours = [BACKGROUND, *names], [0, *colours]
    return names, {colour: number for number, colour in enumerate(colours)}


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


def _pixel_sizes(root: Path, matches: Sequence[Match], notices: list[str]) -> list[float | None]:
    path = root / PIXEL_SIZES_NAME
    if not path.is_file():
        return [None] * len(matches)
    table = read_table(path, notices.append)
    rows = match_rows([Source(match.file, str(match.image)) for match in matches], table)
    return [size_of_row(table, rows[match.file]) for match in matches]
