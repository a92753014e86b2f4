"""What a run leaves behind: its record, its weights with their facts inside, its curves."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

import edgeseg
from edgeseg.errors import ConfigError, DataError, ModelError
from edgeseg.network.task import Task
from edgeseg.score.folds import data_sha256
from edgeseg.system.files import csv_text, write_atomic, write_json
from edgeseg_training.config import PLACE, RUN_NAME, TrainConfig, read_run
from edgeseg_training.data import Split

CHECKPOINT_NAME = "last.ckpt"
WEIGHTS_NAME = "model.safetensors"
CURVES_NAME, METRICS_NAME = "curves.png", "metrics.csv"
FACTS_KEY = "edgeseg"

History = list[dict[str, Any]]


@dataclass
class Run:
    """The folder of a run and its record: ``run.json``, ``metrics.csv`` and ``curves.png``."""

    out: Path
    config: TrainConfig
    data: Path
    task: Task
    split: Split
    say: Callable[[str], None]

    def __post_init__(self) -> None:
        config, data, task, split = self.config, self.data, self.task, self.split
        sizes_mm = [c.pixel_size_mm for c in split.training if c.pixel_size_mm is not None]
        range_mm = [min(sizes_mm), max(sizes_mm)] if sizes_mm else None
        name = data.resolve().name
        self.record: dict[str, Any] = {
            "edgeseg_version": edgeseg.__version__,
            "torch_version": torch.__version__,
            "status": "running",
            "config": config.as_dict(),
            "task": task.as_dict(),
            "data": {
                "folder": str(data.resolve()),
                "name": "HC18" if name.lower() == "hc18" else name,
                "n_training": len(split.training),
                "n_validation": len(split.validation),
                "sha256": data_sha256([*split.training, *split.validation]),
                "training_sha256": data_sha256(split.training),
                "training_pixel_size_mm_range": range_mm,
            },
            "split": {
                "training": [case.file for case in split.training],
                "validation": [case.file for case in split.validation],
            },
            "history": [],
        }

    def write(self, status: str, history: History) -> None:
        """Write what is known now."""
        write_json(self.out / RUN_NAME, self.record | {"status": status, "history": history})
        if not history:
            return
        rows = [_table_row(epoch) for epoch in history]
        columns = [*dict.fromkeys(name for row in rows for name in row)]
        lines = [[str(row.get(name, "")) for name in columns] for row in rows]
        write_atomic(self.out / METRICS_NAME, csv_text([columns, *lines]).encode())
        # drawing takes as long as an epoch of a small network
        if status == "done" or "validation" in history[-1] or not self.split.validation:
            plot_history(self.out / CURVES_NAME, rows)

    def save_weights(self, weights: dict[str, Tensor], history: History) -> None:
        """Write weights as safetensors, atomically, with the run's facts as JSON inside."""
        tensors = {name: tensor.contiguous() for name, tensor in weights.items()}
        facts = {FACTS_KEY: json.dumps(self.facts(history))}
        write_atomic(self.out / WEIGHTS_NAME, save(tensors, metadata=facts))

    def facts(self, history: History) -> dict[str, Any]:
        """Return what must travel with the weights: config, data, split and last scores.

        Weights are passed on, so no path of this machine is among them: files go by their names.
        """
        config, data = self.record["config"], self.record["data"]
        names = {key: Path(config[key]).name for key in ("encoder_weights", "folds", "init")}
        last = next((h["validation"] for h in reversed(history) if "validation" in h), None)
        return {
            "edgeseg_version": self.record["edgeseg_version"],
            "config": config | names,
            "task": self.record["task"],
            "data": {key: value for key, value in data.items() if key != "folder"},
            "split": self.record["split"],
            "validation": last,
        }

    def check_same(self) -> None:
        """Refuse to resume with other data or values than the run began with.

        Raises
        ------
        DataError, ConfigError
            If the folder's ``run.json`` is not the record of the same run.
        """
        path, before, now = self.out / RUN_NAME, read_run(self.out), self.record["config"]
        config = before["config"].as_dict()
        # where the split file lies does not matter, what it says does
        same_split = before["split"] == self.record["split"]
        free = PLACE | {"patience"} | ({"folds"} if same_split else set())
        if config["epochs"] <= now["epochs"]:  # a run may go on for longer than it was meant to
            free |= {"epochs"}
        changed = [key for key in now if config[key] != now[key] and key not in free]
        if changed:
            raise ConfigError(
                f"{path}: the run began with {changed[0]} = {config[changed[0]]!r}, not "
                f"{now[changed[0]]!r}; resume with the same values or use --overwrite"
            )
        if before["data"]["sha256"] != self.record["data"]["sha256"]:
            raise DataError(f"{path}: the run began with other data; use --overwrite to start anew")


def read_weights(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file's tensors and metadata; `ModelError` if it is none."""
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
        return load_file(path), metadata
    except SafetensorError as error:
        raise ModelError(f"{path}: not a safetensors file ({error})") from error


def best_epoch(history: History) -> dict[str, Any] | None:
    """Return the epoch with the highest validation Dice, the last of equal ones, if any has one."""
    scored = [epoch for epoch in history if "validation" in epoch]
    return max(reversed(scored), key=_dice, default=None)


def is_complete(history: History, config: TrainConfig) -> bool:
    """Tell whether a run has had its epochs, or ``patience`` validations without a better one."""
    dices = [_dice(epoch) for epoch in history if "validation" in epoch]
    since_best = len(dices) - 1 - dices.index(max(dices)) if dices else 0
    return len(history) >= config.epochs or 0 < config.patience <= since_best


def describe_epoch(history: History, config: TrainConfig) -> str:
    """Return a line on the last epoch: loss, rate, scores, its time and the time left."""
    epoch, scores = history[-1], history[-1].get("validation", {})
    parts = [f"loss {epoch['train_loss']:.4f}", f"rate {epoch['learning_rate']:.2g}"]
    if scores:
        best = " (best so far)" if best_epoch(history) is epoch else ""
        parts.append(f"Dice {100 * _dice(epoch):.2f} %{best}")
        by_class = scores.get("class_dice", {}).items()
        parts += [f"{name} {100 * (dice or 0):.1f} %" for name, dice in by_class]
    if "hc_mad_mm" in scores:
        parts.append(f"HC error {scores['hc_mad_mm']:.2f} mm")
    mean_s = sum(each["seconds"] for each in history) / len(history)
    left = timedelta(seconds=round(mean_s * (config.epochs - len(history))))
    parts.append(f"{epoch['seconds']:.0f} s, {left} left")
    return f"epoch {len(history)}/{config.epochs}: " + ", ".join(parts)


def _dice(epoch: dict[str, Any]) -> float:
    return epoch["validation"]["dice"] or 0.0  # None where neither label nor mask has a class


def _table_row(epoch: dict[str, Any]) -> dict[str, Any]:
    """Return an epoch, counted from 1, as a row of ``metrics.csv``, its scores at the end."""
    scores = dict(epoch.get("validation", {}))
    by_class = {f"{name}_dice": dice for name, dice in scores.pop("class_dice", {}).items()}
    row = epoch | {"epoch": epoch["epoch"] + 1} | scores | by_class
    return {name: value for name, value in row.items() if name != "validation"}


def plot_history(path: Path, rows: list[dict[str, Any]]) -> None:
    """Draw the loss over the epochs, and what was scored: Dice, HC error."""
    columns = dict.fromkeys(name for row in rows for name in row)
    panels = {
        "training loss": ["train_loss"],
        "validation Dice": [name for name in columns if name.endswith("dice")],
        "validation HC error, mean |.| (mm)": [name for name in columns if name == "hc_mad_mm"],
    }
    shown = {title: names for title, names in panels.items() if names}
    figure = Figure(figsize=(4 * len(shown), 3))
    figure.subplots_adjust(bottom=0.18)
    for axis, (title, names) in zip(
        figure.subplots(1, len(shown), squeeze=False)[0], shown.items(), strict=True
    ):
        for name in names:
            points = [(row["epoch"], row[name]) for row in rows if row.get(name) is not None]
            axis.plot(*zip(*points, strict=True) if points else ((), ()), label=name)
        axis.set(title=title, xlabel="epoch")
        axis.grid(alpha=0.3)
        if len(names) > 1:
            axis.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_atomic(path, buffer.getvalue())
