from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from edgeseg.network import session, zoo
from edgeseg.network.port import Answers
from edgeseg.network.session import session_options
from edgeseg.score import hc18
from edgeseg.score.evaluate import CSV_COLUMNS, score_all, summarize, write_csv
from edgeseg.score.folds import read_folds, select_fold
from edgeseg.segmenter import Segmenter
from tests.conftest import benchmark_script

ROOT = Path(__file__).parents[2]
FOLD_0 = sorted((ROOT / "benchmarks" / "folds").glob("*-fold0.onnx"))


class Blind(Segmenter):
    """Sees no head anywhere."""

    def _answers(self, tensor: np.ndarray) -> Answers:  # type: ignore[type-arg]
        return Answers(np.zeros(tensor.shape, dtype=np.float32), None)


@pytest.fixture(scope="module")
def blind() -> Blind:
    return Blind("hc18-nano", device="cpu", threads=1)


def test_figures_are_the_contract_and_follow_from_the_rows(
    segmenter: Segmenter, phantom_data: Path, tmp_path: Path
) -> None:
    cases = hc18.load_cases(phantom_data)
    scores = score_all(segmenter, cases, workers=2)
    summary = summarize(segmenter, cases, scores, 2)
    assert list(summary) == ["model", "data", "metrics", "paper_metrics", "runtime"]
    names = ["name", "sha256", "size_bytes", "input_height", "input_width"]
    assert list(summary["model"]) == names
    assert list(summary["data"]) == ["n_images", "n_failed", "sha256"]
    assert (summary["data"]["n_images"], summary["data"]["n_failed"]) == (12, 0)
    metrics = summary["metrics"]
    for key in ("dice", "iou", "pixel_accuracy", "dice_ellipse"):
        assert list(metrics[key]) == ["mean", "sd", "min"]
        assert 0.9 < metrics[key]["min"] <= metrics[key]["mean"] <= 1
    assert list(metrics["hausdorff_mm"]) == ["mean", "sd", "max"]
    assert list(summary["paper_metrics"]) == ["pixel_accuracy", "dice", "miou"]
    assert set(summary["runtime"]) == {"provider", "threads", "onnxruntime"}
    write_csv(tmp_path / "scores.csv", scores)
    with (tmp_path / "scores.csv").open(newline="", encoding="utf-8-sig") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert ",".join(CSV_COLUMNS) == (
        "file,dice,iou,pixel_accuracy,dice_ellipse,hausdorff_mm,hc_mm,hc_reference_mm,"
        "hc_error_mm,confidence,flags"
    )
    assert [row["file"] for row in rows] == [case.file for case in cases]
    errors = np.array([float(r["hc_mm"]) - float(r["hc_reference_mm"]) for r in rows])
    expected = {"mad": np.abs(errors).mean(), "bias": errors.mean(), "sd": errors.std(ddof=1)}
    for key, value in expected.items():
        assert metrics["hc_error_mm"][key] == pytest.approx(value, abs=2e-3)
    dice = np.array([float(r["dice"]) for r in rows])
    assert metrics["dice"]["mean"] == pytest.approx(dice.mean(), abs=1e-6)
    assert metrics["dice"]["min"] == pytest.approx(dice.min(), abs=1e-6)


def test_an_image_without_a_head_counts_in_full(
    blind: Blind, phantom_data: Path, tmp_path: Path
) -> None:
    cases = hc18.load_cases(phantom_data)[:2]
    scores = score_all(blind, cases)
    summary = summarize(blind, cases, scores, 1)
    assert summary["data"]["n_failed"] == 2
    assert summary["metrics"]["dice"]["mean"] == 0
    assert summary["metrics"]["dice_ellipse"]["mean"] == 0
    assert summary["metrics"]["hausdorff_mm"] == {"mean": None, "sd": None, "max": None}
    mean_hc = sum(case.hc_reference_mm for case in cases) / 2
    assert summary["metrics"]["hc_error_mm"]["bias"] == pytest.approx(-mean_hc)
    write_csv(tmp_path / "scores.csv", scores)
    row = (tmp_path / "scores.csv").read_text().splitlines()[1].split(",")
    assert (row[1], row[5], row[6]) == ("0.000000", "", "0.000")


def test_a_spreadsheet_shows_names_and_runs_none(
    blind: Blind, phantom_data: Path, tmp_path: Path
) -> None:
    case = hc18.load_cases(phantom_data)[0]
    cases = [replace(case, file=name) for name in ("=1+1.png", "M\u00fcller.png", "b\udcfc.png")]
    write_csv(tmp_path / "scores.csv", score_all(blind, cases))
    data = (tmp_path / "scores.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbffile,dice,")
    names = [line.split(",")[0] for line in data.decode("utf-8-sig").splitlines()[1:]]
    assert names == ["'=1+1.png", "M\u00fcller.png", "b\\udcfc.png"]
    assert ",-" in data.decode(), "errors below zero stay numbers"


@pytest.mark.parametrize("name", zoo.manifest())
def test_a_card_s_figures_are_those_of_the_published_results(name: str) -> None:
    card = zoo.manifest()[name]["metrics"]
    script = benchmark_script("pool")
    paths = sorted(ROOT.glob(card["results"]))
    assert paths
    pooled = script.pool(script.read_rows(paths))
    assert card["data"].endswith(f"{pooled['n_images']} images")
    figures = card["figures"]
    assert figures["dice"] == pytest.approx(pooled["dice"]["mean"], abs=1e-6)
    assert figures["hc_mad_mm"] == pytest.approx(pooled["hc_error_mm"]["mad"], abs=1e-6)
    assert figures["hc_bias_mm"] == pytest.approx(pooled["hc_error_mm"]["bias"], abs=1e-6)
    assert figures["auroc"] == pytest.approx(pooled["auroc"], abs=1e-6)


def test_the_readme_s_table_is_that_of_the_cards() -> None:
    table = benchmark_script("accuracy_table").table(zoo.manifest())
    assert table in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.hc18
@pytest.mark.slow
@pytest.mark.parametrize("name", zoo.manifest())
def test_bundled_models_measure_real_heads(hc18_root: Path, name: str) -> None:
    """Most of these images were trained on: this guards the file and the path, not the claim."""
    cases = hc18.load_cases(hc18_root)[::5]
    segmenter = Segmenter(name, device="cpu")
    metrics = summarize(segmenter, cases, score_all(segmenter, cases), 1)["metrics"]
    assert metrics["dice"]["mean"] >= 0.973
    assert metrics["hc_error_mm"]["mad"] <= 2.2
    assert abs(metrics["hc_error_mm"]["bias"]) <= 0.5


def fold_0_against_its_results(root: Path, path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the metrics of a fold's model as measured here, and as published."""
    folds = read_folds(ROOT / "benchmarks" / "folds.json")
    held_out = select_fold(hc18.load_cases(root), folds, 0)
    segmenter = Segmenter(path, device="cpu")
    measured = summarize(segmenter, held_out, score_all(segmenter, held_out), 1)["metrics"]
    published = json.loads((ROOT / "benchmarks" / "results" / f"{path.stem}.json").read_text())
    return measured, published["metrics"]


def sum_exactly(threads: int | None, *, spin: bool) -> onnxruntime.SessionOptions:
    options = session_options(threads, spin=spin)
    options.add_session_config_entry("session.x64quantprecision", "1")
    return options


@pytest.mark.hc18
@pytest.mark.slow
@pytest.mark.parametrize(
    ("path", "is_exact"),
    [*((path, True) for path in FOLD_0), *((p, False) for p in FOLD_0 if "int8" in p.stem)],
    ids=lambda value: getattr(value, "stem", str(value)),
)
def test_a_fold_s_model_measures_what_its_results_say(
    hc18_root: Path, path: Path, is_exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """x86 without VNNI cuts sums of two 8-bit products off at 16 bits; elsewhere they are exact."""
    if is_exact:
        monkeypatch.setattr(session, "session_options", sum_exactly)
    measured, published = fold_0_against_its_results(hc18_root, path)
    dice, mad_mm, bias_mm = (2e-4, 0.02, 0.02) if is_exact else (1e-3, 0.1, 0.25)
    assert measured["dice"]["mean"] == pytest.approx(published["dice"]["mean"], abs=dice)
    error, expected = measured["hc_error_mm"], published["hc_error_mm"]
    assert error["mad"] == pytest.approx(expected["mad"], abs=mad_mm)
    assert error["bias"] == pytest.approx(expected["bias"], abs=bias_mm)
