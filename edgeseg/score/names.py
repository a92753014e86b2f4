"""How the files and folders of labelled images are called."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

READABLE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
IMAGE_FOLDERS = ("images", "image", "imgs", "img", "scans")
LABEL_FOLDERS = ("masks", "mask", "labels", "label", "annotations", "annotation", "gt")
LABEL_ENDINGS = ("_annotation", "_mask", "_label", "_seg", "_gt")


def picture_files(root: Path) -> Iterator[Path]:
    """Yield the readable pictures below a folder, sorted, without hidden ones."""
    seen = set()
    for here, folders, names in os.walk(root, followlinks=True):
        if (real := os.path.realpath(here)) in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in READABLE_SUFFIXES:
                yield Path(here, name)


def is_label(below: Path) -> bool:
    """Tell a label from an image: by the nearest folder that says it, else by its name's end."""
    for folder in reversed(below.parts[:-1]):
        if folder.lower() in (*IMAGE_FOLDERS, *LABEL_FOLDERS):
            return folder.lower() in LABEL_FOLDERS
    return below.stem.lower().endswith(LABEL_ENDINGS)


def plain(below: Path) -> Path:
    """Return a path without the folders that only say what is in them."""
    said = (*IMAGE_FOLDERS, *LABEL_FOLDERS)
    return Path(*(part for part in below.parts[:-1] if part.lower() not in said), below.name)


def label_keys(below: Path) -> list[str]:
    """Return what an image of a label may be called, the likeliest first, without a suffix."""
    whole = plain(below).with_suffix("")
    keys = [whole.as_posix()]
    for ending in LABEL_ENDINGS:
        if whole.name.lower().endswith(ending) and len(whole.name) > len(ending):
            keys.append(whole.with_name(whole.name[: -len(ending)]).as_posix())
    return keys
