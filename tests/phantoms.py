"""Phantoms as a labelled data set in HC18's layout."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from edgeseg.drawing.encode import encode
from edgeseg.phantom.head import Phantom, table

_OUTLINE_HALF_WIDTH_PX = 1.5


def write_hc18(phantoms: Iterable[Phantom], folder: Path) -> None:
    """Write phantoms as HC18 has them: images, outlines and the table of sizes and HC."""
    listed = list(phantoms)
    images = folder / "training_set"
    images.mkdir(parents=True, exist_ok=True)
    for phantom in listed:
        path = images / phantom.name
        rows, columns = np.ogrid[: phantom.image.shape[0], : phantom.image.shape[1]]
        distance = phantom.ellipse.signed_distance(columns, rows)
        outline = np.where(np.abs(distance) < _OUTLINE_HALF_WIDTH_PX, 255, 0).astype(np.uint8)
        path.write_bytes(encode(".png", phantom.image))
        path.with_name(f"{path.stem}_Annotation.png").write_bytes(encode(".png", outline))
    (folder / "training_set_pixel_size_and_HC.csv").write_text(table(listed), encoding="utf-8")
