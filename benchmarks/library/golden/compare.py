"""Differences between the figures of two versions, and those that are meant to be."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from .figures import Figures

MISSING = "(missing)"
_SHOWN = 20


class Difference(NamedTuple):
    """A figure that is another now; a whole item that is missing has ``*`` for its column."""

    item: str
    column: str
    before: str
    now: str


class Intended(NamedTuple):
    """Differences that are meant to be: patterns of item and column, and the reason."""

    item: str
    column: str
    reason: str

    def has(self, difference: Difference) -> bool:
        """Tell whether a difference is one of these."""
        return fnmatchcase(difference.item, self.item) and fnmatchcase(
            difference.column, self.column
        )


def find_differences(before: Figures, now: Figures) -> Iterator[Difference]:
    """Yield every figure that is not the same text in both."""
    for item in sorted(before.keys() | now.keys()):
        if item not in now:
            yield Difference(item, "*", "present", MISSING)
        elif item not in before:
            yield Difference(item, "*", MISSING, "present")
        else:
            for column in {**before[item], **now[item]}:
                values = [side[item].get(column, MISSING) for side in (before, now)]
                if values[0] != values[1]:
                    yield Difference(item, column, *values)


def report(
    part: str, n_figures: int, differences: Iterable[Difference], intended: Sequence[Intended],
    folder: Path,
) -> int:  # fmt: skip
    """Print what differs in a part and write all of it to ``PART.csv``; return how much is wrong.

    Parameters
    ----------
    part
        Its name.
    n_figures
        Figures that were compared.
    differences, intended
        Those found, and those that are meant to be.
    folder
        Where the table is written to.
    """
    wrong: list[Difference] = []
    excused: Counter[str] = Counter()
    with (folder / f"{part}.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow([*Difference._fields, "intended"])
        for difference in differences:
            reason = next((each.reason for each in intended if each.has(difference)), "")
            writer.writerow([*difference, reason])
            if reason:
                excused[reason] += 1
            else:
                wrong.append(difference)
    print(f"{part}: {n_figures} figures, {len(wrong)} differ, {excused.total()} as intended")  # noqa: T201
    for reason, count in excused.items():
        print(f"    intended, {count}: {reason}")  # noqa: T201
    for column, count in Counter(each.column for each in wrong).most_common():
        print(f"    {count} in {column}")  # noqa: T201
    for each in wrong[:_SHOWN]:
        print(f"  {each.item}: {each.column}: {each.before!r}, now {each.now!r}")  # noqa: T201
    if len(wrong) > _SHOWN:
        print(f"  and {len(wrong) - _SHOWN} more in {folder / part}.csv")  # noqa: T201
    return len(wrong)
