"""Check that a model file is what it says and computes what it must."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeseg import image, zoo
from edgeseg.phantom import make_phantom
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
    which may have learned something else or little, it is reported only.

    Raises
    ------
    ModelNotFoundError, ModelError
        If the file is missing, no ONNX, without metadata, of another input, or a bundled file
        with another hash: then there is nothing to run.
    DeviceError
        If the device cannot run it.
    """
    segmenter = Segmenter(model, device=device)
    file, metadata = segmenter.file, segmenter.metadata
    known = next((n for n, e in zoo.manifest().items() if e["sha256"] == file.sha256), None)
    of_bundled = f", that of the bundled {known}" if known else ""
    checks = [
        Check("hash", True, f"SHA-256 {file.sha256}{of_bundled}"),
        Check(
            "metadata",
            True,
            f"{metadata.name}, {metadata.architecture}, {metadata.strategy}, {metadata.precision}, "
            f"trained on {metadata.train_data.count} images of {metadata.train_data.name}",
        ),
        Check(
            "graph",
            True,
            f"uint8 (N, 1, {metadata.input_height}, {metadata.input_width}) to float32, on "
            f"{segmenter.provider}",
        ),
    ]
    phantom = make_phantom(_PHANTOM_SEED)
    tensor = image.preprocess(phantom.image, metadata.input_height, metadata.input_width)
    probability = segmenter.infer(tensor)
    in_range = bool(
        np.isfinite(probability).all() and 0 <= probability.min() <= probability.max() <= 1
    )
    checks.append(
        Check(
            "output",
            in_range and probability.shape == tensor.shape,
            f"shape {probability.shape}, {probability.min():.3g} to {probability.max():.3g}",
        )
    )
    both = segmenter.infer(np.concatenate([tensor, tensor[..., ::-1]]))
    difference = float(np.abs(both[:1] - probability).max())
    checks.append(
        Check(
            "batch", difference <= _BATCH_TOLERANCE, f"a batch of two differs by {difference:.1e}"
        )
    )
    hc_mm = segmenter.predict(phantom.image, phantom.pixel_size_mm).hc_mm
    error = ((hc_mm or 0.0) - phantom.hc_mm) / phantom.hc_mm
    seen = "no head found" if hc_mm is None else f"HC {hc_mm:.1f} mm, true {phantom.hc_mm:.1f} mm"
    right = abs(error) <= _PHANTOM_TOLERANCE
    judged = "" if right or file.bundled else " (not judged: the model is not a bundled one)"
    checks.append(Check("phantom", right or not file.bundled, seen + judged))
    return checks
