"""Train one model: fit, checkpoint every epoch, resume, keep the record."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint, TQDMProgressBar, WeightAveraging
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

import edgeseg
from edgeseg import geometry, hc18, metrics
from edgeseg.errors import ConfigError, DataError, EdgesegError
from edgeseg.files import claim, locked, write_atomic, write_json
from edgeseg_training import strategies
from edgeseg_training.config import TrainConfig
from edgeseg_training.data import Example, EpochSampler, Split, ViewDataset, load_example, split_cases
from edgeseg_training.model import SegmentationModel, build_model

CHECKPOINT_NAME = "last.ckpt"
WEIGHTS_NAME = "model.safetensors"
RUN_NAME = "run.json"

History = list[dict[str, Any]]


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
            max_lr=[g["lr"] for g in listed],
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
        """Put config and history beside the weights."""
        checkpoint["edgeseg"] = {"config": self.config.as_dict(), "history": self.history}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the history of the epochs already done."""
        self.history = list(checkpoint["edgeseg"]["history"])


class EpochCheckpoint(Checkpoint):
    """Replaces one checkpoint atomically after every epoch, then the record."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def on_train_epoch_end(self, trainer: lightning.Trainer, module: Any) -> None:
        """Save; called after every other hook of the epoch's end."""
        part = self.run.out / f".{CHECKPOINT_NAME}.part"
        trainer.save_checkpoint(part)
        part.replace(self.run.out / CHECKPOINT_NAME)
        self.run.write("running", module.history)


class Run:
    """The folder of a run and its record, ``run.json``."""

    def __init__(self, out: Path, config: TrainConfig, data: Path, split: Split) -> None:
        self.out = out
        self.record: dict[str, Any] = {
            "edgeseg_version": edgeseg.__version__,
            "torch_version": torch.__version__,
            "status": "running",
            "config": config.as_dict(),
            "data": {
                "folder": str(data),
                "n_training": len(split.training),
                "n_validation": len(split.validation),
                "sha256": hc18.data_sha256([*split.training, *split.validation]),
            },
            "split": {
                "training": [case.file for case in split.training],
                "validation": [case.file for case in split.validation],
            },
            "history": [],
        }

    def write(self, status: str, history: History) -> None:
        """Write ``run.json`` with what is known now."""
        write_json(self.out / RUN_NAME, self.record | {"status": status, "history": history})


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
    if not (resume and (checkpoint.is_file() or not (out / RUN_NAME).exists())):
        claim(out, overwrite or resume, " (--resume continues a run)")
    with locked(out):
        run = Run(out, config, data, split)
        continued = resume and checkpoint.is_file()
        if continued:
            _check_same_run(out / RUN_NAME, run.record)
        else:
            for name in (CHECKPOINT_NAME, WEIGHTS_NAME, RUN_NAME, "curves.png"):
                (out / name).unlink(missing_ok=True)
            run.write("running", [])
        torch.manual_seed(config.seed)
        training = [load_example(case, config) for case in split.training]
        validation = [load_example(case, config) for case in split.validation]
        steps = math.ceil(len(training) / config.batch_size)
        module = TrainingModule(config, steps, validation)
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        trainer = _trainer(run, config, progress)
        trainer.fit(
            module,
            _training_loader(training, config),
            _validation_loader(validation, config) if validation else None,
            ckpt_path=checkpoint if continued else None,
            weights_only=True if continued else None,
        )
        if trainer.interrupted:
            raise EdgesegError(f"training was interrupted; continue with --resume --out {out}")
        save_weights(out / WEIGHTS_NAME, module.model, run.record, module.history)
        run.write("done", module.history)
        plot_history(out / "curves.png", module.history)
    return out / WEIGHTS_NAME


def segmentation_loss(logits: Tensor, mask: Tensor, kind: str) -> Tensor:
    """Return binary cross-entropy, with soft Dice (Milletari et al. 2016) added if asked.

    Parameters
    ----------
    logits, mask
        Shape (N, 1, h, w); the mask is a coverage in [0, 1].
    """
    loss = functional.binary_cross_entropy_with_logits(logits, mask)
    if kind == "bce+dice":
        probability = torch.sigmoid(logits)
        both = (probability * mask).sum((1, 2, 3))
        total = (probability + mask).sum((1, 2, 3))
        loss = loss + (1 - (2 * both + 1) / (total + 1)).mean()
    return loss


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


def save_weights(
    path: Path, model: SegmentationModel, record: dict[str, Any], history: History
) -> None:
    """Write the weights as safetensors, with the run's config, data and last scores inside."""
    last = next((h["validation"] for h in reversed(history) if "validation" in h), None)
    facts = {
        "edgeseg_version": record["edgeseg_version"],
        "config": record["config"],
        "data": {k: v for k, v in record["data"].items() if k != "folder"},
        "split": record["split"],
        "validation": last,
    }
    part = path.with_name(f".{path.name}.part")
    tensors = {k: v.contiguous() for k, v in model.state_dict().items()}
    save_file(tensors, part, metadata={"edgeseg": json.dumps(facts)})
    part.replace(path)


def plot_history(path: Path, history: History) -> None:
    """Draw loss, Dice and HC error over the epochs."""
    import io

    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3), layout="constrained")
    axes = figure.subplots(1, 3)
    scored = [h for h in history if "validation" in h]
    epochs = [h["epoch"] + 1 for h in scored]
    axes[0].plot([h["epoch"] + 1 for h in history], [h["train_loss"] for h in history])
    axes[1].plot(epochs, [h["validation"]["dice"] for h in scored])
    axes[2].plot(epochs, [h["validation"]["hc_mad_mm"] for h in scored])
    titles = ("training loss", "validation Dice", "validation HC error, mean |.| (mm)")
    for axis, title in zip(axes, titles, strict=True):
        axis.set(title=title, xlabel="epoch")
        axis.grid(alpha=0.3)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_atomic(path, buffer.getvalue())


def _trainer(run: Run, config: TrainConfig, progress: bool) -> lightning.Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    callbacks: list[Any] = [EpochCheckpoint(run)]
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


def _training_loader(examples: list[Example], config: TrainConfig) -> DataLoader[Any]:
    return DataLoader(
        ViewDataset(examples, config),
        batch_size=config.batch_size,
        sampler=EpochSampler(len(examples), config.seed),
        num_workers=config.workers,
        persistent_workers=config.workers > 0,
    )


def _validation_loader(examples: list[Example], config: TrainConfig) -> DataLoader[Any]:
    items = [(example.gray, i) for i, example in enumerate(examples)]
    return DataLoader(items, batch_size=config.batch_size)  # type: ignore[arg-type]


def _check_same_run(path: Path, record: dict[str, Any]) -> None:
    """Refuse to resume with other data or values than the run began with."""
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        data, config = before["data"], before["config"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"{path}: not the record of a run; use --overwrite to start anew") from error
    if data["sha256"] != record["data"]["sha256"]:
        raise DataError(f"{path}: the run began with other data; use --overwrite to start anew")
    now = record["config"]
    changed = [key for key in now if config.get(key) != now[key] and key != "workers"]
    if changed:
        raise ConfigError(
            f"{path}: the run began with {changed[0]} = {config.get(changed[0])!r}, not "
            f"{now[changed[0]]!r}; resume with the same values or use --overwrite"
        )


def _ema(decay: float) -> Callable[[Tensor, Tensor, Any], Tensor]:
    """Exponential moving average whose memory grows from nothing, so that it never lags far."""

    def average(averaged: Tensor, current: Tensor, count: Any) -> Tensor:
        step = int(count)
        weight = 1 - min(decay, (1 + step) / (10 + step))
        return averaged + (current - averaged) * weight

    return average


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
