"""The command that measures what comes into a folder."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli import console
from edgeseg.cli.options import (
    CalibrationOption,
    DeviceOption,
    JsonlOption,
    KeepIdsOption,
    MasksOption,
    ModelOption,
    OverlaysOption,
    PixelSizeOption,
    PixelSizesOption,
    SegOption,
    SrOption,
    ThreadsOption,
    lines_to,
    open_model,
    plain,
    read_pixel_size,
)
from edgeseg.cli.signals import interrupts, wait_for_end
from edgeseg.errors import InputNotFoundError

if TYPE_CHECKING:
    from edgeseg.output.table import Row
    from edgeseg.run.watch import Watch


def watch(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder that images come into; those below too.")],
    out: Annotated[Path, typer.Option(help="Folder for the results; an earlier watch goes on.")],
    model: ModelOption = "hc18-nano",
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    pixel_size: PixelSizeOption = None,
    pixel_sizes: PixelSizesOption = None,
    calibration: CalibrationOption = None,
    overlays: OverlaysOption = True,
    masks: MasksOption = True,
    sr: SrOption = False,
    seg: SegOption = False,
    keep_ids: KeepIdsOption = False,
    every_s: Annotated[
        float, typer.Option("--every", min=0.05, metavar="S", help="Seconds from look to look.")
    ] = 1.0,
    resume: Annotated[bool, typer.Option("--resume", help="Repeat files that failed.")] = False,
    once: Annotated[
        bool, typer.Option("--once", help="Measure what is there, then end: for cron.")
    ] = False,
    jsonl_file: JsonlOption = None,
) -> None:
    """Measure images as they come into a folder, and again when they change.

    Stop it with Ctrl-C or SIGTERM.
    """
    from edgeseg.images.calibration import read_calibration
    from edgeseg.inputs.ages import Ages
    from edgeseg.run.engine import Engine
    from edgeseg.run.live_sizes import LiveSizes
    from edgeseg.run.open_results import open_results
    from edgeseg.run.options import Options
    from edgeseg.run.watch import Watch, read_present
    from edgeseg.run.worker import Worker
    from edgeseg.system.parallel import usable_cores

    arguments = {name: plain(value) for name, value in context.params.items()}
    size_mm = arguments["pixel_size"] = read_pixel_size(pixel_size)
    if not folder.is_dir() or not os.access(folder, os.R_OK):
        raise InputNotFoundError(f"{folder}: no folder that can be read; make it first")
    sizes = LiveSizes(size_mm, pixel_sizes, console.notice)
    site = read_calibration(calibration) if calibration else None
    workers = threads or usable_cores()
    options = Options(masks, overlays, workers=workers, sr=sr, seg=seg, keep_ids=keep_ids)
    segmenter = open_model(model, device, 1, "head" if calibration else None)
    known = options, Ages(), site
    worker = Worker(segmenter, sizes, *known, read=read_present, on_notice=console.notice)
    with (
        lines_to(jsonl_file, append=True) as write_line,
        open_results(worker, out, arguments, console.notice, resume=True) as results,
    ):

        def on_rows(rows: Sequence[Row]) -> None:
            results.note_change()
            for row in rows:
                console.row(row, segmenter.metadata.task)
                write_line(row)

        engine = Engine(worker, results.store, out, workers, retry_failed=resume, on_rows=on_rows)
        with results.exporting(), engine:
            it = Watch(engine, worker, folder, out, sizes, console.notice)
            console.say(f"watching {folder}; Ctrl-C stops it")
            _run(it, every_s, once=once)
        results.export("done")
    console.say(f"results in {out}: results.csv, report.html, run.json")


def _run(it: Watch, every_s: float, *, once: bool) -> None:
    """Watch until a signal asks for the end, which what is under way is given time for."""
    ending, failures = threading.Event(), []

    def work() -> None:
        try:
            it.run(every_s, ending, once=once)
        except BaseException as error:
            failures.append(error)
        finally:
            ending.set()

    thread = threading.Thread(target=work, name="edgeseg-look")
    with interrupts.wait_patiently():
        thread.start()
        wait_for_end(ending)
        with contextlib.suppress(KeyboardInterrupt):
            ending.set()
            thread.join()
    for error in failures:
        raise error
