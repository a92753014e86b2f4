r"""Which row of a table is of which image, by names that were written on another computer.

Paths are compared from their end, in any case and with any slashes: a row is of the image with
which it has most in common, its file name at least: ``D:\study\s2\b.png`` is ``s2/b.png``. Where
no row has the file name, it decides without suffix. An image that several different rows fit
equally gets none, and neither do images that share one row.
"""

from __future__ import annotations

import bisect
import functools
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

from edgeseg.inputs.left_out import IMAGE_SUFFIXES
from edgeseg.inputs.source import Source
from edgeseg.system.text import cut, unshield

SIZES = "pixel-size table"
MAX_FITTING = 100
"""More rows than these that fit one image equally well are not compared: it gets none."""

Rank = tuple[bool, int, bool, bool]


class RowMatch(NamedTuple):
    """The row of an image."""

    name: str  # As the table has it; empty if there is none, or several that differ.
    reason: str = ""  # Why the image must do without it; empty if it has one.
    # How well the row fits, the lower the better: whether without suffix, minus the parts of their
    # paths in common, whether in another case, whether the row names other folders.
    rank: Rank = (False, 0, False, False)

    @property
    def is_elsewhere(self) -> bool:
        """Whether the row was found by file name, and names folders that are not the image's."""
        return self.rank[3]

    @property
    def is_missing(self) -> bool:
        """Whether no row fits the image at all."""
        return bool(self.reason) and not self.rank[1]


class RowKeys:
    """The keys of a table's rows in order, see `path_key`, each with its row's name; in memory."""

    def __init__(self, names: Iterable[str], *, without_suffix: bool) -> None:
        self._rows = sorted((path_key(name, without_suffix=without_suffix), name) for name in names)

    def around(self, key: str) -> Sequence[str]:
        """Return the last key before this one, and the first that is not."""
        i = bisect.bisect_left(self._rows, (key, ""))
        return [row[0] for row in self._rows[max(i - 1, 0) : i + 1]]

    def starting_with(self, prefix: str, limit: int) -> Sequence[tuple[str, str]]:
        """Return (key, name) of the first ``limit`` rows whose key begins so, in order."""
        i = bisect.bisect_left(self._rows, (prefix, ""))
        end = bisect.bisect_left(self._rows, (end_of_prefix(prefix), ""), i)
        return self._rows[i : min(end, i + limit)]


def make_finder(rows: Mapping[str, Any], what: str = SIZES) -> Callable[[Source], RowMatch]:
    """Return what finds the row of one image, without regard to others, as `match_rows` has."""
    keys = functools.cache(lambda without_suffix: RowKeys(rows, without_suffix=without_suffix))
    return lambda source: find_row(source, keys, rows.__getitem__, what)


def match_rows(
    sources: Iterable[Source], rows: Mapping[str, Any], what: str = SIZES
) -> dict[str, RowMatch]:
    """Find the row of each image: ``file`` -> its row; see the module."""
    find = make_finder(rows, what)
    matches = {file: find(source) for file, source in {s.file: s for s in sources}.items()}
    claims: dict[str, list[tuple[Rank, str]]] = defaultdict(list)
    for file, match in matches.items():
        if match.name:
            claims[match.name].append((match.rank, file))
    for name, claimed in claims.items():
        for file in files_without_row(claimed):
            reason = shared_row_reason(name, file, len(claimed), what)
            matches[file] = matches[file]._replace(reason=reason)
    return matches


def find_row(
    source: Source, keys: Callable[[bool], RowKeys], row_of: Callable[[str], Any], what: str = SIZES
) -> RowMatch:
    """Return the row of one image, wherever rows are kept.

    ``keys`` returns the table's keys, with file names as they are (False) or without suffix
    (True); ``row_of`` the row of a name, to compare: of equal rows any is taken.
    """
    file, place = _parts(source.file), _parts(os.path.abspath(source.location))  # noqa: PTH100
    parts = place if place[-len(file) :] == file else file
    for without_suffix in (False, True):
        rows, key = keys(without_suffix), _key(parts, without_suffix)
        common = [os.path.commonprefix((key, other)) for other in rows.around(key)]  # noqa: RUF071
        prefix = max((text[: text.rfind("/") + 1] for text in common), key=len, default="")
        found = rows.starting_with(prefix, MAX_FITTING + 1) if prefix else ()
        if not found:
            continue
        # a row that is the end of the image's path comes before one that names other folders
        found = [row for row in found if row[0] == prefix] or found
        in_same_case = [row for row in found if _parts(row[1])[-1:] == file[-1:]]
        found = in_same_case or found
        (row_key, name), n_common = found[0], prefix.count("/")
        first = row_of(name)
        rank = (without_suffix, -n_common, not in_same_case, row_key.count("/") > n_common)
        if len(found) > MAX_FITTING or any(row_of(other) != first for _, other in found[1:]):
            reason = (
                f"the {what} has {len(found)} rows that fit {source.file!r}, such as "
                f"{cut(name)!r} and {cut(found[1][1])!r}, and they differ; keep one"
            )
            return RowMatch("", reason, (*rank[:3], False))
        return RowMatch(name, "", rank)
    return RowMatch("", f"the {what} has no row for {source.file!r}; add one")


def files_without_row(claimed: Sequence[tuple[Rank, str]]) -> list[str]:
    """Return which of several images, (rank, file) each, must do without the row they share."""
    best = min(rank for rank, _ in claimed)
    owners = [file for rank, file in claimed if rank == best]
    return [file for _, file in claimed if owners != [file]]


def shared_row_reason(name: str, file: str, n_images: int, what: str = SIZES) -> str:
    """Return why an image has no row where it shares one with others."""
    return (
        f"the {what} has one row for {cut(name)!r} and {n_images} images have that name; name "
        f"this one as {file!r} in it"
    )


def path_key(name: str, *, without_suffix: bool) -> str:
    """Return a row's path as keys have it: its parts from the last on, each ended by a slash."""
    return _key(_parts(unshield(name)), without_suffix)


def end_of_prefix(prefix: str) -> str:
    """Return the first text behind all keys that begin with a prefix, which ends in a slash."""
    return f"{prefix[:-1]}0"  # the character behind the slash


def _parts(name: str) -> list[str]:
    """Return a path's parts, whichever system wrote it."""
    text = unicodedata.normalize("NFC", unquote(name.strip())).replace("\\", "/")
    if ":" in text:
        text = re.sub(r"^(file://)?(/?[A-Za-z]:)?", "", text)
    return [part for part in text.split("/") if part not in ("", ".", "..")]


def _key(parts: Sequence[str], without_suffix: bool) -> str:
    folded = [unicodedata.normalize("NFC", part.casefold()) for part in reversed(parts)]
    if without_suffix and folded:
        stem, suffix = os.path.splitext(folded[0])  # noqa: PTH122 (many names)
        folded[0] = stem if suffix in IMAGE_SUFFIXES else folded[0]
    return "".join([f"{part}/" for part in folded])
