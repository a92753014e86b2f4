from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.errors import DataError
from edgeseg.output.table import (
    COLUMNS,
    RowAppender,
    Table,
    failed_row,
    line,
    read_rows,
    write_lines,
)


def test_columns_are_the_contract() -> None:
    assert ",".join(COLUMNS) == (
        "file,status,error,hc_mm,hc_px,center_x_px,center_y_px,semi_major_px,semi_minor_px,"
        "angle_rad,pixel_size_mm,area_mm2,confidence,flags,ga_weeks_hadlock,ga_weeks_intergrowth,"
        "decode_ms,preprocess_ms,inference_ms,postprocess_ms"
    )


def test_rows_survive_awkward_texts(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    names = ['a "b", ü\n.png', "c.png", "a\rb.png", "a\u2028b\x0bc.png"]
    rows = [failed_row(name, "why, exactly?\nso") for name in names]
    table = Table(map(line, rows))
    write_lines(path, table.lines[:1])
    with RowAppender(path) as appender:
        for text in table.lines[1:]:
            appender.append(text)
    assert list(read_rows(path)) == rows
    assert list(table) == rows
    assert list(table[1:3]) == rows[1:3]


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_row_that_was_cut_off_is_left_out(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "results.csv"
    rows = [failed_row("a.png", "first"), failed_row("b.png", "the second,\nof two lines")]
    write_lines(path, map(line, rows))
    path.write_bytes(path.read_bytes()[:-cut])
    assert list(read_rows(path)) == rows[:1]


def test_another_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("name,value\na,1\n")
    with pytest.raises(DataError, match="columns are not those"):
        read_rows(path)
