"""The commands that need the train extra; they import it when they run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgeseg.cli import console, options
from edgeseg.cli.options import option
from edgeseg.cli.parser import takes_values
from edgeseg.cli.reports import needs_extra, print_report
from edgeseg.cli.signals import interrupts
from edgeseg.errors import ConfigError


@takes_values("edgeseg_training.config", "TrainConfig")
def train(
    data: options.Data,
    out: Annotated[Path, option("Folder for weights, checkpoint and record.")],
    values: dict[str, Any],
    config: Annotated[Path | None, option("TOML file with values.")] = None,
    resume: Annotated[bool, option("Continue from the checkpoint.", "--resume")] = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Train a U-Net. Needs the train extra.

    Every value of the configuration is an option.
    """
    from edgeseg_training.config import load_config

    if resume and overwrite:
        raise typer.BadParameter(options.RESUME_OR_OVERWRITE)
    settings = load_config(config)
    try:
        settings = settings.updated(values)
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from None
    with needs_extra("train"):
        from edgeseg_training.train import train as run_training

    def on_done(weights: Path) -> None:
        console.say(f"weights in {weights}; next: edgeseg export {weights} --out model.onnx")

    how = {"resume": resume, "overwrite": overwrite, "progress": console.shows_progress()}
    with interrupts.wait_patiently(leave_sigterm=True):
        run_training(data, out, settings, on_notice=console.notice, on_done=on_done, **how)


def export(
    checkpoint: Annotated[Path, typer.Argument(help="model.safetensors, last.ckpt or run folder.")],
    out: Annotated[Path, option("ONNX file to write.")],
    precision: Annotated[str, option("fp32, fp16 or int8.")] = "fp32",
    calibration_data: Annotated[Path | None, option("Default: the run's labelled data.")] = None,
    max_dice_drop: Annotated[float, option("int8: largest decrease of Dice.")] = 0.005,
    max_hc_change_mm: Annotated[float, option("int8: largest mean change of HC, mm.")] = 0.5,
    overwrite: options.Overwrite = False,
    json_file: options.Json = None,
) -> None:
    """Write a checkpoint as an ONNX file that agrees with torch. Needs the train extra."""
    if precision not in ("fp32", "fp16", "int8"):
        raise typer.BadParameter(f"--precision is {precision!r}; expected fp32, fp16 or int8")
    with needs_extra("train"):
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
    data: options.Data,
    negatives: Annotated[Path, option("Folder of scans without a head.")],
    out: Annotated[Path, option("ONNX file to write.")],
    positives: Annotated[Path | None, option("Folder of more heads, without labels.")] = None,
    overwrite: options.Overwrite = False,
    json_file: options.Json = None,
) -> None:
    """Teach a head model to refuse images without a head. Needs the train extra."""
    with needs_extra("train"):
        from edgeseg_training.presence.teach import write_taught
    report = write_taught(model, data, negatives, positives, out, overwrite=overwrite)
    print_report(report, json_file)
