"""The commands that measure a user's images and phantoms, and show the rulers in pictures."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.cli import console, options
from edgeseg.cli.options import count, option
from edgeseg.cli.process import interrupts
from edgeseg.errors import DataError, EdgesegError

if TYPE_CHECKING:
    from edgeseg.images.frame import Frame
    from edgeseg.images.ruler import Ruler
    from edgeseg.inputs.source import Source
    from edgeseg.network.task import Task
    from edgeseg.output.table import Row
    from edgeseg.run.folder import Summary

_FEW = 10  # images whose figures are also printed
_LOOKED_AT = 20  # images of a run, for rulers


def infer(
    context: typer.Context,
    inputs: Annotated[
        list[str], typer.Argument(help="Images, videos, DICOM, folders, patterns; - is stdin.")
    ],
    out: Annotated[Path, option("Folder for the results.")],
    scale: options.ScaleOptions,
    model: options.ModelOptions,
    output: options.OutputOptions,
    ga: options.Age = None,
    ruler: options.Ruler = None,
    fps: options.Fps = None,
    sr: options.Sr = False,
    resume: Annotated[bool, option("Continue an earlier run.", "--resume")] = False,
    overwrite: options.Overwrite = False,
    inference_threads: Annotated[int, count("Threads of one inference.", panel="Model")] = 1,
    json_file: options.Json = None,
    jsonl_file: options.Jsonl = None,
) -> None:
    """Measure images: results.csv, masks, overlays and a report."""
    from edgeseg.inputs.facts import PixelSizes, find_ages
    from edgeseg.inputs.size_table import read_table
    from edgeseg.inputs.source import ALL_FRAMES
    from edgeseg.run.folder import measure_folder
    from edgeseg.run.worker import Worker

    if resume and overwrite:
        raise typer.BadParameter(options.RESUME_OR_OVERWRITE)
    if json_file is not None and json_file == jsonl_file:
        raise typer.BadParameter(f"--json and --jsonl cannot both be {json_file}")
    arguments = options.arguments_of(context) | {"pixel_size": scale.read_size()}
    workers = model.count_workers(inference_threads)
    how = output.collect(workers, sr=sr, ruler=ruler, fps=fps, resume=resume, overwrite=overwrite)
    site = model.read_calibration()
    with (
        _open_sources(inputs, out) as sources,
        console.figures_to(json_file) as write_figures,
        console.lines_to(jsonl_file) as write_line,
    ):
        table = read_table(scale.pixel_sizes, console.notice) if scale.pixel_sizes else None
        sizes = PixelSizes(sources, scale.read_size(), table)
        console.notice(*sizes.notices)
        knows_sizes = sizes.is_given or ruler is not None
        scale.print_notices(knows_sizes)
        ages = find_ages(sources, ga, scale.pixel_sizes)
        segmenter = model.open(inference_threads, needs_head=ga is not None)
        if site and site.model_sha256 not in ("", segmenter.file.sha256):
            other = f"{model.calibration} was determined with another model than {model.model}"
            console.notice(other)
        n_images = None if any(each.frame == ALL_FRAMES for each in sources) else len(sources)
        advice = _RulerAdvice(0 if knows_sizes else _LOOKED_AT)
        known = ages, site, advice.read, console.notice
        worker = Worker(segmenter, sizes, how, *known)
        with (
            interrupts.advise(f"what was measured is kept; continue with: {_resume_command()}"),
            console.progress(n_images, "measuring") as advance,
        ):

            def on_row(row: Row) -> None:
                advance(row)
                write_line(row)
                advice.print_notice()

            summary = measure_folder(worker, sources, out, arguments, on_row)
        advice.print_notice(is_last=True)
        if resized := sizes.resized_notice():
            console.notice(resized)
        _print_summary(summary, segmenter.metadata.task)
        figures = {"images": [*summary.rows]}
        if summary.cines:
            figures["cines"] = [*summary.cines]
        write_figures(figures)
    if summary.count("failed"):
        raise typer.Exit(1)


def demo(
    model: options.Model = "hc18-nano",
    device: options.Device = "cpu",
    shapes: Annotated[Path | None, option("Instead, write a synthetic data set here.")] = None,
    n_shapes: Annotated[int, count("Images of --shapes.", "--count")] = 150,
    overwrite: options.Overwrite = False,
) -> None:
    """Measure eight synthetic heads of exactly known size into ./edgeseg-demo."""
    from edgeseg.phantom import demo as demonstration

    if shapes is not None:
        from edgeseg.phantom.shapes import write_pairs

        write_pairs(shapes, n_shapes, overwrite=overwrite)
        console.say(f"{n_shapes} images and masks in {shapes}; next: edgeseg train --data {shapes}")
        return

    summary, measured = demonstration.run(options.open_model(model, device, task="head"))
    lines = []
    for m in measured:
        hc_mm = "-" if m.hc_mm is None else f"{m.hc_mm:.1f}"
        error = f"{100 * m.relative_error:+.2f}"
        lines.append((m.file, f"{m.hc_true_mm:.1f}", hc_mm, error, m.flags.replace(";", ", ")))
    titles = ("file", "HC true mm", "HC measured mm", "error %", "flags")
    console.table(titles, lines, numeric=(1, 2, 3))
    console.say(f"pictures and report in {summary.out}: open {summary.out / 'report.html'}")
    worst = max(measured, key=lambda m: abs(m.relative_error))
    if abs(worst.relative_error) > demonstration.TOLERANCE:
        raise EdgesegError(
            f"{worst.file} is {100 * worst.relative_error:+.2f} % off, more than "
            f"{100 * demonstration.TOLERANCE:.0f} %: this model or installation is not reliable"
        )


def _print_summary(summary: Summary, task: Task) -> None:
    from edgeseg.measure.tasks import measure_of

    for row in summary.rows:
        if row["status"] == "failed" or len(summary.rows) <= _FEW:
            console.row(row, task)
    n_images, n_new = len(summary.rows), len(summary.rows) - summary.n_kept
    counts = console.format_counts(
        "1 image" if n_images == 1 else f"{n_images} images",
        Counter(str(row["status"]) for row in summary.rows),
        measure_of(task).NOTHING,
    )
    speed = n_new / max(summary.wall_s, 1e-9)
    console.say(f"{counts}; {n_new} in {summary.wall_s:.1f} s ({speed:.1f}/s)")
    console.say(f"results in {summary.out}: results.csv, report.html, run.json")


@contextlib.contextmanager
def _open_sources(inputs: list[str], out: Path) -> Iterator[list[Source]]:
    """Yield the sources of files, folders, patterns and standard input, sorted by name."""
    from edgeseg.inputs.discover import discover, items_of
    from edgeseg.inputs.source import STANDARD_INPUT, spool_image

    named = [text for text in inputs if text != STANDARD_INPUT]
    sources: list[Source] = []
    if named:
        found = discover(named, out)
        sources += found.items
        console.notice(*found.notices)
    with contextlib.ExitStack() as stack:
        if named != inputs:
            spool = stack.enter_context(spool_image(getattr(sys.stdin, "buffer", None)))
            if spool.file in {source.file for source in sources}:
                raise DataError(
                    f"a file is called {spool.file!r} like the image on standard input; "
                    "measure one after the other"
                )
            sources += items_of(spool.file, spool.location)
        yield sorted(sources, key=lambda source: source.key)


class _RulerAdvice:
    """Reads images, and looks for rulers in the first, of which nobody asked for millimetres."""

    def __init__(self, looked_at: int) -> None:
        self._looked_at = looked_at
        self._rulers: list[Ruler] = []
        self._is_printed = False

    def read(self, source: Source) -> Frame:
        """Read an image, from any thread."""
        from edgeseg.images.ruler import Ruler, read_ruler
        from edgeseg.run.worker import read_source

        frame = read_source(source)
        if len(self._rulers) < self._looked_at:
            areas = frame.screen.areas if frame.screen else ()
            has_size = frame.pixel_size or any(area.pixel_size for area in areas)
            self._rulers.append(Ruler() if has_size else read_ruler(frame))
        return frame

    def print_notice(self, *, is_last: bool = False) -> None:
        """Print how many images show a ruler, once enough were looked at, or the last."""
        rulers = [*self._rulers]
        if self._is_printed or not (is_last or len(rulers) >= self._looked_at):
            return
        self._is_printed = True
        if n_shown := sum(ruler.ticks is not None for ruler in rulers):
            n_decided = sum(ruler.decided_mm is not None for ruler in rulers)
            console.notice(
                f"{n_shown} of the first {len(rulers)} images show a ruler, which tells the pixel "
                f"size in {n_decided}: add --ruler auto, or --ruler with the mm between "
                "neighbouring ticks, to measure in mm"
            )


def _resume_command() -> str:
    words = [word for word in sys.argv[2:] if word not in ("--overwrite", "--resume")]
    join = subprocess.list2cmdline if os.name == "nt" else shlex.join
    return join(["edgeseg", "infer", "--resume", *words])


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
    from edgeseg.output.record import picture_names
    from edgeseg.output.table import name
    from edgeseg.run.worker import read_source
    from edgeseg.system.files import claim, write_atomic

    if out is not None:
        claim(out, overwrite)
    found, has_failed = discover(images, out), False
    console.notice(*found.notices)
    figures: list[dict[str, Any]] = []
    with console.figures_to(json_file) as write_figures:
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
            image = name(dict(zip(("file", "frame"), source.key, strict=True)))
            figures.append({"file": image} | _ruler_figures(seen))
            console.say(f"{image}: {_describe_ruler(seen)}")
        write_figures({"images": figures})
    if has_failed:
        raise typer.Exit(1)


def _ruler_figures(ruler: Ruler) -> dict[str, Any]:
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


def _describe_ruler(ruler: Ruler) -> str:
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
