"""Does an exported model compute what torch does? On which images, and how far is it off."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from edgeseg.errors import DataError, EdgesegError, ParityError
from edgeseg.images import image_file
from edgeseg.images.frame import GrayImage
from edgeseg.measure.ellipse import Mask
from edgeseg.measure.framing import View
from edgeseg.measure.measurement import Look
from edgeseg.measure.outline import see
from edgeseg.measure.regions import label
from edgeseg.network.adapter import preprocess
from edgeseg.network.task import Limits, Task
from edgeseg.phantom import head as phantom
from edgeseg.score import metrics
from edgeseg.score.folds import Labelled
from edgeseg.score.labelled import load_labelled
from edgeseg.segmenter import Segmenter
from edgeseg_training.checkpoint import Trained
from edgeseg_training.data import load_example
from edgeseg_training.model import probabilities

Maps = npt.NDArray[np.float32]

_CALIBRATION_IMAGES = 64
_PARITY_IMAGES = 32
SURE = Limits().agreement  # between map and ellipse: a head that HC is compared of


class Tolerance(NamedTuple):
    """How far the maps of a float export may be from torch's, and HC in mm, on any image."""

    probability: float
    hc_mm: float


_TOLERANCES = {
    # rounding alone gives 6e-6 on hc18-edge; where a network is unsure, 1.3e-4 and 0.03 mm
    "fp32": Tolerance(5e-4, 0.05),
    # decides how many weights stay in float32
    "fp16": Tolerance(5e-3, 0.02),
}


class Bounds(NamedTuple):
    """What an export must hold: a float one its tolerance, ``int8`` the means that follow."""

    precision: str
    max_dice_drop: float
    max_hc_change_mm: float

    @property
    def tolerance(self) -> Tolerance | None:
        """The tolerance of a float export."""
        return _TOLERANCES.get(self.precision)


class Sample(NamedTuple):
    """An image to calibrate on or to compare on: gray values, and mm per pixel if known."""

    gray: GrayImage
    pixel_size_mm: float | None
    # class numbers at the network's size, (h, w); of heads and phantoms there is none
    reference: Mask | None = None


class Samples(NamedTuple):
    """Images seen in training, for calibration, and others, for the comparison."""

    name: str
    calibration: list[Sample]
    parity: list[Sample]
    notices: tuple[str, ...]


def find_samples(trained: Trained, folder: Path | None) -> Samples:
    """Read images to calibrate on (training ones) and to compare on (held-out ones, if any)."""
    chosen = folder or trained.data
    notices: tuple[str, ...] = ()
    try:
        cases = [*_cases(trained, chosen)] if chosen else []
    except EdgesegError:
        if folder is not None:
            raise
        cases = []
    if chosen is None or not cases:
        size = trained.config.input_height * 2, trained.config.input_width * 2
        drawn = [phantom.make_phantom(i, height=size[0], width=size[1]) for i in range(24)]
        samples = [Sample(p.image, p.pixel_size_mm) for p in drawn]
        notices = (
            "the training data is not there: calibrated and compared on phantoms; give "
            "--calibration-data for real images",
        )
        return Samples("phantoms", samples, samples, notices)
    split = trained.facts["split"]
    training = [c for c in cases if c.file in set(split["training"])] or cases
    held_out = [c for c in cases if c.file in set(split["validation"])]
    if not held_out:
        held_out = cases
        notices = ("none of these images was held out in training: compared on any of them",)
    return Samples(
        chosen.name,
        _read(_spread(training, _CALIBRATION_IMAGES)),
        [
            sample._replace(reference=_reference(case, trained))
            for case in _spread(held_out, _PARITY_IMAGES)
            for sample in _read([case])
        ],
        notices,
    )


def _cases(trained: Trained, folder: Path) -> Sequence[Labelled]:
    """Load a folder's images as the model's training data was loaded."""
    config = trained.config
    names, ignored = config.classes, config.ignore_index
    return load_labelled(folder, config.task, config.group_pattern, names, ignored).cases


def _reference(case: Labelled, trained: Trained) -> Mask | None:
    """Return a label as the network should answer it; of heads None."""
    if trained.task.kind == "head":
        return None
    coverage = load_example(case, trained.config, trained.task).coverage
    return label(coverage.nan_to_num(0).numpy(), trained.task)


class Differences(NamedTuple):
    """How far an export is from torch; see `ExportReport`."""

    max_probability: float
    max_hc_mm: float | None  # of heads
    mean_dice: float
    mean_hc_mm: float | None  # of heads
    dice_loss: float | None  # of other structures, where there are labels
    n_compared: int

    def hold(self, bounds: Bounds) -> bool:
        """Tell whether the differences are within the bounds."""
        if bounds.tolerance is None:
            dice = self.mean_dice if self.dice_loss is None else 1 - self.dice_loss
            near_mm = (self.mean_hc_mm or 0.0) <= bounds.max_hc_change_mm
            return not self.n_compared or (dice >= 1 - bounds.max_dice_drop and near_mm)
        near = self.max_probability <= bounds.tolerance.probability
        return near and (self.max_hc_mm or 0.0) <= bounds.tolerance.hc_mm

    def judge(self, bounds: Bounds) -> None:
        """Raise `ParityError` if the differences are outside the bounds."""
        if self.hold(bounds):
            return
        found = f"probabilities differ by up to {self.max_probability:.2g}"
        allowed = f"--max-dice-drop {bounds.max_dice_drop:g}"
        if tolerance := bounds.tolerance:
            allowed = f"probability {tolerance.probability:g}"
        if self.n_compared:
            found += f", mean Dice of the masks is {self.mean_dice:.5f}"
        else:
            found += ", torch is sure of nothing to compare"
        if self.dice_loss is not None:
            found += f", Dice against the labels falls by {self.dice_loss:.5f}"
        if self.max_hc_mm is not None:
            found += f", HC by up to {self.max_hc_mm:.3f} mm (mean {self.mean_hc_mm or 0:.3f})"
            of_hc = f"HC {tolerance.hc_mm:g} mm" if tolerance else ""
            allowed += f", {of_hc or f'--max-hc-change-mm {bounds.max_hc_change_mm:g}'}"
        raise ParityError(
            f"the {bounds.precision} export is too far from torch: {found}; allowed: {allowed}. "
            "No file was written"
        )


def compare(trained: Trained, segmenter: Segmenter, samples: Sequence[Sample]) -> Differences:
    """Run torch and onnxruntime on the same images and return how far they are apart.

    Masks and HC are compared where torch measures a head with confidence: elsewhere the outline
    hangs on the last digits and says nothing. Where the export then finds no head, the whole HC
    is the difference.
    """
    probability, hc_mm, dice = [], list[float](), list[float]()
    losses = list[float]()
    for sample in samples:
        tensor = network_input(trained, sample)
        with torch.inference_mode():
            source = probabilities(trained.model(torch.from_numpy(tensor))).numpy()[0]
        exported = segmenter.infer(tensor)[0]
        probability.append(float(np.abs(exported - source).max()))
        if trained.task.kind != "head":
            masks = label(source, trained.task), label(exported, trained.task)
            dice += _class_dice(*masks, trained.task)
            if sample.reference is not None:
                before, after = (_class_dice(sample.reference, m, trained.task) for m in masks)
                losses += [one - other for one, other in zip(before, after, strict=True)]
            continue
        head_source, head = measure(source[0], sample), measure(exported[0], sample)
        if head_source.confidence >= SURE:
            dice.append(metrics.overlap(head.mask, head_source.mask).dice)
            hc_mm.append(abs(head.hc_mm - head_source.hc_mm))
    return Differences(
        max(probability),
        max(hc_mm, default=None),
        _mean(dice) if dice else math.nan,
        _mean(hc_mm) if hc_mm else None,
        _mean(losses) if losses else None,
        len(dice),
    )


def _class_dice(expected: Mask, found: Mask, task: Task) -> list[float]:
    """Return the Dice of each class's two masks, of the classes that are expected."""
    numbers = [i for i in range(1, len(task.classes)) if (expected == i).any()]
    return [metrics.overlap(found == i, expected == i).dice for i in numbers]


class _Head(NamedTuple):
    """A head at the network's size; ``hc_mm`` and ``confidence`` are 0 if there is none."""

    mask: Mask
    hc_mm: float
    confidence: float


def measure(probability: npt.NDArray[np.float32], sample: Sample) -> _Head:
    """Measure a head in a map, (h, w), as the runtime does but whatever its confidence."""
    view = View.whole((sample.gray.shape[0], sample.gray.shape[1]))
    found = see(Look(probability[None], view))
    if isinstance(found, str):
        return _Head(np.zeros(probability.shape, dtype=np.uint8), 0.0, 0.0)
    hc_mm = found.ellipse.circumference_px * (sample.pixel_size_mm or 1.0)
    return _Head(found.region.mask, hc_mm, found.confidence)


def network_input(trained: Trained, sample: Sample) -> npt.NDArray[np.uint8]:
    """Return a sample at the network's size, (1, 1, h, w), uint8."""
    config = trained.config
    return preprocess(sample.gray, config.input_height, config.input_width)


def _spread(cases: Sequence[Labelled], count: int) -> Sequence[Labelled]:
    """Return up to ``count`` cases, evenly spread."""
    if len(cases) <= count:
        return cases
    return [cases[i * len(cases) // count] for i in range(count)]


def _read(cases: Sequence[Labelled]) -> list[Sample]:
    if not cases:
        raise DataError("there is no image to compare on")
    return [Sample(image_file.read_gray(case.image_path), case.pixel_size_mm) for case in cases]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
