"""The command that measures how accurate models are."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from edgeseg.cli import console
from edgeseg.cli.options import (
    DeviceOption,
    JsonOption,
    ThreadsOption,
    figures_to,
    is_standard_output,
    open_model,
    plain,
)


def evaluate(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="Bundled model or ONNX file.")] = "hc18-nano",
    data: Annotated[
        Path | None,
        typer.Option(help="Folder of labelled images: as HC18, or with images/ and masks/ in it."),
    ] = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    split: Annotated[
        Path | None,
        typer.Option(help="Split file or a training run's run.json: only what --fold holds out."),
    ] = None,
    fold: Annotated[
        int | None, typer.Option(help="Fold of --split, from 0; of a run.json 0 alone.")
    ] = None,
    json_file: JsonOption = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write a row an image.")] = None,
    report: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write a page of every image and its error here."),
    ] = None,
    corrected: Annotated[
        Path | None,
        typer.Option(metavar="CSV", help="Instead of --data: what was corrected in a report."),
    ] = None,
) -> None:
    """Measure a model's accuracy on labelled images, or against what a person corrected."""
    from edgeseg.score import evaluate as evaluation
    from edgeseg.score import folds
    from edgeseg.score.labelled import load_for
    from edgeseg.score.report import EvaluationReport
    from edgeseg.system.files import check_targets
    from edgeseg.system.parallel import usable_cores

    check_targets(csv_file, None if is_standard_output(json_file) else json_file)
    if corrected is not None:
        if data is not None or csv_file is not None or report is not None or split is not None:
            raise typer.BadParameter("--corrected stands alone: only --json goes with it")
        _evaluate_corrections(corrected, json_file)
        return
    if data is None:
        raise typer.BadParameter("what to evaluate on is missing: give --data, or --corrected")
    if fold is None and split is not None and split.name == "run.json":
        fold = 0
    if (split is None) != (fold is None):
        raise typer.BadParameter("--split and --fold go together: a file and one of its folds")
    segmenter = open_model(model, device)
    page = EvaluationReport(report, segmenter) if report else None
    loaded = load_for(segmenter, data)
    for text in loaded.notices:
        console.notice(text)
    cases = loaded.cases
    if split is not None and fold is not None:
        cases = folds.select_fold(cases, folds.read_folds(split), fold)
    workers, add = threads or usable_cores(), [page.add] if page else []
    started = time.perf_counter()
    with console.progress(len(cases), "evaluating") as advance:
        scores = evaluation.score_all(segmenter, cases, workers, advance, *add)
    wall_s = time.perf_counter() - started
    summary = evaluation.summarize(segmenter, cases, scores, workers)
    with figures_to(json_file) as write_figures:
        if csv_file:
            evaluation.write_csv(csv_file, scores)
        arguments = {name: plain(value) for name, value in context.params.items()}
        written = page.write(cases, arguments, wall_s) if page else None
        write_figures(summary)
        console.table(("", ""), _accuracy_lines(summary))
        if written:
            console.say(f"every image and its error: open {written}")


def _evaluate_corrections(corrected: Path, json_file: Path | None) -> None:
    from edgeseg.score.corrected import read_corrections, summarize_corrections

    summary = summarize_corrections(read_corrections(corrected))
    with figures_to(json_file) as write_figures:
        write_figures(summary)
        console.table(("", ""), _correction_lines(summary))


def _accuracy_lines(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return an evaluation's figures as names and texts."""
    data, metrics = summary["data"], summary["metrics"]
    if "classes" in metrics:
        return _class_lines(data, metrics)
    paper, error = summary["paper_metrics"], metrics["hc_error_mm"]
    lines = [("images", f"{data['n_images']}, no head found in {data['n_failed']}")]
    for key, name in (
        ("dice", "Dice %"),
        ("iou", "IoU %"),
        ("pixel_accuracy", "pixel accuracy %"),
        ("dice_ellipse", "Dice of the ellipse %"),
    ):
        m = metrics[key]
        text = f"{_percent(m['mean'])} ± {_percent(m['sd'])}, lowest {_percent(m['min'])}"
        lines.append((name, text))
    distance = metrics["hausdorff_mm"]
    lines += [
        (
            "Hausdorff mm",
            f"{_mm(distance['mean'])} ± {_mm(distance['sd'])}, largest {_mm(distance['max'])}",
        ),
        ("HC error mm", _errors(error)),
        (
            "as arXiv 2307.09067, pooled over batches of 10, %",
            f"pixel accuracy {_percent(paper['pixel_accuracy'])}, Dice {_percent(paper['dice'])}, "
            f"mIoU {_percent(paper['miou'])}",
        ),
    ]
    return lines


def _correction_lines(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    dice, share = summary["dice_ellipse"], summary["hc_error_share"]
    return [
        (
            "images looked at",
            f"{summary['n_images']}, of which {summary['n_changed']} were corrected",
        ),
        ("heads that the model had not found", str(summary["n_missed"])),
        ("HC error mm", _errors(summary["hc_error_mm"])),
        ("HC error %", f"mean |.| {_percent(share['mad'])}, bias {_percent(share['bias'])}"),
        ("Dice of the ellipses %", f"{_percent(dice['mean'])}, lowest {_percent(dice['min'])}"),
    ]


def _errors(error: Mapping[str, float | None]) -> str:
    return (
        f"mean |.| {_mm(error['mad'])} ± {_mm(error['mad_sd'])}, bias {_mm(error['bias'])}, "
        f"SD {_mm(error['sd'])}, 95th percentile {_mm(error['p95'])}, largest {_mm(error['max'])}"
    )


def _class_lines(data: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = [
        ("images", f"{data['n_images']}, nothing found in {data['n_failed']} that have labels")
    ]
    for name, figures in metrics["classes"].items():
        for key, title in (("dice", "Dice %"), ("iou", "IoU %")):
            m = figures[key]
            text = f"{_percent(m['mean'])} ± {_percent(m['sd'])}, lowest {_percent(m['min'])}"
            pooled = f"; pooled {_percent(figures['pooled_dice'])}" if key == "dice" else ""
            lines.append((f"{name}: {title}", f"{text}, {figures['n_images']} images{pooled}"))
    lines.append(("pixel accuracy %", _percent(metrics["pixel_accuracy"]["mean"])))
    return lines


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def _mm(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
