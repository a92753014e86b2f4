"""What a trainer is given: a model's loss, optimizer, validation and history."""

from __future__ import annotations

import math
import time
from typing import Any

import lightning
import torch
from torch import Tensor, nn

from edgeseg.network.task import Task
from edgeseg_training import strategies
from edgeseg_training.config import TrainConfig
from edgeseg_training.data import Example
from edgeseg_training.distributed import Part, gather, part_of_batch
from edgeseg_training.losses import has_head, segmentation_loss
from edgeseg_training.model import build_model, probabilities
from edgeseg_training.own_weights import start_from
from edgeseg_training.record import History
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
    """Loss, optimizer, validation and history of a `SegmentationModel`.

    Batches are this process' parts of whole ones, see `distributed.DealtBatches`. The weights to
    start from are loaded, and ``origin`` is a sentence on them, unless there is a history.
    """

    def __init__(
        self,
        config: TrainConfig,
        task: Task,
        n_training: int,
        validation: list[Example],
        history: History | None = None,
    ) -> None:
        super().__init__()
        self.config, self.n_training, self.validation = config, n_training, validation
        self.validator = Validator(task)
        self.history = list(history or [])
        self.model = build_model(config, task, load_encoder=not config.init and not history)
        self.origin = start_from(self.model, config.init) if config.init and not history else ""
        self.class_weights = config.class_weights
        strategies.apply(self.model.network, config.strategy)
        # By name: on several GPUs the trainer puts other, synchronised layers in their place.
        self.still: set[str] = set()
        if config.freeze_batchnorm_statistics:
            network = self.model.network
            still = {id(m) for m in strategies.frozen_batchnorms(network, config.strategy)}
            self.still = {name for name, m in self.model.named_modules() if id(m) in still}
        self._losses: list[Tensor] = []
        self._started = 0.0

    def train(self, mode: bool = True) -> TrainingModule:
        """Switch modes as torch does, but leave frozen batch-norm layers in evaluation mode."""
        super().train(mode)
        for name in self.still:
            self.model.get_submodule(name).eval()
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
        steps = math.ceil(self.n_training / config.batch_size) * config.epochs
        schedule = CycleThenConstant(
            optimizer,
            max_lr=[rate for rate, _ in groups],
            total_steps=steps,
            pct_start=0.2 if steps > 5 else 0.3,  # torch divides by pct_start * steps - 1
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }

    def on_train_epoch_start(self) -> None:
        """Start the clock, with frozen layers in evaluation mode, which no trainer sees to."""
        if self.current_epoch + 1 == self.config.epochs:
            self.trainer.check_val_every_n_epoch = 1  # the last epoch is always validated
        self.train()
        self._started = time.perf_counter()
        self._losses.clear()

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        """Return the loss of this process' part of a batch; its mean over them is the batch's."""
        gray, mask = batch
        part, hc_weight = self._part(index, self.n_training), self.config.hc_weight
        if self.trainer.world_size > 1 and self.config.loss == "bce+dice+hc":
            hc_weight *= self._share_of_heads(mask, part.weight)
        logits, kind = self.model(gray), self.config.loss
        loss = part.weight * segmentation_loss(logits, mask, kind, hc_weight, self.class_weights)
        self._losses.append(loss.detach())
        return loss

    def _part(self, index: int, n_images: int) -> Part:
        trainer, batch_size = self.trainer, self.config.batch_size
        return part_of_batch(index, n_images, batch_size, trainer.global_rank, trainer.world_size)

    def _share_of_heads(self, mask: Tensor, weight: float) -> float:
        """Return the part's weight by its heads over that by its images, as views may be empty."""
        heads = has_head(mask).sum().float() * bool(weight)
        mean = float(self.trainer.strategy.reduce(heads.clone(), reduce_op="mean"))
        return float(heads) / mean / weight if weight and mean else 0.0

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """Score one batch of held-out images at the network's size."""
        gray, position = batch
        maps = probabilities(self.model(gray)).float().cpu().numpy()
        part = self._part(index, len(self.validation))
        for each, i in list(zip(maps, position.tolist(), strict=True))[: part.stop - part.start]:
            self.validator.add(i, each, self.validation[i])

    def on_train_epoch_end(self) -> None:
        """Add the epoch to the history, which the checkpoint carries."""
        loss = torch.stack(self._losses).mean()
        if self.trainer.world_size > 1:
            loss = self.trainer.strategy.reduce(loss, reduce_op="mean")
            self.validator.share(gather)
        record: dict[str, Any] = {
            "epoch": self.current_epoch,
            "train_loss": float(loss),
            "learning_rate": self.trainer.optimizers[0].param_groups[-1]["lr"],
        }
        if scores := self.validator.scores():
            record["validation"] = scores
        record["seconds"] = round(time.perf_counter() - self._started, 2)
        self.history.append(record)
