from __future__ import annotations

import unicodedata

import pytest

from edgeseg.inputs import matching
from edgeseg.inputs.matching import Matcher, match_rows
from edgeseg.inputs.source import Source


def rows_of(files: str, names: str, sizes: str = "") -> dict[str, str]:
    """Return the row of each file, or the reason why it has none."""
    table = dict(zip(names.split("|"), sizes or "ABCDEFGH", strict=False))
    sources = [Source(file, f"/data/scans/{file}") for file in files.split("|")]
    return {file: row.reason or row.name for file, row in match_rows(sources, table).items()}


@pytest.mark.parametrize(
    ("file", "name"),
    [
        *(("a.png", name) for name in ("./a.png", "A.PNG", "A", "a.dcm", "scans\\a.png")),
        *(("s2/b.png", name) for name in ("D:\\study\\s2\\b.png", "b.png", "S2/B.png", "s2/b")),
        *(("s2/b.png", name) for name in ("\\\\nas\\x\\s2\\b.png", "file:///C:/x/s2/b.png")),
        ("2024/a.png", "D:\\Export\\a.png"),
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


def test_the_row_with_most_in_common_is_taken_and_none_of_another_name() -> None:
    for name in ("b.png", "aa.png", "a.png.bak", "png", "'a.png", "a.1", "a.2.png"):
        assert "no row" in rows_of("s/a.png", name)["s/a.png"]
    for files, names in (
        ("s1/a.png|s2/a.png", "s2/a.png|s1/a.png"),
        ("s1/a.png|s2/a.png", "D:\\x\\s2\\a.png|D:\\x\\s1\\a.png"),
        ("a.png|s1/a.png", "a.png|s1/a.png"),
        ("a.png|A.png", "A.png|a.png"),
        ("a.png|a.jpg", "a.png|a.jpg"),
    ):
        found = rows_of(files, names)
        assert [*found] == files.split("|")  # in their order
        for file in found:
            assert found[file].replace("\\", "/").endswith(file)
    assert rows_of("a.png", "old/a.png|scans/a.png") == {"a.png": "scans/a.png"}
    assert rows_of("s1/a.png", "s2/a.png|a.png") == {"s1/a.png": "a.png"}


def test_rows_that_fit_equally_are_one_if_they_are_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    assert rows_of("a.png", "x/a.png|y/a.png", "AA") == {"a.png": "x/a.png"}
    assert "2 rows that fit 'a.png'" in rows_of("a.png", "x/a.png|y/a.png")["a.png"]
    assert "and they differ" in rows_of("c.png", "c|C")["c.png"]
    monkeypatch.setattr(matching, "MAX_FITTING", 1)  # no image costs more than so many looks
    assert "2 rows that fit 'a.png'" in rows_of("a.png", "x/a.png|y/a.png", "AA")["a.png"]


def test_one_row_is_of_one_image_or_of_none() -> None:
    for files, name, owner in (
        ("x/a.png|y/a.png", "a.png", ""),
        ("a.png|x/a.png", "a.png", ""),
        ("a.png|a.jpg", "a", ""),
        ("s1/a.png|s2/a.png", "D:\\x\\a.png", ""),
        ("a.png|A.PNG", "a.png", "a.png"),
        ("s2/b.png|b.png", "D:\\s2\\b.png", "s2/b.png"),
        ("s1/b.png|s3/b.png", "s1/b.png", "s1/b.png"),
        ("a.png|x/a.jpg", "a.png", "a.png"),
    ):
        for file, found in rows_of(files, name).items():
            expected = f"2 images have that name; name this one as {file!r}"
            assert found == name if file == owner else expected in found


def test_rows_that_name_other_or_very_many_folders() -> None:
    deep = "a/" * 20_000 + "b.png"  # takes no more than its length
    assert rows_of("b.png", deep)["b.png"] == deep
    assert rows_of("x/b.png|a/b.png", deep)["a/b.png"] == deep
    found = match_rows([Source("stdin", "/tmp/x/abc")], {"stdin": 1})
    assert found["stdin"].name == "stdin"  # though it lies elsewhere
    source = Source("a.png", "/data/scans/a.png")
    for name, is_marked in (("D:\\x\\a.png", True), ("scans/a.png", False), ("a.png", False)):
        (matcher := Matcher({name: 1}.__getitem__)).add([name])
        assert matcher.find(source).is_elsewhere is is_marked
