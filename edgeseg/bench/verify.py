"""Check that a model file is what it says and computes what it must."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeseg.errors import ModelError
from edgeseg.network import zoo
from edgeseg.network.adapter import preprocess
from edgeseg.phantom.head import Phantom, make_phantom
from edgeseg.segmenter import Segmenter

_PHANTOM_SEED = 81  # a whole head, also the demo's first
_PHANTOM_TOLERANCE = 0.01
# A sum in another order, as a batch of two may take, moves the last digits of a float32.
_BATCH_TOLERANCE = 1e-4


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked: whether it holds, and what was seen."""

    name: str
    holds: bool
    seen: str


def verify(model: str | Path, device: str = "auto") -> list[Check]:
    """Check a model's hash, metadata, graph, and a run on a phantom.

    The phantom's head circumference must be right to 1 % for a bundled model; for a user's own,
    which may have learned something else or little, it is reported only. Raises what `Segmenter`
    does: then there is nothing to run.
    """
    segmenter = Segmenter(model, device=device)
    metadata = segmenter.metadata
    phantom = make_phantom(_PHANTOM_SEED)
    tensor = preprocess(phantom.image, metadata.input_height, metadata.input_width)
    checks = _describe(segmenter)
    try:
        maps = segmenter.infer(tensor)
    except ModelError as error:
        return [*checks, Check("output", False, str(error))]
    seen = f"shape {maps.shape}, {maps.min():.3g} to {maps.max():.3g}"
    checks.append(Check("output", maps.shape[-2:] == tensor.shape[-2:], seen))
    both = segmenter.infer(np.concatenate([tensor, tensor[..., ::-1]]))
    difference = float(np.abs(both[:1] - maps).max())
    batch = segmenter.fixed_batch
    seen = f"the graph takes {batch} at a time, as which it is run; " if batch else ""
    seen += f"a batch of two differs by {difference:.1e}"
    checks.append(Check("batch", difference <= _BATCH_TOLERANCE, seen))
    if metadata.task.kind == "head":
        checks.append(_check_phantom(segmenter, phantom))
    return checks


def _describe(segmenter: Segmenter) -> list[Check]:
    """Describe a model that could be opened, as checks that hold."""
    file, metadata = segmenter.file, segmenter.metadata
    bundled = next((n for n, e in zoo.manifest().items() if e["sha256"] == file.sha256), None)
    of_bundled = f", that of the bundled {bundled}" if bundled else ""
    data = metadata.train_data
    trained = f"{data.count} images of {data.name}" if data else "unknown data"
    kind = f"{metadata.architecture}, {metadata.strategy}, {metadata.precision}"
    answers = ", ".join(metadata.task.structures)
    size = ", ".join(map(str, segmenter.input_shape))
    graph = f"{segmenter.input_type} (N, {size}) to float32, {metadata.task.kind}: {answers}"
    return [
        Check("hash", True, f"SHA-256 {file.sha256}{of_bundled}"),
        Check("metadata", True, f"{metadata.name}, {kind}, trained on {trained}"),
        Check("graph", True, f"{graph}, on {segmenter.provider}"),
    ]


def _check_phantom(segmenter: Segmenter, phantom: Phantom) -> Check:
    bundled = segmenter.file.bundled
    hc_mm = segmenter.predict(phantom.image, phantom.pixel_size_mm).hc_mm
    right = hc_mm is not None and abs(hc_mm / phantom.hc_mm - 1) <= _PHANTOM_TOLERANCE
    seen = "no head found" if hc_mm is None else f"HC {hc_mm:.1f} mm, true {phantom.hc_mm:.1f} mm"
    judged = "" if right or bundled else " (not judged: the model is not a bundled one)"
    return Check("phantom", right or not bundled, seen + judged)
