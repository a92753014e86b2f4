"""The commands that make models, describe and check them; and the one on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeseg.cli import console, options
from edgeseg.cli.options import option
from edgeseg.cli.parser import takes_values
from edgeseg.cli.process import interrupts, needs_extra

_RANKS = ("RANK", "SLURM_PROCID", "LOCAL_RANK")  # of a process among several that train together


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
        console.print_figures(card, zoo.card_lines(card), json_file)
        return
    listed = zoo.manifest()
    with console.figures_to(json_file) as write_figures:
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
    with console.figures_to(json_file) as write_figures:
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
    console.print_figures(facts, lines, json_file)


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
    console.print_report(run_adopt(model, out, spec, overwrite=overwrite), json_file)


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


@takes_values("edgeseg_training.config", "TrainConfig")
def train(
    out: Annotated[Path, option("Folder for weights, checkpoint and record.")],
    values: dict[str, Any],
    data: Annotated[Path | None, option("Labelled images; by default the resumed run's.")] = None,
    config: Annotated[Path | None, option("TOML file with values.")] = None,
    resume: Annotated[bool, option("Continue a run with its own values.", "--resume")] = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Train a U-Net. Needs the train extra.

    Every value of the configuration is an option.
    """
    from edgeseg_training.config import RUN_NAME, load_config, read_run

    if resume and overwrite:
        raise typer.BadParameter(options.RESUME_OR_OVERWRITE)
    record = read_run(out) if resume and (out / RUN_NAME).is_file() else {}
    data = data or (Path(record["data"]["folder"]) if record else None)
    if data is None:
        raise typer.BadParameter("a folder of labelled images is needed", param_hint="--data")
    settings = load_config(config, record.get("config"))
    with options.wrong_usage():
        settings = settings.updated(values)
    if all(os.environ.get(rank, "0") == "0" for rank in _RANKS):
        console.say(f"training {out} with {data}: loading torch")
    with needs_extra("train"):
        from edgeseg_training.train import train as run_training

    how = {"resume": resume, "overwrite": overwrite}
    with interrupts.wait_patiently(leave_sigterm=True):
        run_training(data, out, settings, on_notice=console.notice, on_message=console.say, **how)


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
    console.print_report(report, json_file)


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
    console.print_report(report, json_file)
