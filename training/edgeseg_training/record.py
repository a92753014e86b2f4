"""What a run leaves behind: its record, its weights with their facts inside, its curves."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from safetensors.torch import save_file
from torch import Tensor

import edgeseg
from edgeseg.errors import ConfigError, DataError
from edgeseg.network.task import Task
from edgeseg.score.folds import data_sha256
from edgeseg.system.files import write_atomic, write_json
from edgeseg_training.config import PLACE, TrainConfig
from edgeseg_training.data import Split

CHECKPOINT_NAME = "last.ckpt"
WEIGHTS_NAME = "model.safetensors"
RUN_NAME = "run.json"
CURVES_NAME = "curves.png"
FACTS_KEY = "edgeseg"

History = list[dict[str, Any]]


class Run:
    """The folder of a run and its record, ``run.json``."""

    def __init__(
        self, out: Path, config: TrainConfig, data: Path, task: Task, split: Split
    ) -> None:
        self.out = out
        sizes_mm = [c.pixel_size_mm for c in split.training if c.pixel_size_mm is not None]
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
                "training_pixel_size_mm_range": [min(sizes_mm), max(sizes_mm)]
                if sizes_mm
                else None,
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

    def facts(self, history: History) -> dict[str, Any]:
        """Return what must travel with the weights: config, data, split and last scores.

        Weights are passed on, so no path of this machine is among them: files go by their names.
        """
        config, data = self.record["config"], self.record["data"]
        names = {key: Path(config[key]).name for key in ("encoder_weights", "folds")}
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
        path = self.out / RUN_NAME
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
            # a value that did not exist then was what its default says now
            data, config = before["data"], TrainConfig().as_dict() | before["config"]
            same_split = before["split"] == self.record["split"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}: not the record of a run; use --overwrite to start anew"
            ) from error
        now = self.record["config"]
        # where the split file lies does not matter, what it says does
        free = PLACE | ({"folds"} if same_split else set())
        if config["epochs"] <= now["epochs"]:  # a run may go on for longer than it was meant to
            free |= {"epochs"}
        changed = [key for key in now if config.get(key) != now[key] and key not in free]
        if changed:
            raise ConfigError(
                f"{path}: the run began with {changed[0]} = {config.get(changed[0])!r}, not "
                f"{now[changed[0]]!r}; resume with the same values or use --overwrite"
            )
        if data["sha256"] != self.record["data"]["sha256"]:
            raise DataError(f"{path}: the run began with other data; use --overwrite to start anew")


def save_weights(path: Path, weights: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write weights as safetensors, atomically, with the run's facts as JSON inside."""
    part = path.with_name(f".{path.name}.part")
    tensors = {name: tensor.contiguous() for name, tensor in weights.items()}
    save_file(tensors, part, metadata={FACTS_KEY: json.dumps(facts)})
    part.replace(path)


def plot_history(path: Path, history: History) -> None:
    """Draw the loss over the epochs, Dice, and what else was scored: HC error, or each class."""
    scored = [(h["epoch"] + 1, h["validation"]) for h in history if "validation" in h]
    lines = {
        "training loss": {"": [(h["epoch"] + 1, h["train_loss"]) for h in history]},
        "validation Dice": {"": [(epoch, v["dice"]) for epoch, v in scored]},
    }
    if any("hc_mad_mm" in v for _, v in scored):
        errors_mm = [(epoch, v["hc_mad_mm"]) for epoch, v in scored]
        lines["validation HC error, mean |.| (mm)"] = {"": errors_mm}
    elif scored:
        names = scored[0][1]["class_dice"]
        of_class = {name: [(epoch, v["class_dice"][name]) for epoch, v in scored] for name in names}
        lines["validation Dice of each class"] = of_class
    figure = Figure(figsize=(3 * len(lines), 3), layout="constrained")
    for axis, (title, each) in zip(figure.subplots(1, len(lines)), lines.items(), strict=True):
        for name, points in each.items():
            axis.plot(*zip(*points, strict=True) if points else ((), ()), label=name)
        axis.set(title=title, xlabel="epoch")
        axis.grid(alpha=0.3)
        if len(each) > 1:
            axis.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    write_atomic(path, buffer.getvalue())
