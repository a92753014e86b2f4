"""Which row of a table is of which image, by names written on another computer."""

from __future__ import annotations

import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple, Protocol
from urllib.parse import unquote

from edgeseg.inputs.discover import IMAGE_SUFFIXES
from edgeseg.inputs.source import Source
from edgeseg.system.cells import unshield
from edgeseg.system.text import cut

Parts = tuple[str, ...]
LIKENESSES = 4


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


class Candidate(NamedTuple):
    """A row that fits an image.

    Attributes
    ----------
    name
        As the table has it.
    likeness
        From 0, the same name, to ``LIKENESSES`` - 1; see `row_path`.
    common
        Parts of the path, from its end, that are alike.
    """

    name: str
    likeness: int
    common: int

    @property
    def moved(self) -> bool:
        """Whether the row names folders that are not the image's."""
        return self.common < len(row_path(self.name, self.likeness))

    @property
    def rank(self) -> tuple[int, int]:
        """How well it fits; the lower the better."""
        return self.likeness, -self.common


class RowNames(Protocol):
    """The names of a table's rows, of one likeness."""

    def ending_in(self, parts: Parts, /) -> Sequence[str]:
        """Return the rows whose path ends in these parts."""

    def called(self, parts: Parts, /) -> Sequence[str]:
        """Return the rows whose path these parts are."""


def match_rows(
    items: Iterable[Source], table: Mapping[str, Hashable], what: str = "pixel-size table"
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
    candidates: dict[str, list[Candidate]] = {}
    items = list(items)
    for likeness in range(LIKENESSES):
        left = [item for item in items if item.file not in candidates]
        if left:
            rows = _InMemory(left, table, likeness)
            fitting = ((item.file, best_rows(item, rows, likeness)) for item in left)
            candidates |= {file: best for file, best in fitting if best}
    found: dict[str, Found] = {}
    claims: dict[str, list[tuple[tuple[int, int], str]]] = defaultdict(list)
    for item in items:
        best = candidates.get(item.file, [])
        found[item.file] = row = row_of(item.file, best, table.__getitem__, what)
        if row.name:
            claims[row.name].append((best[0].rank, item.file))
    for name, claimed in claims.items():
        found |= without_row(name, claimed, what)
    return found


def best_rows(item: Source, rows: RowNames, likeness: int) -> list[Candidate]:
    """Return the rows that fit an image best, all equally well, at one likeness of names."""
    path = _form(_whole(item), likeness)
    below = len(_parts(item.file))
    # from the most parts in common on: first rows that name all that results call the image,
    # then those that name less
    for common in range(len(path), 0, -1):
        names = rows.ending_in if common >= below else rows.called
        if found := names(path[-common:]):
            return [Candidate(name, likeness, common) for name in found]
    return []


def row_of(
    file: str,
    best: Sequence[Candidate],
    said: Callable[[str], Hashable],
    what: str = "pixel-size table",
) -> Found:
    """Return the row of an image, of those that fit it best; see `match_rows`.

    Parameters
    ----------
    said
        Returns what a row says, by its name.
    """
    if not best:
        return Found("", f"the {what} has no row for {file!r}; add one", missing=True)
    if len(best) > 1 and len({said(other.name) for other in best}) > 1:
        return Found(
            "",
            f"the {what} has {len(best)} rows that fit {file!r}, such as "
            f"{cut(best[0].name)!r} and {cut(best[1].name)!r}, and they differ; keep one",
        )
    return Found(best[0].name, moved=best[0].moved)


def without_row(
    name: str, claimed: Sequence[tuple[tuple[int, int], str]], what: str = "pixel-size table"
) -> dict[str, Found]:
    """Return which of the images that have one row must do without it, as others fit it as well.

    Parameters
    ----------
    name
        The row's.
    claimed
        `Candidate.rank` and ``file`` of each image.
    """
    if len(claimed) == 1:
        return {}
    best = min(rank for rank, _ in claimed)
    owners = [file for rank, file in claimed if rank == best]
    return {
        file: Found(
            name,
            f"the {what} has one row for {cut(name)!r} and {len(claimed)} images are "
            f"called so; name them as {file!r} in it",
        )
        for _, file in claimed
        if owners != [file]
    }


def row_path(name: str, likeness: int) -> Parts:
    """Return the parts of a row's path, in the form in which names of one likeness are equal.

    0: as they are. 1: in any case, and with escapes (``%20``) read. 2: so, and images' without
    their suffix. 3: so, and rows' too.
    """
    return _form(_parts(unshield(name)), likeness, is_row=True)


class _InMemory:
    """The rows of a table that may fit some images; see `RowNames`."""

    def __init__(self, items: Sequence[Source], names: Iterable[str], likeness: int) -> None:
        self._whole_names: dict[Parts, list[str]] = defaultdict(list)
        self._endings: dict[Parts, list[str]] = defaultdict(list)
        shortest = min(len(_parts(item.file)) for item in items)
        longest = max(len(_whole(item)) for item in items)
        for name in names:
            parts = row_path(name, likeness)
            self._whole_names[parts].append(name)
            for count in range(shortest, min(len(parts), longest) + 1):
                self._endings[parts[-count:]].append(name)

    def ending_in(self, parts: Parts) -> Sequence[str]:
        return self._endings.get(parts, ())

    def called(self, parts: Parts) -> Sequence[str]:
        return self._whole_names.get(parts, ())


def _whole(item: Source) -> Parts:
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
    """Return a path in a form in which others may equal it; see `row_path`."""
    if likeness == 0 or not parts:
        return parts
    folded = tuple(unicodedata.normalize("NFC", unquote(part).casefold()) for part in parts)
    keeps_suffix = likeness == 1 or (likeness == 2 and is_row)
    return folded if keeps_suffix else (*folded[:-1], _stem(folded[-1]))


def _stem(name: str) -> str:
    path = PurePosixPath(name)
    return path.stem if path.suffix in IMAGE_SUFFIXES else name
