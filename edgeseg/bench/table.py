"""What is made of a benchmark's figures: a table, a page of Markdown, a comparison, a choice."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.system import text as shown

_COLUMNS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "model": lambda row: row["model"],
    "precision": lambda row: row["precision"],
    "threads": lambda row: str(row["threads"]),
    "batch": lambda row: str(row["batch"]),
    "provider": lambda row: row["provider"].removesuffix("ExecutionProvider"),
    "p50 ms": lambda row: _text(row["latency_ms"]["p50"], 2),
    "p90 ms": lambda row: _text(row["latency_ms"]["p90"], 2),
    "p99 ms": lambda row: _text(row["latency_ms"]["p99"], 2),
    "CPU ms": lambda row: _text(row["cpu_ms"], 2),
    "images/s": lambda row: _text(row["images_per_s"], 1),
    "peak MiB": lambda row: _text(row["peak_rss_mb"], 0),
    "size MB": lambda row: _text(row["size_bytes"] / 1e6, 2),
    "Dice %": lambda row: _text(_dice_percent(row["accuracy"]), 2),
    "HC MAD mm": lambda row: _text(hc_mad_mm(row["accuracy"]), 2),
}
TITLES = tuple(_COLUMNS)
"""Titles of the columns that `cells` fills."""
NUMERIC = [i for i, title in enumerate(TITLES) if title not in ("model", "precision", "provider")]
"""Columns that hold numbers."""
_ENGINES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "openvino")
_HC_ERROR = "HC MAD mm"
# less than the standard error of the difference of two models on the 160 images of a fold
_EQUAL_MM = 0.05


class Change(NamedTuple):
    """One figure of one row, before and now; less is better. ``ratio`` is now over before."""

    row: str
    figure: str
    before: float
    now: float
    ratio: float
    worse: bool


def cells(result: Mapping[str, Any]) -> list[str]:
    """Return one result as the cells of a line."""
    return [show(result) for show in _COLUMNS.values()]


def markdown(report: Mapping[str, Any]) -> str:
    """Return a benchmark as Markdown: the table, the machine, and how to repeat it."""
    rows = [[shown.markdown(cell) for cell in cells(result)] for result in report["results"]]
    marks = ["--:" if i in NUMERIC else "---" for i in range(len(TITLES))]
    lines = [f"| {' | '.join(row)} |" for row in (TITLES, marks, *rows)]
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
    seen = [(when, _state(machine[when], machine["governor"])) for when in ("before", "after")]
    return [f"Processor {when}: {text}." for when, text in seen if text]


def compare(
    before: Mapping[str, Any], now: Mapping[str, Any], tolerance: float
) -> tuple[list[Change], list[str]]:
    """Hold a benchmark's report against an earlier one, row by row.

    Returns changes of latency (p50), peak memory and HC error, where both have them, ``worse`` if
    they grew by more than the tolerance, a fraction; and sentences on what could not be compared.
    `DataError` if no row of one is in the other.
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
    remarks = [f"only in one of the two: {key}" for key in sorted(old.keys() ^ new.keys())]
    for key in [key for key in new if key in old]:
        rows = old[key], new[key]
        earlier, later = map(_figures, rows)
        for figure in [figure for figure in later if figure in earlier]:
            if figure == _HC_ERROR and len({r["accuracy"]["data"].get("sha256") for r in rows}) > 1:
                on_other_data = True
                continue
            was, value = earlier[figure], later[figure]
            ratio = value / was if was else (1.0 if value == was else float("inf"))
            changes.append(Change(key, figure, was, value, ratio, ratio > 1 + tolerance))
    if on_other_data:
        remarks.append("HC errors are on different data and were not compared")
    machines = [report["host"].get("cpu") for report in (before, now)]
    if machines[0] != machines[1]:
        remarks.append(f"the machines differ: {machines[0]} before, {machines[1]} now")
    return changes, remarks


def choose(
    results: Sequence[Mapping[str, Any]], cards: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any] | None:
    """Choose the fastest of the models that are equally accurate on one yardstick.

    Equal are those whose HC error is within 0.05 mm of the smallest; the fastest is the one of the
    smallest p50 with the fewest threads and the smallest batch measured. The yardstick is the error
    on the cards of the bundled models, out of fold; where a model without a card was measured on
    ``--data``, it is the error there, for all.
    None with fewer than two models to choose from.
    """
    on_cards = {c["sha256"]: c["metrics"]["figures"]["hc_mad_mm"] for c in cards.values()}
    fewest = min(((r["threads"], r["batch"]) for r in results), default=None)
    rows = [r for r in results if (r["threads"], r["batch"]) == fewest]
    on_data = {
        r["sha256"]: mad_mm for r in rows if (mad_mm := hc_mad_mm(r["accuracy"])) is not None
    }
    by_data = not on_data.keys() <= on_cards.keys()
    errors = on_data if by_data else on_cards
    judged = [row for row in rows if errors.get(row["sha256"]) is not None]
    if len(judged) < 2:
        return None
    smallest = min(errors[row["sha256"]] for row in judged)
    equal = [row for row in judged if errors[row["sha256"]] <= smallest + _EQUAL_MM]
    chosen = min(equal, key=lambda row: float(row["latency_ms"]["p50"]))
    return {
        "model": chosen["model"],
        "threads": chosen["threads"],
        "batch": chosen["batch"],
        "p50_ms": chosen["latency_ms"]["p50"],
        "hc_mad_mm": errors[chosen["sha256"]],
        "judged_by": "data" if by_data else "cards",
        "smallest_hc_mad_mm": smallest,
        "not_judged": [row["model"] for row in rows if row not in judged],
    }


def choice_text(choice: Mapping[str, Any]) -> str:
    """Return what `choose` chose as a sentence that says by what rule."""
    where = {"data": "on --data", "cards": "on their cards (out of fold)"}[choice["judged_by"]]
    unknown = ", ".join(choice["not_judged"])
    return (
        f"To be chosen here: {choice['model']}, the fastest ({choice['p50_ms']:.2f} ms, threads "
        f"{choice['threads']}, batch {choice['batch']}) of the models whose HC error {where} is "
        f"within {_EQUAL_MM:g} mm of the smallest, {choice['smallest_hc_mad_mm']:.2f} mm (its own: "
        f"{choice['hc_mad_mm']:.2f} mm)"
        + (f"; not judged, without a card or without --data: {unknown}." if unknown else ".")
    )


def hc_mad_mm(accuracy: Mapping[str, Any] | None) -> float | None:
    """Return the mean absolute HC error; None of models that measure something else."""
    error = accuracy["metrics"].get("hc_error_mm") if accuracy else None
    return error["mad"] if error else None


def read_report(path: Path) -> dict[str, Any]:
    """Read what ``edgeseg benchmark --json`` wrote; `DataError` if it is no benchmark."""
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


def _key(row: Mapping[str, Any]) -> str:
    return (
        f"{row['model']} {row['precision']} {_COLUMNS['provider'](row)} threads {row['threads']} "
        f"batch {row.get('batch', 1)}"
    )


def _figures(row: Mapping[str, Any]) -> dict[str, float]:
    figures = {
        "p50 ms": row["latency_ms"]["p50"],
        "peak MiB": row["peak_rss_mb"],
        _HC_ERROR: hc_mad_mm(row["accuracy"]),
    }
    return {name: value for name, value in figures.items() if value is not None}


def _dice_percent(accuracy: Mapping[str, Any] | None) -> float | None:
    return 100 * accuracy["metrics"]["dice"]["mean"] if accuracy else None


def _state(state: Mapping[str, Any], governor: str | None) -> str:
    parts = {
        "{:.0f} MHz": state["frequency_mhz"],
        "{:.1f} °C": state["temperature_c"],
        "throttled {}": state["throttled"],
        "governor {}": governor or None,
    }
    return ", ".join(text.format(value) for text, value in parts.items() if value is not None)


def _text(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
