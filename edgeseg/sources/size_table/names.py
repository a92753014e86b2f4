"""Which row of a table is of which image, by names written on another computer."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote

from edgeseg.sources.discover import IMAGE_SUFFIXES, Item
from edgeseg.system.cells import unshield
from edgeseg.system.text import cut

Parts = tuple[str, ...]
_LIKENESSES = 4


class Found(NamedTuple):
    """The row of an image.

    Attributes
    ----------
    name
        As the table has it; empty if none fits, or several.
    reason
        Why the image has no row, though one may fit it.
    moved
        Whether the table names folders that are not the image's.
    missing
        Whether no row fits at all.
    """

    name: str
    reason: str = ""
    moved: bool = False
    missing: bool = False


class _Candidate(NamedTuple):
    name: str
    likeness: int  # 0: the same name; see `_form`
    common: int  # parts of the path, from its end, that are alike
    moved: bool


def match_rows(
    items: Iterable[Item], table: Mapping[str, Hashable], what: str = "pixel-size table"
) -> dict[str, Found]:
    r"""Find the row of each image.

    Names are compared from their end: ``D:\study\s2\b.png`` is ``s2/b.png``, and ``b.png`` is so
    too if no other image is called so. Those that differ in case, in the form of their accents or
    in the suffix are taken for the same where nothing else fits better; an image that several rows
    fit, which do not say the same, gets none, and neither do images that share one row.

    Parameters
    ----------
    items
        The images.
    table
        Rows by name; of those that fit equally well any is taken if they are equal.
    what
        What the table is, for the reasons.

    Returns
    -------
    dict
        ``file`` -> its row.
    """
    candidates: dict[str, list[_Candidate]] = {}
    items = list(items)
    for likeness in range(_LIKENESSES):
        left = [item for item in items if item.file not in candidates]
        if left:
            candidates |= _fitting(left, table, likeness)
    found: dict[str, Found] = {}
    claims: dict[str, list[tuple[tuple[int, int], str]]] = defaultdict(list)
    for item in items:
        best = candidates.get(item.file, [])
        if not best:
            reason = f"the {what} has no row for {item.file!r}; add one"
            found[item.file] = Found("", reason, missing=True)
        elif any(table[other.name] != table[best[0].name] for other in best[1:]):
            found[item.file] = Found(
                "",
                f"the {what} has {len(best)} rows that fit {item.file!r}, such as "
                f"{cut(best[0].name)!r} and {cut(best[1].name)!r}, and they differ; keep one",
            )
        else:
            found[item.file] = Found(best[0].name, moved=best[0].moved)
            claims[best[0].name].append(((best[0].likeness, -best[0].common), item.file))
    for name, claimed in claims.items():
        _keep_the_best(name, claimed, found, what)
    return found


def _fitting(
    items: Sequence[Item], names: Iterable[str], likeness: int
) -> dict[str, list[_Candidate]]:
    """Return the rows that fit each image best, all equally well, at one likeness of names."""
    whole_names: dict[Parts, list[str]] = defaultdict(list)
    endings: dict[Parts, list[str]] = defaultdict(list)
    lengths = {}
    shortest = min(len(_parts(item.file)) for item in items)
    longest = max(len(_whole(item)) for item in items)
    for name in names:
        parts = _form(_parts(unshield(name)), likeness, is_row=True)
        whole_names[parts].append(name)
        lengths[name] = len(parts)
        for count in range(shortest, min(len(parts), longest) + 1):
            endings[parts[-count:]].append(name)
    fitting = {}
    for item in items:
        path = _form(_whole(item), likeness)
        below = len(_parts(item.file))
        # from the most parts in common on: first rows that name all that results call the image,
        # then those that name less
        for common in range(len(path), 0, -1):
            index = endings if common >= below else whole_names
            if found := index.get(path[-common:]):
                fitting[item.file] = [
                    _Candidate(name, likeness, common, common < lengths[name]) for name in found
                ]
                break
    return fitting


def _keep_the_best(
    name: str, claimed: Sequence[tuple[tuple[int, int], str]], found: dict[str, Found], what: str
) -> None:
    """Leave a row to the one image that it fits best, or to none."""
    if len(claimed) == 1:
        return
    best = min(rank for rank, _ in claimed)
    owners = [file for rank, file in claimed if rank == best]
    for _, file in claimed:
        if owners != [file]:
            found[file] = Found(
                name,
                f"the {what} has one row for {cut(name)!r} and {len(claimed)} images are "
                f"called so; name them as {file!r} in it",
            )


def _whole(item: Item) -> Parts:
    """Return an image's path from the root on, if it ends in the name that results give it."""
    parts = _parts(os.path.abspath(item.location))  # noqa: PTH100 (keeps symlinks)
    below = _parts(item.file)
    return parts if parts[-len(below) :] == below else below


def _parts(name: str) -> Parts:
    """Return a path's parts, whichever system wrote it."""
    text = unicodedata.normalize("NFC", name.strip()).replace("\\", "/")
    text = re.sub(r"^(file://)?(/?[A-Za-z]:)?", "", text)
    return tuple(part for part in text.split("/") if part not in ("", ".", ".."))


def _form(parts: Parts, likeness: int, *, is_row: bool = False) -> Parts:
    """Return a path in a form in which others may equal it, of the likest or of a less like one.

    0: as it is. 1: in any case, and with its escapes (``%20``) read. 2: so, and an image's without
    its suffix. 3: so, and a row's too.
    """
    if likeness == 0 or not parts:
        return parts
    folded = tuple(unicodedata.normalize("NFC", unquote(part).casefold()) for part in parts)
    keeps_suffix = likeness == 1 or (likeness == 2 and is_row)
    return folded if keeps_suffix else (*folded[:-1], _stem(folded[-1]))


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    return path.stem if path.suffix in IMAGE_SUFFIXES else name
