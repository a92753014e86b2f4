"""Rulers in pictures, without measuring anything: which there are, and what they say."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from edgeseg.errors import EdgesegError
from edgeseg.images.ruler import Ruler, read_ruler
from edgeseg.inputs.source import Source
from edgeseg.run.worker import read_source

_LOOKED_AT = 20  # images of a run without pixel sizes


def advise(sources: Sequence[Source]) -> Iterator[str]:
    """Yield notices on how many of the first images without a pixel size show a ruler."""
    looked_at = sources[:_LOOKED_AT]
    rulers = [ruler for source in looked_at if (ruler := _read_unscaled(source)) is not None]
    shown = [ruler for ruler in rulers if ruler.ticks is not None]
    n_decided = sum(ruler.decided_mm is not None for ruler in shown)
    if n_decided:
        yield (
            f"{n_decided} of the first {len(looked_at)} images show a ruler that tells their pixel "
            "size: add --ruler auto to measure them in mm"
        )
    if n_open := len(shown) - n_decided:
        yield (
            f"{n_open} of the first {len(looked_at)} images show a ruler, but not what its ticks "
            "mean: add --ruler with the mm between neighbouring ticks, such as --ruler 10"
        )


def _read_unscaled(source: Source) -> Ruler | None:
    """Return the ruler in an image whose file says no pixel size; None of others."""
    try:
        frame = read_source(source)
    except EdgesegError:  # its row will say why
        return None
    areas = frame.screen.areas if frame.screen else ()
    is_scaled = frame.pixel_size is not None or any(area.pixel_size for area in areas)
    return None if is_scaled else read_ruler(frame)


def ruler_figures(file: str, ruler: Ruler) -> dict[str, Any]:
    """Return what was found as plain values, by the keys of ``edgeseg ruler --json``."""
    ticks = ruler.ticks
    return {
        "file": file,
        "period_px": ticks and ticks.period_px,
        "side": ticks and ticks.side,
        "ticks": len(ticks.numbers) if ticks else 0,
        "candidates_mm": [*ruler.candidates_mm],
        "decided_mm": ruler.decided_mm,
        "pixel_size_mm": ruler.pixel_size_mm,
        "reason": ruler.reason,
    }
