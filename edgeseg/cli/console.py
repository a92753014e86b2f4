"""What the command line prints: progress on a terminal, tables, figures.

Whatever is printed is made `visible` first: names of files and models are others' text.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import typer

from edgeseg.system.text import visible

# Rich is imported where it draws, so that commands that draw nothing start sooner.

_PIPE_WIDTH = 240  # a table in a pipe is for a file or another program: never cut


def say(text: str) -> None:
    """Print a line of plain text to standard output."""
    typer.echo(visible(text))


def notice(text: str) -> None:
    """Print a remark to standard error, where it does not mix with results."""
    _say_in_colour(text, typer.colors.YELLOW)


def failure(text: str) -> None:
    """Print why a command failed."""
    _say_in_colour(f"error: {text}", typer.colors.RED)


def _say_in_colour(text: str, colour: str) -> None:
    # What cannot be said must not end what is done: there is nobody to say that to either.
    with contextlib.suppress(OSError, ValueError):
        coloured = False if "NO_COLOR" in os.environ else None
        typer.secho(visible(text), fg=colour, err=True, color=coloured)


def shows_progress() -> bool:
    """Return whether there is a terminal to show progress on."""
    return sys.stderr.isatty()


def table(
    titles: Sequence[str], lines: Iterable[Sequence[str]], numeric: Iterable[int] = ()
) -> None:
    """Print a table; columns in ``numeric`` are set to the right."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    drawn = Table(box=None, pad_edge=False, header_style="bold")
    right = set(numeric)
    for i, title in enumerate(titles):
        drawn.add_column(escape(visible(title)), justify="right" if i in right else "left")
    for line in lines:
        drawn.add_row(*(escape(visible(cell)) for cell in line))
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    Console(highlight=False, width=width).print(drawn)


@contextlib.contextmanager
def progress(total: int, label: str) -> Iterator[Callable[..., None]]:
    """Show a progress bar on a terminal only; yields the function to call after each item."""
    if not shows_progress():
        yield lambda *_: None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda *_: bar.advance(task)


def accuracy_lines(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
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
