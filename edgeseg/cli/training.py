"""The commands that need the train extra; they import it when they run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer
import typer.core
import typer.main

from edgeseg.cli import console
from edgeseg.cli.options import (
    RESUME_OR_OVERWRITE,
    DataOption,
    JsonOption,
    NeedsExtra,
    OverwriteOption,
    example,
    say_report,
)
from edgeseg.cli.signals import interrupts
from edgeseg.errors import ConfigError

_METAVARS = {int: "INTEGER", float: "NUMBER", bool: "true|false", str: "TEXT"}
EXAMPLE = "edgeseg train --data hc18 --out runs/mine --config training/hc18.toml"


class TrainCommand(typer.core.TyperCommand):
    """`train` as it is listed; when it is called, with an option for every training value.

    The values are half a hundred, which no other command should wait for.
    """

    def make_context(self, *args: Any, **extra: Any) -> Any:
        """Parse the arguments by the whole command."""
        whole = typer.Typer(
            add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False
        )
        # values may be spelt as in the file, with underscores
        spelling = {"token_normalize_func": lambda token: token.replace("_", "-")}
        whole.command(epilog=example(EXAMPLE), context_settings=spelling)(_with_values(train))
        return typer.main.get_command(whole).make_context(*args, **extra)


def train(
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Folder for weights, checkpoint and record.")],
    config: Annotated[Path | None, typer.Option(help="TOML file with values.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the checkpoint.")] = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Train a U-Net; any value of the configuration is an option. Needs the train extra."""
    _train(data, out, config, resume, overwrite, {})


def _with_values(function: Callable[..., None]) -> Callable[..., None]:
    """Return ``train`` with an option for each field of `TrainConfig`, None where not given."""
    from edgeseg_training.config import TrainConfig

    hints = get_type_hints(TrainConfig)
    options = {}
    for value in fields(TrainConfig):
        kind = hints[value.name] if hints[value.name] in (int, float) else str
        option = typer.Option(
            f"--{value.name.replace('_', '-')}",
            metavar=_METAVARS.get(hints[value.name], "N,N..."),
            help=f"{value.metadata['help']} ({_shown(value.default)})",
            rich_help_panel="Values",
        )
        options[value.name] = Annotated[kind | None, option]

    def whole(
        data: Path, out: Path, config: Path, resume: bool, overwrite: bool, **given: Any
    ) -> None:
        _train(data, out, config, resume, overwrite, given)

    hints = get_type_hints(function, include_extras=True) | options
    own = inspect.signature(function).parameters.values()
    added = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=None) for n in options]
    parameters = [each.replace(annotation=hints[each.name]) for each in (*own, *added)]
    whole.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    whole.__annotations__ = hints
    whole.__doc__ = function.__doc__
    return whole


def _train(
    data: Path,
    out: Path,
    config: Path | None,
    resume: bool,
    overwrite: bool,
    given: Mapping[str, Any],
) -> None:
    from edgeseg_training.config import load_config

    if resume and overwrite:
        raise typer.BadParameter(RESUME_OR_OVERWRITE)
    values = load_config(config)
    try:
        values = values.updated({k: v for k, v in given.items() if v is not None})
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from None
    with NeedsExtra("train"):
        from edgeseg_training.train import train as run_training
    with interrupts.left_to_library():
        run_training(
            data,
            out,
            values,
            resume=resume,
            overwrite=overwrite,
            progress=console.shows_progress(),
            on_notice=console.notice,
            on_done=lambda weights: console.say(
                f"weights in {weights}; next: edgeseg export {weights} --out model.onnx"
            ),
        )


def _shown(default: Any) -> str:
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)


def export(
    checkpoint: Annotated[Path, typer.Argument(help="model.safetensors, last.ckpt or run folder.")],
    out: Annotated[Path, typer.Option(help="ONNX file to write.")],
    precision: Annotated[str, typer.Option(help="fp32, fp16 or int8.")] = "fp32",
    calibration_data: Annotated[
        Path | None, typer.Option(help="Labelled data; default: that of the training run.")
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
    say_report(report, json_file)


def presence(
    model: Annotated[Path, typer.Argument(help="ONNX file of heads, from edgeseg export.")],
    data: DataOption,
    negatives: Annotated[Path, typer.Option(help="Folder of scans of anything but heads.")],
    out: Annotated[Path, typer.Option(help="ONNX file to write.")],
    positives: Annotated[
        Path | None, typer.Option(help="Folder of more heads, without labels.")
    ] = None,
    overwrite: OverwriteOption = False,
    json_file: JsonOption = None,
) -> None:
    """Teach a model of heads to say whether there is one. Needs the train extra."""
    with NeedsExtra("train"):
        from edgeseg_training.presence.teach import write_taught
    report = write_taught(model, data, negatives, positives, out, overwrite=overwrite)
    say_report(report, json_file)
