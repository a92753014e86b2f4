"""Train one model: fit, checkpoint every epoch, resume, keep the record."""

from __future__ import annotations

import contextlib
import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint, TQDMProgressBar, WeightAveraging
from torch import Tensor, nn
from torch.utils.data import DataLoader

from edgeseg import geometry, hc18, metrics
from edgeseg.errors import EdgesegError
from edgeseg.files import claim, locked
from edgeseg_training import strategies
from edgeseg_training.checkpoint import read_checkpoint
from edgeseg_training.config import TrainConfig
from edgeseg_training.data import (
    EpochSampler,
    Example,
    ViewDataset,
    load_example,
    split_cases,
)
from edgeseg_training.losses import segmentation_loss
from edgeseg_training.model import build_model
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
)


class TrainingModule(lightning.LightningModule):
    """Loss, optimizer, validation and history of a `SegmentationModel`."""

    def __init__(self, config: TrainConfig, steps: int, validation: list[Example]) -> None:
        super().__init__()
        self.config, self.steps, self.validation = config, steps, validation
        self.model = build_model(config)
        strategies.apply(self.model.network, config.strategy)
        self.still: list[nn.Module] = []
        if config.freeze_batchnorm_statistics:
            self.still = strategies.frozen_batchnorms(self.model.network, config.strategy)
        self.history: History = []
        self._losses: list[Tensor] = []
        self._scores: list[dict[str, float]] = []
        self._overlaps: list[metrics.Overlap] = []
        self._started = 0.0

    def train(self, mode: bool = True) -> TrainingModule:
        """Switch modes as torch does, but leave frozen batch-norm layers in evaluation mode."""
        super().train(mode)
        for module in self.still:
            module.eval()
        return self

    def configure_optimizers(self) -> Any:
        """Adam or AdamW with the encoder at its own rate and no decay on vectors."""
        config = self.config
        encoder = getattr(self.model.network, "encoder", None)
        encoder_ids = {id(p) for p in encoder.parameters()} if encoder is not None else set()
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for parameter in self.model.parameters():
            if parameter.requires_grad:
                factor = config.encoder_learning_rate_factor if id(parameter) in encoder_ids else 1
                decay = config.weight_decay if parameter.ndim > 1 else 0.0
                groups.setdefault((config.learning_rate * factor, decay), []).append(parameter)
        listed = [
            {"params": parameters, "lr": rate, "weight_decay": decay}
            for (rate, decay), parameters in groups.items()
        ]
        kind = torch.optim.AdamW if config.optimizer == "adamw" else torch.optim.Adam
        optimizer = kind(listed)
        if config.schedule == "constant":
            return optimizer
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=[rate for rate, _ in groups],
            total_steps=self.steps * config.epochs,
            pct_start=0.2,
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def on_train_epoch_start(self) -> None:
        """Start the epoch's clock."""
        self._started = time.perf_counter()
        self._losses.clear()

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """Return the loss of one batch."""
        gray, mask = batch
        loss = segmentation_loss(self.model(gray), mask, self.config.loss)
        self._losses.append(loss.detach())
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """Score one batch of held-out images at the network's size, HC in millimetres."""
        gray, position = batch
        probability = torch.sigmoid(self.model(gray)).float().cpu().numpy()
        for row, i in zip(probability, position.tolist(), strict=True):
            score, overlap = score_example(row[0], self.validation[i])
            self._scores.append(score)
            self._overlaps.append(overlap)

    def on_train_epoch_end(self) -> None:
        """Add the epoch to the history, which the checkpoint carries."""
        record: dict[str, Any] = {
            "epoch": self.current_epoch,
            "train_loss": float(torch.stack(self._losses).mean()),
            "learning_rate": self.trainer.optimizers[0].param_groups[-1]["lr"],
        }
        if self._scores:
            errors = [s["hc_error_mm"] for s in self._scores]
            record["validation"] = {
                "dice": _mean([s["dice"] for s in self._scores]),
                "hc_mad_mm": _mean([abs(e) for e in errors]),
                "hc_bias_mm": _mean(errors),
                "paper_dice": metrics.pooled_by_batch(self._overlaps)["dice"],
            }
            self._scores.clear()
            self._overlaps.clear()
        record["seconds"] = round(time.perf_counter() - self._started, 2)
        self.history.append(record)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the history beside the weights."""
        checkpoint.setdefault(FACTS_KEY, {})["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the history of the epochs already done."""
        self.history = list(checkpoint[FACTS_KEY]["history"])


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
) -> Path:
    """Train a model and return the path of its weights, ``out/model.safetensors``.

    Parameters
    ----------
    data
        An HC18-shaped folder.
    out
        Folder for ``last.ckpt``, ``model.safetensors``, ``run.json`` and ``curves.png``.
    resume
        Continue from ``out/last.ckpt`` if it is there; the result equals an uninterrupted run.
    overwrite
        Start again in a folder that holds a run.
    progress
        Show a progress bar.

    Raises
    ------
    EdgesegError
        If the data, the config or the folder does not allow the run.
    """
    cases = hc18.load_cases(data)
    split = split_cases(cases, config)
    checkpoint = out / CHECKPOINT_NAME
    continues = resume and (out / RUN_NAME).is_file()
    if not continues:
        claim(out, overwrite, " (--resume continues a run)")
    with locked(out):
        run = Run(out, config, data, split)
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
        torch.manual_seed(config.seed)
        training = [load_example(case, config) for case in split.training]
        validation = [load_example(case, config) for case in split.validation]
        steps = math.ceil(len(training) / config.batch_size)
        module = TrainingModule(config, steps, validation)
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


def _finish(run: Run, weights: dict[str, Tensor], history: History) -> Path:
    """Write what a finished run leaves behind; return the path of the weights."""
    path = run.out / WEIGHTS_NAME
    save_weights(path, weights, run.facts(history))
    run.write("done", history)
    plot_history(run.out / CURVES_NAME, history)
    return path


def score_example(probability: Any, example: Example) -> tuple[dict[str, float], metrics.Overlap]:
    """Score one probability map, (h, w), by the runtime's own region, fit and overlap."""
    reference = (example.coverage[0].numpy() >= 0.5).astype("uint8")
    hc_reference_mm = example.case.hc_reference_mm
    region = geometry.main_region(probability)
    fit = geometry.fit(probability, region, example.size) if region else None
    mask = region.mask if region else reference * 0
    hc_mm = fit.ellipse.circumference_px * example.case.pixel_size_mm if fit else 0.0
    overlap = metrics.overlap(mask, reference)
    return {"dice": overlap.dice, "hc_error_mm": hc_mm - hc_reference_mm}, overlap


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
        precision="bf16-mixed" if config.precision == "bf16" else "32-true",
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


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
