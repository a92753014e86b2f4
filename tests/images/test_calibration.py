from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.images.calibration import Calibration, read_calibration

GOOD = {
    "format": "edgeseg-calibration", "version": 1, "factor": 0.983, "shift_mm": 0.0,
    "factor_half_width": 0.004, "shift_half_width_mm": 0, "model_sha256": "ab", "added_later": 1,
}  # fmt: skip


def read(tmp_path: Path, value: object) -> Calibration:
    (tmp_path / "site.json").write_text(value if isinstance(value, str) else json.dumps(value))
    return read_calibration(tmp_path / "site.json")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    assert found == Calibration(0.983, 0.0, 0.004, 0.0, "ab")
    assert asdict(found).items() <= GOOD.items()
    assert read(tmp_path, {k: v for k, v in GOOD.items() if k != "model_sha256"}).model_sha256 == ""
    plain = Calibration()  # which changes nothing
    assert plain.circumference_mm(175.0) == plain.diameter_mm(175.0) == 175.0
    assert plain.half_width_mm(175.0, 3.0) == 3.0


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{", "not a calibration"),
        ("[" * 100_000, "not a calibration"),
        ({"factor": 1}, "a file that 'edgeseg calibrate' wrote"),
        (GOOD | {"version": 2}, "version 2, this edgeseg reads 1; calibrate again"),
        *[(GOOD | {"factor": f}, "0.8 to 1.25") for f in (1.3, None, True, float("nan"))],
        (GOOD | {"shift_mm": -21}, "a shift of at most 20 mm"),
        (GOOD | {"shift_half_width_mm": -0.1}, "half widths of 0 or more"),
    ],
)
def test_what_is_no_calibration_is_refused(tmp_path: Path, value: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, value)
    with pytest.raises(InputNotFoundError, match="edgeseg calibrate"):
        read_calibration(tmp_path / "none.json")
    with pytest.raises(DataError, match="not a calibration"):
        read_calibration(tmp_path)
