from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from edgeseg.errors import ConfigError
from edgeseg.network.task import Task
from edgeseg.score.labelled import load_labelled
from edgeseg_training import strategies
from edgeseg_training.config import TrainConfig
from edgeseg_training.data import EpochSampler, load_example
from edgeseg_training.distributed import DealtBatches, part_of_batch
from edgeseg_training.module import TrainingModule
from edgeseg_training.train import train
from edgeseg_training.validation import Validator
from tests.training import two_processes
from tests.training.tiny import TINY

SCRIPT = str(Path(two_processes.__file__))
# Seven images, batches of 3, 3 and 1: parts of 1 and 2, then of none and 1. Empty views have no
# circumference, so that the processes' shares of it are others than those of the images.
VALUES = TINY | {
    "batch_size": 3, "epochs": 3, "fraction": 0.8, "loss": "bce+dice+hc", "empty": 0.3,
}  # fmt: skip


def record(out: Path) -> dict[str, Any]:
    return cast(dict[str, Any], json.loads((out / "run.json").read_text()))


def command(data: Path, out: Path, *more: str) -> list[str]:
    options = [f"--{key.replace('_', '-')}={value}" for key, value in VALUES.items()]
    devices = ["--devices", "2", "--accelerator", "cpu", "--workers", "1"]
    return [SCRIPT, "train", "--data", str(data), "--out", str(out), *options, *devices, *more]


def run(arguments: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "WORLD_SIZE")}
    return subprocess.run(
        [sys.executable, *arguments], env=environment | variables, capture_output=True, text=True
    )


@pytest.mark.nightly
def test_two_processes_do_what_one_does_killed_and_resumed(
    phantom_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    monkeypatch.setattr(strategies, "frozen_batchnorms", two_processes.all_batchnorms)
    config = TrainConfig().updated(VALUES)
    train(phantom_data, one, config)
    assert record(one)["data"]["n_training"] == 7

    killed = run(command(phantom_data, two), EDGESEG_TEST_KILL="1")  # Lightning starts the second
    assert killed.returncode < 0, killed.stderr
    assert (record(two)["status"], len(record(two)["history"])) == ("running", 1)
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone"]
    resumed = run([*torchrun, *command(phantom_data, two, "--resume")])
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.count("weights in") == 1
    assert resumed.stderr == ""

    assert record(two)["status"] == "done"
    histories = record(one)["history"], record(two)["history"]
    assert [len(each) for each in histories] == [3, 3]
    for expected, found in zip(*histories, strict=True):
        assert found["train_loss"] == pytest.approx(expected["train_loss"], rel=1e-5)
        assert found["learning_rate"] == expected["learning_rate"]
        assert found["validation"] == pytest.approx(expected["validation"], rel=1e-5)
    weights = load_file(two / "model.safetensors")
    for name, tensor in load_file(one / "model.safetensors").items():
        torch.testing.assert_close(weights[name], tensor, rtol=1e-3, atol=1e-4)
    assert {p.name for p in two.iterdir()} == {p.name for p in one.iterdir()}
    train(phantom_data, two, config, resume=True)  # it may go on elsewhere


@pytest.mark.parametrize("world", [2, 5])
def test_the_processes_take_every_image_once(world: int) -> None:
    def deal(rank: int, world: int) -> list[Any]:
        trainer: Any = SimpleNamespace(global_rank=rank, world_size=world)
        return list(DealtBatches(EpochSampler(16, seed=1), 5, trainer))

    whole = deal(0, 1)
    assert [len(batch) for batch in whole] == [5, 5, 5, 1]
    dealt = [deal(rank, world) for rank in range(world)]
    for i, batch in enumerate(whole):
        parts = [part_of_batch(i, 16, 5, rank, world) for rank in range(world)]
        counts = [part.stop - part.start for part in parts]
        assert all(each[i] for each in dealt)  # a process without an image would wait for ever
        taken = [item for each, n in zip(dealt, counts, strict=True) for item in each[i][:n]]
        assert taken == batch
        assert [part.weight for part in parts] == [n * world / len(batch) for n in counts]
        assert max(counts) - min(counts) <= 1


def test_scores_are_those_of_the_images_in_order(phantom_data: Path, tiny: TrainConfig) -> None:
    cases = load_labelled(phantom_data, "head", "").cases
    examples = [load_example(case, tiny, Task()) for case in cases]
    rng = np.random.default_rng(0)
    maps = [(e.coverage.numpy() * rng.uniform(0.4, 1, e.coverage.shape)) for e in examples]

    def scores(parts: list[list[int]]) -> Mapping[str, Any]:
        validators = [Validator(Task()) for _ in parts]
        for validator, part in zip(validators, parts, strict=True):
            for i in part:
                validator.add(i, maps[i].astype(np.float32), examples[i])
        others = [each for v in validators[1:] for each in v._scored]
        validators[0].share(lambda items: items + others)
        return validators[0].scores()

    assert len(examples) == 12  # the paper's Dice is pooled over ten at a time
    order = list(range(12))
    assert scores([order[::2], order[1::2]]) == scores([order])


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"batch_size": 1, "devices": 2, "accelerator": "cpu"}, "over all 2 processes; expected 2"),
        ({"accelerator": "abacus"}, "cannot train with accelerator = "),
        ({"distributed_strategy": "by-post", "devices": 2}, "cannot train with accelerator = "),
    ],
)
def test_what_cannot_be_trained_on_is_refused(
    tiny: TrainConfig, phantom_data: Path, tmp_path: Path, values: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        train(phantom_data, tmp_path / "run", tiny.updated(values))
    assert not (tmp_path / "run").exists()


def test_synchronised_batchnorms_of_frozen_parts_stay_frozen(tiny: TrainConfig) -> None:
    module = TrainingModule(tiny.updated({"strategy": "decoder"}), Task(), 1, [])
    synchronised = nn.SyncBatchNorm.convert_sync_batchnorm(module).train()
    layers = {n: m for n, m in synchronised.named_modules() if isinstance(m, nn.SyncBatchNorm)}
    assert {m.training for n, m in layers.items() if "encoder" in n} == {False}
    assert {m.training for n, m in layers.items() if "decoder" in n} == {True}
