"""`edgeseg infer`, and `edgeseg ruler`, whose millimetres it takes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import Result

from edgeseg.drawing.encode import encode
from edgeseg.errors import DataError, DeviceError, EdgesegError, OutputWriteError
from edgeseg.network import zoo
from edgeseg.phantom.head import Phantom, make_phantom
from tests.cli.calls import call, rows
from tests.fakes import LESIONS, FakeSession, bright_and_gray
from tests.images.rulers import STYLES, draw_ruler

KEYS = [
    "file", "period_px", "side", "ticks", "candidates_mm", "decided_mm", "pixel_size_mm", "reason",
]  # fmt: skip


def infer(*arguments: object, data: bytes | None = None) -> Result:
    return call("infer", *arguments, "--no-overlays", "--no-masks", data=data)


@pytest.fixture
def scans(tmp_path: Path, phantoms: list[Phantom]) -> Path:
    """Two images."""
    (folder := tmp_path / "scans").mkdir()
    for phantom in phantoms[:2]:
        (folder / phantom.name).write_bytes(encode(".png", phantom.image))
    return folder


def write_table(path: Path, *lines: str) -> Path:
    path.write_text("\n".join([*lines, ""]))
    return path


def test_it_writes_results_and_counts_them_with_the_given_size(scans: Path, tmp_path: Path) -> None:
    out, table = tmp_path / "out", write_table(tmp_path / "t.csv", "file,pixel size(mm)", "a,0.2")
    sizes = ("--pixel-sizes", table, "--pixel-size", "0.2x0.21")
    result = call("infer", scans, "--out", out, *sizes)
    assert result.exit_code == 0, result.output
    assert "2 images: 2 ok, 0 doubtful, 0 no head, 0 failed" in result.stdout
    assert "CPUExecutionProvider" in result.stderr and f"{table} is not used" in result.stderr
    assert (out / "report.html").is_file()
    assert len([*(out / "masks").iterdir()]) == len([*(out / "overlays").iterdir()]) == 2
    arguments = json.loads((out / "run.json").read_text())["arguments"]
    assert (arguments["inputs"], arguments["model"]) == ([str(scans)], zoo.DEFAULT_MODEL)
    assert arguments["pixel_size"] == [0.2, 0.21]
    row = rows(out)[0]
    size = (row["pixel_size_x_mm"], row["pixel_size_y_mm"], row["pixel_size_source"])
    assert size == ("0.2", "0.21", "option")


def test_without_sizes_it_warns_and_pictures_can_be_left_out(scans: Path, tmp_path: Path) -> None:
    result = infer(scans, "--out", tmp_path / "out", "--jsonl", "-")
    assert result.exit_code == 0
    assert result.stderr.count("no pixel size given") == 1
    files = [json.loads(line)["file"] for line in result.stdout.splitlines()]  # and nothing else
    assert files == ["000_HC.png", "001_HC.png"]
    assert not {"masks", "overlays"} & {path.name for path in (tmp_path / "out").iterdir()}


def test_a_failed_file_is_1_and_the_others_go_on(scans: Path, tmp_path: Path) -> None:
    (scans / "text.png").write_text("not an image")
    files = ("--json", tmp_path / "f.json", "--jsonl", tmp_path / "f.jsonl")
    result = infer(scans, "--out", tmp_path / "out", *files)
    assert result.exit_code == 1
    assert "2 ok" in result.stdout and "1 failed" in result.stdout
    assert "text.png: " in result.stderr
    images = json.loads((tmp_path / "f.json").read_text())["images"]
    assert [image["status"] for image in images] == ["ok", "ok", "failed"]
    assert images[2]["reason"] and images[2]["confidence"] is None
    lines = (tmp_path / "f.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(line) for line in lines] == images


def test_few_images_are_printed_many_only_counted(
    scans: Path, scan_file: bytes, tmp_path: Path
) -> None:
    result = infer(scans, "--pixel-size", 0.2, "--out", tmp_path / "out", "--ga", "20+3")
    row = rows(tmp_path / "out")[0]
    assert row["ga_weeks_given"] == f"{20 + 3 / 7:.4f}"
    (line,) = [text for text in result.stdout.splitlines() if text.startswith("000_HC.png: ")]
    hc = rf"HC {float(row['hc_mm']):.1f} ± \d\.\d mm"
    assert re.match(rf"000_HC\.png: {hc}; GA by HC .*at 20w3d: HC", line)
    for i in range(9):
        (scans / f"{i}.png").write_bytes(scan_file)
    many = infer(scans, "--out", tmp_path / "many")
    assert "11 images: " in many.stdout and "HC " not in many.stdout


def test_where_ages_come_from(scans: Path, tmp_path: Path) -> None:
    table = write_table(
        tmp_path / "sizes.csv", "filename,pixel size(mm),ga", "000_HC.png,0.2,20w3d",
        "001_HC.png,0.2,",
    )  # fmt: skip
    days = write_table(tmp_path / "a.csv", "file;gestational age (days)", "001_HC.png;150")
    for number, (options, ages) in enumerate(
        [
            (("--pixel-sizes", table), ["20.4286", ""]),
            (("--pixel-sizes", table, "--ga", "30w"), ["30.0000", "30.0000"]),
            (("--pixel-size", 0.2, "--ga", days), ["", "21.4286"]),
        ]
    ):
        assert infer(scans, *options, "--out", tmp_path / str(number)).exit_code == 0
        assert [row["ga_weeks_given"] for row in rows(tmp_path / str(number))] == ages


def test_an_image_on_standard_input(scan_file: bytes, scans: Path, tmp_path: Path) -> None:
    result = infer("-", "--out", tmp_path / "out", "--json", "-", data=scan_file)
    assert result.exit_code == 0, result.output
    (image,), (row,) = json.loads(result.stdout)["images"], rows(tmp_path / "out")
    assert (row["file"], row["status"]) == ("stdin", "ok")
    assert list(image) == list(row)
    assert image["hc_px"] == float(row["hc_px"]) and image["hc_mm"] is None
    assert "1 image: 1 ok" in result.stderr
    assert infer("-", scans, "-", "--out", tmp_path / "all", data=scan_file).exit_code == 0
    assert [row["file"] for row in rows(tmp_path / "all")] == ["000_HC.png", "001_HC.png", "stdin"]
    (scans / "stdin").write_bytes(scan_file)
    both = infer("-", scans / "stdin", "--out", tmp_path / "two", data=scan_file)
    assert isinstance(both.exception, DataError) and "'stdin'" in str(both.exception)


def test_names_that_would_run_or_steer_are_kept_and_resumed(
    scan_file: bytes, tmp_path: Path
) -> None:
    (scans := tmp_path / "scans").mkdir()
    names = ["=1+1.png", "'=c.png", "\x1b[31mred\u202e.png", "x\ny.png"]
    for name in names:
        (scans / name).write_bytes(scan_file)
    out = tmp_path / "out"
    assert infer(scans, "--pixel-size", "0.2", "--out", out).exit_code == 0
    again = infer(scans, "--pixel-size", "0.2", "--out", out, "--resume")
    assert "4 ok" in again.stdout and "; 0 in" in again.stdout
    assert {row["file"] for row in rows(out)} == {*names}
    assert "'=1+1.png" in (out / "results.csv").read_text("utf-8")
    # the table is one of pixel sizes too, and its names are read as they were
    back = infer(scans, "--pixel-sizes", out / "results.csv", "--out", tmp_path / "back")
    assert back.exit_code == 0, back.output


def test_what_cannot_be_is_refused_before_anything_is_measured(scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    device = infer(scans, "--out", out, "--device", "coreml")
    assert isinstance(device.exception, DeviceError) and "CoreML" in str(device.exception)
    report = infer(scans, "--out", out, "--json", tmp_path)
    assert isinstance(report.exception, OutputWriteError) and str(tmp_path) in str(report.exception)
    assert not out.exists()


def test_a_site_is_calibrated_and_then_measured_as_it_measures(scans: Path, tmp_path: Path) -> None:
    heads = [(f"{i}.png", 100 + 10 * i) for i in range(20)]
    found = [f"{name},ok,,{mm}" for name, mm in heads]
    results = write_table(tmp_path / "r.csv", "file,status,flags,hc_mm", *found)
    inside = [f"{name},{0.97 * mm}" for name, mm in heads]
    mine = write_table(tmp_path / "mine.csv", "file,hc_mm", *inside)
    site = tmp_path / "site.json"
    arguments = ("calibrate", mine, "--results", results, "--out", site)
    result = call(*arguments, "--json", tmp_path / "figures.json")
    assert result.exit_code == 0, result.output
    assert "times 0.9700" in result.stdout
    assert json.loads((tmp_path / "figures.json").read_text()) == json.loads(site.read_text())
    again = call(*arguments)
    assert isinstance(again.exception, EdgesegError) and "--overwrite" in str(again.exception)
    assert call(*arguments, "--overwrite").exit_code == 0

    image = (scans / "000_HC.png", "--pixel-size", 0.2)
    result = infer(*image, "--calibration", site, "--out", tmp_path / "site")
    assert " mm, calibrated; " in result.stdout
    written = json.loads(site.read_text()) | {"model_sha256": "0" * 64}
    site.write_text(json.dumps(written))
    other = infer(*image, "--calibration", site, "--out", tmp_path / "other")
    assert f"another model than {zoo.DEFAULT_MODEL}" in other.stderr


def test_what_is_of_heads(scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = FakeSession(bright_and_gray, LESIONS)
    monkeypatch.setattr("edgeseg.segmenter.open_session", lambda *_, **__: session)
    site = tmp_path / "site.json"
    site.write_text(
        '{"format": "edgeseg-calibration", "version": 1, "factor": 0.98, "shift_mm": 0,'
        ' "factor_half_width": 0.004, "shift_half_width_mm": 0}'
    )
    for option, value in (("--ga", "20w0d"), ("--calibration", site)):
        result = infer(scans, "--out", tmp_path / "out", option, value)
        assert isinstance(result.exception, EdgesegError)
        assert "head" in str(result.exception)


@pytest.fixture(scope="module")
def phantom() -> Phantom:
    return make_phantom(7, hc_mm=330.0)


@pytest.fixture(scope="module")
def ruled(phantom: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One that tells its pixel size, one whose ticks are alike, and one without a ruler."""
    folder = tmp_path_factory.mktemp("ruled")
    image, size_mm = phantom.image, phantom.pixel_size_mm
    for name, style in (("a_tells", "dashes"), ("b_alike", "alike"), ("c_none", None)):
        drawn = image if style is None else draw_ruler(image, size_mm, STYLES[style])
        (folder / f"{name}.png").write_bytes(encode(".png", drawn))
    return folder


def test_the_command_shows_what_is_found(ruled: Path, phantom: Phantom, tmp_path: Path) -> None:
    report, out = tmp_path / "r.json", tmp_path / "out"
    done = call("ruler", ruled, "--out", out, "--json", report)
    assert done.exit_code == 0, done.output
    tells, alike, none = json.loads(report.read_text())["images"]
    assert [*tells] == KEYS
    assert tells["pixel_size_mm"] == pytest.approx(phantom.pixel_size_mm, rel=0.005)
    assert (alike["decided_mm"], none["period_px"], none["ticks"]) == (None, None, 0)
    assert alike["reason"] and none["reason"] and not tells["reason"]
    assert len(done.stdout.splitlines()) == 3
    shown = cv2.imread(str(out / "overlays" / "a_tells.jpg"))
    is_marked = shown[..., 1].astype(int) - shown[..., 0] > 50  # yellow
    assert cv2.connectedComponents(is_marked.astype(np.uint8))[0] - 1 == tells["ticks"]
    (ruled.parent / "bad.png").write_bytes(b"none")
    assert call("ruler", ruled.parent / "bad.png").exit_code == 1


def test_infer_takes_what_is_sure(ruled: Path, phantom: Phantom, tmp_path: Path) -> None:
    done = call("infer", ruled, "--out", tmp_path / "plain")
    assert done.stderr.count("2 of the first 3 images show a ruler") == 1
    assert "ruler_pixel_size_mm" not in rows(tmp_path / "plain")[0]
    assert call("infer", ruled, "--ruler", "auto", "--out", tmp_path / "a").exit_code == 0
    tells, *others = found = rows(tmp_path / "a")
    assert [row["pixel_size_source"] for row in found] == ["ruler", "", ""]
    assert float(tells["hc_mm"]) == pytest.approx(phantom.hc_mm, rel=0.02)
    assert tells["ruler_pixel_size_mm"] == tells["pixel_size_x_mm"]
    assert [*tells][-1] == "ruler_pixel_size_mm"
    assert all(row["hc_px"] and not row["hc_mm"] and "ruler" in row["reason"] for row in others)
    assert call("infer", ruled, "--ruler", "ten", "--out", tmp_path / "b").exit_code == 2


def test_a_given_size_is_used_and_checked(ruled: Path, phantom: Phantom, tmp_path: Path) -> None:
    size_mm, out = phantom.pixel_size_mm, tmp_path / "out"
    for factor, flagged in ((1.0, False), (1.05, True)):
        options = ("--ruler", "10", "--pixel-size", factor * size_mm, "--out", out, "--overwrite")
        assert call("infer", ruled / "b_alike.png", *options).exit_code == 0
        (row,) = rows(out)
        assert (row["pixel_size_source"], "ruler_differs" in row["flags"]) == ("option", flagged)
        assert row["status"] == ("doubtful" if flagged else row["status"])
        assert float(row["ruler_pixel_size_mm"]) == pytest.approx(size_mm, rel=0.005)


def test_watch_and_archive_take_it_too(ruled: Path, tmp_path: Path) -> None:
    watched = call("watch", ruled, "--out", tmp_path / "w", "--once", "--ruler", "auto")
    assert watched.exit_code == 0, watched.output
    assert {row["pixel_size_source"] for row in rows(tmp_path / "w")} == {"ruler", ""}
    parquet = pytest.importorskip("pyarrow.parquet")
    assert call("manifest", ruled, "--out", tmp_path / "m.parquet").exit_code == 0
    command = ("archive", tmp_path / "m.parquet", "--out", tmp_path / "archive")
    assert call(*command, "--ruler", "auto").exit_code == 0
    (part,) = (tmp_path / "archive" / "parts").iterdir()
    values = parquet.read_table(part).to_pydict()
    assert (values["pixel_size_source"][0], [*values][-1]) == ("ruler", "ruler_pixel_size_mm")
    assert call(*command, "--ruler", "10").exception is not None  # never mixed
