from __future__ import annotations

import pytest

from edgeseg.inputs.size_table.cells import in_order, is_none, read_numbers


@pytest.mark.parametrize(
    "text", ["", " ", "NA", "n/a", "NaN", "nan", "-", "\u2013", "None", "#N/A", "#WERT!", "?"]
)
def test_no_figure(text: str) -> None:
    assert is_none(text)


@pytest.mark.parametrize("text", ["0", "0.1", "-1", "wide"])
def test_a_figure_however_wrong(text: str) -> None:
    assert not is_none(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, ([0.12], "")) for text in ("0.12", " 0.12 ", "0,12", ".12", "1.2E-1", "0.12 mm")),
        *((text, ([0.12], "")) for text in ("[0.12]", "'0.12'", "0.12 mm/px", "120 µm")),
        *((text, ([0.2, 0.1], s)) for text, s in (("0.2x0.1", "x"), ("0.2 \u00d7 0.1 mm", "x"))),
        *((text, ([0.2, 0.1], s)) for text, s in (("0.2\\0.1", "\\"), ("0,2\\0,1", "\\"))),
        *((text, ([0.2, 0.1], s)) for text, s in (("[0.2, 0.1]", ","), ("['0.2', '0.1']", ","))),
        *((text, ([0.2, 0.1], s)) for text, s in (("(0.2,0.1)", ","), ("0.2 0.1", ""))),
        *((text, ([0.2, 0.1], s)) for text, s in (("0,2;0,1", ";"), ("0,2, 0,1", ","))),
        ("-0.12", ([-0.12], "")),
    ],
)  # fmt: skip
def test_numbers(text: str, expected: tuple[list[float], str]) -> None:
    read = read_numbers(text)
    assert read is not None
    assert (read[0], read[1]) == (pytest.approx(expected[0]), expected[1])


@pytest.mark.parametrize(
    "text",
    ["wide", "1.234,5", "1,234.5", "0.1.2", "1 2 3", "0.2x0.1x1", "0.12 kg", "inf", "1e999e"],
)
def test_no_numbers(text: str) -> None:
    assert read_numbers(text) is None


def test_a_number_s_own_unit_beats_the_column_s() -> None:
    assert read_numbers("0.012", mm=10) == ([0.12], "")
    assert read_numbers("0.12 mm", mm=10) == ([0.12], "")


@pytest.mark.parametrize(
    ("between", "axes", "expected"),
    [
        *(("\\", "", (1, 2)), ("\\", "xy", (1, 2)), ("x", "", (2, 1)), (",", "xy", (2, 1))),
        *((",", "yx", (1, 2)), (",", "", None), ("", "", None), ("x", "yx", None)),
    ],
)
def test_two_numbers_are_told_apart_or_not_at_all(
    between: str, axes: str, expected: tuple[int, int] | None
) -> None:
    assert in_order([2, 1], between, axes) == expected
    assert in_order([2, 2], between, axes) == (2, 2)


@pytest.mark.parametrize("sign", [*"0 1.'[;x", "\u0660"])
@pytest.mark.parametrize("end", ["", "1", "z"])
def test_cells_too_long_for_a_number_are_none_at_once(sign: str, end: str) -> None:
    assert read_numbers("1" + sign * 1_000_000 + end) is None or not sign.strip()
