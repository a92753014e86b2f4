from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.errors import DataError
from edgeseg.results import COLUMNS, RowAppender, failed_row, read_rows, write_rows


def test_columns_are_the_contract() -> None:
    assert ",".join(COLUMNS) == (
        "file,status,error,hc_mm,hc_px,center_x_px,center_y_px,semi_major_px,semi_minor_px,"
        "angle_rad,pixel_size_mm,area_mm2,confidence,flags,ga_weeks_hadlock,ga_weeks_intergrowth,"
        "decode_ms,preprocess_ms,inference_ms,postprocess_ms"
    )


def test_rows_survive_awkward_texts(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    rows = [failed_row('a "b", ü\n.png', "why, exactly?\nso"), failed_row("c.png", "")]
    write_rows(path, rows[:1])
    with RowAppender(path) as appender:
        appender.append(rows[1])
    assert read_rows(path) == rows


@pytest.mark.parametrize("cut", range(1, 40))
def test_a_row_that_was_cut_off_is_left_out(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "results.csv"
    rows = [failed_row("a.png", "first"), failed_row("b.png", "the second,\nof two lines")]
    write_rows(path, rows)
    path.write_bytes(path.read_bytes()[:-cut])
    assert read_rows(path) == rows[:1]


def test_another_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("name,value\na,1\n")
    with pytest.raises(DataError, match="columns are not those"):
        read_rows(path)
