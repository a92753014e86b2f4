"""Which labelled images must not part: those of one head, of one patient."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from edgeseg.errors import DataError
from edgeseg.inputs.rows import read_rows
from edgeseg.score.names import plain

GROUPS_NAME = "groups.csv"
# HC18 calls images of one head alike: 010_HC.png, 010_2HC.png
_HC18_NAME = re.compile(r"(\d+)_\d*HC")


def find_groups(root: Path, files: Sequence[str], pattern: str = "") -> list[str]:
    """Return the group of each file: by a pattern, by ``groups.csv``, or each its own.

    Parameters
    ----------
    root
        Folder that ``groups.csv`` may lie in, with the columns file and group.
    pattern
        Regular expression; what its first group matches of a file, or all that it matches, is the
        file's group. Empty: none.

    Raises
    ------
    DataError
        If the pattern or the table leaves a file out.
    """
    if pattern:
        groups = [_matched(pattern, file) for file in files]
        source = f"the group pattern {pattern!r}"
    elif (root / GROUPS_NAME).is_file():
        table = _read_groups(root / GROUPS_NAME)
        groups = [table.get(file) or table.get(Path(file).name) or "" for file in files]
        source = str(root / GROUPS_NAME)
    else:
        return [_own_group(file) for file in files]
    without = [file for file, group in zip(files, groups, strict=True) if not group]
    if without:
        raise DataError(
            f"{source} gives no group for {len(without)} of {len(files)} images, such as "
            f"{without[0]!r}"
        )
    return groups


def _own_group(file: str) -> str:
    """Return the group of a file of which nothing is said: HC18's head, or the file itself."""
    found = _HC18_NAME.fullmatch(Path(file).stem)
    return found.group(1) if found else file


def _read_groups(path: Path) -> dict[str, str]:
    titles, rows = read_rows(path, "a table of groups")
    if [title.lower() for title in titles[:2]] != ["file", "group"]:
        raise DataError(f"{path}: the first line must be 'file,group'")
    table: dict[str, str] = {}
    for row in rows:
        file, group = row.cells[:2]
        name = plain(Path(file.replace("\\", "/"))).as_posix()
        if not group or table.setdefault(name, group) != group:
            raise DataError(f"{row.where}: {file!r} has no group, or two")
    return table


def _matched(pattern: str, file: str) -> str:
    try:
        found = re.search(pattern, file)
    except re.error as error:
        raise DataError(f"the group pattern {pattern!r} is no expression: {error}") from error
    if not found:
        return ""
    return (found.group(1) if found.re.groups else found.group(0)) or ""
