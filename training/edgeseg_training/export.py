"""A trained model as one ONNX file that carries its normalisation and its metadata."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import onnx

import edgeseg
from edgeseg.errors import ConfigError, OutputExistsError
from edgeseg.network.metadata import METADATA_KEY, ModelMetadata, TrainData
from edgeseg.segmenter import Segmenter
from edgeseg.system.files import check_targets, claim, write_atomic
from edgeseg_training import quantize
from edgeseg_training.checkpoint import Trained, load_trained
from edgeseg_training.graph import (
    add_moments,
    make_valid,
    multiply_accumulates,
    to_onnx,
    turn_thin_convolutions,
)
from edgeseg_training.parity import (
    Bounds,
    Samples,
    compare,
    find_samples,
    network_input,
)
from edgeseg_training.recentre import recentre

PRECISIONS = ("fp32", "fp16", "int8")
_NOTHING = (
    "torch itself is sure of nothing in these images, so masks were not compared: train longer "
    "before using this model"
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
        Dice of the two masks, and mean absolute difference of HC. NaN, or None, without any.
    dice_loss
        By how much the Dice against the labels fell, where there are labels of own structures.
    data, n_images, n_heads, n_masks
        What was compared, and how many heads that torch is sure of, or of own structures how many
        classes that it sees, in each image. What is of the other task is None.
    notices
        Sentences a user should read.
    """

    path: Path
    precision: str
    size_bytes: int
    parameters: int
    gmac: float
    max_probability_difference: float
    max_hc_difference_mm: float | None
    mean_dice_to_source: float
    mean_hc_difference_mm: float | None
    dice_loss: float | None
    data: str
    n_images: int
    n_heads: int | None
    n_masks: int | None
    notices: tuple[str, ...]


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
        Labelled data for calibration and comparison; by default the data of the training
        run, or phantoms where that is gone.
    max_dice_drop, max_hc_change_mm
        Bounds for ``int8``: the mean Dice against the labels, of heads to the float32 masks, may
        fall, and HC may change on average, by this much.

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
    check_targets(out)
    bounds = Bounds(precision, max_dice_drop, max_hc_change_mm)
    trained = load_trained(checkpoint)
    samples = find_samples(trained, calibration_data)
    exported = to_onnx(trained)
    gmac = multiply_accumulates(exported) / 1e9
    metadata = describe(trained, precision, gmac)
    # not beside the target, where a killed run would leave an empty model
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / "model.onnx"
        for candidate in _candidates(exported, precision, trained, samples):
            turn_thin_convolutions(candidate)
            add_moments(candidate)
            make_valid(candidate)
            del candidate.metadata_props[:]
            onnx.helper.set_model_props(candidate, {METADATA_KEY: metadata.to_json()})
            onnx.save(candidate, part)
            differences = compare(trained, Segmenter(part, device="cpu"), samples.parity)
            if differences.hold(bounds):
                break
        differences.judge(bounds)
        write_atomic(out, part.read_bytes())
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
        differences.dice_loss,
        samples.name,
        len(samples.parity),
        differences.n_compared if trained.task.kind == "head" else None,
        differences.n_compared if trained.task.kind != "head" else None,
        samples.notices if differences.n_compared else (*samples.notices, _NOTHING),
    )


def describe(trained: Trained, precision: str, gmac: float) -> ModelMetadata:
    """Return the metadata of an export."""
    config, data, scores = trained.config, trained.facts["data"], trained.facts["validation"]
    figures = {}
    if scores:
        figures = {
            "data": data["name"],
            "split": f"{data['n_validation']} images of fold {config.fold}, of nobody in training; "
            "scored in torch at the network's size",
            "figures": scores,
        }
    sizes_mm = data["training_pixel_size_mm_range"]
    return ModelMetadata(
        name=config.name,
        architecture=config.architecture,
        strategy=config.strategy,
        precision=precision,
        input_height=config.input_height,
        input_width=config.input_width,
        train_data=TrainData(data["name"], data["n_training"], data["training_sha256"]),
        train_pixel_size_mm_range=(sizes_mm[0], sizes_mm[1]) if sizes_mm else None,
        edgeseg_version=edgeseg.__version__,
        metrics=figures,
        parameters=sum(p.numel() for p in trained.model.parameters()),
        gmac=round(gmac, 4),
        licence=config.licence,
        task=trained.task,
    )


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
        if trained.task.kind == "head":
            recentre(quantised, model, samples.calibration, tensors)
        yield quantised


def _delicate_nodes(model: onnx.ModelProto) -> list[str]:
    """Name the nodes that stay float32 in an int8 graph: normalisation, and the last convolution.

    Its logits decide where the outline lies, to a fraction of a pixel.
    """
    nodes = model.graph.node
    convolutions = [i for i, node in enumerate(nodes) if node.op_type == "Conv"]
    return [node.name for node in nodes[: convolutions[0]]] + [nodes[convolutions[-1]].name]
