"""The commands that measure models: accuracy, and speed and memory."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli import console
from edgeseg.cli.options import (
    DataOption,
    DeviceOption,
    JsonOption,
    ThreadsOption,
    figures_to,
    is_standard_output,
    open_model,
)
from edgeseg.errors import EdgesegError

if TYPE_CHECKING:
    from edgeseg.bench.table import Change


def evaluate(
    data: DataOption,
    model: Annotated[str, typer.Argument(help="Bundled model or ONNX file.")] = "hc18-nano",
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
) -> None:
    """Measure a model's accuracy on labelled images."""
    from edgeseg.score import evaluate as evaluation
    from edgeseg.score import folds
    from edgeseg.score.labelled import load_for
    from edgeseg.system.files import check_targets
    from edgeseg.system.parallel import usable_cores

    check_targets(csv_file, None if is_standard_output(json_file) else json_file)
    if fold is None and split is not None and split.name == "run.json":
        fold = 0
    if (split is None) != (fold is None):
        raise typer.BadParameter("--split and --fold go together: a file and one of its folds")
    segmenter = open_model(model, device)
    loaded = load_for(segmenter, data)
    for text in loaded.notices:
        console.notice(text)
    cases = loaded.cases
    if split is not None and fold is not None:
        cases = folds.select_fold(cases, folds.read_folds(split), fold)
    workers = threads or usable_cores()
    with console.progress(len(cases), "evaluating") as advance:
        scores = evaluation.score_all(segmenter, cases, workers, advance)
    summary = evaluation.summarize(segmenter, cases, scores, workers)
    with figures_to(json_file) as write_figures:
        if csv_file:
            evaluation.write_csv(csv_file, scores)
        write_figures(summary)
        console.table(("", ""), console.accuracy_lines(summary))


def benchmark(
    models: Annotated[
        list[str] | None, typer.Argument(help="Bundled models or ONNX files.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="HC18 folder: its images, and the accuracy on them.")
    ] = None,
    device: DeviceOption = "cpu",
    threads: Annotated[
        str, typer.Option(help="Threads inside one inference, a list: 1,2,4. Default: 1 and all.")
    ] = "",
    batch: Annotated[
        str, typer.Option(help="Images in one run of the network, a list: 1,8.")
    ] = "1",
    runs: Annotated[int, typer.Option(min=1, help="Timed runs.")] = 100,
    warmup: Annotated[int, typer.Option(min=0, help="Untimed runs before.")] = 10,
    compare: Annotated[
        Path | None,
        typer.Option(metavar="JSON", help="An earlier benchmark: print ratios, fail if worse."),
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="With --compare: growth that is let pass, a fraction.")
    ] = 0.1,
    markdown: Annotated[Path | None, typer.Option(help="Write the table here.")] = None,
    json_file: JsonOption = None,
) -> None:
    """Measure latency, memory, size and, with --data, accuracy of models."""
    from edgeseg.bench import benchmark as bench
    from edgeseg.bench import table as benchmark_table
    from edgeseg.bench.choice import choice_text, choose
    from edgeseg.network import zoo
    from edgeseg.system.files import check_targets, write_atomic
    from edgeseg.system.parallel import usable_cores

    # what is wrong with the arguments is said before anything is measured
    check_targets(markdown, None if is_standard_output(json_file) else json_file)
    earlier = benchmark_table.read_report(compare) if compare else None
    counts = _numbers("--threads", threads) if threads else sorted({1, usable_cores()})
    jobs = bench.plan(
        models or list(zoo.manifest()),
        counts,
        device=device,
        warmup=warmup,
        runs=runs,
        batches=_numbers("--batch", batch),
        data=str(data or ""),
    )
    with console.progress(len(jobs), "benchmarking") as advance:
        report = bench.run(jobs, advance)
    report["command"] = shlex.join(["edgeseg", *sys.argv[1:]])
    report["choice"] = choose(report["results"], zoo.manifest())
    with figures_to(json_file) as write_figures:
        if markdown:
            write_atomic(markdown, benchmark_table.markdown(report).encode())
        write_figures(report)
        lines = [benchmark_table.cells(result) for result in report["results"]]
        console.table(benchmark_table.TITLES, lines, numeric=benchmark_table.NUMERIC)
        if choice := report["choice"]:
            console.say(choice_text(choice))
        for text in benchmark_table.states(report["host"]):
            console.say(text)
        if earlier:
            _print_comparison(*benchmark_table.compare(earlier, report, tolerance), tolerance)


def _print_comparison(changes: list[Change], remarks: list[str], tolerance: float) -> None:
    console.say("")
    console.table(
        ("row", "figure", "before", "now", "ratio", ""),
        [
            (c.row, c.figure, f"{c.before:.2f}", f"{c.now:.2f}", f"{c.ratio:.3f}",
             "worse" if c.worse else "")
            for c in changes
        ],
        numeric=(2, 3, 4),
    )  # fmt: skip
    for remark in remarks:
        console.notice(remark)
    if n_worse := sum(change.worse for change in changes):
        raise EdgesegError(
            f"{n_worse} of {len(changes)} figures grew by more than {100 * tolerance:g} %"
        )


def _numbers(option: str, text: str) -> list[int]:
    try:
        counts = [int(part) for part in text.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise typer.BadParameter(f"{option} is {text!r}; expected numbers such as 1,2,4")
    return counts
