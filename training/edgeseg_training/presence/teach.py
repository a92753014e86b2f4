"""Teach a model of heads to say whether there is one.

The network itself stays as it is, so that its outlines do too. What its encoder sees in the second
look becomes a few hundred numbers, and a small perceptron learns to tell heads from the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from edgeseg.errors import ModelError
from edgeseg.inputs.discover import discover
from edgeseg.network.metadata import METADATA_KEY
from edgeseg.network.task import Limits
from edgeseg.score.labelled import load_labelled
from edgeseg.segmenter import Segmenter
from edgeseg.system.files import check_targets, claim, write_atomic
from edgeseg_training.graph import make_valid
from edgeseg_training.presence.graph import Layers, add_presence
from edgeseg_training.presence.observe import Examples, Images, Observer, gather, with_features

HIDDEN = 32
_STEPS, _BATCH, _RATE, _DECAY, _NOISE = 2500, 512, 1e-3, 3e-2, 0.1


@dataclass(frozen=True, slots=True)
class PresenceReport:
    """What a model was taught with, and what it then says of the very same images.

    Attributes
    ----------
    n_heads, n_others
        Images given; copies and pictures of no scan come on top.
    heads_recognised, others_refused
        Shares of them on the right side of the limit in the file. Images it has not seen do worse.
    notices
        Sentences a user should read.
    """

    path: Path
    n_heads: int
    n_others: int
    heads_recognised: float
    others_refused: float
    notices: tuple[str, ...] = ()


def teach(model: onnx.ModelProto, images: Images, limits: Limits | None = None) -> onnx.ModelProto:
    """Return a model that also answers ``presence``.

    Parameters
    ----------
    limits
        What stands in the file from now on; None leaves what it had.

    Raises
    ------
    ModelError
        If the model is not edgeseg's, or no U-Net.
    DataError
        If the images are too few.
    """
    taught = with_features(model)
    observer = Observer(taught)
    add_presence(taught, fit(gather(observer, images)))
    metadata = observer.metadata if limits is None else replace(observer.metadata, limits=limits)
    for entry in taught.metadata_props:
        if entry.key == METADATA_KEY:
            entry.value = metadata.to_json()
    make_valid(taught)
    return taught


def write_taught(
    model: Path,
    data: Path,
    negatives: Path,
    positives: Path | None,
    out: Path,
    *,
    overwrite: bool = False,
) -> PresenceReport:
    """Teach a model file with a labelled data set of heads and a folder of other scans.

    Raises
    ------
    OutputExistsError, OutputWriteError
        If ``out`` exists and may not be overwritten, or cannot be written.
    EdgesegError
        If the model or the images cannot be used.
    """
    claim(out, overwrite)
    check_targets(out)
    cases = load_labelled(data, "head").cases
    groups = [discover([str(folder)]) if folder else None for folder in (positives, negatives)]
    more, others = ([item.path for item in found.items] if found else [] for found in groups)
    images = Images([case.image_path for case in cases], more, others)
    taught = teach(load_model(model), images)
    write_atomic(out, taught.SerializeToString())
    segmenter = Segmenter(out, device="cpu", threads=1)
    limit = segmenter.metadata.limits.presence_refused

    def passed(paths: Sequence[Path]) -> float:
        found = [segmenter.predict(path).presence or 0.0 for path in paths]
        return sum(presence >= limit for presence in found) / max(len(found), 1)

    heads = [*images.heads, *images.more_heads]
    notices = tuple(text for found in groups if found for text in found.notices)
    return PresenceReport(out, len(heads), len(others), passed(heads), 1 - passed(others), notices)


def load_model(path: Path) -> onnx.ModelProto:
    """Read an ONNX file.

    Raises
    ------
    ModelError
        If it is none.
    """
    try:
        return onnx.load(path)
    except Exception as error:  # protobuf's own share no base but this
        raise ModelError(f"{path}: not an ONNX file ({error})") from error


def fit(examples: Examples, seed: int = 0) -> Layers:
    """Train the perceptron; its first layer takes the features as they are."""
    mean, sd = examples.features.mean(axis=0), examples.features.std(axis=0) + 1e-3
    inputs = torch.from_numpy((examples.features - mean) / sd)
    targets, weights = torch.from_numpy(examples.is_head), torch.from_numpy(examples.weight)
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        first, last = nn.Linear(inputs.shape[1], HIDDEN), nn.Linear(HIDDEN, 1)
    network = nn.Sequential(first, nn.ReLU(), last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=_DECAY)
    loss = nn.BCEWithLogitsLoss()
    for _ in range(_STEPS):
        chosen = torch.multinomial(weights, _BATCH, replacement=True, generator=generator)
        noise = _NOISE * torch.randn((_BATCH, inputs.shape[1]), generator=generator)
        optimizer.zero_grad()
        loss(network(inputs[chosen] + noise)[:, 0], targets[chosen]).backward()
        optimizer.step()
    weight = first.weight.detach().numpy() / sd
    return Layers(
        np.asarray(weight.T, np.float32),
        np.asarray(first.bias.detach().numpy() - weight @ mean, np.float32),
        np.asarray(last.weight.detach().numpy().T, np.float32),
        last.bias.detach().numpy(),
    )
