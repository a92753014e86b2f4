"""The command line: parse, call one function, print."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from edgeseg.cli import adopting as cli_adopting
from edgeseg.cli import console
from edgeseg.cli import measuring as cli_measuring
from edgeseg.cli import training as cli_training
from edgeseg.cli.options import (
    RESUME_OR_OVERWRITE,
    DeviceOption,
    JsonOption,
    ModelOption,
    OverwriteOption,
    ThreadsOption,
    example,
    figures_to,
    open_model,
    plain,
    refuse_pixel_size,
)
from edgeseg.cli.values import QuickGroup
from edgeseg.errors import EdgesegError, OutputExistsError
from edgeseg.system.version import __version__

app = typer.Typer(
    name="edgeseg",
    cls=QuickGroup,
    help="Fetal head segmentation and head circumference from ultrasound. Not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; an `EdgesegError` becomes a sentence and exit code 1."""
    # Starting makes objects by the hundred thousand and hardly any garbage, and at the end all go
    # at once: looking for cycles among them would take a fifth of what one image takes.
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)
    # Nothing here is a large product of matrices; numpy's idle threads would keep the cores busy
    # for as long as a model takes to load.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    for stream in (sys.stdout, sys.stderr):
        # A file name that the terminal's encoding lacks must not end a run.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except EdgesegError as error:
        console.failure(str(error))
        sys.exit(1)


def _version(value: bool) -> None:
    if value:
        console.say(__version__)
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Fetal head segmentation and head circumference from ultrasound. Not a medical device."""


@app.command(epilog=example("edgeseg infer scans/ --pixel-sizes sizes.csv --out results"))
def infer(
    inputs: Annotated[list[str], typer.Argument(help="Images, folders (recursive) or patterns.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    model: ModelOption = "hc18-edge",
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    pixel_size: Annotated[
        float | None,
        typer.Option(
            metavar="MM", help="Millimetres per pixel of all images.", callback=refuse_pixel_size
        ),
    ] = None,
    pixel_sizes: Annotated[
        Path | None, typer.Option(metavar="CSV", help="Table: filename, pixel size (mm).")
    ] = None,
    overlays: Annotated[bool, typer.Option("--overlays/--no-overlays")] = True,
    masks: Annotated[bool, typer.Option("--masks/--no-masks")] = True,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an earlier run.")] = False,
    overwrite: OverwriteOption = False,
    batch: Annotated[int, typer.Option(min=1, help="Images in one run of the network.")] = 1,
    inference_threads: Annotated[
        int, typer.Option(min=1, help="Threads inside each inference.")
    ] = 1,
) -> None:
    """Measure head circumference in images: results.csv, masks, overlays and a report."""
    from edgeseg.measure.tasks import measure_of
    from edgeseg.run.folder import FolderRun, Options
    from edgeseg.sources.discover import discover
    from edgeseg.sources.pixel_sizes import PixelSizes, read_table
    from edgeseg.system.parallel import usable_cores

    arguments = {k: plain(v) for k, v in locals().items() if k in infer.__annotations__}
    if resume and overwrite:
        raise typer.BadParameter(RESUME_OR_OVERWRITE)
    found = discover(inputs, out)
    for text in found.notices:
        console.notice(text)
    table = read_table(pixel_sizes) if pixel_sizes else None
    sizes = PixelSizes(found.items, pixel_size, table)
    if not sizes.known:
        console.notice("no pixel size given: lengths are in pixels, the mm columns stay empty")
    workers = threads or max(1, usable_cores() // inference_threads)
    options = Options(masks, overlays, resume, overwrite, batch, workers)
    segmenter = open_model(model, device, inference_threads)
    run = FolderRun(segmenter, found.items, sizes, out, options, arguments)
    with console.progress(len(found.items), "measuring") as advance:
        summary = run.run(advance)
    for row in summary.rows:
        if row["status"] == "failed":
            console.notice(f"{row['file']}: {row['reason']}")
    n_new = len(summary.rows) - summary.n_kept
    nothing = measure_of(segmenter.metadata.task).NOTHING
    console.say(
        f"{len(summary.rows)} images: {summary.count('ok')} measured, {summary.count('empty')} "
        f"{nothing}, {summary.count('failed')} failed, {summary.n_flagged} flagged; "
        f"{n_new} in {summary.wall_s:.1f} s ({n_new / max(summary.wall_s, 1e-9):.1f}/s)"
    )
    console.say(f"results in {out}: results.csv, report.html, run.json")
    if summary.count("failed"):
        raise typer.Exit(1)


@app.command(epilog=example("edgeseg demo"))
def demo(
    model: ModelOption = "hc18-edge",
    device: DeviceOption = "cpu",
    pairs: Annotated[
        Path | None,
        typer.Option(help="Instead, write a synthetic data set of two structures here."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="Images of --pairs.")] = 150,
) -> None:
    """Measure eight synthetic heads of exactly known size into ./edgeseg-demo."""
    from edgeseg.phantom import demo as demonstration

    if pairs is not None:
        from edgeseg.phantom.shapes import write_pairs

        write_pairs(pairs, count)
        console.say(f"{count} images and masks in {pairs}; next: edgeseg train --data {pairs}")
        return

    summary, measured = demonstration.run(open_model(model, device))
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


app.command(epilog=example("edgeseg evaluate hc18-edge --data hc18 --json scores.json"))(
    cli_measuring.evaluate
)
app.command(epilog=example("edgeseg benchmark hc18-edge --threads 1,4 --markdown table.md"))(
    cli_measuring.benchmark
)
app.command(
    cls=cli_training.TrainCommand,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(cli_training.train)
app.command(epilog=example("edgeseg export runs/mine --out mine.onnx --precision int8"))(
    cli_training.export
)
app.command(
    epilog=example("edgeseg adopt unet.onnx --out mine.onnx --activation sigmoid --scale 255")
)(cli_adopting.adopt)


@app.command(epilog=example("edgeseg models hc18-edge"))
def models(
    name: Annotated[str | None, typer.Argument(help="Print this model's card.")] = None,
    json_file: JsonOption = None,
) -> None:
    """List the bundled models, or print the card of one."""
    from edgeseg.network import zoo

    with figures_to(json_file) as write_figures:
        if name is not None:
            console.table(("", ""), zoo.card_lines(name))
            write_figures(zoo.manifest()[name])
            return
        listed = zoo.manifest()
        console.table(
            ("name", "size MB", "input", "Dice %", "HC MAD mm", "SHA-256"),
            [
                (
                    name,
                    f"{card['size_bytes'] / 1e6:.2f}",
                    f"{card['input_height']}x{card['input_width']}",
                    f"{100 * card['metrics']['figures']['dice']:.2f}",
                    f"{card['metrics']['figures']['hc_mad_mm']:.2f}",
                    card["sha256"],
                )
                for name, card in listed.items()
            ],
            numeric=(1, 3, 4),
        )
        for name, card in listed.items():
            console.say(f"{name}: {card['metrics']['data']}, {card['metrics']['split']}")
        write_figures({"models": listed})


@app.command(epilog=example("edgeseg verify mine.onnx"))
def verify(
    model: Annotated[str, typer.Argument(help="Bundled model or ONNX file.")],
    device: DeviceOption = "auto",
    json_file: JsonOption = None,
) -> None:
    """Check a model's hash, metadata and graph, and run it on a phantom."""
    from dataclasses import asdict

    from edgeseg.bench import verify as verification

    checks = verification.verify(model, device)
    with figures_to(json_file) as write_figures:
        for check in checks:
            console.say(f"{'ok  ' if check.holds else 'FAIL'} {check.name}: {check.seen}")
        write_figures({"model": model, "checks": [asdict(check) for check in checks]})
    if not all(check.holds for check in checks):
        raise typer.Exit(1)


@app.command(epilog=example("edgeseg challenge hc18/test_set --out submission.csv"))
def challenge(
    folder: Annotated[Path, typer.Argument(help="HC18 folder, or its test_set.")],
    out: Annotated[Path, typer.Option(help="CSV file to write.")],
    model: ModelOption = "hc18-edge",
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
    segmenter = open_model(model, device)
    with console.progress(len(found.items), "measuring") as advance:
        count = submission.write_submission(segmenter, found.items, sizes, out, advance)
    console.say(f"{count} rows in {out}")


@app.command(epilog=example("edgeseg info"))
def info(json_file: JsonOption = None) -> None:
    """Print versions, CPU, providers and threads: what to paste in a bug report."""
    import onnxruntime

    from edgeseg.system import host

    facts = {
        "versions": host.versions(installed=True),
        "host": host.describe(),
        "providers": onnxruntime.get_available_providers(),
    }
    lines = [(k, str(v)) for part in ("versions", "host") for k, v in facts[part].items()]
    with figures_to(json_file) as write_figures:
        console.table(("", ""), [*lines, ("providers", ", ".join(facts["providers"]))])
        write_figures(facts)
