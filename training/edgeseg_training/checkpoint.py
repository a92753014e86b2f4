"""Trained weights back from disk, with the facts of their run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from edgeseg.errors import DataError, EdgesegError, ModelError, ModelNotFoundError
from edgeseg.network.task import Task, read_task
from edgeseg_training.config import TrainConfig, read_run
from edgeseg_training.model import SegmentationModel, build_model
from edgeseg_training.record import CHECKPOINT_NAME, FACTS_KEY, WEIGHTS_NAME, read_weights

_MODULE_PREFIX = "model."
_DESCRIBED = {
    "name",
    "n_training",
    "n_validation",
    "training_sha256",
    "training_pixel_size_mm_range",
}


class Trained(NamedTuple):
    """A trained model in evaluation mode and what its run recorded.

    Attributes
    ----------
    facts
        ``config``, ``data``, ``split``, ``validation``: see `edgeseg_training.record.Run.facts`.
    data
        Folder of the training data, where the run's record lies beside the weights.
    """

    model: SegmentationModel
    config: TrainConfig
    task: Task
    facts: dict[str, Any]
    data: Path | None


def load_trained(path: Path) -> Trained:
    """Load ``model.safetensors``, ``last.ckpt`` or a run's folder, the former preferred.

    A checkpoint of a run with weight averaging gives the averaged weights, as the run itself
    would if it ended there.

    Raises
    ------
    ModelNotFoundError
        If there is no such file.
    ModelError
        If it is not a file that training wrote.
    """
    if path.is_dir():
        inside = [path / name for name in (WEIGHTS_NAME, CHECKPOINT_NAME)]
        path = next((p for p in inside if p.is_file()), inside[0])
    if not path.is_file():
        raise ModelNotFoundError(
            f"{path}: no such file; expected a run's folder, {WEIGHTS_NAME} or {CHECKPOINT_NAME}"
        )
    try:
        if path.suffix == ".ckpt":
            weights, beside = read_checkpoint(path)
            facts = beside["facts"]
        else:
            weights, metadata = read_weights(path)
            facts = json.loads(metadata[FACTS_KEY])
        config = TrainConfig().updated(facts["config"])
        task = read_task(facts.get("task", {"kind": "head"}))
        model = build_model(config, task, load_encoder=False)
        model.load_state_dict(weights)
        lacking = _DESCRIBED - facts["data"].keys() | {"split", "validation"} - facts.keys()
        if lacking:
            raise ModelError(
                f"{path}: its record lacks {sorted(lacking)[0]!r}; it was trained by another "
                "version of edgeseg, train it again"
            )
    except EdgesegError:
        raise
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{path}: not weights that 'edgeseg train' wrote ({reason})") from error
    return Trained(model.eval(), config, task, facts, _data_folder(path))


def _data_folder(path: Path) -> Path | None:
    try:
        return Path(read_run(path.parent)["data"]["folder"])
    except DataError:
        return None


def read_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint's weights, averaged where averaging is on, and its facts and history.

    Raises
    ------
    ModelError
        If it cannot be read safely.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises unpickling, zip and its own errors
        raise ModelError(f"{path}: not a checkpoint that can be read safely") from error
    weights = {
        name.removeprefix(_MODULE_PREFIX): tensor
        for name, tensor in checkpoint["state_dict"].items()
        if name.startswith(_MODULE_PREFIX)
    }
    return weights, checkpoint[FACTS_KEY]
