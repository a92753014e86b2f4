"""Processes that died, and the parts that they had: tried again, but not for ever."""

from __future__ import annotations

from collections import Counter

from edgeseg.errors import OutputWriteError

MOST = 10  # of processes that had one part; in a large cluster machines come and go


class Deaths:
    """Counts how many processes died of a part."""

    def __init__(self) -> None:
        self._deaths: Counter[int] = Counter()

    def may_try_again(self, number: int) -> bool:
        """Note that a process died which had a part; returns whether another may have it."""
        self._deaths[number] += 1
        return self._deaths[number] < MOST

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
