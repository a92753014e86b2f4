"""A trained model as one ONNX file that carries its normalisation and its metadata."""

from __future__ import annotations

import contextlib
import io
import math
import secrets
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from onnxscript.optimizer import remove_unused_nodes
from torch import Tensor, nn

import edgeseg
from edgeseg.errors import ConfigError, OutputExistsError, OutputWriteError
from edgeseg.files import claim
from edgeseg.metadata import METADATA_KEY, ModelMetadata, TrainData
from edgeseg.segmenter import Segmenter
from edgeseg_training import quantize
from edgeseg_training.checkpoint import Trained, load_trained
from edgeseg_training.model import SegmentationModel
from edgeseg_training.parity import Samples, compare, find_samples, network_input
from edgeseg_training.recentre import recentre

PRECISIONS = ("fp32", "fp16", "int8")
_OPSET = 18
_NO_HEAD = (
    "torch itself is sure of no head in these images, so masks and HC were not compared: train "
    "longer before using this model"
)
# Smaller tensors (depthwise filters, the first and the last layers) hold little of the size and
# most of the rounding error. Models that react more to it keep more in float32.
_MIN_HALF_ELEMENTS = (12_000, 100_000, 400_000, 1_000_000)


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written and how far it is from torch.

    Attributes
    ----------
    max_probability_difference, max_hc_difference_mm
        Largest over the images compared; HC counts 0 where no head is found.
    mean_dice_to_source, mean_hc_difference_mm
        Dice of the two masks, and mean absolute difference of HC.
    data, n_images, n_heads
        What was compared, and on how many of the images torch is sure of a head: masks and HC are
        compared on those, and NaN without any.
    notices
        Sentences a user should read.
    """

    path: Path
    precision: str
    size_bytes: int
    parameters: int
    gmac: float
    max_probability_difference: float
    max_hc_difference_mm: float
    mean_dice_to_source: float
    mean_hc_difference_mm: float
    data: str
    n_images: int
    n_heads: int
    notices: tuple[str, ...]


class _WithSigmoid(nn.Module):
    def __init__(self, model: SegmentationModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, gray: Tensor) -> Tensor:
        return torch.sigmoid(self.model(gray))


def export(
    checkpoint: Path,
    out: Path,
    *,
    precision: str = "fp32",
    calibration_data: Path | None = None,
    max_dice_drop: float = 0.005,
    max_hc_change_mm: float = 0.5,
    overwrite: bool = False,
) -> ExportReport:
    """Write a trained model as ONNX and compare it with torch; no file is left if they differ.

    Parameters
    ----------
    checkpoint
        ``model.safetensors``, ``last.ckpt`` or a run's folder.
    out
        The ONNX file.
    precision
        ``fp32`` (probabilities within 5e-4 of torch, HC within 0.05 mm), ``fp16`` (weights of half
        the size; within 5e-3 and 0.02 mm) or ``int8`` (bounded by the two values below).
    calibration_data
        HC18-shaped folder for calibration and comparison; by default the data of the training
        run, or phantoms where that is gone.
    max_dice_drop, max_hc_change_mm
        Bounds for ``int8``: mean Dice to the float32 masks may fall short of 1, and HC may change
        on average, by this much.

    Raises
    ------
    OutputExistsError, OutputWriteError
        If ``out`` exists and may not be overwritten, or cannot be written.
    ParityError
        If the exported model does not compute what torch does.
    EdgesegError
        If the checkpoint or the data cannot be used.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"precision is {precision!r}; expected one of {', '.join(PRECISIONS)}")
    if out.is_dir():
        raise OutputExistsError(f"{out} is a folder; give the name of an .onnx file in it")
    claim(out, overwrite)
    trained = load_trained(checkpoint)
    samples = find_samples(trained, calibration_data)
    exported = to_onnx(trained)
    gmac = multiply_accumulates(exported) / 1e9
    metadata = describe(trained, precision, gmac)
    part = out.with_name(f".{secrets.token_hex(6)}.part.onnx")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
    except OSError as error:
        raise OutputWriteError(f"{out}: cannot be written ({error.strerror})") from error
    try:
        for candidate in _candidates(exported, precision, trained, samples):
            del candidate.metadata_props[:]
            onnx.helper.set_model_props(candidate, {METADATA_KEY: metadata.to_json()})
            onnx.save(candidate, part)
            onnx.checker.check_model(part)
            differences = compare(trained, Segmenter(part, device="cpu"), samples.parity)
            if differences.hold(precision, max_dice_drop, max_hc_change_mm):
                break
        differences.judge(precision, max_dice_drop, max_hc_change_mm)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
    return ExportReport(
        out,
        precision,
        out.stat().st_size,
        metadata.parameters or 0,
        round(gmac, 4),
        differences.max_probability,
        differences.max_hc_mm,
        differences.mean_dice,
        differences.mean_hc_mm,
        samples.name,
        len(samples.parity),
        differences.n_heads,
        samples.notices if differences.n_heads else (*samples.notices, _NO_HEAD),
    )


def to_onnx(trained: Trained) -> onnx.ModelProto:
    """Return the float32 graph: ``image``, uint8 (N, 1, h, w), to ``probability``, float32."""
    config = trained.config
    example = torch.zeros((2, 1, config.input_height, config.input_width), dtype=torch.uint8)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # deprecations inside the exporter
        program = torch.onnx.export(
            _WithSigmoid(trained.model).eval(),
            (example,),
            input_names=["image"],
            output_names=["probability"],
            dynamic_shapes=({0: torch.export.Dim("N", min=1)},),
            opset_version=_OPSET,
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    graph: onnx.ModelProto = program.model_proto
    for node in graph.graph.node:  # stack traces of this machine's files
        del node.metadata_props[:]
        node.doc_string = ""
    for value in (*graph.graph.value_info, *graph.graph.input, *graph.graph.output):
        del value.metadata_props[:]
    del graph.graph.metadata_props[:]
    _fix_scales(graph)
    return graph


def multiply_accumulates(model: onnx.ModelProto) -> int:
    """Count the multiply-accumulates of the convolutions for one image."""
    shapes = _shapes(model)
    weights = {t.name: list(t.dims) for t in model.graph.initializer}
    total = 0
    for node in model.graph.node:
        if node.op_type == "Conv":
            # each output value takes one product for each weight of its filter
            total += math.prod(shapes[node.output[0]]) * math.prod(weights[node.input[1]][1:])
        elif node.op_type == "ConvTranspose":
            pixels = math.prod(shapes[node.input[0]][2:])
            total += pixels * math.prod(weights[node.input[1]])
    return total


def describe(trained: Trained, precision: str, gmac: float) -> ModelMetadata:
    """Return the metadata of an export."""
    config, data, scores = trained.config, trained.facts["data"], trained.facts["validation"]
    figures = {}
    if scores:
        figures = {
            "data": data["name"],
            "split": f"{data['n_validation']} images of fold {config.fold}, no head in training; "
            "scored in torch at the network's size",
            "figures": scores,
        }
    low, high = data["training_pixel_size_mm_range"]
    return ModelMetadata(
        name=config.name,
        architecture=config.architecture,
        strategy=config.strategy,
        precision=precision,
        input_height=config.input_height,
        input_width=config.input_width,
        train_data=TrainData(data["name"], data["n_training"], data["training_sha256"]),
        train_pixel_size_mm_range=(low, high),
        edgeseg_version=edgeseg.__version__,
        metrics=figures,
        parameters=sum(p.numel() for p in trained.model.parameters()),
        gmac=round(gmac, 4),
    )


def _shapes(model: onnx.ModelProto) -> dict[str, list[int]]:
    """Return the shape of every value for one image."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    del fixed.graph.value_info[:]
    for value in (*fixed.graph.input, *fixed.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    inferred = onnx.shape_inference.infer_shapes(fixed, strict_mode=True, data_prop=True).graph
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    return {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}


def _fix_scales(model: onnx.ModelProto) -> None:
    """Give the upsampling constant scales.

    The exporter computes each output size from the batch size at run time, which other runtimes
    and converters cope with badly.
    """
    shapes = _shapes(model)
    for node in model.graph.node:
        if node.op_type == "Resize":
            sizes = zip(shapes[node.output[0]], shapes[node.input[0]], strict=True)
            scales = np.array([after / before for after, before in sizes], dtype=np.float32)
            name = f"{node.output[0]}_scales"
            model.graph.initializer.append(onnx.numpy_helper.from_array(scales, name))
            node.input[:] = [node.input[0], "", name]
    remove_unused_nodes(model)


def _candidates(
    model: onnx.ModelProto, precision: str, trained: Trained, samples: Samples
) -> Iterator[onnx.ModelProto]:
    """Yield graphs of a precision, the smallest first, for the first that is close enough."""
    if precision == "fp32":
        yield model
    elif precision == "fp16":
        for min_elements in _MIN_HALF_ELEMENTS:
            yield quantize.half_weights(model, min_elements)
    else:
        tensors = [network_input(trained, sample) for sample in samples.calibration]
        quantised = quantize.integers(model, tensors, _delicate_nodes(model))
        recentre(quantised, model, samples.calibration, tensors)
        yield quantised


def _delicate_nodes(model: onnx.ModelProto) -> list[str]:
    """Name the nodes that stay float32 in an int8 graph: normalisation, and the last convolution.

    Its logits decide where the outline lies, to a fraction of a pixel.
    """
    nodes = model.graph.node
    convolutions = [i for i, node in enumerate(nodes) if node.op_type == "Conv"]
    return [node.name for node in nodes[: convolutions[0]]] + [nodes[convolutions[-1]].name]
