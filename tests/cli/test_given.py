"""Ages and calibrations on the command line, and what people read there."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edgeseg.cli import app
from edgeseg.drawing.encode import encode
from edgeseg.errors import EdgesegError
from edgeseg.images.calibration import read_calibration
from edgeseg.phantom.head import Phantom
from tests.fakes import LESIONS, FakeSession, bright_and_gray


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "results.csv").open(newline="", encoding="utf-8-sig") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def scans(tmp_path: Path, phantoms: list[Phantom]) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for phantom in phantoms[:11]:
        (folder / phantom.name).write_bytes(encode(".png", phantom.image))
    return folder


@pytest.fixture
def sizes(tmp_path: Path, phantoms: list[Phantom]) -> Path:
    lines = [f"{p.name},{p.pixel_size_mm}" for p in phantoms]
    path = tmp_path / "sizes.csv"
    path.write_text("\n".join(["filename,pixel size(mm)", *lines, ""]))
    return path


def test_a_few_images_are_told_with_one_decimal(scans: Path, sizes: Path, tmp_path: Path) -> None:
    two = (scans / "000_HC.png", scans / "001_HC.png")
    result = call("infer", *two, "--pixel-sizes", sizes, "--out", tmp_path / "out", "--ga", "20+3")
    assert result.exit_code == 0, result.output
    first = rows(tmp_path / "out")[0]
    (line,) = (text for text in result.stdout.splitlines() if text.startswith("000_HC.png: "))
    assert line.startswith(f"000_HC.png: HC {float(first['hc_mm']):.1f} ± ")
    assert " mm; GA by HC " in line
    assert "; centiles at 20w3d: HC " in line
    assert "±" in line and "+/-" not in line
    assert result.stdout.count("_HC.png: HC ") == 2
    assert first["ga_weeks_given"] == f"{20 + 3 / 7:.4f}"


def test_many_images_are_counted_only(scans: Path, tmp_path: Path) -> None:
    result = call("infer", scans, "--out", tmp_path / "out", "--no-overlays", "--no-masks")
    assert "HC " not in result.stdout
    assert "11 images: " in result.stdout
    (scans / "000_HC.png").unlink()
    result = call("infer", scans, "--out", tmp_path / "fewer", "--no-overlays", "--no-masks")
    assert result.stdout.count(" px (no pixel size)") == 10


def test_ages_come_from_the_table_of_pixel_sizes(scans: Path, tmp_path: Path) -> None:
    table = tmp_path / "sizes.csv"
    table.write_text(
        "filename,pixel size(mm),head circumference (mm),ga\n"
        "000_HC.png,0.2,170,20w3d\n001_HC.png,0.2,170,\n"
    )
    two = (scans / "000_HC.png", scans / "001_HC.png")
    result = call("infer", *two, "--pixel-sizes", table, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert [row["ga_weeks_given"] for row in rows(tmp_path / "out")] == ["20.4286", ""]
    result = call("infer", *two, "--pixel-sizes", table, "--ga", "30w", "--out", tmp_path / "b")
    assert {row["ga_weeks_given"] for row in rows(tmp_path / "b")} == {"30.0000"}
    ages = tmp_path / "ages.csv"
    ages.write_text("file;gestational age (days)\n001_HC.png;150\n")
    result = call("infer", *two, "--pixel-size", 0.2, "--ga", ages, "--out", tmp_path / "c")
    assert [row["ga_weeks_given"] for row in rows(tmp_path / "c")] == ["", "21.4286"]
    ages.write_text("file,weight\n001_HC.png,150\n")
    result = call("infer", *two, "--pixel-size", 0.2, "--ga", ages, "--out", tmp_path / "d")
    assert isinstance(result.exception, EdgesegError)
    assert "no column of ages; title one 'ga'" in str(result.exception)


def test_without_ages_and_calibration_the_table_is_as_it_was(scans: Path, tmp_path: Path) -> None:
    call("infer", scans / "000_HC.png", "--pixel-size", 0.2, "--out", tmp_path / "out")
    assert list(rows(tmp_path / "out")[0])[-1] == "postprocess_ms"


def test_a_site_is_calibrated_and_then_measured_as_it_measures(
    scans: Path, sizes: Path, tmp_path: Path
) -> None:
    assert call("infer", scans, "--pixel-sizes", sizes, "--out", tmp_path / "out").exit_code == 0
    trusted = [row | {"status": "ok", "flags": ""} for row in rows(tmp_path / "out")]
    with (tmp_path / "out" / "results.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(trusted[0]))
        writer.writeheader()
        writer.writerows(trusted)
    own = {row["file"]: 0.97 * float(row["hc_mm"]) for row in trusted}
    site = tmp_path / "mine.csv"
    site.write_text("\n".join(["file,hc_mm", *(f"{name},{mm}" for name, mm in own.items()), ""]))
    out = tmp_path / "site.json"
    arguments = ("calibrate", site, "--results", tmp_path / "out" / "results.csv", "--out", out)
    result = call(*arguments, "--json", tmp_path / "figures.json")
    assert result.exit_code == 0, result.output
    assert "every length times 0.9700" in result.stdout
    assert "heads are few" in result.stderr
    assert read_calibration(out).factor == pytest.approx(0.97, abs=1e-4)
    assert json.loads((tmp_path / "figures.json").read_text()) == json.loads(out.read_text())
    again = call(*arguments)
    assert isinstance(again.exception, EdgesegError)
    assert "--overwrite" in str(again.exception)
    assert call(*arguments, "--overwrite").exit_code == 0

    given = ("--pixel-sizes", sizes, "--calibration", out)
    result = call("infer", scans / "000_HC.png", *given, "--out", tmp_path / "site")
    (row,) = rows(tmp_path / "site")
    assert float(row["hc_mm"]) == pytest.approx(own["000_HC.png"], abs=0.02)
    assert " mm, calibrated; " in result.stdout
    assert "another model" not in result.stderr
    arguments = (scans / "000_HC.png", *given, "--model", "hc18-edge", "--out", tmp_path / "edge")
    assert "was learnt with another model than hc18-edge" in call("infer", *arguments).stderr


def test_a_calibration_that_cannot_be_written_is_said_first(tmp_path: Path) -> None:
    result = call("calibrate", tmp_path / "none.csv", "--out", tmp_path)
    assert isinstance(result.exception, EdgesegError)
    assert "is a folder" in str(result.exception)


def test_coverage_is_told_with_its_binomial_interval(tmp_path: Path) -> None:
    site = tmp_path / "mine.csv"
    lines = [f"{i}.png,{0.98 * hc},{hc},{hc + 3}" for i, hc in enumerate(range(100, 300, 10))]
    site.write_text("\n".join(["file,hc_site_mm,hc_edgeseg_mm,hc_high_mm", *lines, ""]))
    result = call("calibrate", site, "--out", tmp_path / "site.json")
    assert result.exit_code == 0, result.output
    # 2 % of HC is 3 mm at 150 mm: 5 or 6 heads of 20 are smaller
    assert "30 % (95 % interval 15 to 52 %)" in result.stdout
    assert "100 % (95 % interval 84 to 100 %)" in result.stdout
    site.write_text(site.read_text().replace("hc_high_mm", "other"))
    result = call("calibrate", site, "--out", tmp_path / "b.json")
    assert result.stdout.count("unknown: no interval of each head") == 2


def test_ages_and_calibrations_are_of_heads(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = FakeSession(bright_and_gray, LESIONS)
    monkeypatch.setattr("edgeseg.segmenter.open_session", lambda *_, **__: session)
    (tmp_path / "site.json").write_text(
        '{"format": "edgeseg-calibration", "version": 1, "factor": 0.98, "shift_mm": 0,'
        ' "factor_half_width": 0.004, "shift_half_width_mm": 0}'
    )
    for given in (("--ga", "20w0d"), ("--calibration", tmp_path / "site.json")):
        result = call("infer", scans, "--out", tmp_path / "out", *given)
        assert isinstance(result.exception, EdgesegError)
        assert "this command needs a model of a head" in str(result.exception)
