"""The command line: parse, call one function, print."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import textwrap
from collections.abc import Callable
from typing import Annotated

import typer

from edgeseg.cli import console, process
from edgeseg.cli.commands import accuracy, archive, measure, models, services
from edgeseg.cli.parser import COMMAND_CLASSES, RENAMED, Command, Group, expand_options
from edgeseg.system.version import __version__

app = typer.Typer(
    name="edgeseg",
    cls=Group,
    help="Segment and measure ultrasound images: fetal heads, or structures of your own. "
    "Not a medical device.",
    no_args_is_help=True,
    context_settings={
        "token_normalize_func": lambda name: RENAMED.get(name, name),
        "max_content_width": 100,
    },
    rich_markup_mode=None,  # its boxes leave too little room for the names of options
    pretty_exceptions_enable=False,
)

_SECTIONS: dict[str, dict[Callable[..., None], str]] = {
    "Measure": {
        measure.infer: "edgeseg infer scans/ --pixel-sizes sizes.csv --out results",
        measure.demo: "edgeseg demo",
        services.watch: "edgeseg watch scans/ --pixel-sizes sizes.csv --out results",
        measure.ruler: "edgeseg ruler scans/ --out rulers",
        archive.manifest: "edgeseg manifest s3://bucket/scans --pixel-sizes sizes.csv "
        "--out m.parquet",
        archive.archive: "edgeseg archive m.parquet --out s3://bucket/results --shard 0/16",
    },
    "Services": {
        services.listen: "edgeseg listen --out results --return ARCHIVE@10.0.0.5:104",
        services.serve: "edgeseg serve --port 8000",
        services.live: "edgeseg live 0 --ruler auto",
    },
    "Models and training": {
        models.models: "edgeseg models hc18-nano",
        models.verify: "edgeseg verify mine.onnx",
        models.adopt: "edgeseg adopt unet.onnx --out mine.onnx --activation sigmoid --scale 255",
        models.train: "edgeseg train --data hc18 --out runs/mine --config training/hc18.toml",
        models.export: "edgeseg export runs/mine --out mine.onnx --precision int8",
        models.teach_refusal: "edgeseg teach-refusal mine.onnx --data hc18 --negatives other "
        "--out sure.onnx",
    },
    "Accuracy and speed": {
        accuracy.evaluate: "edgeseg evaluate hc18-nano --data hc18 --json scores.json",
        accuracy.calibrate: "edgeseg calibrate mine.csv --results out/results.csv --out site.json",
        accuracy.benchmark: "edgeseg benchmark hc18-nano --threads 1,4 --markdown table.md",
        accuracy.challenge: "edgeseg challenge hc18/test_set --out submission.csv",
        models.info: "edgeseg info",
    },
}
for _title, _commands in _SECTIONS.items():
    for _command, _example in _commands.items():
        app.command(
            cls=COMMAND_CLASSES.get(_command, Command),
            rich_help_panel=_title,
            epilog=f"Example: {_example}",
        )(expand_options(_command))


def main() -> None:
    """Run the command line; errors become a message and exit code 1."""
    _prepare_process()
    with process.interrupts.handle():
        try:
            app()
        except KeyboardInterrupt:
            sys.exit(130)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
            sys.exit(max(code, process.close_standard_output()))
        except Exception as error:
            if not process.report_error(error):
                raise
            sys.exit(1)


def _prepare_process() -> None:
    """Apply settings of the whole process, which a library must not change."""
    # Importing makes many objects and little garbage, so searching for cycles is wasted time.
    gc.set_threshold(50_000)
    atexit.register(gc.freeze)
    # There are no large matrix products, so numpy needs no threads of its own.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    # Help is broken between words, never inside the name of an option.
    textwrap.TextWrapper.wordsep_re = textwrap.TextWrapper.wordsep_simple_re
    process.open_standard_streams()


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
