"""Metadata for a user's own model, appended to a copy, or a refusal if its figures then differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from edgeseg.adopt.onnx_bytes import append_metadata, embed_weights, find_precision
from edgeseg.adopt.original import FloatMap, OriginalModel, expected_probability
from edgeseg.adopt.parity import (
    BATCH_TOLERANCE,
    Adopted,
    batch_difference,
    check_parity,
    make_images,
)
from edgeseg.adopt.plan import Plan, make_plan
from edgeseg.adopt.spec import AdoptSpec
from edgeseg.errors import ModelError
from edgeseg.images.frame import GrayImage
from edgeseg.network.metadata import ADAPTER_SCHEMA_VERSION, METADATA_KEY, ModelMetadata
from edgeseg.network.model_file import refers_to_files
from edgeseg.network.task import Task, check_classes
from edgeseg.system.files import check_targets, claim, write_atomic
from edgeseg.system.version import __version__

_SPREAD = 1e-3


@dataclass(frozen=True, slots=True)
class AdoptReport:
    """What was written, how the model was understood, and how far the file is from it.

    Attributes
    ----------
    path, name, size_bytes, precision
        The file.
    input_height, input_width, type, channels, layout, scale, mean, sd, per_image
        What the network sees.
    output, activation, classes, exclusive
        What its maps mean; ``exclusive`` where a pixel belongs to the likeliest of the classes,
        the background among them.
    any_batch
        Whether it takes several images at once.
    n_images, max_probability_difference, max_batch_difference
        Phantoms and noise that both were run on, and the largest difference to the model as it
        was, and of two images at once to one (None where it takes only one).
    notices
        Sentences a user should read.
    """

    path: Path
    name: str
    size_bytes: int
    precision: str
    input_height: int
    input_width: int
    type: str
    channels: int
    layout: str
    scale: float
    mean: tuple[float, ...]
    sd: tuple[float, ...]
    per_image: str | None
    output: str
    activation: str
    classes: tuple[str, ...]
    exclusive: bool
    any_batch: bool
    n_images: int
    max_probability_difference: float
    max_batch_difference: float | None
    notices: tuple[str, ...]


def adopt(source: Path, out: Path, spec: AdoptSpec, *, overwrite: bool = False) -> AdoptReport:
    """Write a copy of a segmentation model that says how it is fed; none if it then differs.

    The graph stays as it is. The copy is run as edgeseg runs it, and the original by onnxruntime
    with numpy before and after it, on phantoms and noise: probabilities must agree to 1e-5.

    Parameters
    ----------
    source
        An ONNX model, with its weights inside or in files beside it.
    out
        The ONNX file to write.
    spec
        What the model does not say; where it does, both must agree.
    overwrite
        Whether ``out`` may exist.

    Raises
    ------
    OutputExistsError, OutputWriteError
        If ``out`` exists and may not be overwritten, or cannot be written.
    ConfigError, ModelError, ModelNotFoundError
        If the model cannot be adopted, or so.
    ParityError
        If the copy does not compute what the model does.
    """
    spec.check()
    check_targets(out)
    claim(out, overwrite)
    original = OriginalModel(source)
    if METADATA_KEY in original.texts:
        raise ModelError(f"{source} is a model of edgeseg already: use it as it is")
    data = _read_whole(source)
    plan = make_plan(spec, original, make_images)
    images = make_images(plan.height, plan.width)
    n_structures = len(plan.classes) - 1
    expected = [expected_probability(plan.adapter, each, n_structures) for each in plan.outputs]
    described = _describe(spec, plan, spec.name or source.stem, find_precision(data))
    described, of_batch = _with_batch(described, data, images, original.fixed_batch)
    copy = append_metadata(data, METADATA_KEY, described.to_json())
    # from last to first: a network that adds noise of its own would otherwise repeat it
    got = Adopted(copy, out).run_each(images[::-1])[::-1]
    difference = check_parity(got, expected)
    write_atomic(out, copy)
    how: dict[str, Any] = {
        each.name: getattr(plan.adapter, each.name)
        for each in fields(AdoptReport)
        if hasattr(plan.adapter, each.name)
    }
    return AdoptReport(
        path=out,
        name=described.name,
        size_bytes=len(copy),
        precision=described.precision,
        input_height=plan.height,
        input_width=plan.width,
        **how,
        classes=plan.classes,
        exclusive=plan.is_exclusive,
        any_batch=of_batch is not None,
        n_images=len(images),
        max_probability_difference=difference,
        max_batch_difference=of_batch,
        notices=_find_notices(spec, plan, expected, one_at_a_time=of_batch is None),
    )


def _read_whole(source: Path) -> bytes:
    """Read a model with all its weights, those in files beside it too."""
    data = source.read_bytes()
    if refers_to_files(data):
        data = embed_weights(data, source.parent)
        if refers_to_files(data):
            raise ModelError(
                f"{source}: parts of its graph keep values in other files; save it as a single "
                "file, with onnx.save(onnx.load(FILE), OUT)"
            )
    return data


def _describe(spec: AdoptSpec, plan: Plan, name: str, precision: str) -> ModelMetadata:
    """Describe the file: what the user says of it, and nothing of its training."""
    task = Task()
    if spec.task == "regions":
        by_largest = plan.adapter.has_background or plan.adapter.activation == "indices"
        task = Task("regions", check_classes(plan.classes), by_largest)
    return ModelMetadata(
        name=name,
        architecture="adopted",
        strategy="adopted",
        precision=precision,
        input_height=plan.height,
        input_width=plan.width,
        train_data=None,
        train_pixel_size_mm_range=None,
        edgeseg_version=__version__,
        threshold=spec.threshold,
        licence=spec.licence,
        task=task,
        adapter=plan.adapter,
        schema_version=ADAPTER_SCHEMA_VERSION,
    )


def _with_batch(
    described: ModelMetadata, data: bytes, images: Sequence[GrayImage], fixed: int | None
) -> tuple[ModelMetadata, float | None]:
    """Return the metadata, and how far two images at once are from one; None if it takes one."""
    if fixed == 1:
        return described, None
    copy = append_metadata(data, METADATA_KEY, described.to_json())
    try:
        difference = batch_difference(Adopted(copy, Path(described.name)), images)
    except ModelError:
        difference = np.inf  # a shape inside the graph was fixed at export
    if difference <= BATCH_TOLERANCE:
        return described, difference
    if fixed is not None:
        raise ModelError(
            f"the model takes {fixed} images at once, and its answer to one depends on the others; "
            "export it with a free batch, or a batch of 1"
        )
    assert described.adapter is not None
    return replace(described, adapter=replace(described.adapter, batch=1)), None


def _find_notices(
    spec: AdoptSpec, plan: Plan, expected: Sequence[FloatMap], *, one_at_a_time: bool
) -> tuple[str, ...]:
    notices = []
    if one_at_a_time:
        notices.append("it takes one image at a time: a shape inside was fixed at export")
    if spec.activation is None and plan.adapter.activation == "none":
        notices.append("its output lies between 0 and 1, and is taken for probabilities")
    spread = np.ptp(np.stack(expected))
    if spread < _SPREAD:
        notices.append(
            f"its probabilities differ by {spread:.1g} at most over phantoms and noise: it sees "
            "nothing in them; check --scale, --mean, --sd and --activation"
        )
    if plan.adapter.enlarge > 1:
        notices.append(
            f"its maps have a {plan.adapter.enlarge}th of the input's size; they are enlarged "
            "bilinearly"
        )
    return tuple(notices)
