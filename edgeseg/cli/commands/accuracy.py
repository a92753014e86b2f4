"""The commands that measure accuracy and speed of models, and calibrate one to a site."""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.cli import console, options
from edgeseg.cli.options import option, report_file
from edgeseg.errors import EdgesegError
from edgeseg.system.text import short

if TYPE_CHECKING:
    from edgeseg.bench.table import Change
    from edgeseg.score.calibrate import Share, SiteOffset

_SPREAD = "{mean} ± {sd}, lowest {min}"
_ERRORS = "mean |.| {mad} ± {mad_sd}, bias {bias}, SD {sd}, 95th percentile {p95}, largest {max}"


def evaluate(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="Bundled model or ONNX file.")] = "hc18-nano",
    data: Annotated[Path | None, option("Labelled images: HC18, or images/ and masks/.")] = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    split: Annotated[Path | None, option("Split file or run.json: images of --fold alone.")] = None,
    fold: Annotated[int | None, option("Fold of --split, from 0; a run.json has only 0.")] = None,
    json_file: options.Json = None,
    csv_file: Annotated[Path | None, report_file("Write one row per image here.", "--csv")] = None,
    report: Annotated[Path | None, option("Folder for a report of all images.")] = None,
    ignore_index: Annotated[
        list[int] | None, option("Values in masks that nobody labelled; give it several times.")
    ] = None,
    corrected: Annotated[Path | None, option("Instead of --data: a report's corrections.")] = None,
) -> None:
    """Measure a model's accuracy on labelled images, or against corrections."""
    from edgeseg.score import evaluate as evaluation
    from edgeseg.score import folds
    from edgeseg.score.labelled import load_for
    from edgeseg.score.report import EvaluationReport
    from edgeseg.system.parallel import usable_cores

    if corrected is not None:
        if data is not None or csv_file is not None or report is not None or split is not None:
            raise typer.BadParameter("--corrected can only be combined with --json")
        from edgeseg.score.corrected import read_corrections, summarize_corrections

        summary = summarize_corrections(read_corrections(corrected))
        console.print_figures(summary, _correction_lines(summary), json_file)
        return
    if data is None:
        raise typer.BadParameter("no images to evaluate on; give --data or --corrected")
    if fold is None and split is not None and split.name == "run.json":
        fold = 0
    if (split is None) != (fold is None):
        raise typer.BadParameter("--split and --fold must be given together")
    segmenter = options.open_model(model, device)
    page = EvaluationReport(report, segmenter) if report else None
    loaded = load_for(segmenter, data, ignore_index or ())
    console.notice(*loaded.notices)
    cases = loaded.cases
    if split is not None and fold is not None:
        cases = folds.select_fold(cases, folds.read_folds(split), fold)
    workers, add = threads or usable_cores(), [page.add] if page else []
    started = time.perf_counter()
    with console.progress(len(cases), "evaluating") as advance:
        scores = evaluation.score_all(segmenter, cases, workers, advance, *add)
    wall_s = time.perf_counter() - started
    summary = evaluation.summarize(segmenter, cases, scores, workers)
    with console.figures_to(json_file) as write_figures:
        if csv_file:
            evaluation.write_csv(csv_file, scores)
        written = page.write(cases, options.arguments_of(context), wall_s) if page else None
        write_figures(summary)
        console.table(("", ""), _accuracy_lines(summary))
        if written:
            console.say(f"all images and their errors: open {written}")


def _accuracy_lines(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    data, metrics = summary["data"], summary["metrics"]
    if "classes" in metrics:
        return _region_lines(data, metrics)
    shares = {"dice": "Dice", "iou": "IoU", "pixel_accuracy": "pixel accuracy"}
    shares["dice_ellipse"] = "Dice of the ellipse"
    paper = "pixel accuracy {pixel_accuracy}, Dice {dice}, mIoU {miou} over batches of 10"
    return [
        ("images", f"{data['n_images']}, no head found in {data['n_failed']}"),
        *((f"{name} %", _fill(_SPREAD, metrics[key], 100)) for key, name in shares.items()),
        ("Hausdorff mm", _fill("{mean} ± {sd}, largest {max}", metrics["hausdorff_mm"])),
        ("HC error mm", _fill(_ERRORS, metrics["hc_error_mm"])),
        ("as arXiv 2307.09067 %", _fill(paper, summary["paper_metrics"], 100)),
    ]


def _correction_lines(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        ("images reviewed", f"{summary['n_images']}, {summary['n_changed']} of them corrected"),
        ("heads not found by the model", str(summary["n_missed"])),
        ("HC error mm", _fill(_ERRORS, summary["hc_error_mm"])),
        ("HC error %", _fill("mean |.| {mad}, bias {bias}", summary["hc_error_share"], 100)),
        ("Dice of the ellipses %", _fill("{mean}, lowest {min}", summary["dice_ellipse"], 100)),
    ]


def _region_lines(data: Mapping[str, Any], metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    lines = [("images", f"{data['n_images']}, nothing found in {data['n_failed']} with labels")]
    for name, figures in metrics["classes"].items():
        for key, title in (("dice", "Dice %"), ("iou", "IoU %")):
            text = f"{_fill(_SPREAD, figures[key], 100)}, {figures['n_images']} images"
            if key == "dice":
                text += _fill("; pooled {pooled_dice}", figures, 100)
            lines.append((f"{name}: {title}", text))
        text = _fill("{sensitivity}, specificity {specificity}, of all pixels", figures, 100)
        lines.append((f"{name}: sensitivity %", text))
    if metrics["n_without"]:
        text = f"{metrics['n_without']}, refused rightly {metrics['n_refused_rightly']}"
        lines.append(("images with nothing", text))
    lines.append(("pixel accuracy %", _fill("{mean}", metrics["pixel_accuracy"], 100)))
    return lines


def _fill(text: str, figures: Mapping[str, Any], factor: float = 1) -> str:
    """Return a text with figures at their names in braces, and a dash for one that is unknown."""

    def number(name: re.Match[str]) -> str:
        value = figures[name[1]]
        return "-" if value is None else f"{factor * value:.2f}"

    return re.sub(r"\{(\w+)\}", number, text)


_SITE = "CSV of 20 to 30 heads: file, your HC in mm and, without --results, edgeseg's."


def calibrate(
    site: Annotated[Path, typer.Argument(help=_SITE)],
    out: Annotated[Path, report_file("File to write, for 'edgeseg infer --calibration'.")],
    results: Annotated[Path | None, option("results.csv of these images.")] = None,
    overwrite: options.Overwrite = False,
    json_file: options.Json = None,
) -> None:
    """Determine how your site's head circumferences differ from the model's."""
    from edgeseg.score import calibrate as calibration
    from edgeseg.score.site import read_site
    from edgeseg.system.files import claim, write_json

    claim(out, overwrite)
    offset = calibration.calibrate(read_site(site, results))
    console.notice(*offset.notices)
    write_json(out, calibration.as_json(offset))
    with console.figures_to(json_file) as write_figures:
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
    each = "(each head calibrated by the others)"
    return [
        ("heads", f"{offset.n_heads}, HC {low:.1f} to {high:.1f} mm"),
        ("your site against the model", text),
        ("mean difference mm, before", f"{offset.error_before_mm:.2f}"),
        ("after", f"{offset.error_after_mm:.2f} {each}"),
        ("in the 90 % interval, before", _format_coverage(offset.coverage_before)),
        ("after", f"{_format_coverage(offset.coverage_after)} {each}"),
    ]


def _format_coverage(share: Share | None) -> str:
    if share is None:
        return "unknown: the table has no intervals (hc_low_mm, hc_high_mm)"
    percent = [100 * value for value in (share.value, share.low, share.high)]
    return "{:.0f} % (95 % interval {:.0f} to {:.0f} %)".format(*percent)


def challenge(
    folder: Annotated[Path, typer.Argument(help="HC18 folder, or its test_set.")],
    out: Annotated[Path, report_file("CSV file to write.")],
    model: options.Model = "hc18-nano",
    device: options.Device = "auto",
    pixel_sizes: Annotated[Path | None, option("Default: the table of the folder.")] = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Write the submission file of the HC18 challenge."""
    from edgeseg.score import challenge as submission
    from edgeseg.system.files import claim

    claim(out, overwrite)
    found, sizes = submission.find_images(folder, pixel_sizes)
    console.notice(*found.notices)
    segmenter = options.open_model(model, device, task="head")
    with console.progress(len(found.items), "measuring") as advance:
        submission.write_submission(segmenter, found.items, sizes, out, advance)
    console.say(f"{len(found.items)} rows in {out}")


def benchmark(
    models: Annotated[list[str] | None, typer.Argument(help="Models, or ONNX files.")] = None,
    data: Annotated[
        Path | None, option("HC18 folder: measure its images, and their accuracy.")
    ] = None,
    device: options.Device = "cpu",
    threads: Annotated[str, option("Threads of a run, such as 1,4; default: 1 and all.")] = "",
    batch: Annotated[str, option("Images in one run of the network, a list such as 1,8.")] = "1",
    runs: Annotated[int, option("Timed runs.", min=1)] = 100,
    warmup: Annotated[int, option("Untimed runs before the timed ones.", min=0)] = 10,
    compare: Annotated[Path | None, option("Earlier --json: print ratios, fail if worse.")] = None,
    tolerance: Annotated[float, option("Growth that --compare accepts, a fraction.", min=0)] = 0.1,
    markdown: Annotated[Path | None, report_file("Write the table here.")] = None,
    json_file: options.Json = None,
) -> None:
    """Measure latency, memory, size and, with --data, accuracy of models."""
    from edgeseg.bench import benchmark as bench
    from edgeseg.bench import table as benchmark_table
    from edgeseg.network import zoo
    from edgeseg.system.files import write_atomic
    from edgeseg.system.parallel import usable_cores

    # Check all arguments before anything is measured.
    earlier = benchmark_table.read_report(compare) if compare else None
    counts = _read_numbers("--threads", threads) if threads else sorted({1, usable_cores()})
    batches, how = (
        _read_numbers("--batch", batch),
        {"device": device, "warmup": warmup, "runs": runs},
    )
    jobs = bench.plan(models or list(zoo.manifest()), counts, batches, str(data or ""), **how)
    with console.progress(len(jobs), "benchmarking") as advance:
        report = bench.run(jobs, advance)
    report["command"] = shlex.join(["edgeseg", *sys.argv[1:]])
    report["choice"] = benchmark_table.choose(report["results"], zoo.manifest())
    with console.figures_to(json_file) as write_figures:
        if markdown:
            write_atomic(markdown, benchmark_table.markdown(report).encode())
        write_figures(report)
        lines = [benchmark_table.cells(result) for result in report["results"]]
        console.table(benchmark_table.TITLES, lines, benchmark_table.NUMERIC, n_keys=5)
        if choice := report["choice"]:
            console.say(benchmark_table.choice_text(choice))
        for text in benchmark_table.states(report["host"]):
            console.say(text)
        if earlier:
            _print_comparison(*benchmark_table.compare(earlier, report, tolerance), tolerance)


def _print_comparison(changes: list[Change], remarks: list[str], tolerance: float) -> None:
    console.say("")
    lines = [
        (c.figure, f"{c.before:.2f}", f"{c.now:.2f}", f"{c.ratio:.3f}", "worse" * c.worse, c.row)
        for c in changes
    ]
    console.table(("figure", "before", "now", "ratio", "", "row"), lines, numeric=(1, 2, 3))
    console.notice(*remarks)
    if n_worse := sum(change.worse for change in changes):
        worse = f"{n_worse} of {len(changes)} figures"
        raise EdgesegError(f"{worse} grew by more than {100 * tolerance:g} %")


def _read_numbers(option: str, text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [0]
    if min(numbers) < 1:
        raise typer.BadParameter(f"{option} is {short(text)}; expected numbers such as 1,2,4")
    return numbers
