"""The fine-tuning strategies of arXiv 2307.09067: which parts of the U-Net are trained."""

from __future__ import annotations

import segmentation_models_pytorch as smp
from torch import nn

from edgeseg.errors import ConfigError
from edgeseg_training.config import STRATEGIES


def parts(network: nn.Module, strategy: str) -> list[nn.Module]:
    """Return the modules a strategy trains.

    Parameters
    ----------
    network
        A segmentation-models-pytorch U-Net, or any module for the strategies that train all.
    strategy
        A key of `edgeseg_training.config.STRATEGIES`.

    Raises
    ------
    ConfigError
        If the network has no such parts.
    """
    wanted = STRATEGIES[strategy]
    if wanted == ("all",):
        return [network]
    if not isinstance(network, smp.Unet):
        raise ConfigError(f"strategy {strategy!r} needs a network with an encoder")
    by_name = {f"D{i}": block for i, block in enumerate(network.decoder.blocks)}
    by_name |= {"encoder": network.encoder, "decoder": network.decoder}
    by_name["head"] = network.segmentation_head
    lacking = [name for name in wanted if name not in by_name]
    if lacking:
        raise ConfigError(f"strategy {strategy!r} trains {lacking[0]}, which this decoder lacks")
    return [by_name[name] for name in wanted]


def apply(network: nn.Module, strategy: str) -> int:
    """Freeze what the strategy does not train; return the number of trainable parameters.

    Frozen here means no gradient; `frozen_batchnorms` names the batch-norm layers whose running
    statistics would still move.
    """
    network.requires_grad_(False)
    for part in parts(network, strategy):
        part.requires_grad_(True)
    return sum(p.numel() for p in network.parameters() if p.requires_grad)


def frozen_batchnorms(network: nn.Module, strategy: str) -> list[nn.Module]:
    """Return the batch-norm layers outside the trained parts."""
    trained = {id(m) for part in parts(network, strategy) for m in part.modules()}
    return [
        module
        for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and id(module) not in trained
    ]
