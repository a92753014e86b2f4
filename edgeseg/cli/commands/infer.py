"""The commands that measure images of a user, phantoms, and the images of the challenge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli import console
from edgeseg.cli.inputs import find_ages, find_sizes, open_sources, resume_command
from edgeseg.cli.options import (
    RESUME_OR_OVERWRITE,
    AgeOption,
    DeviceOption,
    JsonlOption,
    JsonOption,
    ModelOption,
    ModelOptions,
    OutputOptions,
    OverwriteOption,
    ScaleOptions,
    SrOption,
    arguments_of,
    open_model,
    option,
)
from edgeseg.cli.reports import check_reports, figures_to, lines_to
from edgeseg.cli.signals import interrupts
from edgeseg.errors import EdgesegError

if TYPE_CHECKING:
    from edgeseg.network.task import Task
    from edgeseg.output.table import Row
    from edgeseg.run.folder import Summary

_FEW = 10  # images whose figures are also printed


def infer(
    context: typer.Context,
    inputs: Annotated[
        list[str],
        typer.Argument(help="Images, DICOM files, folders or patterns; - is standard input."),
    ],
    out: Annotated[Path, option("Folder for the results.")],
    scale: ScaleOptions,
    model: ModelOptions,
    output: OutputOptions,
    ga: AgeOption = None,
    sr: SrOption = False,
    resume: Annotated[bool, option("Continue an earlier run.", "--resume")] = False,
    overwrite: OverwriteOption = False,
    inference_threads: Annotated[
        int, option("Threads of one inference.", min=1, metavar="N", panel="Model")
    ] = 1,
    json_file: JsonOption = None,
    jsonl_file: JsonlOption = None,
) -> None:
    """Measure images: results.csv, masks, overlays and a report."""
    from edgeseg.run.folder import FolderRun

    if resume and overwrite:
        raise typer.BadParameter(RESUME_OR_OVERWRITE)
    arguments = arguments_of(context) | {"pixel_size": scale.read_size()}
    check_reports(json_file, jsonl_file)
    workers = model.count_workers(inference_threads)
    options = output.collect(workers, sr=sr, resume=resume, overwrite=overwrite)
    site = model.read_calibration()
    with (
        open_sources(inputs, out) as sources,
        figures_to(json_file) as write_figures,
        lines_to(jsonl_file) as write_line,
    ):
        sizes = find_sizes(sources, scale)
        ages = find_ages(sources, ga, scale.pixel_sizes)
        segmenter = model.open(inference_threads, needs_head=ga is not None)
        if site and site.model_sha256 not in ("", segmenter.file.sha256):
            console.notice(
                f"{model.calibration} was determined with another model than {model.model}"
            )
        run = FolderRun(segmenter, sources, sizes, out, options, arguments, ages, site)
        with (
            interrupts.advise(f"what was measured is kept; continue with: {resume_command()}"),
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
    model: ModelOption = "hc18-nano",
    device: DeviceOption = "cpu",
    shapes: Annotated[
        Path | None, option("Instead, write a synthetic data set of two structures here.")
    ] = None,
    count: Annotated[int, option("Images of --shapes.", min=1)] = 150,
    overwrite: OverwriteOption = False,
) -> None:
    """Measure eight synthetic heads of exactly known size into ./edgeseg-demo."""
    from edgeseg.phantom import demo as demonstration

    if shapes is not None:
        from edgeseg.phantom.shapes import write_pairs

        write_pairs(shapes, count, overwrite=overwrite)
        console.say(f"{count} images and masks in {shapes}; next: edgeseg train --data {shapes}")
        return

    summary, measured = demonstration.run(open_model(model, device, task="head"))
    console.table(
        ("file", "HC true mm", "HC measured mm", "error %", "flags"),
        [
            (
                m.file,
                f"{m.hc_true_mm:.1f}",
                "-" if m.hc_mm is None else f"{m.hc_mm:.1f}",
                f"{100 * m.relative_error:+.2f}",
                m.flags.replace(";", ", "),
            )
            for m in measured
        ],
        numeric=(1, 2, 3),
    )
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
    model: ModelOption = "hc18-nano",
    device: DeviceOption = "auto",
    pixel_sizes: Annotated[
        Path | None, option("Default: the table beside the images.", metavar="CSV")
    ] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Write the submission file of the HC18 challenge."""
    from edgeseg.score import challenge as submission
    from edgeseg.system.files import claim

    check_reports(out)
    claim(out, overwrite)
    found, sizes = submission.find_images(folder, pixel_sizes)
    for text in found.notices:
        console.notice(text)
    segmenter = open_model(model, device, task="head")
    with console.progress(len(found.items), "measuring") as advance:
        count = submission.write_submission(segmenter, found.items, sizes, out, advance)
    console.say(f"{count} rows in {out}")


def _print_summary(summary: Summary, task: Task) -> None:
    """Print how a run went, and the figures of a few images."""
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
