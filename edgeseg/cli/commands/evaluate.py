"""The commands that measure the accuracy of a model, and calibrate it to a site."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.cli import console
from edgeseg.cli.options import (
    DeviceOption,
    JsonOption,
    OverwriteOption,
    ThreadsOption,
    arguments_of,
    open_model,
    option,
)
from edgeseg.cli.reports import check_reports, figures_to, print_figures

if TYPE_CHECKING:
    from edgeseg.score.calibrate import Share, SiteOffset


def evaluate(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="Bundled model or ONNX file.")] = "hc18-nano",
    data: Annotated[
        Path | None, option("Folder of labelled images: as HC18, or with images/ and masks/ in it.")
    ] = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    split: Annotated[
        Path | None,
        option("Split file, or run.json of a training run: evaluate only the images of --fold."),
    ] = None,
    fold: Annotated[int | None, option("Fold of --split, from 0; a run.json has only 0.")] = None,
    json_file: JsonOption = None,
    csv_file: Annotated[Path | None, option("Write one row per image here.", "--csv")] = None,
    report: Annotated[
        Path | None, option("Write a report of all images and their errors here.", metavar="DIR")
    ] = None,
    corrected: Annotated[
        Path | None, option("Instead of --data: corrections saved from a report.", metavar="CSV")
    ] = None,
) -> None:
    """Measure a model's accuracy on labelled images, or against corrections."""
    from edgeseg.score import evaluate as evaluation
    from edgeseg.score import folds
    from edgeseg.score.labelled import load_for
    from edgeseg.score.report import EvaluationReport
    from edgeseg.system.parallel import usable_cores

    check_reports(csv_file, json_file)
    if corrected is not None:
        if data is not None or csv_file is not None or report is not None or split is not None:
            raise typer.BadParameter("--corrected can only be combined with --json")
        _evaluate_corrections(corrected, json_file)
        return
    if data is None:
        raise typer.BadParameter("no images to evaluate on; give --data or --corrected")
    if fold is None and split is not None and split.name == "run.json":
        fold = 0
    if (split is None) != (fold is None):
        raise typer.BadParameter("--split and --fold must be given together")
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
        written = page.write(cases, arguments_of(context), wall_s) if page else None
        write_figures(summary)
        console.table(("", ""), _accuracy_lines(summary))
        if written:
            console.say(f"all images and their errors: open {written}")


def _evaluate_corrections(corrected: Path, json_file: Path | None) -> None:
    from edgeseg.score.corrected import read_corrections, summarize_corrections

    summary = summarize_corrections(read_corrections(corrected))
    print_figures(summary, _correction_lines(summary), json_file)


def _accuracy_lines(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return an evaluation's figures as names and texts."""
    data, metrics = summary["data"], summary["metrics"]
    if "classes" in metrics:
        return _region_lines(data, metrics)
    paper = summary["paper_metrics"]
    shares = {
        "dice": "Dice %", "iou": "IoU %", "pixel_accuracy": "pixel accuracy %",
        "dice_ellipse": "Dice of the ellipse %",
    }  # fmt: skip
    mean, sd, largest = (_mm(metrics["hausdorff_mm"][name]) for name in ("mean", "sd", "max"))
    return [
        ("images", f"{data['n_images']}, no head found in {data['n_failed']}"),
        *((name, _format_spread(metrics[key])) for key, name in shares.items()),
        ("Hausdorff mm", f"{mean} ± {sd}, largest {largest}"),
        ("HC error mm", _format_errors(metrics["hc_error_mm"])),
        (
            "as arXiv 2307.09067, pooled over batches of 10, %",
            f"pixel accuracy {_percent(paper['pixel_accuracy'])}, Dice {_percent(paper['dice'])}, "
            f"mIoU {_percent(paper['miou'])}",
        ),
    ]


def _correction_lines(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    dice, share = summary["dice_ellipse"], summary["hc_error_share"]
    return [
        ("images reviewed", f"{summary['n_images']}, {summary['n_changed']} of them corrected"),
        ("heads not found by the model", str(summary["n_missed"])),
        ("HC error mm", _format_errors(summary["hc_error_mm"])),
        ("HC error %", f"mean |.| {_percent(share['mad'])}, bias {_percent(share['bias'])}"),
        ("Dice of the ellipses %", f"{_percent(dice['mean'])}, lowest {_percent(dice['min'])}"),
    ]


def _format_spread(shares: Mapping[str, float | None]) -> str:
    mean, sd, least = (_percent(shares[name]) for name in ("mean", "sd", "min"))
    return f"{mean} ± {sd}, lowest {least}"


def _format_errors(error: Mapping[str, float | None]) -> str:
    return (
        f"mean |.| {_mm(error['mad'])} ± {_mm(error['mad_sd'])}, bias {_mm(error['bias'])}, "
        f"SD {_mm(error['sd'])}, 95th percentile {_mm(error['p95'])}, largest {_mm(error['max'])}"
    )


def _region_lines(data: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = [("images", f"{data['n_images']}, nothing found in {data['n_failed']} with labels")]
    for name, figures in metrics["classes"].items():
        for key, title in (("dice", "Dice %"), ("iou", "IoU %")):
            text = f"{_format_spread(figures[key])}, {figures['n_images']} images"
            if key == "dice":
                text += f"; pooled {_percent(figures['pooled_dice'])}"
            lines.append((f"{name}: {title}", text))
    lines.append(("pixel accuracy %", _percent(metrics["pixel_accuracy"]["mean"])))
    return lines


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def _mm(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def calibrate(
    site: Annotated[
        Path,
        typer.Argument(
            metavar="SITE.csv",
            help="Table of 20 to 30 heads: file, your HC in mm and, without --results, edgeseg's.",
        ),
    ],
    out: Annotated[Path, option("File to write, for 'edgeseg infer --calibration'.")],
    results: Annotated[
        Path | None, option("results.csv of 'edgeseg infer' on these images.", metavar="CSV")
    ] = None,
    overwrite: OverwriteOption = False,
    json_file: JsonOption = None,
) -> None:
    """Determine how your site's head circumferences differ from the model's."""
    from edgeseg.score import calibrate as calibration
    from edgeseg.score.site import read_site
    from edgeseg.system.files import claim, write_json

    check_reports(out, json_file)
    claim(out, overwrite)
    offset = calibration.calibrate(read_site(site, results))
    for text in offset.notices:
        console.notice(text)
    write_json(out, calibration.as_json(offset))
    with figures_to(json_file) as write_figures:
        console.table(("", ""), _calibration_lines(offset))
        console.say(f"written to {out}; apply it with edgeseg infer --calibration {out}")
        write_figures(calibration.as_json(offset))


def _calibration_lines(offset: SiteOffset) -> list[tuple[str, str]]:
    learnt = offset.calibration
    low, high = offset.hc_range_mm
    if offset.kind == "ratio":
        change, half = 100 * (learnt.factor - 1), 100 * learnt.factor_half_width
        text = f"{change:+.2f} % ± {half:.2f} % of HC: every length times {learnt.factor:.4f}"
    else:
        text = f"{learnt.shift_mm:+.2f} ± {learnt.shift_half_width_mm:.2f} mm of HC, at every size"
    return [
        ("heads", f"{offset.n_heads}, HC {low:.1f} to {high:.1f} mm"),
        ("your site against the model", text),
        ("mean difference, mm", f"{offset.error_before_mm:.2f} before, {offset.error_after_mm:.2f} "
         "after (each head calibrated by the others)"),
        ("HC within its 90 % interval, before", _format_coverage(offset.coverage_before)),
        ("after (each head calibrated by the others)", _format_coverage(offset.coverage_after)),
    ]  # fmt: skip


def _format_coverage(share: Share | None) -> str:
    if share is None:
        return "unknown: the table has no intervals (hc_low_mm, hc_high_mm)"
    percent = [100 * value for value in (share.value, share.low, share.high)]
    return "{:.0f} % (95 % interval {:.0f} to {:.0f} %)".format(*percent)
