from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from pytest import MonkeyPatch

from edgeseg.drawing.encode import encode
from edgeseg.measure.ellipse import Ellipse
from edgeseg.network import session, zoo
from edgeseg.network.session import session_options
from edgeseg.network.task import Task
from edgeseg.score import hc18
from edgeseg.score.evaluate import score_all, score_head, summarize, write_csv
from edgeseg.score.folds import read_folds, select_fold
from edgeseg.score.labelled import load_for
from edgeseg.score.metrics import hausdorff_px
from edgeseg.segmenter import Segmenter
from tests.conftest import benchmark_script
from tests.fakes import METADATA, FakeSession, head_image, open_fake

ROOT = Path(__file__).parents[2]
FOLD_0 = sorted((ROOT / "benchmarks" / "folds").glob("*-fold0.onnx"))


def test_figures_follow_from_the_rows(
    segmenter: Segmenter, phantom_data: Path, tmp_path: Path
) -> None:
    cases = hc18.load_cases(phantom_data)
    scores = score_all(segmenter, cases, workers=2)
    summary = summarize(segmenter, cases, scores, 2)
    assert {section: list(values) for section, values in summary.items()} == {
        "model": ["name", "sha256", "size_bytes", "input_height", "input_width"],
        "data": ["n_images", "n_failed", "sha256"],
        "metrics": [
            "dice", "iou", "pixel_accuracy", "dice_ellipse", "hausdorff_mm", "hc_error_mm",
        ],
        "paper_metrics": ["pixel_accuracy", "dice", "miou"],
        "runtime": ["provider", "threads", "onnxruntime"],
    }  # fmt: skip
    assert (summary["data"]["n_images"], summary["data"]["n_failed"]) == (12, 0)
    metrics = summary["metrics"]
    for key in ("dice", "iou", "pixel_accuracy", "dice_ellipse"):
        assert list(metrics[key]) == ["mean", "sd", "min"]
        assert 0.9 < metrics[key]["min"] <= metrics[key]["mean"] <= 1
    write_csv(tmp_path / "scores.csv", scores)
    with (tmp_path / "scores.csv").open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    assert ",".join(rows[0]) == (
        "file,dice,iou,pixel_accuracy,dice_ellipse,hausdorff_mm,hc_mm,hc_reference_mm,"
        "hc_error_mm,confidence,flags"
    )
    assert [row["file"] for row in rows] == [case.file for case in cases]
    errors = np.array([float(r["hc_mm"]) - float(r["hc_reference_mm"]) for r in rows])
    assert metrics["hc_error_mm"]["mad"] == pytest.approx(np.abs(errors).mean(), abs=2e-3)
    assert metrics["hc_error_mm"]["bias"] == pytest.approx(errors.mean(), abs=2e-3)
    dice = np.array([float(r["dice"]) for r in rows])
    assert metrics["dice"]["mean"] == pytest.approx(dice.mean(), abs=1e-6)


def test_own_structures_have_sensitivity_specificity_and_right_refusals(
    monkeypatch: MonkeyPatch, tmp_path: Path
) -> None:
    """Images of three kinds: something is found on a label, nothing on none, something on none."""
    half, empty = np.zeros((40, 60), np.uint8), np.zeros((40, 60), np.uint8)
    half[:, 30:] = 255
    for name, image, mask in (
        ("a", half, np.roll(half, 10, axis=1)), ("b", empty, empty), ("c", half, empty),
    ):  # fmt: skip
        for folder, pixels in (("images", image), ("masks", mask)):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / f"{name}.png").write_bytes(encode(".png", pixels))
    task = Task("regions", ("background", "foreground"))
    fake = open_fake(monkeypatch, FakeSession(metadata=replace(METADATA, task=task)))
    cases = load_for(fake, tmp_path).cases
    scores = score_all(fake, cases, workers=1)
    metrics = summarize(fake, cases, scores, 1)["metrics"]
    assert (metrics["n_without"], metrics["n_refused_rightly"]) == (2, 1)
    shares = [score.row()["foreground_sensitivity"] for score in scores]
    assert shares == [pytest.approx(2 / 3), None, None]
    assert scores[2].row()["foreground_specificity"] == pytest.approx(1 / 2)


def test_an_image_without_a_head_counts_in_full_and_its_name_runs_nothing(
    phantom_data: Path, tmp_path: Path, monkeypatch: MonkeyPatch
) -> None:
    blind = open_fake(monkeypatch, FakeSession(lambda gray: np.zeros_like(gray, np.float32)))
    case = hc18.load_cases(phantom_data)[0]
    cases = [replace(case, file=name) for name in ("=1+1.png", "M\u00fcller.png", "b\udcfc.png")]
    scores = score_all(blind, cases)
    summary = summarize(blind, [case] * 3, scores, 1)
    assert summary["data"]["n_failed"] == 3
    metrics = summary["metrics"]
    assert metrics["dice"]["mean"] == metrics["dice_ellipse"]["mean"] == 0
    assert metrics["hausdorff_mm"] == {"mean": None, "sd": None, "max": None}
    assert metrics["hc_error_mm"]["bias"] == pytest.approx(-case.hc_reference_mm)
    write_csv(tmp_path / "scores.csv", scores)
    data = (tmp_path / "scores.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbffile,dice,")
    rows = [line.split(",") for line in data.decode("utf-8-sig").splitlines()[1:]]
    assert [row[0] for row in rows] == ["'=1+1.png", "M\u00fcller.png", "b\\udcfc.png"]
    assert (rows[0][1], rows[0][5], rows[0][6]) == ("0.000000", "", "0.000")
    assert rows[0][8].startswith("-"), "errors below zero stay numbers"


def test_scores_are_of_what_it_saw(monkeypatch: MonkeyPatch, tmp_path: Path) -> None:
    """It saw a head that is too large, with a piece out of it; the annotation is right."""
    size, size_mm = (384, 576), 0.25
    true, seen = Ellipse(280.0, 200.0, 140.0, 108.0, 0.3), Ellipse(286.0, 200.0, 150.0, 118.0, 0.3)
    image = head_image(seen, size)
    image[:140, 270:300] = 0
    rows, columns = np.ogrid[: size[0], : size[1]]
    ring = np.where(np.abs(true.signed_distance(columns, rows)) < 1.5, 255, 0).astype(np.uint8)
    paths = tmp_path / "a.png", tmp_path / "a_Annotation.png"
    for path, pixels in zip(paths, (image, ring), strict=True):
        path.write_bytes(encode(".png", pixels))
    case = hc18.Case("a.png", *paths, "a", size_mm, true.circumference_px * size_mm)
    prediction = open_fake(monkeypatch, FakeSession()).predict(image, size_mm)
    score = score_head(case, prediction)
    reference = true.mask(*size) > 0
    for mask, dice in (
        (image > 127, score.overlap.dice), (seen.mask(*size) > 0, score.dice_ellipse),
    ):  # fmt: skip
        expected = 2 * np.sum(mask & reference) / (mask.sum() + reference.sum())
        assert dice == pytest.approx(expected, abs=0.003)
    assert score.dice_ellipse > score.overlap.dice + 0.005
    assert score.hausdorff_mm == pytest.approx(hausdorff_px(seen, true) * size_mm, abs=0.2)
    assert score.hc_mm == pytest.approx(seen.circumference_px * size_mm, rel=0.005)
    assert score.hc_error_mm == pytest.approx(score.hc_mm - case.hc_reference_mm)


@pytest.mark.parametrize("name", zoo.manifest())
def test_a_card_s_figures_are_those_of_the_published_results(name: str) -> None:
    card = zoo.manifest()[name]["metrics"]
    script = benchmark_script("pool")
    paths = sorted(ROOT.glob(card["results"]))
    assert paths
    pooled = script.pool(script.read_rows(paths))
    assert card["data"].endswith(f"{pooled['n_images']} images")
    figures = card["figures"]
    error = pooled["hc_error_mm"]
    assert [figures[name] for name in ("dice", "hc_mad_mm", "hc_bias_mm")] == pytest.approx(
        [pooled["dice"]["mean"], error["mad"], error["bias"]], abs=1e-6
    )
    assert figures["auroc"] == pytest.approx(pooled["auroc"], abs=1e-6)


def test_the_readme_s_table_is_that_of_the_cards() -> None:
    table = benchmark_script("accuracy_table").table(zoo.manifest())
    assert table in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.hc18
@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.manifest())
def test_bundled_models_measure_real_heads(hc18_root: Path, name: str) -> None:
    """Most of these images were trained on: this guards the file and the path, not the claim."""
    cases = hc18.load_cases(hc18_root)[8::16]
    segmenter = Segmenter(name, device="cpu")
    metrics = summarize(segmenter, cases, score_all(segmenter, cases), 1)["metrics"]
    assert metrics["dice"]["mean"] >= 0.973
    assert metrics["hc_error_mm"]["mad"] <= 2.2
    assert abs(metrics["hc_error_mm"]["bias"]) <= 0.5


def sum_exactly(threads: int | None, *, spin: bool) -> onnxruntime.SessionOptions:
    options = session_options(threads, spin=spin)
    options.add_session_config_entry("session.x64quantprecision", "1")
    return options


@pytest.mark.hc18
@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.nightly] * ("int8" in path.stem))
        for path in FOLD_0
    ],
)
def test_published_results_hold(hc18_root: Path, path: Path, monkeypatch: MonkeyPatch) -> None:
    """x86 without VNNI cuts sums of two 8-bit products off at 16 bits; elsewhere they are exact."""
    monkeypatch.setattr(session, "session_options", sum_exactly)
    folds = read_folds(ROOT / "benchmarks" / "folds.json")
    held_out = select_fold(hc18.load_cases(hc18_root), folds, 0)[::4]
    segmenter = Segmenter(path, device="cpu")
    measured = summarize(segmenter, held_out, score_all(segmenter, held_out), 1)["metrics"]
    script = benchmark_script("pool")
    rows = script.read_rows([ROOT / "benchmarks" / "results" / f"{path.stem}.csv"])
    published = script.pool([row for row in rows if row["file"] in {c.file for c in held_out}])
    assert published["n_images"] == len(held_out)
    assert measured["dice"]["mean"] == pytest.approx(published["dice"]["mean"], abs=2e-4)
    error, expected = measured["hc_error_mm"], published["hc_error_mm"]
    assert error["mad"] == pytest.approx(expected["mad"], abs=0.02)
    assert error["bias"] == pytest.approx(expected["bias"], abs=0.02)
