"""What the command line prints: progress on a terminal, tables, figures."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

# Highlighting would colour numbers inside sentences; wrapping would cut paths in a pipe.
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)
_PIPE_WIDTH = 240  # a table in a pipe is for a file or another program: never cut


def say(text: str) -> None:
    """Print a line of plain text to standard output."""
    out.print(text, markup=False)


def notice(text: str) -> None:
    """Print a remark to standard error, where it does not mix with results."""
    err.print(text, markup=False, style="yellow")


def failure(text: str) -> None:
    """Print why a command failed."""
    err.print(f"error: {text}", markup=False, style="red")


def say_json(value: Any) -> None:
    """Print a value as JSON."""
    out.print(json.dumps(value, indent=2, ensure_ascii=False), markup=False)


def table(
    titles: Sequence[str], lines: Iterable[Sequence[str]], numeric: Iterable[int] = ()
) -> None:
    """Print a table; columns in ``numeric`` are set to the right."""
    drawn = Table(box=None, pad_edge=False, header_style="bold")
    right = set(numeric)
    for i, title in enumerate(titles):
        drawn.add_column(escape(title), justify="right" if i in right else "left")
    for line in lines:
        drawn.add_row(*(escape(cell) for cell in line))
    width = None if out.is_terminal else _PIPE_WIDTH
    Console(highlight=False, width=width).print(drawn)


@contextlib.contextmanager
def progress(total: int, label: str) -> Iterator[Callable[..., None]]:
    """Show a progress bar on a terminal only; yields the function to call after each item."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(label, total=total)
        yield lambda *_: bar.advance(task)


def accuracy_lines(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return an evaluation's figures as names and texts."""
    data, metrics, paper = summary["data"], summary["metrics"], summary["paper_metrics"]
    error = metrics["hc_error_mm"]
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
        (
            "HC error mm",
            f"mean |.| {_mm(error['mad'])} ± {_mm(error['mad_sd'])}, bias {_mm(error['bias'])}, "
            f"SD {_mm(error['sd'])}, 95th percentile {_mm(error['p95'])}, "
            f"largest {_mm(error['max'])}",
        ),
        (
            "as arXiv 2307.09067, pooled over batches of 10, %",
            f"pixel accuracy {_percent(paper['pixel_accuracy'])}, Dice {_percent(paper['dice'])}, "
            f"mIoU {_percent(paper['miou'])}",
        ),
    ]
    return lines


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def _mm(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
