"""Processes that died, and the parts that they had: tried again, but not for ever."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from edgeseg.errors import OutputWriteError

MOST = 10  # of processes that had one part; in a large cluster machines come and go
MOST_IN_A_ROW = 100  # with nothing written by any


class Deaths:
    """Counts how many processes died of a part, and of those that did nothing, how many in a row.

    That is all of them until a part is written, and then those that had no part.
    """

    def __init__(self) -> None:
        self._deaths: Counter[int] = Counter()
        self._in_a_row, self._has_written = 0, False

    def add(self, parts: Iterable[int]) -> list[int]:
        """Note that a process died; returns which of the parts that it had others may have.

        Raises
        ------
        OutputWriteError
            If nothing but deaths is seen.
        """
        parts = [*parts]
        if not parts or not self._has_written:
            self._in_a_row += 1
        if self._in_a_row >= MOST_IN_A_ROW:
            raise OutputWriteError(
                f"{self._in_a_row} processes died one after the other and wrote nothing; was the "
                "memory too small? Use fewer of them"
            )
        self._deaths.update(parts)
        return [number for number in parts if self._deaths[number] < MOST]

    def written(self) -> None:
        """Note that a part was written."""
        self._in_a_row, self._has_written = 0, True

    def check(self) -> None:
        """Raise for parts that were given up.

        Raises
        ------
        OutputWriteError
            If there is one.
        """
        lost = sorted(number for number, deaths in self._deaths.items() if deaths >= MOST)
        if lost:
            raise OutputWriteError(
                f"of part {', '.join(map(str, lost))} the process died {MOST} times; was it "
                "killed, or the memory too small? All other parts are written"
            )
