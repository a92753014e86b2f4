"""Teach a model of heads to say whether there is one.

The network itself stays as it is, so that its outlines do too. What its encoder sees in the second
look becomes a few hundred numbers, and a small perceptron learns to tell heads from the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import onnx

from edgeseg.errors import ModelError
from edgeseg.inputs.discover import discover
from edgeseg.network.metadata import METADATA_KEY
from edgeseg.network.task import Limits
from edgeseg.score.labelled import load_labelled
from edgeseg.segmenter import Segmenter
from edgeseg.system.files import check_targets, claim, write_atomic
from edgeseg_training.graph import make_valid
from edgeseg_training.presence.fit import fit
from edgeseg_training.presence.graph import add_presence
from edgeseg_training.presence.observe import Images, Observer, gather, with_features


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
