"""The command that makes a user's own ONNX a model of edgeseg."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeseg.cli.options import JsonOption, OverwriteOption
from edgeseg.cli.reports import print_report


def _size(value: str | None) -> tuple[int, int] | None:
    if value is None:
        return None
    sides = value.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise typer.BadParameter(f"--input is {value!r}; expected HEIGHTxWIDTH, such as 256x320")
    return int(sides[0]), int(sides[1])


def _numbers(option: str, value: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in value.split(","))
    except ValueError:
        raise typer.BadParameter(
            f"{option} is {value!r}; expected one number, or one for each channel with commas "
            "between"
        ) from None


def adopt(
    model: Annotated[Path, typer.Argument(help="ONNX segmentation model.")],
    out: Annotated[Path, typer.Option(help="ONNX file to write.")],
    input_size: Annotated[
        str | None,
        typer.Option(
            "--input", metavar="HxW", help="Input height and width; default: the graph's."
        ),
    ] = None,
    channels: Annotated[
        int | None, typer.Option(help="1 or 3, each filled with gray; default: the graph's.")
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="Of the input: nchw or nhwc; default: the graph's.")
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="Gray values are divided by this first; default 255.")
    ] = None,
    mean: Annotated[
        str, typer.Option(help="Then subtracted: one value, or one a channel, 0.5,0.4,0.4.")
    ] = "0",
    sd: Annotated[str, typer.Option(help="Then divided by: likewise.")] = "1",
    per_image: Annotated[
        str | None,
        typer.Option(help="Instead of --scale, by the image's own values: z-score or maximum."),
    ] = None,
    activation: Annotated[
        str | None,
        typer.Option(
            help="sigmoid, softmax, none (probabilities) or indices (of classes); default: none "
            "for values from 0 to 1, indices for integers."
        ),
    ] = None,
    logits: Annotated[
        bool,
        typer.Option("--logits", help="Apply --activation even if values lie between 0 and 1."),
    ] = False,
    classes: Annotated[
        str | None, typer.Option(help="The background's and each map's name: background,lesion.")
    ] = None,
    output: Annotated[
        str | None, typer.Option(help="Name of the output with the maps, if there are several.")
    ] = None,
    task: Annotated[str, typer.Option(help="regions, or head: one map, of a fetal head.")] = (
        "regions"
    ),
    name: Annotated[str | None, typer.Option(help="Default: the file's.")] = None,
    threshold: Annotated[
        float, typer.Option(help="Probability from which a pixel is of a structure.")
    ] = 0.5,
    licence: Annotated[str, typer.Option(help="Terms of the model.")] = "unknown",
    overwrite: OverwriteOption = False,
    json_file: JsonOption = None,
) -> None:
    """Make your own ONNX a model of edgeseg: a copy that says how it is fed."""
    size, means, sds = _size(input_size), _numbers("--mean", mean), _numbers("--sd", sd)
    names = tuple(part.strip() for part in classes.split(",")) if classes is not None else ()
    from edgeseg.adopt.adopt import adopt as run_adopt
    from edgeseg.adopt.spec import AdoptSpec

    spec = AdoptSpec(
        input_size=size,
        channels=channels,
        layout=layout,
        scale=scale,
        mean=means,
        sd=sds,
        per_image=per_image,
        activation=activation,
        logits=logits,
        classes=names,
        output=output,
        task=task,
        name=name,
        threshold=threshold,
        licence=licence,
    )
    report = run_adopt(model, out, spec, overwrite=overwrite)
    print_report(report, json_file)
