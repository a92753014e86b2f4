from __future__ import annotations

import csv
import io

from hypothesis import example, given
from hypothesis import strategies as st

from edgeseg.system.text import shield, unshield

TEXTS = st.text(alphabet="=+-@'\t\r\n;, a1\"\uff1d\ud800", max_size=12)


@given(TEXTS)
@example("'")
@example("''=1")
@example("\t\t=1")
def test_what_is_shielded_comes_back_and_no_cell_of_it_is_a_formula(text: str) -> None:
    """However the spreadsheet separates cells: at our commas in quotes, or at its own signs."""
    assert unshield(shield(text)) == text
    line = io.StringIO(newline="")
    csv.writer(line).writerow([shield(text), "x"])
    (cells,) = csv.reader(io.StringIO(line.getvalue(), newline=""))
    assert not cells[0].startswith(tuple("=+-@\t\r\uff1d"))
    for part in cells[0].replace("\t", ";").replace("\n", ";").replace("\r", ";").split(";"):
        assert not part.startswith(tuple("=+-@\uff1d"))


def test_the_form_that_is_written() -> None:
    for text in ("", "a.png", "it's", "'quoted'", "a=1", "0.5", "a;b", "x-1.png"):
        assert shield(text) == unshield(text) == text
    assert [*map(shield, ("=1+1.png", "'=a", "a;=1"))] == ["'=1+1.png", "''=a", "a;'=1"]
