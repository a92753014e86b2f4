"""The command that measures speed and memory of models."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli import console, options
from edgeseg.cli.options import option
from edgeseg.cli.reports import check_reports, figures_to
from edgeseg.errors import EdgesegError
from edgeseg.system.text import short

if TYPE_CHECKING:
    from edgeseg.bench.table import Change


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
    markdown: Annotated[Path | None, option("Write the table here.")] = None,
    json_file: options.Json = None,
) -> None:
    """Measure latency, memory, size and, with --data, accuracy of models."""
    from edgeseg.bench import benchmark as bench
    from edgeseg.bench import table as benchmark_table
    from edgeseg.network import zoo
    from edgeseg.system.files import write_atomic
    from edgeseg.system.parallel import usable_cores

    # Check all arguments before anything is measured.
    check_reports(markdown, json_file)
    earlier = benchmark_table.read_report(compare) if compare else None
    counts = _numbers("--threads", threads) if threads else sorted({1, usable_cores()})
    batches, how = _numbers("--batch", batch), {"device": device, "warmup": warmup, "runs": runs}
    jobs = bench.plan(models or list(zoo.manifest()), counts, batches, str(data or ""), **how)
    with console.progress(len(jobs), "benchmarking") as advance:
        report = bench.run(jobs, advance)
    report["command"] = shlex.join(["edgeseg", *sys.argv[1:]])
    report["choice"] = benchmark_table.choose(report["results"], zoo.manifest())
    with figures_to(json_file) as write_figures:
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


def _numbers(option: str, text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        numbers = [0]
    if min(numbers) < 1:
        raise typer.BadParameter(f"{option} is {short(text)}; expected numbers such as 1,2,4")
    return numbers
