"""Images as a model's encoder sees them: a few hundred numbers each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from edgeseg.errors import DataError
from edgeseg.images.frame import GrayImage
from edgeseg.images.image_file import read_gray
from edgeseg.measure.framing import View, around
from edgeseg.measure.measurement import Look
from edgeseg.measure.outline import Outline, see
from edgeseg.network.adapter import preprocess
from edgeseg.network.metadata import METADATA_KEY, ModelMetadata
from edgeseg.network.port import Port
from edgeseg.network.session import session_options
from edgeseg_training.presence.graph import FEATURES, add_features, remove_presence
from edgeseg_training.presence.images import changed, no_scan, shrunk, without_head

# Copies of an image beside itself, and the most they are turned by: other planes lie in any way.
_HEAD_COPIES, _HEAD_TURN_DEG = 3, 30.0
_OTHER_COPIES, _OTHER_TURN_DEG = 11, 180.0
_NO_SCANS = 600
_LONGEST_IN_INPUTS = 2.2  # images are shrunk to so many widths of the network's input before
_FEWEST = 32  # views of either kind

FloatArray = npt.NDArray[np.float32]


class Images(NamedTuple):
    """What presence is learnt from, as paths.

    Attributes
    ----------
    heads
        Labelled or not, such as the network was trained on.
    more_heads
        Of other machines.
    others
        Scans of anything else.
    """

    heads: Sequence[Path]
    more_heads: Sequence[Path]
    others: Sequence[Path]


class Examples(NamedTuple):
    """Features, shape (n, D), whether each is of a head, and how much each counts, shapes (n,)."""

    features: FloatArray
    is_head: FloatArray
    weight: FloatArray


class Observer:
    """A model's two looks at an image, and what its encoder sees in the second.

    Parameters
    ----------
    model
        With the output `FEATURES`.
    """

    def __init__(self, model: onnx.ModelProto, threads: int = 1) -> None:
        self.metadata = read(model)
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(),
            session_options(threads, spin=False),
            providers=["CPUExecutionProvider"],
        )
        self._input = self._session.get_inputs()[0].name
        self._adapter = Port(self._session, Path(self.metadata.name)).adapter

    def first(self, gray: GrayImage) -> Outline | None:
        """Return the head that the first look finds, real or not."""
        return self._look(gray, View.whole((gray.shape[0], gray.shape[1])))[0]

    def features(self, gray: GrayImage) -> FloatArray | None:
        """Return the second look's features, shape (D,); None where the first finds nothing."""
        seen = self.first(gray)
        if seen is None:
            return None
        metadata = self.metadata
        input_size = metadata.input_height, metadata.input_width
        return self._look(gray, around(seen.ellipse, metadata.limits.view_shares, input_size))[1]

    def _look(self, gray: GrayImage, view: View) -> tuple[Outline | None, FloatArray]:
        metadata = self.metadata
        tensor = preprocess(view.cut(gray), metadata.input_height, metadata.input_width)
        adapter = self._adapter
        output, features = self._session.run(
            [adapter.output, FEATURES], {self._input: adapter.make_input(tensor)}
        )
        maps = adapter.read_maps(output, len(metadata.task.structures))
        seen = see(Look(maps[0], view), metadata.threshold)
        return (None if isinstance(seen, str) else seen), features[0]


def read(model: onnx.ModelProto) -> ModelMetadata:
    """Return a model file's metadata.

    Raises
    ------
    ModelError
        If there is none that edgeseg reads.
    """
    texts = {entry.key: entry.value for entry in model.metadata_props}
    return ModelMetadata.from_json(texts.get(METADATA_KEY, ""))


def with_features(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of a model with the output `FEATURES`, and without a presence it may have."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    remove_presence(copy)
    add_features(copy)
    return copy


def gather(observer: Observer, images: Images, seed: int = 0) -> Examples:
    """Return what a model's encoder sees of images, copies of them, and pictures of no scan.

    Raises
    ------
    DataError
        If too little is seen to learn from.
    EdgesegError
        If an image cannot be read.
    """
    generator = np.random.default_rng(seed)
    longest = round(_LONGEST_IN_INPUTS * observer.metadata.input_width)

    def copies(paths: Sequence[Path], count: int, turn_deg: float) -> Iterator[GrayImage]:
        for path in paths:
            gray = shrunk(read_gray(path), longest)
            yield gray
            for _ in range(count):
                yield changed(gray, generator, turn_deg)

    def emptied() -> Iterator[GrayImage]:
        for path in images.heads[::2]:
            gray = shrunk(read_gray(path), longest)
            if (seen := observer.first(gray)) is not None:
                yield without_head(gray, seen.ellipse, generator)
        for _ in range(_NO_SCANS):
            yield no_scan(generator)

    groups = (
        (copies(images.heads, _HEAD_COPIES, _HEAD_TURN_DEG), True, 0.7),
        (copies(images.more_heads, _HEAD_COPIES, _HEAD_TURN_DEG), True, 0.3),
        (copies(images.others, _OTHER_COPIES, _OTHER_TURN_DEG), False, 0.8),
        (emptied(), False, 0.2),
    )
    features, is_head, weight = [], [], []
    for grays, head, share in groups:
        seen = [f for gray in grays if (f := observer.features(gray)) is not None]
        features += seen
        is_head += [float(head)] * len(seen)
        weight += [share / max(len(seen), 1)] * len(seen)
    if min(is_head.count(0.0), is_head.count(1.0)) < _FEWEST:
        raise DataError(
            f"{is_head.count(1.0)} views of heads and {is_head.count(0.0)} of other things are too "
            "few to learn from; give more images"
        )
    return Examples(np.stack(features), np.array(is_head, np.float32), np.array(weight, np.float32))
