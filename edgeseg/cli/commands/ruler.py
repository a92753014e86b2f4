"""The command that shows the rulers in pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.cli import console, options
from edgeseg.cli.options import option
from edgeseg.cli.reports import check_reports, figures_to
from edgeseg.errors import EdgesegError

if TYPE_CHECKING:
    from edgeseg.images.ruler import Ruler


def ruler(
    images: Annotated[list[str], typer.Argument(help="Images, folders or patterns.")],
    out: Annotated[Path | None, option("Folder for pictures with the ticks marked.")] = None,
    overwrite: options.Overwrite = False,
    json_file: options.Json = None,
) -> None:
    """Show the rulers in pictures: their ticks, and what they tell of the pixel size."""
    from edgeseg.drawing.encode import encode
    from edgeseg.drawing.overlay import draw_ticks
    from edgeseg.images.ruler import Ruler, read_ruler
    from edgeseg.inputs.discover import discover
    from edgeseg.output.pictures import picture_names
    from edgeseg.output.table import name
    from edgeseg.run.worker import read_source
    from edgeseg.system.files import claim, write_atomic

    check_reports(json_file)
    if out is not None:
        claim(out, overwrite)
    found, has_failed = discover(images, out), False
    console.notice(*found.notices)
    figures: list[dict[str, Any]] = []
    with figures_to(json_file) as write_figures:
        for source in found.items:
            try:
                frame = read_source(source)
            except EdgesegError as error:
                seen, has_failed = Ruler(reason=str(error)), True
            else:
                seen = read_ruler(frame)
                if out is not None:
                    picture = encode(".jpg", draw_ticks(frame.pixels, seen.ticks))
                    write_atomic(out / picture_names(*source.key)["overlays"], picture)
            image = name({"file": source.file, "frame": source.frame or None})
            figures.append({"file": image} | _figures(seen))
            console.say(f"{image}: {_describe(seen)}")
        write_figures({"images": figures})
    if has_failed:
        raise typer.Exit(1)


def _figures(ruler: Ruler) -> dict[str, Any]:
    """Return what was found in an image for `--json`."""
    ticks = ruler.ticks
    return {
        "period_px": ticks and ticks.period_px,
        "side": ticks and ticks.side,
        "ticks": len(ticks.numbers) if ticks else 0,
        "candidates_mm": [*ruler.candidates_mm],
        "decided_mm": ruler.decided_mm,
        "pixel_size_mm": ruler.pixel_size_mm,
        "reason": ruler.reason,
    }


def _describe(ruler: Ruler) -> str:
    """Return in a line what was found, what it may mean, and what was decided."""
    if ruler.ticks is None:
        return ruler.reason
    ticks, size_mm = ruler.ticks, ruler.pixel_size_mm
    candidates = " or ".join(f"{mm:g}" for mm in ruler.candidates_mm)
    decided = ruler.reason
    if size_mm is not None:
        decided = f"{ruler.decided_mm:g} mm between ticks, {size_mm:.4g} mm per pixel"
    what = f"{len(ticks.numbers)} ticks, {ticks.side}, {ticks.period_px:.2f} px apart"
    return "; ".join([what, f"{candidates} mm", *ruler.witnesses]) + f": {decided}"
