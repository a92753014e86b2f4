"""Metadata for a user's own model, appended to a copy, or a refusal if its figures then differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from edgeseg.adopt.onnx_bytes import append_metadata, embed_weights, find_precision
from edgeseg.adopt.plan import fixed_batch, read_input, read_output
from edgeseg.adopt.spec import AdoptSpec
from edgeseg.errors import ModelError, ModelNotFoundError, ParityError
from edgeseg.images.frame import GrayImage
from edgeseg.network.adapter import Adapter, Maps, preprocess
from edgeseg.network.metadata import ADAPTER_SCHEMA_VERSION, METADATA_KEY, ModelMetadata
from edgeseg.network.port import Port
from edgeseg.network.session import open_data, read_bytes, refers_to_files
from edgeseg.network.task import Task, check_classes
from edgeseg.phantom.head import make_phantom
from edgeseg.system.files import check_targets, claim, write_atomic
from edgeseg.system.version import __version__

_TOLERANCE = 1e-5  # of probabilities: the same network on the same numbers
_BATCH_TOLERANCE = 1e-4  # a batch of two takes its sums in another order; as in `verify`
_SPREAD = 1e-3  # of probabilities over all test images, below which a network sees nothing
_PHANTOM_SEEDS = (80, 81, 82)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptReport(Adapter):
    """What was written, how the model is fed, and how far the file is from it.

    The differences are the largest, on ``n_images`` phantoms and noise, to the model as it was, and
    of two images at once to each alone (None where it takes only one).
    """

    path: Path
    name: str
    size_bytes: int
    precision: str
    input_height: int
    input_width: int
    classes: tuple[str, ...]
    exclusive: bool
    any_batch: bool
    n_images: int
    max_probability_difference: float
    max_batch_difference: float | None
    notices: tuple[str, ...]


def adopt(source: Path, out: Path, spec: AdoptSpec, *, overwrite: bool = False) -> AdoptReport:
    """Write a copy of a segmentation model that says how it is fed; none if it then differs.

    The graph stays as it is; weights in files beside it are taken in. The copy is run as edgeseg
    runs it, and the original by plain onnxruntime, on phantoms and noise: probabilities must agree
    to 1e-5. Where both the model and ``spec`` say something, they must agree. `ConfigError` or
    `ModelError` if it cannot be adopted, or not so; `ParityError` if the copy computes otherwise.
    """
    spec.check()
    check_targets(out)
    claim(out, overwrite)
    data = _read_whole(source)
    original = open_data(source, data)
    if METADATA_KEY in original.get_modelmeta().custom_metadata_map:
        raise ModelError(f"{source} is a model of edgeseg already: use it as it is")
    adapter, height, width = read_input(spec, original)
    images = _make_images(height, width)
    adapter, classes, expected = read_output(spec, original, adapter, images)
    by_largest = adapter.has_background or adapter.activation == "indices"
    metadata = ModelMetadata(
        name=spec.name or source.stem,
        architecture="adopted",
        strategy="adopted",
        precision=find_precision(data),
        input_height=height,
        input_width=width,
        train_data=None,
        train_pixel_size_mm_range=None,
        edgeseg_version=__version__,
        threshold=spec.threshold,
        licence=spec.licence,
        task=Task() if spec.task == "head" else Task(spec.task, check_classes(classes), by_largest),
        adapter=adapter,
        schema_version=ADAPTER_SCHEMA_VERSION,
    )
    of_batch = _batch_difference(metadata, data, images, fixed_batch(original))
    if of_batch is None:
        adapter = replace(adapter, batch=1)
        metadata = replace(metadata, adapter=adapter)
    copy = append_metadata(data, METADATA_KEY, metadata.to_json())
    # from last to first: a network that adds noise of its own would otherwise repeat it
    got = _run_each(copy, images[::-1])[::-1]
    difference = max(float(np.abs(a - b).max()) for a, b in zip(got, expected, strict=True))
    if not difference <= _TOLERANCE:
        raise ParityError(
            f"the adopted model is not its source: probabilities differ by up to {difference:.2g} "
            f"(allowed {_TOLERANCE:g}); no file was written"
        )
    write_atomic(out, copy)
    spread = np.ptp(np.stack(expected))
    is_taken = spec.activation is None and adapter.activation == "none"
    notices = {
        "it takes one image at a time: a shape inside was fixed at export": of_batch is None,
        "its output lies between 0 and 1, and is taken for probabilities": is_taken,
        f"its probabilities differ by {spread:.1g} at most over phantoms and noise: it sees "
        "nothing in them; check --scale, --mean, --sd and --activation": spread < _SPREAD,
        f"its maps, {adapter.enlarge} times smaller, are enlarged bilinearly": adapter.enlarge > 1,
    }
    return AdoptReport(
        **asdict(adapter),
        path=out,
        name=metadata.name,
        size_bytes=len(copy),
        precision=metadata.precision,
        input_height=height,
        input_width=width,
        classes=classes,
        exclusive=metadata.task.exclusive,
        any_batch=of_batch is not None,
        n_images=len(images),
        max_probability_difference=difference,
        max_batch_difference=of_batch,
        notices=tuple(text for text, holds in notices.items() if holds),
    )


def _read_whole(source: Path) -> bytes:
    """Read a model with all its weights, those in files beside it too."""
    if not source.is_file():
        raise ModelNotFoundError(f"{source}: no such file; expected an ONNX file")
    data = read_bytes(source)
    if refers_to_files(data):
        data = embed_weights(data, source.parent)
    if refers_to_files(data):
        raise ModelError(
            f"{source}: parts of its graph keep values in other files; save it as a single file, "
            "with onnx.save(onnx.load(FILE), OUT)"
        )
    return data


def _make_images(height: int, width: int) -> list[GrayImage]:
    """Return test images of a size, (1, 1, height, width), uint8: phantoms and noise."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (9, 13), dtype=np.uint8)
    scans = [make_phantom(seed, height=270, width=400).image for seed in _PHANTOM_SEEDS]
    noise = rng.integers(0, 256, (height, width), dtype=np.uint8)
    smooth = np.asarray(cv2.resize(coarse, (width, height)), dtype=np.uint8)
    stretched = (preprocess(scan, height, width) for scan in scans)
    return [*stretched, noise[None, None], smooth[None, None]]


def _run_each(model: bytes, tensors: Sequence[GrayImage]) -> list[Maps]:
    """Return what edgeseg makes of each tensor, (N, 1, h, w), with an adopted file."""
    path = Path("the adopted model")
    port = Port(open_data(path, model), path)
    return [port.run(tensor).maps for tensor in tensors]


def _batch_difference(
    metadata: ModelMetadata, data: bytes, images: Sequence[GrayImage], fixed: int | None
) -> float | None:
    """Return how far answers to two images at once are from those to one; None if it takes one."""
    if fixed == 1:
        return None
    pair = [images[0], images[-2]]  # a scan and noise, which no network takes for each other
    copy = append_metadata(data, METADATA_KEY, metadata.to_json())
    try:
        together, *alone = _run_each(copy, [np.concatenate(pair), *pair])
        difference = float(np.abs(together - np.concatenate(alone)).max())
    except (ModelError, ValueError):
        difference = np.inf  # a shape inside the graph was fixed at export
    if difference <= _BATCH_TOLERANCE:
        return difference
    if fixed is not None:
        raise ModelError(
            f"the model takes {fixed} images at once, and its answer to one depends on the others; "
            "export it with a free batch, or a batch of 1"
        )
    return None
