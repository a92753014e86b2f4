from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from edgeseg.errors import ModelError
from edgeseg.network import zoo
from edgeseg_training import bundle
from tests.fakes import METADATA, FakeSession, open_fake

FIGURES = {
    "n_images": 799, "large_error_fraction": 0.01, "auroc": {"a": 0.9},
    "dice": {"mean": 0.975}, "dice_ellipse": {"mean": 0.976}, "hausdorff_mm": {"mean": 1.2},
    "n_refused": 0, "of_measured": {"dice": {"mean": 0.975}, "hc_error_mm": {"mad": 1.9}},
    "hc_error_mm": {"mad": 1.9, "mad_sd": 1.5, "bias": 0.1, "p95": 4.0},
}  # fmt: skip


def test_the_card_is_the_model_s_own_description(tmp_path: Path) -> None:
    name = "hc18-nano"
    (tmp_path / "manifest.json").write_text(json.dumps({"models": {"other": {}}}))
    model = zoo.find(name).path
    bundle.bundle(model, FIGURES, "five folds", "edgeseg train", "r-*.csv", tmp_path)
    assert (tmp_path / f"{name}.onnx").read_bytes() == model.read_bytes()
    listed = json.loads((tmp_path / "manifest.json").read_text())["models"]
    assert list(listed) == sorted(["other", name])
    card, shipped = listed[name], zoo.manifest()[name]
    assert list(card) == list(shipped)
    for key in card.keys() - {"metrics", "train_command", "limits"}:
        assert card[key] == shipped[key], key
    assert card["metrics"]["figures"]["hc_mad_mm"] == 1.9
    assert card["metrics"]["data"] == "HC18, 799 images"
    assert card["train_command"] == "edgeseg train"


def test_a_model_of_unknown_data_is_not_bundled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = open_fake(monkeypatch, FakeSession(metadata=replace(METADATA, name="mine")))
    monkeypatch.setattr(bundle, "Segmenter", lambda *_, **__: fake)
    with pytest.raises(ModelError, match="does not say what it was trained on"):
        bundle.bundle(tmp_path / "mine.onnx", FIGURES, "", "", "", tmp_path)
