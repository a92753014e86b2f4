"""Labelled images as training examples: an image, soft masks, and random views of both."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from torchvision.transforms import InterpolationMode, v2

from edgeseg.errors import ConfigError
from edgeseg.images import image_file
from edgeseg.inputs.labels import given_part
from edgeseg.measure.ellipse import Ellipse
from edgeseg.network.adapter import preprocess
from edgeseg.network.task import Task
from edgeseg.score.folds import IGNORED, Labelled, grouped_folds, read_folds, select_fold
from edgeseg.score.hc18 import Case
from edgeseg_training.config import TrainConfig

_FOLDS = 5
_FOLD_SEED = 2018


class Split(NamedTuple):
    """The cases a run trains on and those it is validated on; they share no group."""

    training: list[Labelled]
    validation: list[Labelled]
    test: list[Labelled]  # of a folder of that name: neither trained on nor validated


class Example(NamedTuple):
    """One case at the network's size.

    Attributes
    ----------
    gray
        Shape (1, h, w), uint8.
    coverage
        Shape (C, h, w), float32 in [0, 1]: the share of each pixel that is a structure; NaN where
        nobody labelled.
    ellipse
        Reference ellipse in native pixels, of a head.
    size
        Native (height, width).
    """

    case: Labelled
    gray: Tensor
    coverage: Tensor
    ellipse: Ellipse | None
    size: tuple[int, int]

    def pixels(self) -> tuple[object, ...]:
        """Return what two examples with equal pixels have alike."""
        return *self.size, hash(self.gray.numpy().tobytes())


def split_cases(cases: Sequence[Labelled], config: TrainConfig) -> Split:
    """Split by group: a fold for validation, a fraction of the other groups for training.

    Without a split file, folders such as ``train``, ``val`` and ``test`` are kept apart: the second
    is the one fold there is.

    Raises
    ------
    ConfigError
        If nothing is left to train on.
    """
    parts: dict[str, list[Labelled]] = {"validation": [], "test": []}
    if config.folds:
        folds = read_folds(Path(config.folds))
    else:
        for case in cases:
            parts.setdefault(given_part(case.file), []).append(case)
        test = {case.file for case in parts["test"]}
        cases = [case for case in cases if case.file not in test]
        given = [case.file for case in parts["validation"]]
        folds = [given] if given else grouped_folds(cases, _FOLDS, _FOLD_SEED)
    validation = select_fold(cases, folds, config.fold) if config.fold >= 0 else []
    if config.fold >= 0 and len(cases) > 1 and len({case.group for case in cases}) == 1:
        raise ConfigError(
            f"all {len(cases)} images are of one head or patient, {cases[0].group!r}: nothing can "
            "be held out. Say it otherwise in groups.csv or --group-pattern, or train on all of "
            "them with --fold -1"
        )
    held_out = {case.group for case in validation}
    groups = sorted({case.group for case in cases} - held_out)
    random.Random(config.seed).shuffle(groups)
    kept = set(groups[: max(1, round(config.fraction * len(groups)))]) if groups else set()
    training = [case for case in cases if case.group in kept]
    if not training:
        raise ConfigError(
            f"the {len(cases)} images are of {len(held_out)} heads or patients, and fold "
            f"{config.fold} holds all of them out: none is left for training. Names such as "
            "010_HC and 010_2HC are of one head; groups.csv or --group-pattern say it otherwise"
        )
    return Split(training, validation, parts["test"])


def describe_leak(training: Iterable[Example], held_out: Iterable[Example]) -> str:
    """Say that images with equal pixels are in both; empty if none is."""
    seen = {example.pixels(): example.case.file for example in training}
    found = [(seen.get(example.pixels(), ""), example.case.file) for example in held_out]
    if not (pairs := [pair for pair in found if pair[0]]):
        return ""
    return (
        f"{len(pairs)} held-out images have the pixels of images that are trained on, such as "
        f"{pairs[0][1]} of {pairs[0][0]}: scores are too good; keep one of each, or give both one "
        "group in groups.csv"
    )


def load_example(case: Labelled, config: TrainConfig, task: Task) -> Example:
    """Read a case once and bring it to the network's size, as inference does."""
    gray = image_file.read_gray(case.image_path)
    size = (gray.shape[0], gray.shape[1])
    height, width = config.input_height, config.input_width
    tensor = preprocess(gray, height, width)[0]
    ellipse = None
    if task.kind == "head" and isinstance(case, Case):
        ellipse = case.reference_ellipse(size)
        shares = [ellipse.coverage(*size)]
    else:
        mask = case.mask(size)
        shares = [(mask == i).astype(np.float32) for i in range(1, len(task.classes))]
        if (mask == IGNORED).any():
            shares = [np.where(mask == IGNORED, np.float32(np.nan), share) for share in shares]
    coverage = np.stack(
        [cv2.resize(share, (width, height), interpolation=cv2.INTER_AREA) for share in shares]
    )
    return Example(
        case, torch.from_numpy(tensor), torch.from_numpy(coverage.astype(np.float32)), ellipse,
        size,
    )  # fmt: skip


class ViewDataset(Dataset[tuple[Tensor, Tensor]]):
    """Random views of examples; an item is addressed by (epoch, index) and depends on no other.

    That makes the order and number of workers irrelevant, and a resumed run equal to one that was
    never interrupted.
    """

    def __init__(self, examples: Sequence[Example], config: TrainConfig) -> None:
        self.examples = examples
        self.seed = config.seed
        self.augment = Augmentation(config)

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Return an image, (1, h, w) float32 0 to 255, and its soft masks, (C, h, w) float32."""
        epoch, index = key
        example = self.examples[index]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_item_seed(self.seed, epoch, index))
            return self.augment(example.gray, example.coverage)


class EpochSampler(Sampler[tuple[int, int]]):
    """Every index once an epoch, in an order that depends on seed and epoch alone."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed, self.epoch = count, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration; the trainer calls it."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.count)
        return iter([(self.epoch, int(i)) for i in order])


class Augmentation:
    """Random geometry for image and mask together, random gray values for the image alone."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self.geometry = v2.Compose(
            [
                v2.RandomHorizontalFlip(config.horizontal_flip),
                v2.RandomVerticalFlip(config.vertical_flip),
                v2.RandomAffine(
                    degrees=config.rotate_deg,
                    translate=(config.shift, config.shift) if config.shift else None,
                    scale=config.scale_range if config.scale_range != (1.0, 1.0) else None,
                    shear=config.shear_deg or None,
                    interpolation=InterpolationMode.BILINEAR,
                ),
            ]
        )
        self.blur = v2.RandomApply([v2.GaussianBlur(5, (0.3, 1.2))], p=config.blur)

    def __call__(self, gray: Tensor, coverage: Tensor) -> tuple[Tensor, Tensor]:
        """Return a random view, (1, h, w) float32 0 to 255, and its soft masks, (C, h, w)."""
        if self.config.empty and float(torch.rand(())) < self.config.empty:
            return _empty(gray.shape) * 255, torch.zeros_like(coverage)
        # As channels of one image: the mask is a coverage, to be interpolated like gray values.
        both = self.geometry(torch.cat([gray.float() / 255, coverage]))
        x, mask = both[:1], both[1:]
        config = self.config
        if config.gamma:
            x = x ** float(torch.exp(_uniform(config.gamma)))
        if config.gain:
            x = x * float(torch.exp(_uniform(config.gain)))
        if config.blur:
            x = self.blur(x)
        if config.shadow and float(torch.rand(())) < config.shadow:
            x = x * _shadow(*x.shape[-2:])
        if config.noise:
            speckle, additive = torch.rand(2) * config.noise
            x = x * (1 + 2 * speckle * torch.randn_like(x))
            x = x + 0.5 * additive * torch.randn_like(x) * (x > 0.01)
        return x.clamp(0, 1) * 255, mask.clamp(0, 1)


def _empty(shape: torch.Size) -> Tensor:
    """Gray values of an image with nothing in it: one level, with or without noise, in [0, 1]."""
    level, noise = torch.rand(2)
    level = level * float(torch.rand(()) < 0.7)  # black is what a probe in the air shows
    x: Tensor = level + noise * float(torch.rand(()) < 0.6) * torch.randn(shape)
    return x.clamp(0, 1)


def _shadow(height: int, width: int) -> Tensor:
    """Gain of a soft dark sector with its tip above the image, as behind bone or gas."""
    angle, half_width, depth = torch.rand(3)
    center = (float(angle) - 0.5) * 1.2
    rows = (torch.arange(height)[:, None] + 0.15 * height) / height
    columns = (torch.arange(width)[None] - width / 2) / height
    off_axis = (torch.atan2(columns, rows) - center).abs() / (0.04 + 0.12 * float(half_width))
    return 1 - (0.3 + 0.6 * float(depth)) * torch.sigmoid(6 * (1 - off_axis))


def _uniform(limit: float) -> Tensor:
    return (2 * torch.rand(()) - 1) * limit


def _item_seed(seed: int, epoch: int, index: int) -> int:
    return int(np.random.SeedSequence((seed, epoch, index)).generate_state(1, np.uint64)[0] >> 1)
