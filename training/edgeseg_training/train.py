"""Train one model: fit, checkpoint every epoch, resume, keep the record."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint
from torch.utils.data import DataLoader, SequentialSampler

from edgeseg.errors import ConfigError, EdgesegError
from edgeseg.network.task import Task
from edgeseg.score.folds import read_each
from edgeseg.score.labelled import load_labelled
from edgeseg.system.files import claim, locked
from edgeseg_training.checkpoint import read_checkpoint
from edgeseg_training.config import RUN_NAME, TrainConfig
from edgeseg_training.data import (
    EpochSampler,
    ViewDataset,
    describe_leak,
    load_example,
    split_cases,
)
from edgeseg_training.distributed import DealtBatches
from edgeseg_training.losses import balance
from edgeseg_training.module import TrainingModule
from edgeseg_training.own_weights import measure_batchnorms
from edgeseg_training.record import (
    CHECKPOINT_NAME,
    CURVES_NAME,
    FACTS_KEY,
    METRICS_NAME,
    WEIGHTS_NAME,
    History,
    Run,
    best_epoch,
    describe_epoch,
    is_complete,
)
from edgeseg_training.trainer import build_trainer, keep_freed_memory, without_noise

_LONGEST_SILENCE_S = 60.0
_N_MEASURED = 32  # images that tell batch-norm layers of own weights what they see


class EpochCheckpoint(Checkpoint):
    """After every epoch keeps the best weights, replaces one checkpoint and writes the record.

    Each file is replaced atomically, and in this order, so that a killed run loses no epoch.
    """

    def __init__(self, run: Run) -> None:
        self.run, self.said_at = run, time.monotonic()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Say how far a long epoch is."""
        if trainer.is_global_zero and time.monotonic() - self.said_at > _LONGEST_SILENCE_S:
            self.said_at, n_batches = time.monotonic(), trainer.num_training_batches
            self.run.say(f"epoch {len(module.history) + 1}: batch {batch_idx + 1} of {n_batches}")

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Save; called after every other hook of the epoch's end."""
        run, history = self.run, module.history
        part = run.out / f".{CHECKPOINT_NAME}.part"
        trainer.save_checkpoint(part)  # by the first process, but all must call it
        trainer.should_stop = is_complete(history, run.config)
        if trainer.is_global_zero:
            if best_epoch(history) is history[-1]:
                run.save_weights(read_checkpoint(part)[0], history)
            part.replace(run.out / CHECKPOINT_NAME)
            run.write("running", history)
            run.say(describe_epoch(history, run.config))
            self.said_at = time.monotonic()

    def on_save_checkpoint(
        self, trainer: lightning.Trainer, module: Any, checkpoint: dict[str, Any]
    ) -> None:
        """Put the history beside the weights, and the facts that are needed to export them."""
        facts = self.run.facts(module.history)
        checkpoint[FACTS_KEY] = {"history": module.history, "facts": facts}


def train(
    data: Path,
    out: Path,
    config: TrainConfig,
    *,
    resume: bool = False,
    overwrite: bool = False,
    on_notice: Callable[[str], None] = lambda text: None,
    on_message: Callable[[str], None] = lambda text: None,
) -> Path:
    """Train a model and return the path of its weights, ``out/model.safetensors``.

    They are those of the epoch with the best validation Dice, or of the last where nothing is held
    out.

    On several devices each process calls it, as the launcher of Lightning, torchrun or Slurm has
    started it. The first of them holds the folder and alone writes and calls back.

    Parameters
    ----------
    data
        Labelled images; see `edgeseg.score.labelled.load_labelled`.
    out
        Folder for ``last.ckpt``, ``model.safetensors``, ``run.json``, ``metrics.csv`` and
        ``curves.png``.
    resume
        Continue from ``out/last.ckpt`` if it is there; the result equals an uninterrupted run.
        With more epochs than the run was planned for, those are at a tenth of the peak rate.
    overwrite
        Start again in a folder that holds a run.
    on_notice
        Called with sentences on the data, or the folder, that a user should read.
    on_message
        Called with a line on what is done now, and on each epoch.

    Raises
    ------
    EdgesegError
        If the data, the config, the folder or the devices do not allow the run.
    """
    if not config.name:
        config = config.updated({"name": out.resolve().name})
    trainer = build_trainer(out, config)
    first = trainer.is_global_zero
    say = on_message if first else lambda text: None
    checkpoint = out / CHECKPOINT_NAME
    # In this order: the first process removes a checkpoint before it writes a new record.
    continued = resume and (out / RUN_NAME).is_file() and checkpoint.is_file()
    if not continued:
        say(f"loading the weights to start from: {config.init or config.encoder_weights}")
        TrainingModule(config, Task(), 1, [])  # what cannot be built is refused before data is read
    say(f"reading {data}")
    names, ignored = config.classes, config.ignore_index
    loaded = load_labelled(data, config.task, config.group_pattern, names, ignored)
    for text in loaded.notices if first else ():
        on_notice(text)
    task = loaded.task
    check_task(config, task)
    split = split_cases(loaded.cases, config)
    left_out = f", {len(split.test)} of a test left out" if split.test else ""
    say(f"{len(split.training)} images to train on, {len(split.validation)} held out{left_out}")
    run = Run(out, config, data, task, split, say)
    with _claimed(run, resume, overwrite, on_notice) if first else contextlib.nullcontext():
        history = read_checkpoint(checkpoint)[1]["history"] if continued else []
        if not is_complete(history, config):
            say(f"epochs {len(history) + 1} to {config.epochs}; Ctrl-C and --resume lose none")
            _fit(trainer, run, history)
        if first:
            _finish(run)
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
            for name in (CHECKPOINT_NAME, WEIGHTS_NAME, RUN_NAME, CURVES_NAME, METRICS_NAME):
                (run.out / name).unlink(missing_ok=True)
            run.write("running", [])
        yield


def _fit(trainer: lightning.Trainer, run: Run, history: History) -> None:
    """Train, from the checkpoint on if there is a history; each epoch leaves one."""
    keep_freed_memory()
    config, task = run.config, run.task
    torch.manual_seed(config.seed)
    training, validation, test = (
        list(read_each(lambda case: load_example(case, config, task), cases)) for cases in run.split
    )
    if leak := describe_leak(training, [*validation, *test]):
        run.say(leak)
    module = TrainingModule(config, task, len(training), validation, history)
    if module.origin:
        run.say(module.origin)
        images = torch.stack([example.gray for example in training[:_N_MEASURED]])
        measure_batchnorms(module.model, images)
    shares = torch.stack([each.coverage.nanmean((1, 2)) for each in training]).mean(0).tolist()
    module.class_weights = config.class_weights or tuple(map(balance, shares))
    for name, share, weight in zip(task.structures, shares, module.class_weights, strict=True):
        if weight > 1:
            run.say(f"{name}: {100 * share:.2g} % of the pixels, class weight {weight:.2g}")
    module.to(memory_format=torch.channels_last)
    sampler = EpochSampler(len(training), config.seed)
    sampler.set_epoch(len(history))  # the trainer does it after loading processes have begun
    training_loader: DataLoader[Any] = DataLoader(
        ViewDataset(training, config),
        batch_sampler=DealtBatches(sampler, config.batch_size, trainer),
        num_workers=config.workers,
        persistent_workers=config.workers > 0,
    )
    held_out = [(example.gray, i) for i, example in enumerate(validation)]
    batches = DealtBatches(SequentialSampler(held_out), config.batch_size, trainer)
    held_out_loader: DataLoader[Any] = DataLoader(held_out, batch_sampler=batches)  # type: ignore[arg-type]
    trainer.callbacks.append(EpochCheckpoint(run))  # type: ignore[attr-defined]
    with without_noise():
        try:
            trainer.fit(
                module,
                training_loader,
                held_out_loader if held_out else None,
                ckpt_path=run.out / CHECKPOINT_NAME if history else None,
                weights_only=True if history else None,
            )
        except SystemExit:  # what the trainer makes of Ctrl-C
            if not trainer.is_global_zero:
                raise
            raise EdgesegError(
                f"training was interrupted; continue with --resume --out {run.out}"
            ) from None


def check_task(config: TrainConfig, task: Task) -> None:
    """Refuse values that are not of a task.

    Raises
    ------
    ConfigError
        If the data teaches regions and a value is about ellipses or circumferences, or there is
        not a class weight for each structure.
    """
    if len(config.class_weights) not in (0, len(task.structures)):
        raise ConfigError(
            f"class_weights is {config.class_weights}; expected one for each of "
            f"{', '.join(task.structures)}"
        )
    if task.kind == "head":
        return
    for key, off in (("ellipse_prior", 0.0), ("loss", "bce+dice")):
        value = getattr(config, key)
        if value and (key != "loss" or value == "bce+dice+hc"):
            raise ConfigError(
                f"{key} is {value!r}, which is for heads: it measures an ellipse, and the data has "
                f"{', '.join(task.structures)}; use {key} = {off!r}"
            )


def _finish(run: Run) -> None:
    """Write what a finished run leaves behind, and say which weights those are."""
    weights, beside = read_checkpoint(run.out / CHECKPOINT_NAME)
    history = beside["history"]
    best = best_epoch(history)
    if best is None or not (run.out / WEIGHTS_NAME).is_file():
        best = history[-1]
        run.save_weights(weights, history)
    run.write("done", history)
    if len(history) < run.config.epochs:
        run.say(f"ended after epoch {len(history)} by --patience {run.config.patience}")
    run.say(
        f"weights in {run.out / WEIGHTS_NAME}, of epoch {best['epoch'] + 1}; next: edgeseg export "
        f"{run.out} --out model.onnx"
    )
