"""Which label and which row belong to which image, and which images belong together."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.inputs.matching import match_rows
from edgeseg.inputs.rows import read_rows
from edgeseg.inputs.size_table import TableRow, read_table
from edgeseg.inputs.source import Source

READABLE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
GROUPS_NAME = "groups.csv"
_IMAGE_FOLDERS = ("images", "image", "imgs", "img", "scans")
_LABEL_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "annotation", "gt")
_FOLDERS = (*_IMAGE_FOLDERS, *_LABEL_FOLDERS)
_LABEL_ENDINGS = ("_annotation", "_mask", "_label", "_seg", "_gt")
# HC18 names images of one head alike: 010_HC.png, 010_2HC.png
_HC18_NAME = re.compile(r"(\d+)_\d*HC")


class Match(NamedTuple):
    """An image's name below its folder, the image, and its label."""

    file: str
    image: Path
    label: Path


def match_labels(root: Path) -> tuple[list[Match], list[Path]]:
    """Pair images and labels below a folder by name; return also the labels without an image.

    Labels lie in a folder called such as ``masks`` or ``labels``, or beside their image with a
    name that ends in such as ``_Annotation`` or ``_mask``. Hidden files are passed over. Raises
    `InputNotFoundError` if there is no image, and `DataError` if an image has no label, or two, or
    two images have one name or one label.
    """
    images: dict[str, Path] = {}
    by_name: dict[str, list[Path]] = {}
    labels: list[Path] = []
    for path in _picture_files(root):
        below = path.relative_to(root)
        if _is_label(below):
            labels.append(path)
            for key in _image_names(below):
                by_name.setdefault(_fold(key), []).append(path)
            continue
        name = _plain_path(below)
        if (other := images.setdefault(name.as_posix(), path)) != path:
            raise DataError(f"{other} and {path} would both be called {name}; rename one")
    if not images:
        listed = ", ".join(sorted(p.name for p in root.iterdir())[:8]) or "nothing"
        raise InputNotFoundError(
            f"{root}: no image found; expected images/ and masks/ (or labels beside their images, "
            f"ending in _Annotation or _mask) with {', '.join(READABLE_SUFFIXES)} files, found "
            f"{listed}"
        )
    matches = []
    owners: dict[Path, Path] = {}
    for file, image in sorted(images.items()):
        mine = _most_alike(root, by_name.get(_fold(str(Path(file).with_suffix(""))), []), file)
        if len(mine) != 1:
            lack = "its label is missing" if not mine else f"it has {len(mine)} labels"
            raise DataError(
                f"{image}: {lack}; expected one file of that name in masks/ (or beside the image, "
                "ending in _Annotation or _mask)"
            )
        if (other := owners.setdefault(mine[0], image)) != image:
            raise DataError(f"{other} and {image} have one label, {mine[0]}; rename one")
        matches.append(Match(file, image, mine[0]))
    return matches, [label for label in labels if label not in owners]


def find_groups(root: Path, files: Sequence[str], pattern: str = "") -> list[str]:
    """Return the group of each file: by a pattern, by ``groups.csv``, or each its own.

    A file's group is what the first group of the regular expression matches, or all that it
    matches; else what ``groups.csv`` in ``root`` says, with the columns file and group. Raises
    `DataError` if these leave a file out.
    """
    if pattern:
        groups = [_matched_part(pattern, file) for file in files]
        origin = f"the group pattern {pattern!r}"
    elif (root / GROUPS_NAME).is_file():
        table = _read_groups(root / GROUPS_NAME)
        groups = [table.get(file) or table.get(Path(file).name) or "" for file in files]
        origin = str(root / GROUPS_NAME)
    else:  # HC18's head, or the file itself
        found = (_HC18_NAME.fullmatch(Path(file).stem) for file in files)
        return [head[1] if head else file for head, file in zip(found, files, strict=True)]
    if without := [file for file, group in zip(files, groups, strict=True) if not group]:
        raise DataError(
            f"{origin} gives no group for {len(without)} of {len(files)} images, such as "
            f"{without[0]!r}"
        )
    return groups


def read_sizes(
    path: Path, matches: Sequence[Match], notices: list[str]
) -> tuple[Mapping[str, TableRow], list[tuple[str, float | None]]]:
    """Read a table of pixel sizes; also return each image's row and the side of its pixels in mm.

    The side is None if the row gives none. Raises `InputNotFoundError` or `DataError` if the table
    cannot be read, an image has no row, or pixels are not square.
    """
    table = read_table(path, notices.append)
    rows = match_rows([Source(match.file, str(match.image)) for match in matches], table)
    found = []
    for match in matches:
        row = rows[match.file]
        if row.reason:
            raise DataError(f"{path}: {row.reason}")
        try:
            found.append((row.name, table[row.name].square_mm()))
        except DataError as error:
            raise DataError(f"{path}: {row.name}: {error}") from None
    return table, found


def _picture_files(root: Path) -> Iterator[Path]:
    """Yield the readable pictures below a folder, sorted, without hidden ones."""
    seen = set()
    for here, folders, names in os.walk(root, followlinks=True):
        if (real := os.path.realpath(here)) in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in READABLE_SUFFIXES:
                yield Path(here, name)


def _is_label(below: Path) -> bool:
    """Return whether a picture is a label, by the nearest folder that tells, else by its name."""
    for folder in reversed(below.parts[:-1]):
        if folder.lower() in _FOLDERS:
            return folder.lower() in _LABEL_FOLDERS
    return below.stem.lower().endswith(_LABEL_ENDINGS)


def _plain_path(below: Path) -> Path:
    """Return a path without the folders that only tell images from labels."""
    return Path(*(part for part in below.parts[:-1] if part.lower() not in _FOLDERS), below.name)


def _image_names(label: Path) -> list[str]:
    """Return the names that a label's image may have, the likeliest first, without a suffix."""
    whole = _plain_path(label).with_suffix("")
    names = [whole.as_posix()]
    for ending in _LABEL_ENDINGS:
        if whole.name.lower().endswith(ending) and len(whole.name) > len(ending):
            names.append(whole.with_name(whole.name[: -len(ending)]).as_posix())
    return names


def _most_alike(root: Path, labels: list[Path], file: str) -> list[Path]:
    """Return those of an image's labels whose name is most like the image's."""
    stem = str(Path(file).with_suffix(""))

    def difference(label: Path) -> int:
        below = label.relative_to(root)
        whole, *others = _image_names(below)
        likenesses = (_plain_path(below).as_posix() == file, whole == stem, stem in others, True)
        return likenesses.index(True)

    least = min(map(difference, labels), default=0)
    return [label for label in labels if difference(label) == least]


def _fold(name: str) -> str:
    """Return a name in a form in which those of another case or other accents are equal."""
    return unicodedata.normalize("NFC", name).casefold()


def _read_groups(path: Path) -> dict[str, str]:
    titles, rows = read_rows(path, "a table of groups")
    if [title.lower() for title in titles[:2]] != ["file", "group"]:
        raise DataError(f"{path}: the first line must be 'file,group'")
    table: dict[str, str] = {}
    for row in rows:
        file, group = row.cells[:2]
        name = _plain_path(Path(file.replace("\\", "/"))).as_posix()
        if not group or table.setdefault(name, group) != group:
            raise DataError(f"{row.where}: {file!r} has no group, or two")
    return table


def _matched_part(pattern: str, file: str) -> str:
    try:
        found = re.search(pattern, file)
    except re.error as error:
        raise DataError(f"the group pattern {pattern!r} is no expression: {error}") from error
    if not found:
        return ""
    return (found[1] if found.re.groups else found[0]) or ""
