"""Train one model: fit, checkpoint every epoch, resume, keep the record."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor
from torch.utils.data import DataLoader, SequentialSampler

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
    Split,
    ViewDataset,
    load_example,
    split_cases,
)
from edgeseg_training.distributed import DealtBatches
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
from edgeseg_training.trainer import build_trainer, without_noise


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
        trainer.save_checkpoint(part)  # by the first process, but all must call it
        if trainer.is_global_zero:
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
    on_done: Callable[[Path], None] = lambda weights: None,
) -> Path:
    """Train a model and return the path of its weights, ``out/model.safetensors``.

    On several devices each process calls it, as the launcher of Lightning, torchrun or Slurm has
    started it. The first of them holds the folder and alone writes and calls back.

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
        Called with sentences on the data, or the folder, that a user should read.
    on_done
        Called with the path of the weights when they are written.

    Raises
    ------
    EdgesegError
        If the data, the config, the folder or the devices do not allow the run.
    """
    if not config.name:
        config = config.updated({"name": out.resolve().name})
    trainer = build_trainer(out, config, progress)
    first = trainer.is_global_zero
    loaded = load_labelled(data, config.task, config.group_pattern)
    for text in loaded.notices if first else ():
        on_notice(text)
    task = loaded.task
    check_task(config, task)
    split = split_cases(loaded.cases, config)
    run = Run(out, config, data, task, split)
    with _claimed(run, resume, overwrite, on_notice) if first else contextlib.nullcontext():
        checkpoint = out / CHECKPOINT_NAME
        # In this order: the first process removes a checkpoint before it writes a new record.
        continued = resume and (out / RUN_NAME).is_file() and checkpoint.is_file()
        if not continued or len(read_checkpoint(checkpoint)[1]["history"]) < config.epochs:
            _fit(trainer, run, config, task, split, checkpoint if continued else None)
        if first:
            weights, beside = read_checkpoint(checkpoint)
            on_done(_finish(run, weights, beside["history"]))
        trainer.strategy.barrier()  # no process goes on before the weights are there
    return out / WEIGHTS_NAME


@contextlib.contextmanager
def _claimed(
    run: Run, resume: bool, overwrite: bool, on_notice: Callable[[str], None]
) -> Iterator[None]:
    """Hold a run's folder, in the state that it is to begin with or go on from."""
    continues = resume and (run.out / RUN_NAME).is_file()
    if not continues:
        claim(run.out, overwrite, " (--resume continues a run)")
    with locked(run.out, on_notice):
        if continues:
            run.check_same()
        # A run that was killed in its first epoch has no checkpoint.
        if not continues or not (run.out / CHECKPOINT_NAME).is_file():
            for name in (CHECKPOINT_NAME, WEIGHTS_NAME, RUN_NAME, CURVES_NAME):
                (run.out / name).unlink(missing_ok=True)
            run.write("running", [])
        yield


def _fit(
    trainer: lightning.Trainer,
    run: Run,
    config: TrainConfig,
    task: Task,
    split: Split,
    checkpoint: Path | None,
) -> None:
    """Train, from a checkpoint on if there is one; each epoch leaves one."""
    keep_freed_memory()
    torch.manual_seed(config.seed)
    training = [load_example(case, config, task) for case in split.training]
    validation = [load_example(case, config, task) for case in split.validation]
    module = TrainingModule(config, task, len(training), validation)
    module.to(memory_format=torch.channels_last)
    sampler = EpochSampler(len(training), config.seed)
    trainer.callbacks.append(EpochCheckpoint(run, sampler))  # type: ignore[attr-defined]
    with without_noise():
        try:
            trainer.fit(
                module,
                _training_loader(training, sampler, config, trainer),
                _validation_loader(validation, config, trainer) if validation else None,
                ckpt_path=checkpoint,
                weights_only=True if checkpoint else None,
            )
        except SystemExit:  # what the trainer makes of Ctrl-C
            if not trainer.is_global_zero:
                raise
            raise EdgesegError(
                f"training was interrupted; continue with --resume --out {run.out}"
            ) from None


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


def _training_loader(
    examples: list[Example],
    sampler: EpochSampler,
    config: TrainConfig,
    trainer: lightning.Trainer,
) -> DataLoader[Any]:
    return DataLoader(
        ViewDataset(examples, config),
        batch_sampler=DealtBatches(sampler, config.batch_size, trainer),
        num_workers=config.workers,
        persistent_workers=config.workers > 0,
    )


def _validation_loader(
    examples: list[Example], config: TrainConfig, trainer: lightning.Trainer
) -> DataLoader[Any]:
    items = [(example.gray, i) for i, example in enumerate(examples)]
    batches = DealtBatches(SequentialSampler(items), config.batch_size, trainer)
    return DataLoader(items, batch_sampler=batches)  # type: ignore[arg-type]
