"""The commands that need the train extra; they import it when they run."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from edgeseg.cli import console
from edgeseg.cli.options import (
    RESUME_OR_OVERWRITE,
    DataOption,
    JsonOption,
    NeedsExtra,
    OverwriteOption,
    example,
    figures_to,
    plain,
)
from edgeseg.errors import ConfigError


class TrainCommand(typer.core.TyperCommand):
    """`train`, whose help reads the training values, and only then."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, which ends in the training values."""
        self.epilog = training_help()
        super().format_help(ctx, formatter)


def training_help() -> str:
    """Return the end of the help of `train`: every training value with its default."""
    from edgeseg_training.config import TrainConfig

    lines = [
        f"* `--{f.name.replace('_', '-')}`: {f.metadata['help']} ({f.default})"
        for f in fields(TrainConfig)
    ]
    first = example("edgeseg train --data hc18 --out runs/mine --config training/hc18.toml")
    return "\n\n".join((first, "Values, each an option (default):", *lines))


def train(
    context: typer.Context,
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Folder for weights, checkpoint and record.")],
    config: Annotated[Path | None, typer.Option(help="TOML file with values.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the checkpoint.")] = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Train a U-Net; any value of the configuration is an option. Needs the train extra."""
    from edgeseg_training.config import load_config

    if resume and overwrite:
        raise typer.BadParameter(RESUME_OR_OVERWRITE)
    values = load_config(config)
    try:
        values = values.updated(_extra_values(context.args))
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from None
    with NeedsExtra("train"):
        from edgeseg_training.train import train as run_training
    weights = run_training(
        data,
        out,
        values,
        resume=resume,
        overwrite=overwrite,
        progress=console.shows_progress(),
        on_notice=console.notice,
    )
    console.say(f"weights in {weights}; next: edgeseg export {weights} --out model.onnx")


def export(
    checkpoint: Annotated[Path, typer.Argument(help="model.safetensors, last.ckpt or run folder.")],
    out: Annotated[Path, typer.Option(help="ONNX file to write.")],
    precision: Annotated[str, typer.Option(help="fp32, fp16 or int8.")] = "fp32",
    calibration_data: Annotated[
        Path | None, typer.Option(help="HC18 folder; default: the data of the training run.")
    ] = None,
    max_dice_drop: Annotated[float, typer.Option(help="int8: largest loss of Dice.")] = 0.005,
    max_hc_change_mm: Annotated[
        float, typer.Option(help="int8: largest mean change of HC, mm.")
    ] = 0.5,
    overwrite: OverwriteOption = False,
    json_file: JsonOption = None,
) -> None:
    """Write a checkpoint as one ONNX file that agrees with torch. Needs the train extra."""
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
    for text in report.notices:
        console.notice(text)
    figures = {key: plain(value) for key, value in asdict(report).items() if key != "notices"}
    with figures_to(json_file) as write_figures:
        console.table(("", ""), [(key, str(value)) for key, value in figures.items()])
        write_figures(figures)


def _extra_values(arguments: list[str]) -> dict[str, str]:
    """Parse ``--key value`` and ``--key=value``."""
    values: dict[str, str] = {}
    remaining = iter(arguments)
    for argument in remaining:
        key, equals, value = argument.partition("=")
        if not key.startswith("--"):
            raise ConfigError(f"{argument!r} is not an option; expected --name value")
        if not equals:
            following = next(remaining, None)
            if following is None:
                raise ConfigError(f"{key} lacks its value; expected {key} VALUE")
            value = following
        values[key.removeprefix("--").replace("-", "_")] = value
    return values
