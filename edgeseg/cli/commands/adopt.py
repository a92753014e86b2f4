"""The command that makes a user's own ONNX a model of edgeseg."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgeseg.adopt.spec import AdoptSpec
from edgeseg.cli.options import JsonOption, OverwriteOption, option
from edgeseg.cli.parser import Values
from edgeseg.cli.reports import print_report


def adopt(
    model: Annotated[Path, typer.Argument(help="ONNX segmentation model.")],
    out: Annotated[Path, option("ONNX file to write.")],
    values: Annotated[Values, AdoptSpec],
    overwrite: OverwriteOption = False,
    json_file: JsonOption = None,
) -> None:
    """Make your own ONNX a model of edgeseg: a copy that says how it is fed."""
    spec = AdoptSpec(**{name: _read(name, value) for name, value in values.given().items()})
    from edgeseg.adopt.adopt import adopt as run_adopt

    print_report(run_adopt(model, out, spec, overwrite=overwrite), json_file)


def _read(name: str, value: Any) -> Any:
    """Return a value of `AdoptSpec` from what was given as its option."""
    try:
        if name == "input_size":
            height, width = map(int, value.lower().split("x"))
            return height, width
        if name in ("mean", "sd"):
            return tuple(float(number) for number in value.split(","))
    except ValueError:
        expected = "HEIGHTxWIDTH, such as 256x320" if name == "input_size" else "0.5 or 0.5,0.4,0.4"
        hint = "--input" if name == "input_size" else f"--{name}"
        raise typer.BadParameter(f"{value!r}; expected {expected}", param_hint=hint) from None
    return tuple(part.strip() for part in value.split(",")) if name == "classes" else value
