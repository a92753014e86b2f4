"""Labelled images of any structure: which label belongs to which image, and to which patient.

A folder of such data::

    <root>/images/a.png          PNG, JPEG, BMP or TIFF; folders below are taken too
    <root>/masks/a.png           the same name, its suffix may differ
    <root>/classes.txt           optional: a name a line, '#rrggbb' behind it for colours
    <root>/groups.csv            optional: file,group; images of one group never part
    <root>/pixel_sizes.csv       optional: filename,pixel size(mm)
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from edgeseg.errors import DataError, InputNotFoundError, ModelError
from edgeseg.inputs.matching import RowMatch, match_rows
from edgeseg.inputs.size_table import TableRow, read_table
from edgeseg.inputs.source import Source
from edgeseg.measure.ellipse import Mask
from edgeseg.network.task import check_classes
from edgeseg.score.groups import find_groups
from edgeseg.score.label_files import LabelCode, learn_code
from edgeseg.score.names import READABLE_SUFFIXES, is_label, label_keys, picture_files, plain

CLASSES_NAME = "classes.txt"
BACKGROUND = "background"
PIXEL_SIZES_NAME = "pixel_sizes.csv"


class Pair(NamedTuple):
    """One image and its label.

    Attributes
    ----------
    file
        Path of the image below the data's images, with forward slashes.
    image_path, label_path
        Where they lie.
    group
        What it shares with images that must not part, such as its patient.
    pixel_size_mm
        Millimetres per pixel; None if unknown.
    code
        How the label file is read.
    """

    file: str
    image_path: Path
    label_path: Path
    group: str
    pixel_size_mm: float | None
    code: LabelCode

    @property
    def facts(self) -> tuple[object, ...]:
        """What is known of it beside its pixels."""
        return (self.pixel_size_mm,)

    def mask(self, size: tuple[int, int] | None = None) -> Mask:
        """Return the label, class numbers, shape (height, width); see `LabelCode.read`."""
        return self.code.read(self.label_path, size)


class PairData(NamedTuple):
    """A data set of pairs, sorted by file.

    Attributes
    ----------
    classes
        Names, the background first.
    notices
        Sentences on what was understood or left out.
    """

    pairs: list[Pair]
    classes: tuple[str, ...]
    notices: list[str]


class Match(NamedTuple):
    """An image's name below its folder, the image, and its label."""

    file: str
    image: Path
    label: Path


def load_pairs(root: Path, group_pattern: str = "") -> PairData:
    """Find the labelled images of a folder with ``images/`` and ``masks/``.

    Parameters
    ----------
    root
        See the module.
    group_pattern
        See `edgeseg.score.groups.find_groups`.

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
    notices = _left_out(root, matches)
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
    return PairData(pairs, _named(names, code), notices)


def match_labels(root: Path) -> list[Match]:
    """Pair images and labels below a folder, by name, sorted by file.

    Labels lie in a folder called such as ``masks`` or ``labels``, or beside their image with a
    name that ends in such as ``_Annotation`` or ``_mask``. Hidden files are passed over.

    Raises
    ------
    InputNotFoundError
        If there is no image.
    DataError
        If an image has no label, or two, or two images have one name or one label.
    """
    images: dict[str, Path] = {}
    labels: list[Path] = []
    for path in picture_files(root):
        below = path.relative_to(root)
        if is_label(below):
            labels.append(path)
            continue
        other = images.setdefault(plain(below).as_posix(), path)
        if other != path:
            raise DataError(f"{other} and {path} would both be called {plain(below)}; rename one")
    if not images:
        listed = ", ".join(sorted(p.name for p in root.iterdir())[:8]) or "nothing"
        raise InputNotFoundError(
            f"{root}: no image found; expected images/ and masks/ (or labels beside their images, "
            f"ending in _Annotation or _mask) with {', '.join(READABLE_SUFFIXES)} files, found "
            f"{listed}"
        )
    return _matched(root, images, labels)


def _matched(root: Path, images: dict[str, Path], labels: Sequence[Path]) -> list[Match]:
    """Find each image's label: that of its whole name, of its name, or of it in another case."""
    by_name: dict[str, list[Path]] = {}
    for label in labels:
        for key in label_keys(label.relative_to(root)):
            by_name.setdefault(_folded(key), []).append(label)
    matches = []
    owners: dict[Path, Path] = {}
    for file, image in sorted(images.items()):
        stem = str(Path(file).with_suffix(""))
        mine = _likest(root, by_name.get(_folded(stem), []), file, stem)
        if len(mine) != 1:
            lack = "its label is missing" if not mine else f"it has {len(mine)} labels"
            raise DataError(
                f"{image}: {lack}; expected one file of that name in masks/ (or beside the image, "
                "ending in _Annotation or _mask)"
            )
        if (other := owners.setdefault(mine[0], image)) != image:
            raise DataError(f"{other} and {image} have one label, {mine[0]}; rename one")
        matches.append(Match(file, image, mine[0]))
    return matches


def _likest(root: Path, labels: list[Path], file: str, stem: str) -> list[Path]:
    """Return those of an image's labels whose name is the likest to the image's."""

    def unlikeness(label: Path) -> int:
        below = label.relative_to(root)
        whole, *others = label_keys(below)
        likenesses = (plain(below).as_posix() == file, whole == stem, stem in others)
        return likenesses.index(True) if any(likenesses) else len(likenesses)

    least = min(map(unlikeness, labels), default=0)
    return [label for label in labels if unlikeness(label) == least]


def _folded(name: str) -> str:
    """Return a name as two that people take for the same have it."""
    return unicodedata.normalize("NFC", name).casefold()


def _left_out(root: Path, matches: Sequence[Match]) -> list[str]:
    used = {path for match in matches for path in (match.image, match.label)}
    unused = [path for path in picture_files(root) if path not in used]
    if not unused:
        return []
    return [f"{len(unused)} labels have no image, such as {unused[0].relative_to(root)}"]


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


def _named(names: Sequence[str], code: LabelCode) -> tuple[str, ...]:
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


def size_of_row(table: Mapping[str, TableRow], found: RowMatch) -> float | None:
    """Return the side of an image's square pixels in mm; None where its row gives none.

    Raises
    ------
    DataError
        If there is no row, or its size is not that of a square.
    """
    if found.reason:
        raise DataError(found.reason)
    try:
        return table[found.name].square_mm()
    except DataError as error:
        raise DataError(f"{found.name}: {error}") from None
