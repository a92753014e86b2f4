"""Which of the models measured to use on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# less than the standard error of the difference of two models on the 160 images of a fold
_EQUAL_MM = 0.05


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
