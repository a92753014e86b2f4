"""Any structure, from a folder of images and masks to a model that measures it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from typer.testing import CliRunner

from edgeseg.cli import app
from edgeseg.errors import ConfigError
from edgeseg.phantom.shapes import CLASSES, make_shapes, write_pairs
from edgeseg.segmenter import Segmenter
from edgeseg_training import strategies
from edgeseg_training.config import TrainConfig
from edgeseg_training.export import export
from edgeseg_training.losses import segmentation_loss
from edgeseg_training.model import build_model, probabilities
from edgeseg_training.train import train
from tests.tables import read_rows
from tests.training.tiny import TINY

pytestmark = pytest.mark.slow
SIZE = (64, 96)
VALUES = TINY | {
    **{"encoder_stages": 4, "encoder_expansion": 2, "decoder_channels": "16,16,8"},
    **{"epochs": 15, "batch_size": 2, "learning_rate": 1e-2, "validate_every": 15},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of shapes, of a run on them, and its model, each called so."""
    folder = tmp_path_factory.mktemp("regions")
    write_pairs(folder / "shapes", 24, height=SIZE[0], width=SIZE[1])
    train(folder / "shapes", folder / "run", TrainConfig().updated(VALUES))
    export(folder / "run", folder / "model.onnx")
    return folder


def edgeseg(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_patients_part_and_both_classes_are_learnt(folder: Path) -> None:
    record = json.loads((folder / "run" / "run.json").read_text())
    patients = [{name[:4] for name in record["split"][part]} for part in ("training", "validation")]
    assert patients[0] and patients[1] and not patients[0] & patients[1]
    assert record["config"]["name"] == "run"
    scores = record["history"][-1]["validation"]
    assert scores["class_dice"].keys() == {"cyst", "crescent"}
    assert min(scores["class_dice"].values()) > 0.5


def test_the_export_answers_as_torch_does_and_says_what_it_is(folder: Path) -> None:
    onnx.checker.check_model(folder / "model.onnx", full_check=True)
    segmenter = Segmenter(folder / "model.onnx", threads=1)
    assert segmenter.metadata.task.classes == CLASSES
    assert segmenter.metadata.licence == "unknown"
    shapes = make_shapes(40, height=SIZE[0], width=SIZE[1])
    prediction = segmenter.predict(shapes.image, shapes.pixel_size_mm)
    assert prediction.probability.shape == (2, *SIZE)
    assert np.mean(prediction.mask() == shapes.mask) > 0.9


@pytest.mark.nightly
def test_int8_keeps_the_masks(folder: Path, tmp_path: Path) -> None:
    report = export(folder / "run", tmp_path / "int8.onnx", precision="int8", max_dice_drop=0.05)
    assert report.mean_dice_to_source > 0.95
    assert report.mean_hc_difference_mm is report.n_heads is None
    assert report.dice_loss is not None and report.dice_loss <= 0.05


def test_a_folder_is_measured_scored_timed_and_checked(folder: Path, tmp_path: Path) -> None:
    out, data, model = tmp_path / "results", folder / "shapes", folder / "model.onnx"
    sizes, split = data / "pixel_sizes.csv", folder / "run" / "run.json"
    edgeseg("infer", data / "images", "--model", model, "--pixel-sizes", sizes, "--out", out)
    for row in read_rows(out / "results.csv"):
        mask = cv2.imread(str(out / "masks" / row["file"]), cv2.IMREAD_UNCHANGED)
        for number, name in enumerate(("cyst", "crescent"), start=1):
            assert float(row[f"{name}_area_px"]) == np.count_nonzero(mask == number)
    scores = tmp_path / "scores.json"
    said = edgeseg(
        "evaluate", model, "--data", data, "--split", split, "--json", scores,
        "--csv", tmp_path / "scores.csv",
    )  # fmt: skip
    assert "crescent: Dice %" in said
    held_out = json.loads(split.read_text())["split"]["validation"]
    figures = json.loads(scores.read_text())
    assert figures["data"]["n_images"] == len(held_out)
    assert figures["metrics"]["classes"]["cyst"]["dice"]["mean"] > 0.5
    assert [*read_rows(tmp_path / "scores.csv")[0]] == [
        "file", "cyst_dice", "cyst_iou", "crescent_dice", "crescent_iou", "pixel_accuracy",
        "confidence", "flags", "cyst_sensitivity", "cyst_specificity", "crescent_sensitivity",
        "crescent_specificity",
    ]  # fmt: skip
    edgeseg("evaluate", model, "--data", data, "--ignore-index", 2, "--json", scores)
    classes = json.loads(scores.read_text())["metrics"]["classes"]
    assert classes["cyst"]["sensitivity"] and classes["crescent"]["sensitivity"] is None
    edgeseg("benchmark", model, "--threads", 1, "--runs", 2, "--warmup", 0, "--data", data)
    assert "regions: cyst, crescent" in edgeseg("verify", model)
    assert "cyst, crescent" in edgeseg("models", model)


def test_what_is_for_heads_is_refused(folder: Path, tmp_path: Path) -> None:
    for key, value in (("ellipse_prior", 3.0), ("loss", "bce+dice+hc"), ("class_weights", "1,2,3")):
        config = TrainConfig().updated(VALUES | {key: value})
        with pytest.raises(ConfigError, match=f"{key} is .*cyst, crescent"):
            train(folder / "shapes", tmp_path / "run", config)
    assert not (tmp_path / "run").exists()
    done = CliRunner().invoke(app, ["demo", "--model", str(folder / "model.onnx")])
    assert "its task is 'regions'; this command needs a model of a head" in str(done.exception)


@pytest.mark.parametrize("encoder", ["resnet18", "tu-regnetx_002"])
def test_any_encoder_with_its_strategies(encoder: str) -> None:
    values = {"encoder": encoder, "encoder_expansion": 6, "encoder_stages": 5}
    config = TrainConfig().updated(VALUES | values | {"decoder_channels": "16,8,8,8"})
    model = build_model(config).eval()
    for strategy in ("decoder", "decoder-0-1"):
        trained = strategies.apply(model.network, strategy)
        assert 0 < trained < sum(p.numel() for p in model.parameters())
    with torch.inference_mode():
        logits = model(torch.zeros((1, 1, *SIZE), dtype=torch.uint8))
    assert logits.shape == (1, 1, *SIZE)


def test_an_encoder_that_is_not_there_is_said_with_its_neighbours() -> None:
    config = TrainConfig().updated({**VALUES, "encoder": "resnet81", "encoder_expansion": 6})
    with pytest.raises(ConfigError, match=r"has no encoder 'resnet81'; did you mean .*resnet18"):
        build_model(config)
    with pytest.raises(ConfigError, match="add --encoder-expansion 6"):
        TrainConfig().updated({**VALUES, "encoder": "resnet18", "encoder_expansion": 3})


def test_probabilities_leave_the_background_out_and_the_loss_counts_it() -> None:
    logits = torch.tensor([0.0, 2.0, -1.0]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    found = probabilities(logits)
    assert found.shape == (1, 2, 4, 4)
    assert found[0, 0, 0, 0] == pytest.approx(float(torch.softmax(logits, 1)[0, 1, 0, 0]))
    nothing, first = torch.zeros((1, 2, 4, 4)), torch.zeros((1, 2, 4, 4))
    first[:, 0] = 1
    for label, number in ((nothing, 0), (first, 1)):
        expected = -float(torch.log_softmax(logits, 1)[0, number, 0, 0])
        assert segmentation_loss(logits, label, "bce") == pytest.approx(expected)
