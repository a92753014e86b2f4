"""The commands on models: describe them, check a file, take a foreign one; and this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgeseg.cli import console, options
from edgeseg.cli.options import option
from edgeseg.cli.parser import takes_values
from edgeseg.cli.reports import figures_to, print_figures, print_report


def models(
    name: Annotated[str | None, typer.Argument(help="Bundled model or ONNX file.")] = None,
    json_file: options.Json = None,
) -> None:
    """List the bundled models, or describe one of them or a model file."""
    from edgeseg.network import zoo

    if name is not None:
        if zoo.find(name).bundled:
            card = zoo.manifest()[name]
        else:
            from edgeseg.segmenter import Segmenter

            segmenter = Segmenter(name, device="cpu", threads=1)
            card = zoo.file_card(segmenter.file, segmenter.metadata)
        print_figures(card, zoo.card_lines(card), json_file)
        return
    listed = zoo.manifest()
    with figures_to(json_file) as write_figures:
        write_figures({"models": listed})
        lines = []
        for name, card in listed.items():
            size, figures = f"{card['size_bytes'] / 1e6:.2f}", card["metrics"]["figures"]
            shape = f"{card['input_height']}x{card['input_width']}"
            dice, error = f"{100 * figures['dice']:.2f}", f"{figures['hc_mad_mm']:.2f}"
            lines.append((name, size, shape, dice, error, card["sha256"]))
        titles = ("name", "size MB", "input", "Dice %", "HC MAD mm", "SHA-256")
        console.table(titles, lines, numeric=(1, 3, 4))
        for name, card in listed.items():
            console.say(f"{name}: {card['metrics']['data']}, {card['metrics']['split']}")


def verify(
    model: Annotated[str, typer.Argument(help="Bundled model or ONNX file.")],
    device: options.Device = "auto",
    json_file: options.Json = None,
) -> None:
    """Check a model's hash, metadata and graph, and measure a phantom with it."""
    from dataclasses import asdict

    from edgeseg.bench import verify as verification

    checks = verification.verify(model, device)
    with figures_to(json_file) as write_figures:
        write_figures({"model": model, "checks": [asdict(check) for check in checks]})
        for check in checks:
            console.say(f"{'ok  ' if check.holds else 'FAIL'} {check.name}: {check.seen}")
    if not all(check.holds for check in checks):
        raise typer.Exit(1)


def info(json_file: options.Json = None) -> None:
    """Print versions, CPU and providers, for a bug report."""
    from edgeseg.system import host, telemetry

    facts: dict[str, Any] = {
        "versions": host.versions(installed=True),
        "host": host.describe(),
        "providers": host.providers(),
        "telemetry": "off" if telemetry.is_off() else "on, by ORT_DISABLE_TELEMETRY",
    }
    lines = [
        (name, "not available" if value is None else str(value))
        for part in ("versions", "host")
        for name, value in facts[part].items()
    ]
    for package, version in facts["versions"].items():
        if version.startswith(host.BROKEN):
            console.notice(f"{package} {version}; reinstall it")
    lines += [("providers", ", ".join(facts["providers"])), ("telemetry", facts["telemetry"])]
    print_figures(facts, lines, json_file)


@takes_values("edgeseg.adopt.spec", "AdoptSpec")
def adopt(
    model: Annotated[Path, typer.Argument(help="ONNX segmentation model.")],
    out: Annotated[Path, option("ONNX file to write.")],
    values: dict[str, Any],
    overwrite: options.Overwrite = False,
    json_file: options.Json = None,
) -> None:
    """Make an ONNX file a model of edgeseg: a copy that says how to feed it."""
    from edgeseg.adopt.adopt import adopt as run_adopt
    from edgeseg.adopt.spec import AdoptSpec

    spec = AdoptSpec(**{name: _read(name, value) for name, value in values.items()})
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
