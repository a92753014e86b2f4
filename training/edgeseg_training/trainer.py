"""Lightning's trainer as a run needs it: its devices and processes, its arithmetic, its silence."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import logging
import platform
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from edgeseg.errors import ConfigError
from edgeseg_training.config import TrainConfig
from edgeseg_training.model import is_plain

_NOISE = (
    r".*treespec, LeafSpec",
    ".*does not have many workers",
    ".*number of training batches",
    ".*lr_scheduler.step.*before.*optimizer.step",
    ".*have no `val_dataloader`",  # --fold -1 holds out nothing
    ".*available but not used",  # --accelerator says so
)

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # mallopt(3)
_NEVER = -1


def build_trainer(out: Path, config: TrainConfig) -> lightning.Trainer:
    """Return a trainer that knows its process' rank; nothing is started or written yet.

    Its callbacks save nothing: the caller adds one that does.

    Raises
    ------
    ConfigError
        If Lightning cannot train with such devices, nodes and strategy, or they are more than the
        images of a batch.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    callbacks: list[Any] = []
    if config.ema_decay:
        callbacks.append(WeightAveraging(avg_fn=functools.partial(_ema, config.ema_decay)))
    try:
        with without_noise():
            trainer = lightning.Trainer(
                max_epochs=config.epochs,
                precision="bf16-mixed" if trains_in_bf16(config) else "32-true",
                accelerator=config.accelerator,
                devices=config.devices or "auto",
                num_nodes=config.num_nodes,
                strategy=_strategy(config),
                sync_batchnorm=_uses_cuda(config),  # torch has it on GPUs alone
                use_distributed_sampler=False,  # see `distributed.DealtBatches`
                check_val_every_n_epoch=config.validate_every,
                num_sanity_val_steps=0,
                logger=False,
                callbacks=callbacks,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                default_root_dir=out,
            )
        environment = getattr(trainer.strategy, "cluster_environment", None)
        if environment is not None:  # that torchrun or Slurm started as many processes as told
            environment.validate_settings(trainer.num_devices, trainer.num_nodes)
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"cannot train with accelerator = {config.accelerator!r}, devices = {config.devices}, "
            f"num_nodes = {config.num_nodes}, distributed_strategy = "
            f"{config.distributed_strategy!r}: {' '.join(str(error).split())}"
        ) from error
    if config.batch_size < trainer.world_size:
        raise ConfigError(
            f"batch_size is {config.batch_size}, the images of a step over all "
            f"{trainer.world_size} processes; expected {trainer.world_size} or more, or fewer "
            "devices"
        )
    return trainer


@contextlib.contextmanager
def without_noise() -> Iterator[None]:
    """Silence what Lightning says of itself: its own deprecations and its advice on workers."""
    with warnings.catch_warnings():
        for message in _NOISE:
            warnings.filterwarnings("ignore", message)
        yield


def trains_in_bf16(config: TrainConfig) -> bool:
    """Tell whether the steps are in bfloat16, which a processor without it only imitates."""
    if config.precision != "auto":
        return config.precision == "bf16"
    if _uses_cuda(config):
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _strategy(config: TrainConfig) -> str:
    """Return Lightning's name of how processes train together.

    Some encoders have weights that no image reaches, at which its own choice, ddp, gives up.
    """
    alone = config.devices == 1 and config.num_nodes == 1
    known = config.encoder == "mobilenet_v2" or is_plain(config)
    if config.distributed_strategy != "auto" or alone or known:
        return config.distributed_strategy
    return "ddp_find_unused_parameters_true"


def _uses_cuda(config: TrainConfig) -> bool:
    return config.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()


def _ema(decay: float, averaged: Tensor, current: Tensor, count: Any) -> Tensor:
    """Exponential moving average whose memory grows from nothing, so that it never lags far."""
    step = int(count)
    weight = 1 - min(decay, (1 + step) / (10 + step))
    return averaged + (current - averaged) * weight


def keep_freed_memory() -> None:
    """Let freed memory stay with this process.

    Activations of a training step are tens of megabytes each. glibc takes each from the system and
    gives it back, and the system clears every page again, which makes each step slower. Elsewhere
    nothing is changed.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_MAX, 0)
        mallopt(_TRIM_THRESHOLD, _NEVER)
