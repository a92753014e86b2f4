from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edgeseg.errors import ConfigError
from edgeseg.network.task import Task
from edgeseg_training import strategies
from edgeseg_training.config import TrainConfig, load_config
from edgeseg_training.model import build_model
from edgeseg_training.module import TrainingModule

TRAINING = Path(__file__).parents[2] / "training"
# arXiv 2307.09067: its table in millions, the authors' notebook to the unit
PAPER_COUNTS = {
    "full": 6_628_945,
    "encoder": 2_223_872,
    "decoder": 4_405_073,
    "decoder-0": 3_761_152,
    "decoder-0-1": 4_240_896,
    "decoder-0-1-2": 4_365_568,
    "decoder-2-3-4": 164_032,
    "decoder-4": 6_976,
}


@pytest.fixture(scope="module")
def paper() -> TrainConfig:
    return load_config(TRAINING / "paper.toml").updated({"encoder_weights": "none"})


def test_trainable_parameters_are_the_paper_s(paper: TrainConfig) -> None:
    for strategy, count in PAPER_COUNTS.items():
        assert strategies.apply(build_model(paper).network, strategy) == count
    network = build_model(paper.updated({"strategy": "baseline"})).network
    assert strategies.apply(network, "baseline") == pytest.approx(31.0e6, rel=0.005)


def test_an_unknown_strategy_is_refused(paper: TrainConfig) -> None:
    with pytest.raises(ConfigError, match="expected one of baseline, full"):
        strategies.apply(build_model(paper).network, "decoder-5")
    with pytest.raises(ConfigError, match="needs a network with an encoder"):
        plain = build_model(paper.updated({"architecture": "unet-plain"})).network
        strategies.apply(plain, "decoder")


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_batchnorm_statistics_move_only_where_a_recipe_says_so(
    tiny: TrainConfig, frozen: bool
) -> None:
    config = tiny.updated({"strategy": "decoder", "freeze_batchnorm_statistics": frozen})
    module = TrainingModule(config, Task(), 1, []).train()
    before = {k: v.clone() for k, v in module.model.state_dict().items()}
    module.model(torch.randint(0, 255, (4, 1, 64, 96), dtype=torch.uint8))
    moved = {k for k, v in module.model.state_dict().items() if not torch.equal(v, before[k])}
    assert any("decoder" in name for name in moved)
    assert any("encoder" in name for name in moved) is not frozen


def test_a_decoder_of_four_blocks_has_no_fifth_to_train(tiny: TrainConfig) -> None:
    network = build_model(tiny.updated({"decoder_channels": "16,16,8,8"})).network
    trained = strategies.apply(network, "decoder")
    heads = sum(p.numel() for p in network.segmentation_head.parameters())
    assert trained == heads + sum(p.numel() for p in network.decoder.parameters())
    with pytest.raises(ConfigError, match="trains D4, which this decoder lacks"):
        strategies.apply(network, "decoder-4")
