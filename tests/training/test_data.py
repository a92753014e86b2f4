from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from edgeseg.errors import ConfigError, InputNotFoundError
from edgeseg.network.task import Task
from edgeseg.score import hc18
from edgeseg_training.config import TrainConfig, load_config
from edgeseg_training.data import (
    EpochSampler,
    ViewDataset,
    describe_leak,
    load_example,
    split_cases,
)  # fmt: skip


def test_sides_and_fractions_are_of_whole_heads(tiny: TrainConfig, phantom_data: Path) -> None:
    cases = hc18.load_cases(phantom_data)
    held_out = []
    for fold in range(5):
        split = split_cases(cases, tiny.updated({"fold": fold}))
        assert len(split.training) + len(split.validation) == len(cases)
        assert not {c.group for c in split.training} & {c.group for c in split.validation}
        held_out += [c.file for c in split.validation]
    assert sorted(held_out) == [c.file for c in cases]
    whole, half = (split_cases(cases, tiny.updated({"fraction": f})) for f in (1.0, 0.5))
    assert half.validation == whole.validation
    heads = {c.group for c in half.training}
    assert len(heads) == round(len({c.group for c in whole.training}) / 2)
    assert {c.file for c in whole.training if c.group in heads} == {c.file for c in half.training}


def test_a_view_depends_on_seed_epoch_and_index(tiny: TrainConfig, phantom_data: Path) -> None:
    examples = [load_example(c, tiny, Task()) for c in hc18.load_cases(phantom_data)[:3]]
    views = ViewDataset(examples, tiny)
    before = torch.get_rng_state()
    first = views[4, 1]
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    assert all(map(torch.equal, first, ViewDataset(examples, tiny)[4, 1]))
    assert not torch.equal(first[0], views[5, 1][0])
    assert not torch.equal(first[0], ViewDataset(examples, tiny.updated({"seed": 1}))[4, 1][0])


def test_the_mask_follows_the_image(tiny: TrainConfig, phantom_data: Path) -> None:
    quiet = {"gamma": 0, "gain": 0, "noise": 0, "blur": 0, "shadow": 0}
    example = load_example(hc18.load_cases(phantom_data)[0], tiny, Task())
    area = float(np.asarray(example.coverage).mean()) * np.prod(example.size)
    assert area == pytest.approx(example.ellipse.area_px, rel=2e-3)
    picture = example._replace(gray=(example.coverage * 255).to(torch.uint8))
    for epoch in range(5):
        x, mask = ViewDataset([picture], tiny.updated(quiet))[epoch, 0]
        assert float((x / 255 - mask).abs().max()) < 0.01
        assert 0.02 < float(mask.mean()) < 0.9


def test_every_index_comes_once_an_epoch_in_an_order_of_its_own() -> None:
    sampler = EpochSampler(20, seed=1)
    first = [i for _, i in sampler]
    sampler.set_epoch(1)
    assert sorted(first) == list(range(20))
    assert {epoch for epoch, _ in sampler} == {1}
    assert [i for _, i in sampler] != first


def test_some_images_may_be_empty(tiny: TrainConfig, phantom_data: Path) -> None:
    config = tiny.updated({"empty": 0.4})
    examples = [load_example(case, config, Task()) for case in hc18.load_cases(phantom_data)[:2]]
    views = [ViewDataset(examples, config)[epoch, i] for epoch in range(40) for i in (0, 1)]
    empty = [gray for gray, mask in views if not mask.any()]
    assert 15 < len(empty) < 50
    assert all(float(gray.min()) >= 0 and float(gray.max()) <= 255 for gray in empty)
    assert any(float(gray.max()) == 0 for gray in empty)  # a probe in the air
    assert any(float(gray.std()) > 1 for gray in empty)


def test_data_that_leaves_nothing_to_hold_out_or_to_train_is_refused(
    phantom_data: Path, tiny: TrainConfig, tmp_path: Path
) -> None:
    cases = hc18.load_cases(phantom_data)
    (tmp_path / "split.json").write_text(json.dumps({"folds": [[case.file for case in cases]]}))
    with pytest.raises(ConfigError, match="none is left for training"):
        split_cases(cases, tiny.updated({"folds": str(tmp_path / "split.json")}))
    cases = [replace(case, group="one") for case in cases]
    with pytest.raises(ConfigError, match="all 12 images are of one head or patient, 'one'"):
        split_cases(cases, tiny)
    assert len(split_cases(cases, tiny.updated({"fold": -1})).training) == 12


def test_given_folders_are_kept_apart_and_what_they_share_is_said(
    phantom_data: Path, tiny: TrainConfig
) -> None:
    cases = hc18.load_cases(phantom_data)[:6]
    folders = ("train", "train", "a/val", "valid", "test", "train")
    cases = [
        replace(case, file=f"{folder}/{case.file}", group=str(number))
        for number, (folder, case) in enumerate(zip(folders, cases, strict=True))
    ]
    split = split_cases(cases, tiny)
    assert split == ([cases[0], cases[1], cases[5]], cases[2:4], [cases[4]])
    everything = split_cases(cases, tiny.updated({"fold": -1}))
    assert len(everything.training) == 5 and everything.test == [cases[4]]
    training = [load_example(case, tiny, Task()) for case in cases[:2]]
    assert not describe_leak(training, [load_example(cases[4], tiny, Task())])
    copy = replace(cases[1], file=cases[4].file)
    leak = describe_leak(training, [load_example(copy, tiny, Task())])
    assert leak.startswith("1 held-out") and cases[1].file in leak and copy.file in leak


TRAINING = Path(__file__).parents[2] / "training"


def test_the_paper_s_recipe_is_the_paper_s() -> None:
    assert all(load_config(path) != TrainConfig() for path in TRAINING.glob("*.toml"))
    config = load_config(TRAINING / "paper.toml")
    assert (config.input_height, config.input_width, config.input_mode) == (512, 512, "rgb")
    assert (config.optimizer, config.schedule, config.learning_rate) == ("adam", "constant", 1e-4)
    assert (config.batch_size, config.epochs, config.loss) == (10, 20, "bce")
    assert (config.rotate_deg, config.horizontal_flip, config.vertical_flip) == (25.0, 0.5, 0.1)
    assert config.normalization == "unit"
    assert not config.freeze_batchnorm_statistics


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"epoch": 3}, "did you mean 'epochs'"),
        ({"epochs": 2.5}, "expected int"),
        ({"epochs": 0}, "1 or more"),
        ({"fraction": 0}, "more than 0"),
        ({"decoder_channels": "8,8"}, "5 widths, or 4"),
        ({"scale_range": "2,1"}, "smallest, largest"),
        ({"ema_decay": 1}, "below 1"),
        ({"devices": -1}, "0 for all"),
    ],
)
def test_impossible_values_are_refused(values: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        TrainConfig().updated(values)


def test_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError):
        load_config(tmp_path / "none.toml")
    path, twice = tmp_path / "bad.toml", "epochs = 1\n[a]\nepochs = 2\n"
    for text, reason in (("epochs = ", "not valid TOML"), (twice, "set twice")):
        path.write_text(text)
        with pytest.raises(ConfigError, match=reason):
            load_config(path)
