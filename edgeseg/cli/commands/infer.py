"""The commands that measure images: a user's own, phantoms, and those of the challenge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli import console
from edgeseg.cli.inputs import given_images, given_sizes, resuming_command
from edgeseg.cli.options import (
    RESUME_OR_OVERWRITE,
    CalibrationOption,
    DeviceOption,
    JsonlOption,
    JsonOption,
    KeepIdsOption,
    MasksOption,
    ModelOption,
    OverlaysOption,
    OverwriteOption,
    PixelSizeOption,
    PixelSizesOption,
    SegOption,
    SrOption,
    ThreadsOption,
    figures_to,
    is_standard_output,
    lines_to,
    open_model,
    plain,
    read_pixel_size,
    refuse_age,
)
from edgeseg.cli.signals import interrupts
from edgeseg.errors import DataError, EdgesegError, OutputExistsError

if TYPE_CHECKING:
    from edgeseg.network.task import Task
    from edgeseg.output.table import Row
    from edgeseg.run.folder import Summary

_FEW = 10  # images whose figures are also printed


def infer(
    context: typer.Context,
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Images, DICOM among them, folders (recursive) or patterns; `-`: standard input."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    model: ModelOption = "hc18-nano",
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    pixel_size: PixelSizeOption = None,
    pixel_sizes: PixelSizesOption = None,
    ga: Annotated[
        str | None,
        typer.Option(
            metavar="AGE",
            help="Gestational age of all images, such as 21w3d, for centiles; or a table of ages.",
            callback=refuse_age,
        ),
    ] = None,
    calibration: CalibrationOption = None,
    overlays: OverlaysOption = True,
    masks: MasksOption = True,
    sr: SrOption = False,
    seg: SegOption = False,
    keep_ids: KeepIdsOption = False,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an earlier run.")] = False,
    overwrite: OverwriteOption = False,
    inference_threads: Annotated[
        int, typer.Option(min=1, help="Threads inside each inference.")
    ] = 1,
    json_file: JsonOption = None,
    jsonl_file: JsonlOption = None,
) -> None:
    """Measure images: results.csv, masks, overlays and a report."""
    from edgeseg.images.calibration import read_calibration
    from edgeseg.inputs.ages import Ages
    from edgeseg.run.folder import FolderRun, Options
    from edgeseg.system.files import check_targets
    from edgeseg.system.parallel import usable_cores

    arguments = {name: plain(value) for name, value in context.params.items()}
    if resume and overwrite:
        raise typer.BadParameter(RESUME_OR_OVERWRITE)
    if is_standard_output(json_file) and is_standard_output(jsonl_file):
        raise typer.BadParameter("--json and --jsonl cannot both be standard output")
    size_mm = arguments["pixel_size"] = read_pixel_size(pixel_size)
    files = (path for path in (json_file, jsonl_file) if not is_standard_output(path))
    check_targets(*files)
    workers = threads or max(1, usable_cores() // inference_threads)
    options = Options(masks, overlays, resume, overwrite, workers, sr, seg, keep_ids)
    site = read_calibration(calibration) if calibration else None
    of_heads = "head" if ga or calibration else None
    with (
        given_images(inputs, out) as items,
        figures_to(json_file) as write_figures,
        lines_to(jsonl_file) as write_line,
    ):
        sizes = given_sizes(items, size_mm, pixel_sizes)
        ages = Ages(items, *_ages(ga, pixel_sizes))
        segmenter = open_model(model, device, inference_threads, of_heads)
        if site and site.model_sha256 not in ("", segmenter.file.sha256):
            console.notice(f"{calibration} was learnt with another model than {model}")
        run = FolderRun(segmenter, items, sizes, out, options, arguments, ages, site)
        with (
            interrupts.advise(f"what was measured is kept; go on with: {resuming_command()}"),
            console.progress(len(items), "measuring") as advance,
        ):

            def on_row(row: Row) -> None:
                advance(row)
                write_line(row)

            summary = run.run(on_row, console.notice)
        if resized := sizes.resized_notice():
            console.notice(resized)
        _say_summary(summary, segmenter.metadata.task)
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
        Path | None,
        typer.Option(help="Instead, write a synthetic data set of two structures here."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Images of --shapes.")] = 150,
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
            f"{100 * demonstration.TOLERANCE:.0f} %: this model or installation measures wrongly"
        )


def challenge(
    folder: Annotated[Path, typer.Argument(help="HC18 folder, or its test_set.")],
    out: Annotated[Path, typer.Option(help="CSV file to write.")],
    model: ModelOption = "hc18-nano",
    device: DeviceOption = "auto",
    pixel_sizes: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Default: the one beside the images.")
    ] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Write the submission file of the HC18 challenge."""
    from edgeseg.score import challenge as submission
    from edgeseg.system.files import claim

    if out.is_dir():
        raise OutputExistsError(f"{out} is a folder; give the name of a .csv file in it")
    claim(out, overwrite)
    found, sizes = submission.find_images(folder, pixel_sizes)
    for text in found.notices:
        console.notice(text)
    segmenter = open_model(model, device, task="head")
    with console.progress(len(found.items), "measuring") as advance:
        count = submission.write_submission(segmenter, found.items, sizes, out, advance)
    console.say(f"{count} rows in {out}")


def _ages(
    ga: str | None, pixel_sizes: Path | None
) -> tuple[float | None, dict[str, float | None] | None]:
    """Return the age of all images and a table of ages, of which at most one is there."""
    from edgeseg.inputs.ages import read_age, read_ages

    if ga is None:
        return None, read_ages(pixel_sizes) if pixel_sizes else None
    if not Path(ga).is_file():
        return read_age(ga), None
    table = read_ages(Path(ga))
    if table is None:
        raise DataError(f"{ga}: no column of ages; title one 'ga' or 'gestational age (weeks)'")
    return None, table


def _say_summary(summary: Summary, task: Task) -> None:
    """Say how a folder's run went, and of a few images what was measured."""
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
