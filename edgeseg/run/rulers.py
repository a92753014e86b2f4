"""Rulers in pictures of which nobody has asked for millimetres yet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgeseg.errors import EdgesegError
from edgeseg.images.ruler import read_ruler
from edgeseg.inputs.source import Source
from edgeseg.run.worker import read_source

_LOOKED_AT = 20  # images of a run


def advise(sources: Sequence[Source]) -> Iterator[str]:
    """Yield a notice if some of the first images without a pixel size show a ruler."""
    looked_at, n_shown, n_decided = sources[:_LOOKED_AT], 0, 0
    for source in looked_at:
        try:
            frame = read_source(source)
        except EdgesegError:  # its row will say why
            continue
        areas = frame.screen.areas if frame.screen else ()
        if frame.pixel_size is None and not any(area.pixel_size for area in areas):
            ruler = read_ruler(frame)
            n_shown += ruler.ticks is not None
            n_decided += ruler.decided_mm is not None
    if n_shown:
        yield (
            f"{n_shown} of the first {len(looked_at)} images show a ruler, which tells the pixel "
            f"size in {n_decided}: add --ruler auto, or --ruler with the mm between neighbouring "
            "ticks, to measure in mm"
        )
