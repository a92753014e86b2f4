"""Any structures: how much of each class there is, in how many pieces, how long and wide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.measure import screen
from edgeseg.measure.framing import View
from edgeseg.measure.measurement import Column, Measurement, Stroke
from edgeseg.measure.outline import to_native
from edgeseg.measure.screen import compare_with_second_scan as compare_with_second_scan

if TYPE_CHECKING:
    from edgeseg.images.frame import Frame, PixelSize
    from edgeseg.measure.ellipse import Mask
    from edgeseg.measure.measurement import LookAt, Probability
    from edgeseg.network.metadata import ModelMetadata
    from edgeseg.network.task import Task

FLAGS: Mapping[str, str] = {
    "touches_border": "a region reaches the image border; what lies outside is not counted",
    **screen.FLAGS,
}
TERMS: Mapping[str, str] = {
    "pieces": "connected regions, without specks",
    "length, width": "those of the smallest rotated rectangle around the largest piece",
}
NOTHING = "nothing found"
# A piece below this share of the image is speckle: it adds to the area, not to the count.
MIN_PIECE_FRACTION = 1e-4


def title(task: Task, /) -> str:
    """Return what is measured."""
    return f"Areas: {', '.join(task.structures)}"


def columns(task: Task, /) -> tuple[Column, ...]:
    """Return area and count of each class after the background."""
    return tuple(
        column
        for name in task.structures
        for column in (
            Column(f"{name}_area_px", 0, f"{name} (px)"),
            Column(f"{name}_area_mm2", 2, f"{name} (mm²)"),
            Column(f"{name}_count", 0, f"{name} (pieces)"),
        )
    )


def main_columns(task: Task, /) -> tuple[Column, ...]:
    """Return the area of each class, in pixels and in mm²."""
    return tuple(column for column in columns(task) if not column.name.endswith("_count"))


def given_columns(task: Task, /, *, ages: bool, calibrated: bool) -> tuple[Column, ...]:
    """Return length and width of each class; ages and calibrations of heads say nothing here."""
    return tuple(
        Column(f"{name}_{what}_mm", 2, f"{name} {what} (mm)")
        for name in task.structures
        for what in ("length", "width")
    )


def measure(frame: Frame, look: LookAt, metadata: ModelMetadata, /) -> Measurement:
    """Measure the regions in one look at a frame.

    Areas and counts are of the mask at the image's own size. Confidence is the least, over the
    classes seen, of the soft Dice between a class's map and its mask at the network's size.
    """
    seen = look(View.whole(frame.size))
    maps, task, pixel = seen.maps, metadata.task, frame.pixel_size
    native = np.stack([to_native(each, frame.size) for each in maps])
    labels = label(native, task, metadata.threshold)
    figures: dict[str, float | None] = {}
    for number, name in enumerate(task.structures, start=1):
        area_px, count, largest = _pieces(labels == number)
        figures[f"{name}_area_px"] = area_px
        figures[f"{name}_area_mm2"] = area_px * pixel.x_mm * pixel.y_mm if pixel else None
        figures[f"{name}_count"] = count
        sides_mm = _sides_mm(largest, pixel) if pixel and area_px else (None, None)
        figures[f"{name}_length_mm"], figures[f"{name}_width_mm"] = sides_mm
    if not labels.any():
        peaks = zip(task.structures, maps, strict=True)
        highest = ", ".join(f"{name} {float(each.max()):.2f}" for name, each in peaks)
        reason = f"nothing found: highest probability {highest}"
        return Measurement(figures, reason=reason, look=seen, mask=labels)
    edges = (labels[0], labels[-1], labels[:, 0], labels[:, -1])
    cut = ("touches_border",) if any(edge.any() for edge in edges) else ()
    confidence = _confidence(maps, label(maps, task, metadata.threshold))
    flags = (*cut, *screen.flags(frame))
    return Measurement(figures, confidence, flags, look=seen, mask=labels)


def label(probability: Probability, task: Task, threshold: float = 0.5) -> Mask:
    """Return each pixel's class number, shape (h, w), uint8; 0 is background.

    ``probability``, (C, h, w), has a map for each class after the background, in [0, 1]. From
    ``threshold`` on a pixel belongs to a class that does not exclude others.
    """
    # map by map, which is several times faster than argmax over so short an axis
    highest = probability[0]
    labels = np.ones(highest.shape, dtype=np.uint8)
    for number, each in enumerate(probability[1:], start=2):
        np.putmask(labels, each > highest, number)
        highest = np.maximum(highest, each)
    if len(probability) > 1 and task.exclusive:
        present = highest > 1 - probability.sum(axis=0)
    else:
        present = highest >= threshold
    labels *= present
    return labels


def mask(measurement: Measurement, size: tuple[int, int], _metadata: ModelMetadata, /) -> Mask:
    """Return class numbers at native size."""
    return np.zeros(size, dtype=np.uint8) if measurement.mask is None else measurement.mask


def strokes(measurement: Measurement, /) -> list[Stroke]:
    """Return the border of each piece."""
    if measurement.mask is None:
        return []
    lines = []
    for number in np.flatnonzero(np.bincount(measurement.mask.ravel())[1:]) + 1:
        of_class = (measurement.mask == number).view(np.uint8)
        borders, _ = cv2.findContours(of_class, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        lines += [Stroke(border[:, 0].astype(np.float64), int(number)) for border in borders]
    return lines


def caption(measurement: Measurement, task: Task, /) -> str:
    """Return each class's area in one line."""
    if measurement.reason:
        return "nothing found"
    parts = []
    for name in task.structures:
        area_px = measurement.figures[f"{name}_area_px"]
        area_mm2 = measurement.figures[f"{name}_area_mm2"]
        if area_px:
            area = f"{area_px:.0f} px" if area_mm2 is None else f"{area_mm2:.0f} mm2"
            parts.append(f"{name} {area}")
    return ", ".join(parts)


def _pieces(of_class: npt.NDArray[np.bool_]) -> tuple[float, float, Mask]:
    """Return a class's pixels, its 4-connected pieces that are no speckle, and the largest."""
    binary = of_class.view(np.uint8)
    left, top, width, height = cv2.boundingRect(binary)
    if not width:
        return 0.0, 0.0, binary[:0]
    # Labelling is what costs most: only inside the box of all pieces.
    box = np.ascontiguousarray(binary[top : top + height, left : left + width])
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(box, connectivity=4)
    areas = stats[1:, cv2.CC_STAT_AREA]
    largest = (pieces == 1 + areas.argmax()).view(np.uint8)
    return float(areas.sum()), float((areas >= MIN_PIECE_FRACTION * of_class.size).sum()), largest


def _sides_mm(piece: Mask, pixel: PixelSize) -> tuple[float, float]:
    """Return length and width of the smallest rotated rectangle around a piece's pixels."""
    borders, _ = cv2.findContours(piece, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    corners = np.concatenate([borders[0] + (dx, dy) for dx in (-0.5, 0.5) for dy in (-0.5, 0.5)])
    _, sides_mm, _ = cv2.minAreaRect((corners * (pixel.x_mm, pixel.y_mm)).astype(np.float32))
    return max(sides_mm), min(sides_mm)


def _confidence(probability: Probability, labels: Mask) -> float:
    agreements = []
    for number, each in enumerate(probability, start=1):
        of_class = labels == number
        if area := int(np.count_nonzero(of_class)):
            both = float(each[of_class].sum())
            agreements.append(2 * both / (float(each.sum()) + area))
    return min(agreements, default=0.0)
