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

Parts = tuple[str, ...]


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
    likeness: int  # 0: the same name; see `_forms`
    common: int  # parts of the path, from its end, that are alike
    moved: bool


def match_rows(items: Iterable[Item], table: Mapping[str, Hashable]) -> dict[str, Found]:
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

    Returns
    -------
    dict
        ``file`` -> its row.
    """
    index: list[dict[str, list[str]]] = [defaultdict(list) for _ in range(4)]
    forms = {name: _forms(_parts(unshield(name)), is_row=True) for name in table}
    for name, row_forms in forms.items():
        for likeness, parts in enumerate(row_forms):
            if parts:
                index[likeness][parts[-1]].append(name)
    found: dict[str, Found] = {}
    claims: dict[str, list[tuple[tuple[int, int], str]]] = defaultdict(list)
    for item in items:
        best = _best(item, index, forms)
        if not best:
            reason = f"the pixel-size table has no row for {item.file!r}; add one"
            found[item.file] = Found("", reason, missing=True)
        elif any(table[other.name] != table[best[0].name] for other in best[1:]):
            found[item.file] = Found(
                "",
                f"the pixel-size table has {len(best)} rows that fit {item.file!r}, such as "
                f"{best[0].name!r} and {best[1].name!r}, and they differ; keep one",
            )
        else:
            found[item.file] = Found(best[0].name, moved=best[0].moved)
            claims[best[0].name].append(((best[0].likeness, -best[0].common), item.file))
    for name, claimed in claims.items():
        _keep_the_best(name, claimed, found)
    return found


def _best(
    item: Item, index: Sequence[Mapping[str, list[str]]], forms: Mapping[str, Sequence[Parts]]
) -> list[_Candidate]:
    """Return the rows that fit an image best, all equally well."""
    below = _forms(_parts(item.file))
    whole: Sequence[Parts] = ()
    for likeness, parts in enumerate(below):
        names = index[likeness].get(parts[-1], []) if parts else []
        if names and not whole:
            whole = _forms(_whole(item))
        fitting = []
        for name in names:
            row = forms[name][likeness]
            common = _common(row, whole[likeness])
            if common in (len(row), len(whole[likeness])) or common >= len(parts):
                fitting.append(_Candidate(name, likeness, common, common < len(row)))
        if fitting:
            most = max(candidate.common for candidate in fitting)
            return [candidate for candidate in fitting if candidate.common == most]
    return []


def _keep_the_best(
    name: str, claimed: Sequence[tuple[tuple[int, int], str]], found: dict[str, Found]
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
                f"the pixel-size table has one row for {name!r} and {len(claimed)} images are "
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


def _forms(parts: Parts, *, is_row: bool = False) -> tuple[Parts, Parts, Parts, Parts]:
    """Return a path in four forms, in each of which others may equal it, the likest first.

    As it is; in any case and with its escapes (``%20``) read; a row's without the suffix that the
    image has; both without it.
    """
    folded = tuple(unicodedata.normalize("NFC", unquote(part).casefold()) for part in parts)
    stem = (*folded[:-1], _stem(folded[-1])) if folded else folded
    return parts, folded, folded if is_row else stem, stem


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    return path.stem if path.suffix in IMAGE_SUFFIXES else name


def _common(one: Parts, other: Parts) -> int:
    """Return how many parts two paths share at their end."""
    count = 0
    for a, b in zip(reversed(one), reversed(other), strict=False):
        if a != b:
            break
        count += 1
    return count
