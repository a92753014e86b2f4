"""Train one model: fit, checkpoint every epoch, resume, keep the record."""

from __future__ import annotations

import contextlib
import logging
import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint, TQDMProgressBar, WeightAveraging
from torch import Tensor
from torch.utils.data import DataLoader

from edgeseg.errors import ConfigError, EdgesegError
from edgeseg.network.task import Task
from edgeseg.score.labelled import load_labelled
from edgeseg.system.files import claim, locked
from edgeseg_training.allocator import keep_freed_memory
from edgeseg_training.checkpoint import read_checkpoint
from edgeseg_training.config import TrainConfig
from edgeseg_training.data import (
    EpochSampler,
    Example,
    ViewDataset,
    load_example,
    split_cases,
)
from edgeseg_training.module import TrainingModule
from edgeseg_training.record import (
    CHECKPOINT_NAME,
    CURVES_NAME,
    FACTS_KEY,
    RUN_NAME,
    WEIGHTS_NAME,
    History,
    Run,
    plot_history,
    save_weights,
)

_NOISE = (
    r".*treespec, LeafSpec",
    ".*does not have many workers",
    ".*number of training batches",
    ".*lr_scheduler.step.*before.*optimizer.step",
    ".*have no `val_dataloader`",  # --fold -1 holds out nothing
)


class EpochCheckpoint(Checkpoint):
    """Replaces one checkpoint atomically after every epoch, then the record."""

    def __init__(self, run: Run, sampler: EpochSampler) -> None:
        self.run, self.sampler = run, sampler

    def on_load_checkpoint(
        self, trainer: lightning.Trainer, module: Any, checkpoint: dict[str, Any]
    ) -> None:
        """Tell the sampler where a resumed run goes on.

        The trainer does too, but only after loading processes have asked for their first images.
        """
        self.sampler.set_epoch(len(checkpoint[FACTS_KEY]["history"]))

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Save; called after every other hook of the epoch's end."""
        part = self.run.out / f".{CHECKPOINT_NAME}.part"
        trainer.save_checkpoint(part)
        part.replace(self.run.out / CHECKPOINT_NAME)
        self.run.write("running", module.history)

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, module: Any, checkpoint: dict[str, Any]
    ) -> None:
        """Put the run's facts beside the weights, so that a checkpoint alone can be exported."""
        checkpoint.setdefault(FACTS_KEY, {})["facts"] = self.run.facts(module.history)


def train(
    data: Path,
    out: Path,
    config: TrainConfig,
    *,
    resume: bool = False,
    overwrite: bool = False,
    progress: bool = False,
    on_notice: Callable[[str], None] = lambda text: None,
) -> Path:
    """Train a model and return the path of its weights, ``out/model.safetensors``.

    Parameters
    ----------
    data
        Labelled images; see `edgeseg.score.labelled.load_labelled`.
    out
        Folder for ``last.ckpt``, ``model.safetensors``, ``run.json`` and ``curves.png``.
    resume
        Continue from ``out/last.ckpt`` if it is there; the result equals an uninterrupted run.
        With more epochs than the run was planned for, those are at a tenth of the peak rate.
    overwrite
        Start again in a folder that holds a run.
    progress
        Show a progress bar.
    on_notice
        Called with sentences on the data that a user should read.

    Raises
    ------
    EdgesegError
        If the data, the config or the folder does not allow the run.
    """
    if not config.name:
        config = config.updated({"name": out.resolve().name})
    loaded = load_labelled(data, config.task, config.group_pattern)
    for text in loaded.notices:
        on_notice(text)
    task = loaded.task
    check_task(config, task)
    split = split_cases(loaded.cases, config)
    checkpoint = out / CHECKPOINT_NAME
    continues = resume and (out / RUN_NAME).is_file()
    if not continues:
        claim(out, overwrite, " (--resume continues a run)")
    with locked(out):
        run = Run(out, config, data, task, split)
        if continues:
            run.check_same()
        continued = continues and checkpoint.is_file()  # a run killed in its first epoch has none
        if not continued:
            for name in (CHECKPOINT_NAME, WEIGHTS_NAME, RUN_NAME, CURVES_NAME):
                (out / name).unlink(missing_ok=True)
            run.write("running", [])
        else:
            weights, beside = read_checkpoint(checkpoint)
            if len(beside["history"]) >= config.epochs:  # killed after its last epoch, or done
                return _finish(run, weights, beside["history"])
        keep_freed_memory()
        torch.manual_seed(config.seed)
        training = [load_example(case, config, task) for case in split.training]
        validation = [load_example(case, config, task) for case in split.validation]
        steps = math.ceil(len(training) / config.batch_size)
        module = TrainingModule(config, task, steps, validation)
        module.to(memory_format=torch.channels_last)
        sampler = EpochSampler(len(training), config.seed)
        trainer = _trainer(run, sampler, config, progress)
        with _without_noise():
            try:
                trainer.fit(
                    module,
                    _training_loader(training, sampler, config),
                    _validation_loader(validation, config) if validation else None,
                    ckpt_path=checkpoint if continued else None,
                    weights_only=True if continued else None,
                )
            except SystemExit:  # what the trainer makes of Ctrl-C
                raise EdgesegError(
                    f"training was interrupted; continue with --resume --out {out}"
                ) from None
        return _finish(run, module.model.state_dict(), module.history)


def check_task(config: TrainConfig, task: Task) -> None:
    """Refuse values that only a head can have.

    Raises
    ------
    ConfigError
        If the data teaches regions and a value is about ellipses or circumferences.
    """
    if task.kind == "head":
        return
    for key, off in (("ellipse_prior", 0.0), ("loss", "bce+dice")):
        value = getattr(config, key)
        if value and (key != "loss" or value == "bce+dice+hc"):
            raise ConfigError(
                f"{key} is {value!r}, which is for heads: it measures an ellipse, and the data has "
                f"{', '.join(task.structures)}; use {key} = {off!r}"
            )


def _finish(run: Run, weights: dict[str, Tensor], history: History) -> Path:
    """Write what a finished run leaves behind; return the path of the weights."""
    path = run.out / WEIGHTS_NAME
    save_weights(path, weights, run.facts(history))
    run.write("done", history)
    plot_history(run.out / CURVES_NAME, history)
    return path


@contextlib.contextmanager
def _without_noise() -> Iterator[None]:
    """Silence what Lightning says of itself: its own deprecations and its advice on workers."""
    with warnings.catch_warnings():
        for message in _NOISE:
            warnings.filterwarnings("ignore", message)
        yield


def _trainer(
    run: Run, sampler: EpochSampler, config: TrainConfig, progress: bool
) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    callbacks: list[Any] = [EpochCheckpoint(run, sampler)]
    if config.ema_decay:
        callbacks.append(WeightAveraging(avg_fn=_ema(config.ema_decay)))
    if progress:
        callbacks.append(TQDMProgressBar())
    return lightning.Trainer(
        max_epochs=config.epochs,
        precision="bf16-mixed" if trains_in_bf16(config) else "32-true",
        accelerator="auto",
        devices=1,
        check_val_every_n_epoch=config.validate_every,
        num_sanity_val_steps=0,
        logger=False,
        callbacks=callbacks,
        enable_checkpointing=True,
        enable_progress_bar=progress,
        enable_model_summary=False,
        default_root_dir=run.out,
    )


def trains_in_bf16(config: TrainConfig) -> bool:
    """Tell whether the steps are in bfloat16, which a processor without it only imitates."""
    if config.precision != "auto":
        return config.precision == "bf16"
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _training_loader(
    examples: list[Example], sampler: EpochSampler, config: TrainConfig
) -> DataLoader[Any]:
    return DataLoader(
        ViewDataset(examples, config),
        batch_size=config.batch_size,
        sampler=sampler,
        num_workers=config.workers,
        persistent_workers=config.workers > 0,
    )


def _validation_loader(examples: list[Example], config: TrainConfig) -> DataLoader[Any]:
    items = [(example.gray, i) for i, example in enumerate(examples)]
    return DataLoader(items, batch_size=config.batch_size)  # type: ignore[arg-type]


def _ema(decay: float) -> Callable[[Tensor, Tensor, Any], Tensor]:
    """Exponential moving average whose memory grows from nothing, so that it never lags far."""

    def average(averaged: Tensor, current: Tensor, count: Any) -> Tensor:
        step = int(count)
        weight = 1 - min(decay, (1 + step) / (10 + step))
        return averaged + (current - averaged) * weight

    return average
