"""Names that tell labels from images, and the parts of a data set from one another."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import PurePath

# Words in the names of folders, also beside others: trainval-image.
_IMAGE_WORDS = frozenset(("images", "image", "imgs", "img", "scans", "input", "jpegimages"))
_LABEL_WORDS = frozenset((
    *("masks", "mask", "labels", "label", "annotations", "annotation", "segmentations"),
    *("segmentation", "segmentationclass", "segmentationclasspng", "groundtruth", "gt"),
))  # fmt: skip
WORDS = _IMAGE_WORDS | _LABEL_WORDS
_NNUNET = re.compile("^(images|labels)(tr|ts)$")
_PARTS = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation",
    "validation": "validation", "test": "test", "testing": "test",
}  # fmt: skip
_LABEL = "(annotation|mask|label|seg|segmentation|gt|groundtruth)s?"
ENDING = re.compile(rf"[-_. ]{_LABEL}([-_. ]?\(?\d+\)?)?$", re.IGNORECASE)
START = re.compile(rf"^{_LABEL}[-_. ]", re.IGNORECASE)
"""Of the names of labels, without a suffix: ``a_mask``, ``a-masks (1)``, ``mask_a``."""


def words_of(folder: str) -> list[str]:
    """Return the words of a folder's name, lower case; nnU-Net's imagesTs are images for a test."""
    name = folder.lower()
    if found := _NNUNET.match(name):
        return [found[1], "test"] if found[2] == "ts" else [found[1]]
    return re.split(r"[^a-z0-9]+", name)


def is_label(below: PurePath) -> bool:
    """Return whether a picture is a label, by the nearest folder that tells, else by its name."""
    for folder in reversed(below.parts[:-1]):
        if not WORDS.isdisjoint(words := words_of(folder)):
            return not _LABEL_WORDS.isdisjoint(words)
    return bool(ENDING.search(below.stem) or START.search(below.stem))


def holds_labels(folder: str, beside: Iterable[str]) -> bool:
    """Return whether a folder of this name holds labels of images in one of those beside it."""
    return not _LABEL_WORDS.isdisjoint(words_of(folder)) and any(
        not _IMAGE_WORDS.isdisjoint(words_of(name)) for name in beside if name != folder
    )


def images_of(name: str, suffixes: Iterable[str]) -> Iterator[str]:
    """Yield the names that the image may have whose label a file is by its own name."""
    stem = os.path.splitext(name)[0]  # noqa: PTH122 (many names)
    for pattern in (ENDING, START):
        if (image := pattern.sub("", stem)) not in ("", stem):
            yield from (f"{image}{suffix}" for suffix in suffixes)


def given_part(file: str | PurePath) -> str:
    """Return what an image is for by its folders: train, validation, test, or empty."""
    words = (word for folder in PurePath(file).parts[:-1] for word in words_of(folder))
    return next((_PARTS[word] for word in words if word in _PARTS), "")
