"""What is made of a benchmark's figures: a table, a page of Markdown, a comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from edgeseg.bench.choice import choice_text, hc_mad_mm
from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.system import text as shown

TITLES = (
    "model",
    "precision",
    "threads",
    "batch",
    "provider",
    "p50 ms",
    "p90 ms",
    "p99 ms",
    "CPU ms",
    "images/s",
    "peak MiB",
    "size MB",
    "Dice %",
    "HC MAD mm",
)
"""Titles of the columns that `cells` fills."""
NUMERIC = [i for i, title in enumerate(TITLES) if title not in ("model", "precision", "provider")]
"""Columns that hold numbers."""

_ENGINES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "openvino")
_HC_ERROR = "HC MAD mm"
_KEY = ("model", "precision", "provider", "threads", "batch")


class Change(NamedTuple):
    """One figure of one row, before and now.

    Attributes
    ----------
    row
        Model, precision, provider, threads and batch, as text.
    figure
        Its name and unit; less is better.
    ratio
        Now over before; 1 if both are 0.
    worse
        Whether it grew by more than the tolerance.
    """

    row: str
    figure: str
    before: float
    now: float
    ratio: float
    worse: bool


def cells(result: Mapping[str, Any]) -> list[str]:
    """Return one result as the cells of a line."""
    accuracy, latency = result["accuracy"], result["latency_ms"]
    return [
        result["model"],
        result["precision"],
        str(result["threads"]),
        str(result["batch"]),
        result["provider"].removesuffix("ExecutionProvider"),
        *(_text(latency[key], 2) for key in ("p50", "p90", "p99")),
        _text(result["cpu_ms"], 2),
        _text(result["images_per_s"], 1),
        _text(result["peak_rss_mb"], 0),
        _text(result["size_bytes"] / 1e6, 2),
        _text(100 * accuracy["metrics"]["dice"]["mean"] if accuracy else None, 2),
        _text(hc_mad_mm(accuracy), 2),
    ]


def markdown(report: Mapping[str, Any]) -> str:
    """Return a benchmark as Markdown: the table, the machine, and how to repeat it."""
    lines = [
        "| " + " | ".join(TITLES) + " |",
        "|" + "".join("--:|" if i in NUMERIC else "---|" for i in range(len(TITLES))),
    ]
    lines += [
        "| " + " | ".join(shown.markdown(cell) for cell in cells(result)) + " |"
        for result in report["results"]
    ]
    machine = report["host"]
    versions = machine["versions"]
    engines = [f"{name} {versions[name]}" for name in _ENGINES if name in versions]
    lines += [
        "",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_mb']} MiB, "
        f"{machine['os']}; Python {versions['python']}, {', '.join(engines)}, "
        f"edgeseg {versions['edgeseg']}.",
        *states(machine),
    ]
    powers = [(r["model"], r["power_w"]) for r in report["results"] if r["power_w"] is not None]
    if powers:
        listed = ", ".join(f"{shown.markdown(model)} {power:.1f} W" for model, power in powers)
        lines.append(f"Processor power while the network ran, by RAPL: {listed}.")
    lines += [
        "",
        "p50, p90, p99 and CPU: one run of the network, for the whole batch; images/s: decoding, "
        "preprocessing, network and measurement, one image after another; peak: resident memory of "
        "the process.",
    ]
    if accuracy := next((r["accuracy"] for r in report["results"] if r["accuracy"]), None):
        lines.append(f"Accuracy: {accuracy['data']['n_images']} images of --data.")
    if choice := report.get("choice"):
        lines.append(shown.markdown(choice_text(choice)))
    if command := report.get("command"):
        lines += ["", "```", shown.visible(command), "```"]
    return "\n".join([*lines, ""])


def states(machine: Mapping[str, Any]) -> list[str]:
    """Return the processor's state before and after as sentences, as far as it is known."""
    return [
        f"Processor {when}: {text}."
        for when in ("before", "after")
        if (text := _state(machine[when] | {"governor": machine["governor"]}))
    ]


def compare(
    before: Mapping[str, Any], now: Mapping[str, Any], tolerance: float
) -> tuple[list[Change], list[str]]:
    """Hold a benchmark against an earlier one, row by row.

    Parameters
    ----------
    before, now
        Reports of `edgeseg.bench.benchmark.run`.
    tolerance
        Growth that is let pass, as a fraction.

    Returns
    -------
    list of Change, list of str
        Changes of latency (p50), peak memory and HC error, where both have them; then sentences on
        what could not be compared.

    Raises
    ------
    DataError
        If no row of one is in the other.
    """
    old = {_key(result): result for result in before["results"]}
    new = {_key(result): result for result in now["results"]}
    if not old.keys() & new.keys():
        raise DataError(
            f"nothing to compare: the earlier benchmark has {'; '.join(map(str, old)) or 'no rows'}"
            f", this one {'; '.join(map(str, new))}"
        )
    changes = []
    on_other_data = False
    for key, result in new.items():
        if key not in old:
            continue
        earlier = _figures(old[key])
        if _HC_ERROR in earlier and result["accuracy"] and _data(old[key]) != _data(result):
            on_other_data = True
            del earlier[_HC_ERROR]
        for figure, value in _figures(result).items():
            if figure in earlier:
                was = earlier[figure]
                ratio = value / was if was else (1.0 if value == was else float("inf"))
                changes.append(Change(key, figure, was, value, ratio, ratio > 1 + tolerance))
    remarks = [f"only in one of the two: {key}" for key in sorted(old.keys() ^ new.keys())]
    if on_other_data:
        remarks.append("HC errors are on different data and were not compared")
    machines = [report["host"].get("cpu") for report in (before, now)]
    if machines[0] != machines[1]:
        remarks.append(f"the machines differ: {machines[0]} before, {machines[1]} now")
    return changes, remarks


def read_report(path: Path) -> dict[str, Any]:
    """Read what ``edgeseg benchmark --json`` wrote.

    Raises
    ------
    InputNotFoundError
        If there is no such file.
    DataError
        If it is not a benchmark's.
    """
    try:
        report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        for result in report["results"]:
            _key(result), _figures(result)
        report["host"].get("cpu")
    except FileNotFoundError:
        raise InputNotFoundError(f"{path}: no such file") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: not a benchmark ({type(error).__name__}: {error}); expected the file of "
            "'edgeseg benchmark --json'"
        ) from error
    return report


def _key(result: Mapping[str, Any]) -> str:
    values: Sequence[Any] = [result.get(key, 1) if key == "batch" else result[key] for key in _KEY]
    model, precision, provider, threads, batch = values
    return f"{model} {precision} {provider} threads {threads} batch {batch}"


def _figures(result: Mapping[str, Any]) -> dict[str, float]:
    figures = {"p50 ms": result["latency_ms"]["p50"]}
    if result["peak_rss_mb"] is not None:
        figures["peak MiB"] = result["peak_rss_mb"]
    if (mad_mm := hc_mad_mm(result["accuracy"])) is not None:
        figures[_HC_ERROR] = mad_mm
    return figures


def _data(result: Mapping[str, Any]) -> str | None:
    """Return the hash of the data that a row's accuracy is of; None if it does not say."""
    sha256: str | None = result["accuracy"]["data"].get("sha256")
    return sha256


def _state(state: Mapping[str, Any]) -> str:
    parts = []
    if state["frequency_mhz"] is not None:
        parts.append(f"{state['frequency_mhz']:.0f} MHz")
    if state["temperature_c"] is not None:
        parts.append(f"{state['temperature_c']:.1f} °C")
    if state["throttled"] is not None:
        parts.append(f"throttled {state['throttled']}")
    if state["governor"]:
        parts.append(f"governor {state['governor']}")
    return ", ".join(parts)


def _text(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
