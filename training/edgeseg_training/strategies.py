"""The fine-tuning strategies of arXiv 2307.09067: which parts of the U-Net are trained."""

from __future__ import annotations

import segmentation_models_pytorch as smp
from torch import nn

from edgeseg.errors import ConfigError

# Parts as the paper numbers them: D0 is the deepest decoder block. The head is trained wherever
# the whole decoder is; the paper's counts (6,976 for D4 alone) show that it stays frozen elsewhere.
STRATEGIES: dict[str, tuple[str, ...]] = {
    "baseline": ("all",),
    "full": ("all",),
    "encoder": ("encoder",),
    "decoder": ("decoder", "head"),
    "decoder-0": ("D0",),
    "decoder-0-1": ("D0", "D1"),
    "decoder-0-1-2": ("D0", "D1", "D2"),
    "decoder-2-3-4": ("D2", "D3", "D4"),
    "decoder-4": ("D4",),
}
"""Name -> trained parts. ``baseline`` is the plain U-Net without a backbone, see `model`."""


def parts(network: nn.Module, strategy: str) -> list[nn.Module]:
    """Return the modules a strategy trains.

    Parameters
    ----------
    network
        A segmentation-models-pytorch U-Net, or any module for the strategies that train all.
    strategy
        A key of `STRATEGIES`.

    Raises
    ------
    ConfigError
        If there is no such strategy, or the network has no such parts.
    """
    if strategy not in STRATEGIES:
        raise ConfigError(f"strategy is {strategy!r}; expected one of {', '.join(STRATEGIES)}")
    wanted = STRATEGIES[strategy]
    if wanted == ("all",):
        return [network]
    if not isinstance(network, smp.Unet):
        raise ConfigError(f"strategy {strategy!r} needs a network with an encoder")
    by_name = {f"D{i}": block for i, block in enumerate(network.decoder.blocks)}
    by_name |= {
        "encoder": network.encoder,
        "decoder": network.decoder,
        "head": network.segmentation_head,
    }
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
