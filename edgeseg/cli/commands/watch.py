"""The command that measures what comes into a folder."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli import console, options
from edgeseg.cli.options import count, option
from edgeseg.cli.reports import lines_to
from edgeseg.cli.signals import interrupts, wait_for_end
from edgeseg.errors import InputNotFoundError

if TYPE_CHECKING:
    from edgeseg.output.table import Row
    from edgeseg.run.watch import Watch


def watch(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder to watch, with the folders below it.")],
    out: Annotated[Path, option("Folder for the results; continues an earlier watch.")],
    scale: options.ScaleOptions,
    model: options.ModelOptions,
    output: options.OutputOptions,
    ruler: options.Ruler = None,
    sr: options.Sr = False,
    every_s: Annotated[
        float, count("Seconds between checks of the folder.", "--every", min=0.05)
    ] = 1.0,
    resume: Annotated[bool, option("Repeat files that failed.", "--resume")] = False,
    once: Annotated[bool, option("Measure what is there, then exit.", "--once")] = False,
    jsonl_file: options.Jsonl = None,
) -> None:
    """Measure images that arrive in a folder, and again when they change.

    Stop it with Ctrl-C or SIGTERM.
    """
    from edgeseg.inputs.ages import Ages
    from edgeseg.run.engine import Engine
    from edgeseg.run.results import open_results
    from edgeseg.run.watch import LiveSizes, Watch, read_present
    from edgeseg.run.worker import Worker

    size_mm = scale.read_size()
    arguments = options.arguments_of(context) | {"pixel_size": size_mm}
    if not folder.is_dir() or not os.access(folder, os.R_OK):
        raise InputNotFoundError(f"{folder}: no folder that can be read; create it first")
    sizes = LiveSizes(size_mm, scale.pixel_sizes, console.notice)
    workers = model.count_workers()
    how = output.collect(workers, sr=sr, ruler=ruler)
    known = how, Ages(), model.read_calibration()
    segmenter = model.open()
    worker = Worker(segmenter, sizes, *known, read=read_present, on_notice=console.notice)
    with (
        lines_to(jsonl_file, append=True) as write_line,
        open_results(worker, out, arguments, console.notice, resume=True) as results,
    ):

        def on_rows(rows: Sequence[Row]) -> None:
            results.note_change(rows)
            for row in rows:
                console.row(row, segmenter.metadata.task)
                write_line(row)

        engine = Engine(worker, results.store, out, workers, retry_failed=resume, on_rows=on_rows)
        with results.exporting(), engine:
            watching = Watch(engine, worker, folder, out, sizes, console.notice)
            console.say(f"watching {folder}; Ctrl-C stops it")
            _run(watching, every_s, once=once)
        results.export("done")
        console.say(f"results in {out}: results.csv, report.html, run.json")


def _run(watching: Watch, every_s: float, *, once: bool) -> None:
    """Watch until a signal asks to stop, then finish the images in progress."""
    ending = threading.Event()
    with interrupts.wait_patiently(), ThreadPoolExecutor(1, "edgeseg-look") as pool:
        looking = pool.submit(watching.run, every_s, ending, once=once)
        looking.add_done_callback(lambda _: ending.set())
        wait_for_end(ending)
        ending.set()
    looking.result()
