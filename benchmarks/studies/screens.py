r"""A machine's whole screen or its region's crop: which one shows a model the head better.

    PYTHONPATH=benchmarks python benchmarks/studies/screens.py \
        --data HC18 [--planes PLANES] [--json FILE]
        [--models benchmarks/folds/hc18-nano-fold0.onnx ...]

Heads of fold 0 are put on screens made like those of ultrasound machines (`drawn_screens`), and
each answer is held against the circumference in the plain image. Prints Markdown tables; a silent
error is a circumference more than 5 mm off that stands in a row without a flag.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from against_plain import cells, describe, say, spread_cases
from drawn_screens import MACHINES, Machine, Region, Screen, enlargement, shown
from library.planes import HEAD, UNUSED, read_planes

from edgeseg import Segmenter
from edgeseg.images.frame import GrayImage
from edgeseg.images.image_file import read_gray
from edgeseg.network.port import Answers
from edgeseg.prediction import Prediction
from edgeseg.system.files import write_json

CUT_SHARES = (0.15, 0.3)  # of the head's box, beyond the region
CUT_EVERY = 3  # of the images


class Scan(NamedTuple):
    """A scan, its pixels' size, and what is measured in it; None of what is no head."""

    gray: GrayImage
    size_mm: float
    plain: Prediction | None


class Row(NamedTuple):
    """An answer.

    Attributes
    ----------
    plain_mm
        Circumference in the plain image of the scan that the answer is of; 0 if that is no head.
    region
        Which region's that is, from 0.
    runs
        How often the network ran.
    """

    status: str
    hc_mm: float | None
    flags: tuple[str, ...]
    plain_mm: float
    region: int
    runs: int


class Counting(Segmenter):
    """A segmenter that counts the views that its network looked at."""

    runs = 0

    def _answers(self, tensor: GrayImage) -> Answers:
        self.runs += len(tensor)
        return super()._answers(tensor)


class Case(NamedTuple):
    """A screen to measure, with the scan of each region; None is a black one."""

    machine: Machine
    screen: Screen
    scans: tuple[Scan | None, ...]

    def size_mm(self, region: int) -> tuple[float, float]:
        """Millimetres per pixel in a region, as DICOM would state it."""
        scan = self.scans[region]
        scale_x, scale_y = self.screen.scales[region]
        return (scan.size_mm * scale_x, scan.size_mm * scale_y) if scan else (1.0, 1.0)

    def region_of(self, found: Prediction) -> int | None:
        """Return which region of the whole screen holds a head's centre."""
        for i, region in enumerate(self.machine.regions):
            head = found.ellipse
            if head is not None and region.holds(head.center_x_px, head.center_y_px):
                return i
        return None


def whole(segmenter: Counting, case: Case) -> tuple[Prediction, int]:
    """Measure the screen; its region is that of the head's centre, and so is the pixel size."""
    found = segmenter.predict(case.screen.gray, case.size_mm(0))
    region = case.region_of(found)
    if region and case.scans[region]:  # looks as before, only in other millimetres
        runs = segmenter.runs
        found = segmenter.predict(case.screen.gray, case.size_mm(region))
        segmenter.runs = runs
    return found, region or 0


def crop(segmenter: Counting, case: Case, region: int = 0) -> Prediction:
    """Measure one region."""
    part: Region = case.machine.regions[region]
    return segmenter.predict(np.ascontiguousarray(part.of(case.screen.gray)), case.size_mm(region))


def surest(segmenter: Counting, case: Case) -> tuple[Prediction, int]:
    """Measure each region and take the likeliest head."""
    found = [crop(segmenter, case, i) for i in range(len(case.scans))]
    likely = [-1.0 if each.ellipse is None else (each.presence or 0.0) for each in found]
    best = int(np.argmax(likely))
    return found[best], best


def found_on_whole(segmenter: Counting, case: Case) -> tuple[Prediction, int]:
    """Look for the head on the whole screen and measure the region that holds its centre."""
    found = segmenter.predict(case.screen.gray, case.size_mm(0))
    region = case.region_of(found)
    return (found, 0) if region is None else (crop(segmenter, case, region), region)


Way = Callable[[Counting, Case], tuple[Prediction, int]]
WAYS: dict[str, Way] = {"whole screen": whole, "region": surest}
WAYS_OF_TWO: dict[str, Way] = {
    "whole screen": whole,
    "each region, surest": surest,
    "region of the head on the whole": found_on_whole,
}


def measured(segmenter: Counting, way: Way, case: Case) -> Row:
    """Measure a screen in one way."""
    segmenter.runs = 0
    found, region = way(segmenter, case)
    scan = case.scans[region]
    plain_mm = (scan.plain.hc_mm or 0.0) if scan and scan.plain else 0.0
    return Row(found.status, found.hc_mm, found.flags, plain_mm, region, segmenter.runs)


def summary(rows: list[Row]) -> dict[str, Any]:
    """Return the figures of one way."""
    return {
        **describe([row.plain_mm for row in rows], rows),
        "second_region": sum(row.region == 1 and row.status != "empty" for row in rows),
        "runs": float(np.mean([row.runs for row in rows])),
        "flags": dict(Counter(flag for row in rows for flag in row.flags)),
    }


def screens(
    heads: list[Scan], others: list[GrayImage]
) -> Iterator[tuple[str, dict[str, Way], list[Case]]]:
    """Yield every kind of screen by its name, with the ways to measure it."""
    before = [heads[i - 1] for i in range(len(heads))]
    for name, machine in MACHINES.items():
        if len(machine.regions) == 1:
            yield name, WAYS, [_case(machine, (head,)) for head in heads]
            continue
        seconds: dict[str, list[Scan | None]] = {
            "black": [None] * len(heads),
            "same head, mirrored": [
                head._replace(gray=np.ascontiguousarray(head.gray[:, ::-1])) for head in heads
            ],
            "another head": [*before],
        }
        if others:
            dealt = [others[i % len(others)] for i in range(len(heads))]
            seconds["no head"] = [
                Scan(other, head.size_mm, None) for other, head in zip(dealt, heads, strict=True)
            ]
        for what, scans in seconds.items():
            pairs = zip(heads, scans, strict=True)
            yield f"{name}, {what}", WAYS_OF_TWO, [_case(machine, pair) for pair in pairs]


def _case(
    machine: Machine, scans: tuple[Scan | None, ...], beyond: tuple[float, float] = (0, 0)
) -> Case:
    return Case(machine, shown(machine, [s.gray if s else None for s in scans], beyond), scans)


def cut(machine: Machine, head: Scan, share: float, side: int) -> Case:
    """Return a screen on which so much of the head's box lies beyond the first region.

    Parameters
    ----------
    side
        0 to 3: beyond its left, top, right or lower side.
    """
    assert head.plain is not None and head.plain.ellipse is not None
    region, axis = machine.regions[0], side % 2
    points = head.plain.ellipse.points(360)[:, axis]
    middle = head.gray.shape[1 - axis] / 2
    low, high = float(points.min()) - middle, float(points.max()) - middle
    half = region.size[1 - axis] / 2 / enlargement(machine, region, head.gray)
    out = share * (high - low)
    moved = -half - out - low if side < 2 else half + out - high
    beyond = (moved, 0.0) if axis == 0 else (0.0, moved)
    black = (None,) * (len(machine.regions) - 1)
    return _case(machine, (head, *black), beyond)


def table(segmenter: Counting, heads: list[Scan], others: list[GrayImage]) -> dict[str, Any]:
    """Measure whole heads and print."""
    say("| screen | shown | ok | doubtful | empty | median (mm) | p95 (mm) | silent | runs |")
    say("|---|---|" + "--:|" * 7)
    figures: dict[str, Any] = {}
    for name, ways, cases in screens(heads, others):
        figures[name] = {}
        for how, way in ways.items():
            found = summary([measured(segmenter, way, case) for case in cases])
            figures[name][how] = found
            say(f"| {' | '.join([name, how, *cells(found)])} | {found['runs']:.2f} |")
    return figures


def table_of_cut(segmenter: Counting, heads: list[Scan]) -> dict[str, Any]:
    """Measure heads that the region cuts and print."""
    say("| screen | cut | shown | `touches_border` | ok | doubtful | empty | p95 (mm) | silent |")
    say("|---|--:|---|" + "--:|" * 6)
    figures: dict[str, Any] = {}
    for name, machine in MACHINES.items():
        for share in CUT_SHARES:
            cases = [cut(machine, head, share, i % 4) for i, head in enumerate(heads)]
            for how, way in {"whole screen": whole, "region": surest}.items():
                found = summary([measured(segmenter, way, case) for case in cases])
                figures.setdefault(name, {}).setdefault(f"{share:g}", {})[how] = found
                ok, doubtful, empty, _, p95, silent = cells(found)
                flagged = str(found["flags"].get("touches_border", 0))
                row = (name, f"{100 * share:g} %", how, flagged, ok, doubtful, empty, p95, silent)
                say(f"| {' | '.join(row)} |")
    return figures


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--planes", type=Path, help="scans of other planes, for a second region")
    parser.add_argument(
        "--models", nargs="+", type=Path, default=[Path("benchmarks/folds/hc18-nano-fold0.onnx")]
    )
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    planes = read_planes(asked.planes) if asked.planes else []
    # of patients whose scans no model of fold 0 was taught with
    others = [
        read_gray(each.path)
        for each in planes
        if each.fold == 0 and each.plane not in (HEAD, UNUSED)
    ]
    cases = [
        (read_gray(c.image_path), c.pixel_size_mm)
        for c in spread_cases(asked.data, 0, asked.images)
    ]
    results = {}
    for model in asked.models:
        segmenter = Counting(model, device="cpu", threads=1)
        heads = [Scan(gray, size_mm, segmenter.predict(gray, size_mm)) for gray, size_mm in cases]
        heads = [head for head in heads if head.plain and head.plain.ellipse]
        say(f"\n{model.stem}, {len(heads)} heads\n")
        results[model.stem] = {"whole heads": table(segmenter, heads, others)}
        say("")
        results[model.stem]["cut heads"] = table_of_cut(segmenter, heads[::CUT_EVERY])
    if asked.json:
        write_json(asked.json, results)


if __name__ == "__main__":
    main()
