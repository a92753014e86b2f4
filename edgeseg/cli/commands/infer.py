"""The commands that measure images of a user, phantoms, and the images of the challenge."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli import console, options
from edgeseg.cli.options import count, option
from edgeseg.cli.reports import check_reports, figures_to, lines_to
from edgeseg.cli.signals import interrupts
from edgeseg.errors import DataError, EdgesegError

if TYPE_CHECKING:
    from edgeseg.inputs.ages import Ages
    from edgeseg.inputs.source import Source
    from edgeseg.network.task import Task
    from edgeseg.output.table import Row
    from edgeseg.run.folder import Summary

_FEW = 10  # images whose figures are also printed
_LOOKED_AT = 20  # images of a run, for rulers


def infer(
    context: typer.Context,
    inputs: Annotated[
        list[str], typer.Argument(help="Images, DICOM, folders, patterns; - is standard input.")
    ],
    out: Annotated[Path, option("Folder for the results.")],
    scale: options.ScaleOptions,
    model: options.ModelOptions,
    output: options.OutputOptions,
    ga: options.Age = None,
    ruler: options.Ruler = None,
    sr: options.Sr = False,
    resume: Annotated[bool, option("Continue an earlier run.", "--resume")] = False,
    overwrite: options.Overwrite = False,
    inference_threads: Annotated[int, count("Threads of one inference.", panel="Model")] = 1,
    json_file: options.Json = None,
    jsonl_file: options.Jsonl = None,
) -> None:
    """Measure images: results.csv, masks, overlays and a report."""
    from edgeseg.inputs.pixel_sizes import PixelSizes
    from edgeseg.inputs.size_table import read_table
    from edgeseg.run.folder import FolderRun

    if resume and overwrite:
        raise typer.BadParameter(options.RESUME_OR_OVERWRITE)
    arguments = options.arguments_of(context) | {"pixel_size": scale.read_size()}
    check_reports(json_file, jsonl_file)
    workers = model.count_workers(inference_threads)
    how = output.collect(workers, sr=sr, ruler=ruler, resume=resume, overwrite=overwrite)
    site = model.read_calibration()
    with (
        _open_sources(inputs, out) as sources,
        figures_to(json_file) as write_figures,
        lines_to(jsonl_file) as write_line,
    ):
        table = read_table(scale.pixel_sizes, console.notice) if scale.pixel_sizes else None
        sizes = PixelSizes(sources, scale.read_size(), table)
        console.notice(*sizes.notices)
        scale.print_notices(sizes.is_given or ruler is not None)
        if not sizes.is_given and ruler is None:
            _point_out_rulers(sources)
        ages = _find_ages(sources, ga, scale.pixel_sizes)
        segmenter = model.open(inference_threads, needs_head=ga is not None)
        if site and site.model_sha256 not in ("", segmenter.file.sha256):
            other = f"{model.calibration} was determined with another model than {model.model}"
            console.notice(other)
        run = FolderRun(segmenter, sources, sizes, out, how, arguments, ages, site)
        with (
            interrupts.advise(f"what was measured is kept; continue with: {_resume_command()}"),
            console.progress(len(sources), "measuring") as advance,
        ):

            def on_row(row: Row) -> None:
                advance(row)
                write_line(row)

            summary = run.run(on_row, console.notice)
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


def challenge(
    folder: Annotated[Path, typer.Argument(help="HC18 folder, or its test_set.")],
    out: Annotated[Path, option("CSV file to write.")],
    model: options.Model = "hc18-nano",
    device: options.Device = "auto",
    pixel_sizes: Annotated[Path | None, option("Default: the table of the folder.")] = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Write the submission file of the HC18 challenge."""
    from edgeseg.score import challenge as submission
    from edgeseg.system.files import claim

    check_reports(out)
    claim(out, overwrite)
    found, sizes = submission.find_images(folder, pixel_sizes)
    console.notice(*found.notices)
    segmenter = options.open_model(model, device, task="head")
    with console.progress(len(found.items), "measuring") as advance:
        submission.write_submission(segmenter, found.items, sizes, out, advance)
    console.say(f"{len(found.items)} rows in {out}")


def _print_summary(summary: Summary, task: Task) -> None:
    from edgeseg.measure.tasks import measure_of

    for row in summary.rows:
        if row["status"] == "failed" or len(summary.rows) <= _FEW:
            console.row(row, task)
    n_images, n_new = len(summary.rows), len(summary.rows) - summary.n_kept
    counts = console.format_counts(
        "1 image" if n_images == 1 else f"{n_images} images",
        {status: summary.count(status) for status in console.STATUSES},
        measure_of(task).NOTHING,
    )
    speed = n_new / max(summary.wall_s, 1e-9)
    console.say(f"{counts}; {n_new} in {summary.wall_s:.1f} s ({speed:.1f}/s)")
    console.say(f"results in {summary.out}: results.csv, report.html, run.json")


@contextlib.contextmanager
def _open_sources(inputs: list[str], out: Path) -> Iterator[list[Source]]:
    """Yield the sources of files, folders, patterns and standard input, sorted by name."""
    from edgeseg.inputs.discover import discover, items_of
    from edgeseg.inputs.standard_input import GIVEN, spool_image

    named = [text for text in inputs if text != GIVEN]
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


def _point_out_rulers(sources: list[Source]) -> None:
    """Say if some of the first images without a pixel size show a ruler."""
    from edgeseg.images.ruler import read_ruler
    from edgeseg.run.worker import read_source

    rulers, looked_at = [], sources[:_LOOKED_AT]
    for source in looked_at:
        with contextlib.suppress(EdgesegError):  # its row will say why
            frame = read_source(source)
            areas = frame.screen.areas if frame.screen else ()
            if frame.pixel_size is None and not any(area.pixel_size for area in areas):
                rulers.append(read_ruler(frame))
    if n_shown := sum(ruler.ticks is not None for ruler in rulers):
        n_decided = sum(ruler.decided_mm is not None for ruler in rulers)
        console.notice(
            f"{n_shown} of the first {len(looked_at)} images show a ruler, which tells the pixel "
            f"size in {n_decided}: add --ruler auto, or --ruler with the mm between neighbouring "
            "ticks, to measure in mm"
        )


def _find_ages(sources: list[Source], age: str | None, pixel_sizes: Path | None) -> Ages:
    """Return the gestational ages of sources: one for all, or of a table."""
    from edgeseg.inputs.ages import Ages, read_age, read_ages

    if age is None:
        return Ages(sources, None, read_ages(pixel_sizes) if pixel_sizes else None)
    if not Path(age).is_file():
        return Ages(sources, read_age(age), None)
    table = read_ages(Path(age))
    if table is None:
        raise DataError(f"{age}: no column of ages; title one 'ga' or 'gestational age (weeks)'")
    return Ages(sources, None, table)


def _resume_command() -> str:
    words = [word for word in sys.argv[2:] if word not in ("--overwrite", "--resume")]
    join = subprocess.list2cmdline if os.name == "nt" else shlex.join
    return join(["edgeseg", "infer", "--resume", *words])
