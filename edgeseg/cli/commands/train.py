"""The commands that need the train extra; they import it when they run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
import typer.main

from edgeseg.cli import console
from edgeseg.cli.options import RESUME_OR_OVERWRITE, DataOption, JsonOption, OverwriteOption, option
from edgeseg.cli.parser import Command, Values, expand_options
from edgeseg.cli.reports import NeedsExtra, print_report
from edgeseg.cli.signals import interrupts
from edgeseg.errors import ConfigError


class TrainCommand(Command):
    """`train` as it is listed; when it is called, it has an option for every training value too.

    There are about fifty, which would delay every other command.
    """

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Parse the arguments by the complete command."""
        from edgeseg_training.config import TrainConfig

        complete = typer.Typer(
            add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
        )
        # Values may be spelt as in the TOML file, with underscores.
        spelling = {"token_normalize_func": lambda token: token.replace("_", "-")}
        complete.command(cls=Command, epilog=self.epilog, context_settings=spelling)(
            expand_options(train, values=Annotated[Values, TrainConfig])
        )
        return typer.main.get_command(complete).make_context(*args, **extra)


def train(
    data: DataOption,
    out: Annotated[Path, option("Folder for weights, checkpoint and record.")],
    values: Values,
    config: Annotated[Path | None, option("TOML file with values.")] = None,
    resume: Annotated[bool, option("Continue from the checkpoint.", "--resume")] = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Train a U-Net. Needs the train extra.

    Every value of the configuration is an option.
    """
    from edgeseg_training.config import load_config

    if resume and overwrite:
        raise typer.BadParameter(RESUME_OR_OVERWRITE)
    settings = load_config(config)
    try:
        settings = settings.updated(values.given())
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from None
    with NeedsExtra("train"):
        from edgeseg_training.train import train as run_training
    with interrupts.leave_to_library():
        run_training(
            data,
            out,
            settings,
            resume=resume,
            overwrite=overwrite,
            progress=console.shows_progress(),
            on_notice=console.notice,
            on_done=lambda weights: console.say(
                f"weights in {weights}; next: edgeseg export {weights} --out model.onnx"
            ),
        )


def export(
    checkpoint: Annotated[Path, typer.Argument(help="model.safetensors, last.ckpt or run folder.")],
    out: Annotated[Path, option("ONNX file to write.")],
    precision: Annotated[str, option("fp32, fp16 or int8.")] = "fp32",
    calibration_data: Annotated[
        Path | None, option("Labelled data; default: that of the training run.")
    ] = None,
    max_dice_drop: Annotated[float, option("int8: largest decrease of Dice.")] = 0.005,
    max_hc_change_mm: Annotated[float, option("int8: largest mean change of HC, mm.")] = 0.5,
    overwrite: OverwriteOption = False,
    json_file: JsonOption = None,
) -> None:
    """Write a checkpoint as an ONNX file that agrees with torch. Needs the train extra."""
    if precision not in ("fp32", "fp16", "int8"):
        raise typer.BadParameter(f"--precision is {precision!r}; expected fp32, fp16 or int8")
    with NeedsExtra("train"):
        from edgeseg_training.export import export as run_export
    report = run_export(
        checkpoint,
        out,
        precision=precision,
        calibration_data=calibration_data,
        max_dice_drop=max_dice_drop,
        max_hc_change_mm=max_hc_change_mm,
        overwrite=overwrite,
    )
    print_report(report, json_file)


def teach_refusal(
    model: Annotated[Path, typer.Argument(help="ONNX file of heads, from edgeseg export.")],
    data: DataOption,
    negatives: Annotated[Path, option("Folder of scans without a head.")],
    out: Annotated[Path, option("ONNX file to write.")],
    positives: Annotated[Path | None, option("Folder of more heads, without labels.")] = None,
    overwrite: OverwriteOption = False,
    json_file: JsonOption = None,
) -> None:
    """Teach a head model to refuse images without a head. Needs the train extra."""
    with NeedsExtra("train"):
        from edgeseg_training.presence.teach import write_taught
    report = write_taught(model, data, negatives, positives, out, overwrite=overwrite)
    print_report(report, json_file)
