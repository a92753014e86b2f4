"""The commands that list an archive's frames and measure them, on any number of machines."""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.cli import console, options
from edgeseg.cli.options import count, option
from edgeseg.cli.process import interrupts, needs_extra
from edgeseg.errors import OutputExistsError

if TYPE_CHECKING:
    from edgeseg.archive.plan import Archive


def manifest(
    inputs: Annotated[
        list[str],
        typer.Argument(help="Files, folders (recursive), patterns, or URLs such as s3://bucket/a."),
    ],
    out: Annotated[str, option("Parquet file to write; a path or URL.")],
    scale: options.ScaleOptions,
    overwrite: options.Overwrite = False,
    json_file: options.Json = None,
) -> None:
    """List the frames of an archive in a Parquet file, for 'edgeseg archive'."""
    size_mm = scale.read_size()
    with needs_extra("archive"):
        from edgeseg.archive.manifest_writer import write_manifest
        from edgeseg.archive.place import place_of
    place = place_of(out)
    if place.exists() and not overwrite:
        raise OutputExistsError(f"{out} exists; pass --overwrite to replace it")
    scale.print_notices(is_given=bool(scale.pixel_size or scale.pixel_sizes))
    with console.figures_to(json_file) as write_figures:
        with console.progress(None, "listing") as on_file:
            made = write_manifest(
                inputs, place, size_mm, scale.pixel_sizes, console.notice, on_file
            )
        console.say(f"{made.n_frames} frames of {made.n_files} files in {out}")
        write_figures(made._asdict())


def archive(
    manifest: Annotated[str, typer.Argument(help="What 'edgeseg manifest' wrote; path or URL.")],
    out: Annotated[str, option("Folder for the results; a path or URL.")],
    model: options.ModelOptions,
    ruler: options.Ruler = None,
    part_size: Annotated[int | None, count("Frames per part; default: 1000.")] = None,
    processes: Annotated[int | None, count("Processes; default: one for four threads.")] = None,
    read_ahead: Annotated[int, count("Files read ahead; more for slow stores.", min=0)] = 32,
    masks: Annotated[bool, option("Write masks.", "--masks/--no-masks")] = False,
    overlays: Annotated[bool, option("Write overlays.", "--overlays/--no-overlays")] = False,
    shard: Annotated[str | None, option("Only every N-th part, from I on.", metavar="I/N")] = None,
    ray: Annotated[str | None, option("Address of a Ray cluster, auto, or local.")] = None,
    collect: Annotated[
        bool, option("Check all parts; write summary and report.", "--collect")
    ] = False,
    progress_every_s: Annotated[
        float | None, count("Seconds between lines of progress.", "--progress-every")
    ] = None,
    json_file: options.Json = None,
) -> None:
    """Measure the frames of a manifest in parts, each a Parquet file that is written once.

    Existing parts are skipped, so that the same command continues a run, and any number of machines
    can share the parts. Damaged parts are measured again.
    """
    with needs_extra("archive"):
        from edgeseg.archive.manifest import Manifest
        from edgeseg.archive.place import place_of
        from edgeseg.archive.plan import Archive, Plan, read_record
    from edgeseg.network import zoo

    if collect and (shard or ray):
        raise typer.BadParameter("--collect checks all parts; omit --shard and --ray")
    share, place = _read_shard(shard), place_of(out)
    record = read_record(place) or {}
    file = zoo.find(model.model)
    plan = Plan(
        manifest=place_of(manifest).text,
        out=place.text,
        part_size=part_size or record.get("part_size", 1000),
        model=file.name if file.bundled else str(file.path.absolute()),
        device=model.device,
        read_ahead=read_ahead,
        masks=masks,
        overlays=overlays,
        calibration=model.read_calibration(),
        ruler=ruler,
    )
    opened = Archive(plan, Manifest(plan.manifest))
    with console.figures_to(json_file) as write_figures:
        if collect:
            n_bad, figures = _collect(opened)
        else:
            how = model.threads, processes, progress_every_s
            n_bad, figures = _measure(opened, share, ray, *how)
        write_figures(figures)
    if n_bad:
        raise typer.Exit(1)


def _measure(
    opened: Archive, share: tuple[int, int], ray: str | None, threads: int | None,
    processes: int | None, progress_every_s: float | None,
) -> tuple[int, dict[str, Any]]:  # fmt: skip
    """Measure the missing parts; return the number of failed rows and the figures of this run."""
    todo = opened.find_missing(share, console.notice)
    n_rows = sum(stop - start for start, stop in map(opened.rows_of, todo))
    n_done, started_s = 0, time.monotonic()
    printed_s = started_s if progress_every_s else math.inf
    statuses: Counter[str] = Counter()
    n_parts = 0
    advice = "what was measured is kept; the same command continues"
    with interrupts.advise(advice), console.progress(n_rows, "measuring") as advance:

        def on_rows(count: int) -> None:
            nonlocal n_done, printed_s
            advance(count=count)
            n_done += count
            now_s = time.monotonic()
            if now_s - printed_s >= (progress_every_s or 0):
                printed_s, per_s = now_s, n_done / (now_s - started_s)
                left_h = (n_rows - n_done) / per_s / 3600
                console.say(f"{n_done} of {n_rows} frames, {per_s:.1f}/s, {left_h:.1f} h left")

        if ray is not None:
            with needs_extra("ray"):
                from edgeseg.archive.on_ray import measure_parts_on_ray
            done = measure_parts_on_ray(opened.plan, todo, ray, threads, on_rows)
        else:
            from edgeseg.archive.pool import measure_parts

            done = measure_parts(opened.plan, todo, threads, processes, on_rows)
        for part in done:
            statuses.update(part.statuses)
            n_parts += 1
    wall_s, n_images = time.monotonic() - started_s, statuses.total()
    counts = console.format_counts(f"{n_images} frames in {n_parts} parts", statuses, "empty")
    n_missing = opened.n_parts - len(opened.list_parts())
    console.say(f"{counts}; {wall_s:.1f} s ({n_images / max(wall_s, 1e-9):.1f}/s)")
    console.say(f"{n_missing} of {opened.n_parts} parts are missing in {opened.parts.text}")
    figures = {"counts": _counts(statuses), "n_parts": n_parts, "wall_s": round(wall_s, 3)}
    return statuses["failed"], figures


def _collect(opened: Archive) -> tuple[int, dict[str, Any]]:
    """Check and summarize an archive; return the number of missing and failed, and the figures."""
    from edgeseg.archive.collect import collect
    from edgeseg.archive.plan import FAILURES_NAME, SUMMARY_NAME

    with console.progress(opened.n_parts, "collecting") as advance:
        found = collect(opened, advance)
    for row in found.failures:
        console.notice(f"{row['file']}: {row['reason']}")
    statuses = found.statuses
    frames = f"{statuses.total()} of {opened.manifest.n_rows} frames"
    console.say(console.format_counts(frames, statuses, "empty"))
    if found.missing:
        some = f"{len(found.missing)} of {opened.n_parts} parts, such as {found.missing[0]}"
        console.notice(f"{some}, are missing: run 'edgeseg archive' without --collect again")
    else:
        console.say("complete: every frame of the manifest has one row")
    console.say(f"results in {opened.plan.out}: {SUMMARY_NAME}, {FAILURES_NAME}, report.html")
    figures = {
        "complete": not found.missing,
        "n_rows": opened.manifest.n_rows,
        "n_parts": opened.n_parts,
        "missing_parts": found.missing,
        "counts": _counts(statuses),
        "flags": dict(found.flags),
    }
    return len(found.missing) + statuses["failed"], figures


def _counts(statuses: Counter[str]) -> dict[str, int]:
    from edgeseg.output.table import STATUSES

    return {"n_images": statuses.total(), **{name: statuses[name] for name in STATUSES}}


def _read_shard(text: str | None) -> tuple[int, int]:
    """Return the parts of an archive that an option asks for; refuse others as wrong usage."""
    if text is None:
        return 0, 1
    found = re.fullmatch(r"(\d+)/(\d+)", text, re.ASCII)
    if not found or not int(found[1]) <= int(found[2]) > 0:
        raise typer.BadParameter(
            f"--shard is {text!r}; expected one of N, such as 0/16 to 15/16, or 1/16 to 16/16"
        )
    return int(found[1]), int(found[2])
