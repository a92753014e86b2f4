"""What a trainer is given: a model's loss, optimizer, validation and history."""

from __future__ import annotations

import time
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from edgeseg.network.task import Task
from edgeseg_training import strategies
from edgeseg_training.config import TrainConfig
from edgeseg_training.data import Example
from edgeseg_training.losses import segmentation_loss
from edgeseg_training.model import build_model, probabilities
from edgeseg_training.record import FACTS_KEY, History
from edgeseg_training.validation import Validator

# Of the peak: what epochs beyond the planned ones are trained with.
_CONSTANT_RATE = 0.1


class CycleThenConstant(torch.optim.lr_scheduler.OneCycleLR):
    """A cycle over the planned steps, then a tenth of the peak for as many as are added."""

    def get_lr(self) -> list[float | Tensor]:
        """Return the rate of each group of weights."""
        if self.last_epoch < self.total_steps:
            return list(super().get_lr())
        return [_CONSTANT_RATE * group["max_lr"] for group in self.optimizer.param_groups]


class TrainingModule(lightning.LightningModule):
    """Loss, optimizer, validation and history of a `SegmentationModel`."""

    def __init__(
        self, config: TrainConfig, task: Task, steps: int, validation: list[Example]
    ) -> None:
        super().__init__()
        self.config, self.steps, self.validation = config, steps, validation
        self.validator = Validator(task)
        self.model = build_model(config, task)
        strategies.apply(self.model.network, config.strategy)
        self.still: list[nn.Module] = []
        if config.freeze_batchnorm_statistics:
            self.still = strategies.frozen_batchnorms(self.model.network, config.strategy)
        self.history: History = []
        self._losses: list[Tensor] = []
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
        schedule = CycleThenConstant(
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
        """Start the epoch's clock, with frozen layers in evaluation mode: the trainer sees to none."""
        self.train()
        self._started = time.perf_counter()
        self._losses.clear()

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """Return the loss of one batch."""
        gray, mask = batch
        loss = segmentation_loss(self.model(gray), mask, self.config.loss, self.config.hc_weight)
        self._losses.append(loss.detach())
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """Score one batch of held-out images at the network's size."""
        gray, position = batch
        maps = probabilities(self.model(gray)).float().cpu().numpy()
        for each, i in zip(maps, position.tolist(), strict=True):
            self.validator.add(each, self.validation[i])

    def on_train_epoch_end(self) -> None:
        """Add the epoch to the history, which the checkpoint carries."""
        record: dict[str, Any] = {
            "epoch": self.current_epoch,
            "train_loss": float(torch.stack(self._losses).mean()),
            "learning_rate": self.trainer.optimizers[0].param_groups[-1]["lr"],
        }
        if scores := self.validator.scores():
            record["validation"] = scores
        record["seconds"] = round(time.perf_counter() - self._started, 2)
        self.history.append(record)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Put the history beside the weights."""
        checkpoint.setdefault(FACTS_KEY, {})["history"] = self.history

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the history of the epochs already done."""
        self.history = list(checkpoint[FACTS_KEY]["history"])
