"""Any one round structure: the ellipse around it, its circumference, axes and area."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

from edgeseg.measure import figures, quality, screen
from edgeseg.measure.measurement import Column, Measurement
from edgeseg.measure.outline import look_closely
from edgeseg.measure.outline import mask as mask
from edgeseg.measure.outline import strokes as strokes
from edgeseg.measure.screen import compare_with_second_scan as compare_with_second_scan

if TYPE_CHECKING:
    from edgeseg.images.frame import Frame
    from edgeseg.measure.measurement import LookAt
    from edgeseg.network.metadata import ModelMetadata
    from edgeseg.network.task import Task

FLAGS: Mapping[str, str] = {
    **{
        name: quality.FLAGS[name]
        for name in ("touches_border", "irregular_outline", "incomplete_outline", "square_image")
    },
    "several_regions": "a second region of the same kind",
    "looks_differ": "a second look gives another circumference",
    **screen.FLAGS,
}
TERMS: Mapping[str, str] = {
    "circumference": "that of an ellipse fitted to the outline",
    "axis": "a diameter of that ellipse, the longest or the shortest",
}
NOTHING = "nothing found"


def title(task: Task, /) -> str:
    """Return what is measured."""
    return f"Circumference: {task.structures[0]}"


def columns(task: Task, /) -> tuple[Column, ...]:
    """Return circumference, axes and area in mm, the circumference in pixels, and the ellipse."""
    (name,) = task.structures
    return (
        Column(f"{name}_circumference_mm", 3, f"{name} circumference (mm)"),
        Column(f"{name}_long_axis_mm", 3, "long axis (mm)"),
        Column(f"{name}_short_axis_mm", 3, "short axis (mm)"),
        Column(f"{name}_area_mm2", 2, "area (mm²)"),
        Column(f"{name}_circumference_px", 3, f"{name} circumference (px)"),
        *figures.ELLIPSE_COLUMNS,
    )


def main_columns(task: Task, /) -> tuple[Column, ...]:
    """Return the circumference, in mm and in pixels."""
    return tuple(column for column in columns(task) if "_circumference_" in column.name)


def given_columns(_task: Task, /, *, ages: bool, calibrated: bool) -> tuple[Column, ...]:
    """Return nothing: ages and calibrations are of heads."""
    return ()


def measure(frame: Frame, look: LookAt, metadata: ModelMetadata, /) -> Measurement:
    """Measure the structure in a frame; see `look_closely`."""
    (name,) = metadata.task.structures
    found: dict[str, float | None] = dict.fromkeys(c.name for c in columns(metadata.task))
    last, seen = look_closely(frame, look, metadata)
    if isinstance(seen, str):
        return Measurement(found, reason=f"no {name} found: {seen}", look=last)
    ellipse = seen.outline.ellipse
    found |= {f"{name}_circumference_px": ellipse.circumference_px, **asdict(ellipse)}
    if (size := frame.pixel_size) is not None:
        in_mm = ellipse.scaled(size.x_mm, size.y_mm)
        found |= {
            f"{name}_circumference_mm": in_mm.circumference_px,  # px are mm here
            f"{name}_long_axis_mm": 2 * in_mm.semi_major_px,
            f"{name}_short_axis_mm": 2 * in_mm.semi_minor_px,
            f"{name}_area_mm2": math.pi * in_mm.semi_major_px * in_mm.semi_minor_px,
        }
    flags = tuple(flag for flag in quality.flags(seen) if flag in FLAGS)
    return Measurement(found, seen.outline.confidence, flags, ellipse=ellipse, look=last)


def caption(measurement: Measurement, task: Task, /) -> str:
    """Return the circumference and both axes in one line."""
    (name,), found = task.structures, measurement.figures
    if measurement.reason:
        return f"no {name} found"
    if found[f"{name}_circumference_mm"] is None:
        return f"{name} circumference {found[f'{name}_circumference_px']:.1f} px (no pixel size)"
    axes = f"{found[f'{name}_long_axis_mm']:.1f} x {found[f'{name}_short_axis_mm']:.1f} mm"
    return f"{name} circumference {found[f'{name}_circumference_mm']:.1f} mm; {axes}"
