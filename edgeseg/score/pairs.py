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
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from edgeseg.errors import DataError, InputNotFoundError, ModelError
from edgeseg.measure.ellipse import Mask
from edgeseg.network.task import check_classes
from edgeseg.score.groups import find_groups
from edgeseg.score.label_files import LabelCode, learn_code
from edgeseg.sources.pixel_sizes import TableRow, read_table

READABLE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
IMAGE_FOLDERS = ("images", "image", "imgs", "img", "scans")
LABEL_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "annotation", "gt")
LABEL_ENDINGS = ("_annotation", "_mask", "_label", "_seg", "_gt")
CLASSES_NAME = "classes.txt"
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
        If an image lacks its label, labels are no classes, or groups are incomplete or all one.
    """
    if not root.is_dir():
        raise InputNotFoundError(f"{root}: no such folder; expected one with images/ and masks/")
    matches = match_labels(root)
    notices = _left_out(root, matches)
    names, colours = _read_classes(root / CLASSES_NAME)
    code = learn_code((match.label for match in matches), colours)
    if code.note:
        notices.append(code.note)
    groups = find_groups(root, [match.file for match in matches], group_pattern)
    table = _pixel_sizes(root)
    sizes = [_size_mm(table, match) for match in matches]
    pairs = [
        Pair(*match, group, size_mm, code)
        for match, group, size_mm in zip(matches, groups, sizes, strict=True)
    ]
    return PairData(pairs, _named(names, code.n_classes), notices)


def match_labels(root: Path) -> list[Match]:
    """Pair images and labels below a folder, by name, sorted by file.

    Labels lie in a folder called such as ``masks`` or ``labels``, or beside their image with a
    name that ends in such as ``_Annotation`` or ``_mask``. Hidden files are passed over.

    Raises
    ------
    InputNotFoundError
        If there is no image.
    DataError
        If an image has no label, or two.
    """
    images: dict[str, Path] = {}
    labels: dict[str, list[Path]] = {}
    for path in _files(root):
        below = path.relative_to(root)
        if _is_label(below):
            labels.setdefault(_key(below), []).append(path)
        else:
            images[_plain(below).as_posix()] = path
    if not images:
        listed = ", ".join(sorted(p.name for p in root.iterdir())[:8]) or "nothing"
        raise InputNotFoundError(
            f"{root}: no image found; expected images/ and masks/ (or labels beside their images, "
            f"ending in _Annotation or _mask) with {', '.join(READABLE_SUFFIXES)} files, found "
            f"{listed}"
        )
    found = []
    for file, image in sorted(images.items()):
        mine = labels.get(_key(Path(file)), [])
        if len(mine) != 1:
            lack = "its label is missing" if not mine else f"it has {len(mine)} labels"
            raise DataError(
                f"{image}: {lack}; expected one file of that name in masks/ (or beside the image, "
                "ending in _Annotation or _mask)"
            )
        found.append(Match(file, image, mine[0]))
    return found


def _files(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
        if path.suffix.lower() in READABLE_SUFFIXES and not hidden and path.is_file():
            yield path


def _is_label(below: Path) -> bool:
    in_folder = any(part.lower() in LABEL_FOLDERS for part in below.parts[:-1])
    return in_folder or below.stem.lower().endswith(LABEL_ENDINGS)


def _plain(below: Path) -> Path:
    """Return a path without the folders that only say what it is."""
    said = (*IMAGE_FOLDERS, *LABEL_FOLDERS)
    return Path(*(part for part in below.parts[:-1] if part.lower() not in said), below.name)


def _key(below: Path) -> str:
    """Return what an image and its label share: the path without suffix and ending."""
    plain = _plain(below)
    stem = plain.stem
    for ending in LABEL_ENDINGS:
        if stem.lower().endswith(ending):
            stem = stem[: -len(ending)]
            break
    return plain.with_name(stem).as_posix().lower()


def _left_out(root: Path, matches: Sequence[Match]) -> list[str]:
    used = {path for match in matches for path in (match.image, match.label)}
    unused = [path for path in _files(root) if path not in used]
    if not unused:
        return []
    return [f"{len(unused)} labels have no image, such as {unused[0].relative_to(root)}"]


def _read_classes(path: Path) -> tuple[list[str], dict[int, int]]:
    """Return the names of ``classes.txt``, and the class of each colour if it gives colours."""
    if not path.is_file():
        return [], {}
    names: list[str] = []
    colours: dict[int, int] = {}
    for line in path.read_text(encoding="utf-8-sig").splitlines():
        name, _, colour = line.strip().rpartition("#")
        if not name or not re.fullmatch(r"[0-9a-fA-F]{6}", colour):
            name, colour = line.strip(), ""
        if not name:
            continue
        if colour:
            colours[int(colour, 16)] = len(names)
        names.append(name.strip())
    if colours and len(colours) != len(names):
        raise DataError(f"{path}: some classes have a colour and some have none; give all or none")
    return names, colours


def _named(names: Sequence[str], n_classes: int) -> tuple[str, ...]:
    """Return the classes' names, the background's put in front where it is left out."""
    if not names:
        names = ["foreground"] if n_classes == 2 else [f"class_{i}" for i in range(1, n_classes)]
    if names[0].lower() != "background":
        names = ["background", *names]
    if len(names) < n_classes:
        raise DataError(
            f"the masks have {n_classes} classes, the background among them, but {CLASSES_NAME} "
            f"names {len(names)}: {', '.join(names)}"
        )
    try:
        return check_classes(names)
    except ModelError as error:
        raise DataError(f"{CLASSES_NAME}: {error}") from None


def _pixel_sizes(root: Path) -> dict[str, TableRow]:
    path = root / PIXEL_SIZES_NAME
    return read_table(path) if path.is_file() else {}


def _size_mm(table: dict[str, TableRow], match: Match) -> float | None:
    row = table.get(match.file) or table.get(match.image.name)
    if table and row is None:
        raise DataError(f"{PIXEL_SIZES_NAME} has no row for {match.file!r}; add one")
    return row.pixel_size_mm if row else None
