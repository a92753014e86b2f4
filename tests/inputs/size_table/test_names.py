from __future__ import annotations

import unicodedata

import pytest

from edgeseg.inputs.size_table.names import match_rows
from edgeseg.inputs.source import Source


def rows_of(files: str, names: str, sizes: str = "") -> dict[str, str]:
    """Return the row of each file, or the reason why it has none."""
    table = dict(zip(names.split("|"), sizes or "ABCDEFGH", strict=False))
    items = [Source(file, f"/data/scans/{file}") for file in files.split("|")]
    return {file: row.reason or row.name for file, row in match_rows(items, table).items()}


@pytest.mark.parametrize(
    ("file", "name"),
    [
        *(("a.png", name) for name in ("a.png", "./a.png", "A.PNG", "a", "A", "a.tif", "a.dcm")),
        *(("a.png", name) for name in ("scans/a.png", "scans\\a.png", "D:\\study\\a.png")),
        *(("s2/b.png", name) for name in ("s2\\b.png", "D:\\study\\s2\\b.png", "b.png", "b", "B")),
        *(("s2/b.png", name) for name in ("/mnt/x/s2/b.png", "\\\\nas\\x\\s2\\b.png", "S2/B.png")),
        *(("s2/b.png", name) for name in ("data/scans/s2/b.png", "file:///C:/x/s2/b.png", "s2/b")),
        ("a b.png", "a%20b.png"),
        ("50%20.png", "50%20.png"),
        ("ü.png", unicodedata.normalize("NFD", "ü.png")),
        (unicodedata.normalize("NFD", "ü.png"), "Ü.PNG"),
        ("1.2.840.113.png", "1.2.840.113"),
        ("stra\u00dfe.png", "STRASSE.png"),
        ("=1+1.png", "'=1+1.png"),
        ("'=1+1.png", "''=1+1.png"),
    ],
)
def test_one_image_under_another_name(file: str, name: str) -> None:
    assert rows_of(file, name) == {file: name}


@pytest.mark.parametrize(
    ("file", "name"),
    [
        *(("a.png", name) for name in ("b.png", "aa.png", "a.png.bak", "png", "a/b.png", "'a.png")),
        *(("s1/a.png", name) for name in ("s2/a.png", "D:\\s2\\a.png", "xs1/a.png", "other/a")),
        ("a.1.png", "a.2.png"),
        ("a.1.png", "a"),
    ],
)
def test_another_image_s_name(file: str, name: str) -> None:
    assert "no row" in rows_of(file, name)[file]


def test_the_best_of_several_is_taken() -> None:
    assert rows_of("a.png|A.png", "A.png|a.png") == {"a.png": "a.png", "A.png": "A.png"}
    assert rows_of("s1/a.png|s2/a.png", "s2/a.png|s1/a.png") == {
        "s1/a.png": "s1/a.png",
        "s2/a.png": "s2/a.png",
    }
    assert rows_of("a.png", "old/a.png|scans/a.png") == {"a.png": "scans/a.png"}
    assert rows_of("a.png|a.jpg", "a.png|a.jpg") == {"a.png": "a.png", "a.jpg": "a.jpg"}


def test_rows_that_fit_equally_are_one_if_they_are_equal() -> None:
    assert rows_of("a.png", "x/a.png|y/a.png", "AA") == {"a.png": "x/a.png"}
    assert "2 rows that fit 'a.png'" in rows_of("a.png", "x/a.png|y/a.png")["a.png"]
    assert "and they differ" in rows_of("c.png", "c|C")["c.png"]


def test_one_row_is_of_one_image_or_of_none() -> None:
    both = rows_of("x/a.png|y/a.png", "a.png")
    assert all("2 images are called so" in reason for reason in both.values())
    both = rows_of("a.png|a.jpg", "a")
    assert all("one row for 'a'" in reason for reason in both.values())
    both = rows_of("a.png|A.PNG", "a.png")
    assert both["a.png"] == "a.png"
    assert "name them as 'A.PNG'" in both["A.PNG"]
    both = rows_of("s2/b.png|b.png", "D:\\s2\\b.png")
    assert both["s2/b.png"] == "D:\\s2\\b.png"
    assert "images are called so" in both["b.png"]


def test_an_image_that_lies_elsewhere_is_known_by_what_results_call_it() -> None:
    found = match_rows([Source("stdin", "/tmp/x/abc")], {"stdin": 1})
    assert found["stdin"].name == "stdin"


def test_other_folders_are_said() -> None:
    items = [Source("a.png", "/data/scans/a.png")]
    assert match_rows(items, {"D:\\x\\a.png": 1})["a.png"].moved
    assert not match_rows(items, {"scans/a.png": 1})["a.png"].moved
    assert not match_rows(items, {"a.png": 1})["a.png"].moved


def test_a_name_of_very_many_folders_takes_no_more_than_its_length() -> None:
    deep = "a/" * 20_000 + "b.png"
    assert rows_of("b.png", deep)["b.png"] == deep
    assert rows_of("x/b.png|a/b.png", deep)["a/b.png"] == deep
