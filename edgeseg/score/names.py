"""Which label and which row belong to which image, and which images belong together."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.inputs.labels import ENDING, START, WORDS, given_part, is_label, words_of
from edgeseg.inputs.matching import match_rows
from edgeseg.inputs.rows import read_rows
from edgeseg.inputs.size_table import TableRow, read_table
from edgeseg.inputs.source import Source

READABLE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
_UNREAD = (".gif", ".webp", ".gz", ".nii", ".nrrd", ".mha", ".npy", ".npz", ".mat", ".dcm")
GROUPS_NAME = "groups.csv"
_POLYGON_BYTES = 1 << 20
_POLYGONS = {
    "LabelMe": re.compile(rb'"shapes"\s*:\s*\['),
    "COCO": re.compile(rb'"(annotations|categories)"\s*:\s*\['),
    "YOLO": re.compile(rb"^\d+( \d*\.?\d+){4,}\s*$", re.MULTILINE),
}
_IMAGE_ENDING = re.compile("_(0000|image)$", re.IGNORECASE)
_IMAGE_START = re.compile("^(image|img|scan)_", re.IGNORECASE)
# HC18 names images of one head alike: 010_HC.png, 010_2HC.png
_HC18_NAME = re.compile(r"(\d+)_\d*HC")


class Match(NamedTuple):
    """An image's name below its folder, the image, and its label."""

    file: str
    image: Path
    labels: tuple[Path, ...]


def match_labels(root: Path) -> tuple[list[Match], list[str]]:
    """Pair images and labels below a folder by name; return also notices of what has no partner.

    Labels lie in a folder called such as ``masks`` or ``labels``, or beside their image with a
    name that ends in such as ``_Annotation`` or ``_mask``; ``_mask_1`` is one more of its image.
    Hidden files are passed over, and so are folders of test images without any label. Raises
    `InputNotFoundError` if there is no image, and `DataError` if images have no label, or an image
    has two of one name, or two images have one name or one label.
    """
    images: dict[str, Path] = {}
    by_name: dict[str, list[Path]] = {}
    labels: list[Path] = []
    for path in _picture_files(root):
        below = path.relative_to(root)
        if is_label(below):
            labels.append(path)
            for key in (*_names(below, ENDING, START), *_names(_of_part(below), ENDING, START)):
                if path not in by_name.setdefault(key, []):
                    by_name[key].append(path)
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
    matches, without = [], []
    owners: dict[Path, Path] = {}
    for file, image in sorted(images.items()):
        mine = _own_labels(root, by_name, file, image.relative_to(root))
        if not mine:
            without.append(image)
            continue
        for label in mine:
            if (other := owners.setdefault(label, image)) != image:
                raise DataError(f"{other} and {image} have one label, {label}; rename one")
        matches.append(Match(file, image, tuple(mine)))
    labelled = {match.image.parent for match in matches}
    lacking = [
        path for path in without
        if path.parent in labelled or given_part(path.relative_to(root)) != "test"
    ]  # fmt: skip
    if lacking:
        folders = sorted({str(label.relative_to(root).parent) for label in labels})
        raise DataError(
            f"{root}: {len(lacking)} of {len(images)} images have no label, such as "
            f"{_some(lacking, root)}; expected a file of that name in masks/, or beside the image "
            f"with an ending such as _mask. Labels lie in {', '.join(folders[:5]) or 'no folder'}"
            f"{_describe_unread(root)}"
        )
    unused = [label for label in labels if label not in owners]
    notices = [
        f"{what}: {len(paths)}, such as {_some(paths, root)}"
        for what, paths in (("labels without an image", unused), ("test images left out", without))
        if paths
    ]
    return matches, notices


def _describe_unread(root: Path) -> str:
    """Say that labels are polygons, or files that are not read, and what to do; empty if none."""
    for path in sorted((*root.rglob("*.json"), *root.rglob("*.txt"))):
        with path.open("rb") as stream:
            start = stream.read(_POLYGON_BYTES)
        for tool, pattern in _POLYGONS.items():
            if pattern.search(start):
                return (
                    f". {path.relative_to(root)} holds polygons of {tool}, which are not read: "
                    "export masks from the tool that drew them, or draw them as masks by "
                    "labelme_export_json, pycocotools' annToMask, or cv2.fillPoly"
                )
    others = (path.relative_to(root) for path in sorted(root.rglob("*.*")))
    other = next((path for path in others if path.suffix in _UNREAD and is_label(path)), None)
    return f". {other} is of a kind that is not read: save masks as PNG" if other else ""


def _some(paths: Sequence[Path], root: Path) -> str:
    return ", ".join(str(path.relative_to(root)) for path in paths[:3])


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
        # the last two have numbers of objects, and pictures of classes
        passed_over = (
            ".", "__MACOSX", "SegmentationObject", "SegmentationClassVisualization"
        )  # fmt: skip
        folders[:] = sorted(name for name in folders if not name.startswith(passed_over))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in READABLE_SUFFIXES:
                yield Path(here, name)


def _plain_path(below: Path) -> Path:
    """Return a path without the words that only tell images from labels."""
    folders = []
    for folder in below.parts[:-1]:
        words = words_of(folder)
        if WORDS.isdisjoint(words):
            folders.append(folder)
        elif others := [word for word in words if word not in WORDS]:
            folders.append("-".join(others))
    return Path(*folders, below.name)


def _names(below: Path, *cut: re.Pattern[str]) -> list[str]:
    """Return the names, without a suffix, that a picture may share with its partner."""
    whole = _plain_path(below).with_suffix("")
    names = [whole.name, *(pattern.sub("", whole.name) for pattern in cut)]
    return [*dict.fromkeys(_fold(whole.with_name(name).as_posix()) for name in names if name)]


def _of_part(below: Path) -> Path:
    """Return a path with its folder called by its part alone, as ISIC's two have many words."""
    part = given_part(Path(below.parent.name, below.name))
    return below.parents[1] / f"part {part}" / below.name if part else below


def _own_labels(root: Path, labels: Mapping[str, list[Path]], file: str, below: Path) -> list[Path]:
    """Return an image's labels, of those most like it in name; several if they are numbered."""
    names = _names(Path(file), _IMAGE_ENDING, _IMAGE_START)
    names += _names(_of_part(below), _IMAGE_ENDING, _IMAGE_START)
    mine = next((labels[name] for name in names if name in labels), [])

    def difference(label: Path) -> int:
        plain = _plain_path(label.relative_to(root))
        whole, stem = plain.with_suffix("").as_posix(), str(Path(file).with_suffix(""))
        cut = (ENDING.sub("", whole), START.sub("", whole))
        return [plain.as_posix() == file, whole == stem, stem in cut, True].index(True)

    least = min(map(difference, mine), default=0)
    mine = [label for label in mine if difference(label) == least]
    endings = [ENDING.search(label.stem) for label in mine]
    kinds = {found and found[1].lower() for found in endings}
    if len(mine) > 1 and (len(kinds) > 1 or len({label.stem for label in mine}) < len(mine)):
        raise DataError(f"{root / file}: it has {len(mine)} labels, {_some(mine, root)}; keep one")
    return mine


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
