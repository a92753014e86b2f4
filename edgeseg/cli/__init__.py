"""The command line: parse, call one function, print."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Callable
from typing import Annotated

import typer

from edgeseg.cli import (
    adopting,
    archiving,
    benchmarking,
    calibrating,
    console,
    describing,
    evaluating,
    failures,
    inferring,
    listening,
    serving,
    training,
    watching,
)
from edgeseg.cli.options import example
from edgeseg.cli.signals import interrupts
from edgeseg.cli.values import QuickGroup
from edgeseg.system.version import __version__

app = typer.Typer(
    name="edgeseg",
    cls=QuickGroup,
    help="Segmentation and measurement of ultrasound images: heads of fetuses, or your own "
    "structures. Not a medical device.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

_EXAMPLES: dict[Callable[..., None], str] = {
    inferring.infer: "edgeseg infer scans/ --pixel-sizes sizes.csv --out results",
    inferring.demo: "edgeseg demo",
    calibrating.calibrate: "edgeseg calibrate mine.csv --results out/results.csv --out site.json",
    evaluating.evaluate: "edgeseg evaluate hc18-nano --data hc18 --json scores.json",
    benchmarking.benchmark: "edgeseg benchmark hc18-nano --threads 1,4 --markdown table.md",
    training.train: training.EXAMPLE,
    training.export: "edgeseg export runs/mine --out mine.onnx --precision int8",
    training.presence: "edgeseg presence mine.onnx --data hc18 --negatives other --out sure.onnx",
    adopting.adopt: "edgeseg adopt unet.onnx --out mine.onnx --activation sigmoid --scale 255",
    describing.models: "edgeseg models hc18-nano",
    describing.verify: "edgeseg verify mine.onnx",
    inferring.challenge: "edgeseg challenge hc18/test_set --out submission.csv",
    archiving.manifest: archiving.MANIFEST_EXAMPLE,
    archiving.archive: archiving.ARCHIVE_EXAMPLE,
    watching.watch: watching.EXAMPLE,
    listening.listen: listening.EXAMPLE,
    serving.serve: serving.EXAMPLE,
    describing.info: "edgeseg info",
}
for _command, _example in _EXAMPLES.items():
    _kind = training.TrainCommand if _command is training.train else None
    app.command(cls=_kind, epilog=example(_example))(_command)


def main() -> None:
    """Run the command line; what goes wrong becomes a sentence and exit code 1."""
    _prepare_process()
    with interrupts.heard():
        try:
            app()
        except KeyboardInterrupt:
            sys.exit(130)
        except SystemExit as ended:
            sys.exit(max(_ended(ended.code), failures.close_standard_output()))
        except Exception as error:
            if not failures.is_said(error):
                raise
            sys.exit(1)


def _ended(code: object) -> int:
    return code if isinstance(code, int) else int(code is not None)


def _prepare_process() -> None:
    """Set what only a program of its own may set for its whole process."""
    # Starting makes many objects and hardly any garbage: looking for cycles costs and finds none.
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)
    # No large product of matrices is made here, so numpy needs no threads of its own.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    failures.open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        # A file name that the terminal's encoding lacks must not end a run.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


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
    """Segmentation and measurement of ultrasound images. Not a medical device."""
