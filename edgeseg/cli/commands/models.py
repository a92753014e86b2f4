"""The commands on models: describe them, check a file, take a foreign one; and this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgeseg.adopt.spec import AdoptSpec
from edgeseg.cli import console
from edgeseg.cli.options import DeviceOption, JsonOption, OverwriteOption, option
from edgeseg.cli.parser import Values
from edgeseg.cli.reports import figures_to, print_figures, print_report


def models(
    name: Annotated[
        str | None, typer.Argument(help="Bundled model or ONNX file to describe.")
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """List the bundled models, or describe one of them or a model file."""
    from edgeseg.network import zoo

    if name is not None:
        card = _card(name)
        print_figures(card, zoo.card_lines(card), json_file)
        return
    listed = zoo.manifest()
    with figures_to(json_file) as write_figures:
        write_figures({"models": listed})
        console.table(
            ("name", "size MB", "input", "Dice %", "HC MAD mm", "SHA-256"),
            [
                (
                    name,
                    f"{card['size_bytes'] / 1e6:.2f}",
                    f"{card['input_height']}x{card['input_width']}",
                    f"{100 * card['metrics']['figures']['dice']:.2f}",
                    f"{card['metrics']['figures']['hc_mad_mm']:.2f}",
                    card["sha256"],
                )
                for name, card in listed.items()
            ],
            numeric=(1, 3, 4),
        )
        for name, card in listed.items():
            console.say(f"{name}: {card['metrics']['data']}, {card['metrics']['split']}")


def verify(
    model: Annotated[str, typer.Argument(help="Bundled model or ONNX file.")],
    device: DeviceOption = "auto",
    json_file: JsonOption = None,
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


def info(json_file: JsonOption = None) -> None:
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


def _card(name: str) -> dict[str, Any]:
    """Return a model's card, from the zoo or from a model file."""
    from edgeseg.network import zoo

    if zoo.find(name).bundled:
        return zoo.manifest()[name]
    from edgeseg.segmenter import Segmenter

    segmenter = Segmenter(name, device="cpu", threads=1)
    return zoo.file_card(segmenter.file, segmenter.metadata)


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
