"""A user's own float model made a model file of edgeseg, or refused if it then differs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from edgeseg.adopt import wrap as wrapping
from edgeseg.adopt.float_model import FloatMap, FloatModel, Plan
from edgeseg.adopt.parity import (
    BATCH_TOLERANCE,
    TOLERANCES,
    batch_difference,
    compare,
    find_images,
    open_wrapped,
    run_each,
)
from edgeseg.adopt.plan import AdoptSpec, class_names, make_plan
from edgeseg.errors import ModelError
from edgeseg.images.frame import GrayImage
from edgeseg.network.metadata import METADATA_KEY, ModelMetadata
from edgeseg.network.task import Task, check_classes
from edgeseg.system.files import check_targets, claim, write_atomic
from edgeseg.system.version import __version__

_SPREAD = 1e-3


@dataclass(frozen=True, slots=True)
class AdoptReport:
    """What was written, how the model was understood, and how far the file is from it.

    Attributes
    ----------
    path, name, size_bytes, precision, opset
        The file, and the operator set the model was and is made of.
    input_height, input_width, channels, layout, scale, mean, sd
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
    opset: int
    input_height: int
    input_width: int
    channels: int
    layout: str
    scale: float
    mean: tuple[float, ...]
    sd: tuple[float, ...]
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
    """Wrap a float segmentation model in edgeseg's contract; no file is left if it differs.

    Normalisation, channels, activation and metadata go into the graph. Both are then run by
    onnxruntime, the original with numpy before and after it, on phantoms and noise: probabilities
    must agree to 1e-5 (float16: 2e-3), and every pixel's class but for ties.

    Parameters
    ----------
    source
        An ONNX model of floats, with its weights inside or in files beside it.
    out
        The ONNX file to write.
    spec
        What the graph does not say; where it does, both must agree.
    overwrite
        Whether ``out`` may exist.

    Raises
    ------
    OutputExistsError, OutputWriteError
        If ``out`` exists and may not be overwritten, or cannot be written.
    ConfigError, ModelError, ModelNotFoundError
        If the model cannot be wrapped, or so.
    ParityError
        If the wrapped model does not compute what the model does.
    """
    spec.check()
    check_targets(out)
    claim(out, overwrite)
    model = wrapping.load(source)
    if any(entry.key == METADATA_KEY for entry in model.metadata_props):
        raise ModelError(f"{source} is a model of edgeseg already: use it as it is")
    original = FloatModel(source)
    plan = make_plan(spec, original, wrapping.last_operators(model))
    classes = class_names(spec, plan)
    kind = wrapping.precision(model)
    exclusive = plan.has_background and plan.n_structures > 1
    described = _metadata(spec, plan, spec.name or source.stem, kind, classes)
    text = described.to_json()
    images = find_images(plan)
    expected = [original.probability(plan, gray) for gray in images]
    data, of_batch = _wrapped(model, plan, text, images)
    got = run_each(open_wrapped(data), images)
    difference = compare(got, expected, spec.threshold, exclusive, TOLERANCES[kind])
    write_atomic(out, data)
    return AdoptReport(
        out,
        spec.name or source.stem,
        len(data),
        kind,
        next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx")),
        plan.height,
        plan.width,
        plan.channels,
        "nhwc" if plan.channels_last else "nchw",
        plan.scale,
        plan.mean,
        plan.sd,
        plan.output_name,
        plan.activation,
        classes,
        exclusive,
        of_batch is not None,
        len(images),
        difference,
        of_batch,
        _notices(plan, expected, one_at_a_time=of_batch is None),
    )


def _metadata(
    spec: AdoptSpec, plan: Plan, name: str, precision: str, classes: Sequence[str]
) -> ModelMetadata:
    """Describe the file: what the user says of it, and nothing of its training."""
    task = Task()
    if spec.task == "regions":
        task = Task("regions", check_classes(classes), plan.has_background)
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
    )


def _wrapped(
    model: onnx.ModelProto, plan: Plan, metadata: str, images: Sequence[GrayImage]
) -> tuple[bytes, float | None]:
    """Return a file's bytes, and how far two images at once are from one; None if it takes one."""
    try:
        data = _finished(wrapping.wrap(model, plan, free_batch=True), metadata)
        session = open_wrapped(data)
        difference = batch_difference(session, images)
        if difference <= BATCH_TOLERANCE:
            return data, difference
    except ModelError:
        pass  # a shape inside the graph was fixed at export: one image at a time then
    if plan.batch not in (None, 1):
        raise ModelError(
            f"the model takes {plan.batch} images at once and no other number; export it with a "
            "free batch, or a batch of 1"
        )
    return _finished(wrapping.wrap(model, plan, free_batch=False), metadata), None


def _finished(wrapped: onnx.ModelProto, metadata: str) -> bytes:
    entry = wrapped.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, metadata
    wrapping.check(wrapped)
    data: bytes = wrapped.SerializeToString()
    return data


def _notices(plan: Plan, expected: Sequence[FloatMap], *, one_at_a_time: bool) -> tuple[str, ...]:
    notices = []
    if one_at_a_time:
        notices.append("it takes one image at a time: a shape inside was fixed at export")
    spread = np.ptp(np.stack(expected))
    if spread < _SPREAD:
        notices.append(
            f"its probabilities differ by {spread:.1g} at most over phantoms and noise: it sees "
            "nothing in them; check --scale, --mean, --sd and --activation"
        )
    if plan.shrink > 1:
        notices.append(
            f"its maps have a {plan.shrink}th of the input's size; they are enlarged bilinearly"
        )
    return tuple(notices)
