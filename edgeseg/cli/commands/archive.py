"""The commands that list an archive's frames and measure them, on any number of machines."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.cli import console
from edgeseg.cli.options import JsonOption, ModelOptions, OverwriteOption, ScaleOptions, option
from edgeseg.cli.reports import NeedsExtra, figures_to
from edgeseg.cli.signals import interrupts
from edgeseg.errors import OutputExistsError

if TYPE_CHECKING:
    from edgeseg.archive.plan import Archive


def manifest(
    inputs: Annotated[
        list[str],
        typer.Argument(help="Files, folders (recursive), patterns, or URLs such as s3://bucket/a."),
    ],
    out: Annotated[str, option("Parquet file to write; a path or URL.")],
    scale: ScaleOptions,
    overwrite: OverwriteOption = False,
    json_file: JsonOption = None,
) -> None:
    """List the frames of an archive in a Parquet file, for 'edgeseg archive'."""
    size_mm = scale.read_size()
    with NeedsExtra("archive"):
        from edgeseg.archive.manifest_writer import write_manifest
        from edgeseg.archive.place import place_of
    place = place_of(out)
    if place.exists() and not overwrite:
        raise OutputExistsError(f"{out} exists; pass --overwrite to replace it")
    scale.print_notices(is_given=bool(scale.pixel_size or scale.pixel_sizes))
    with figures_to(json_file) as write_figures:
        with console.progress(None, "listing") as on_file:
            made = write_manifest(
                inputs, place, size_mm, scale.pixel_sizes, console.notice, on_file
            )
        console.say(f"{made.n_frames} frames of {made.n_files} files in {out}")
        write_figures(made._asdict())


def archive(
    manifest: Annotated[str, typer.Argument(help="What 'edgeseg manifest' wrote; path or URL.")],
    out: Annotated[str, option("Folder for the results; a path or URL.")],
    model: ModelOptions,
    part_size: Annotated[
        int | None, option("Frames per part; default: 1000.", min=1, metavar="N")
    ] = None,
    processes: Annotated[
        int | None, option("Processes; default: one for four threads.", min=1, metavar="N")
    ] = None,
    read_ahead: Annotated[
        int, option("Files read ahead; more for slow stores.", min=0, metavar="N")
    ] = 32,
    masks: Annotated[bool, option("Write masks.", "--masks/--no-masks")] = False,
    overlays: Annotated[bool, option("Write overlays.", "--overlays/--no-overlays")] = False,
    shard: Annotated[str | None, option("Only every N-th part, from I on.", metavar="I/N")] = None,
    ray: Annotated[
        str | None, option("Run on a Ray cluster: its address, auto, or local.", metavar="ADDRESS")
    ] = None,
    collect: Annotated[
        bool, option("Check all parts; write summary and report.", "--collect")
    ] = False,
    progress_every_s: Annotated[
        float | None,
        option("Print the progress every S seconds.", "--progress-every", min=1, metavar="S"),
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Measure the frames of a manifest in parts, each a Parquet file that is written once.

    Existing parts are skipped, so that the same command continues a run, and any number of machines
    can share the parts. Damaged parts are measured again.
    """
    with NeedsExtra("archive"):
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
    )
    opened = Archive(plan, Manifest(plan.manifest))
    with figures_to(json_file) as write_figures:
        if collect:
            n_bad, figures = _collect(opened)
        else:
            cores = model.threads, processes
            n_bad, figures = _measure(opened, share, ray, cores, progress_every_s)
        write_figures(figures)
    if n_bad:
        raise typer.Exit(1)


def _measure(
    opened: Archive, share: tuple[int, int], ray: str | None, cores: tuple[int | None, int | None],
    progress_every_s: float | None,
) -> tuple[int, dict[str, Any]]:  # fmt: skip
    """Measure the missing parts; return the number of failed rows and the figures of this run."""
    plan, (threads, processes) = opened.plan, cores
    todo = opened.find_missing(share, console.notice)
    n_rows = sum(stop - start for start, stop in map(opened.rows_of, todo))
    started_s = time.perf_counter()
    statuses: Counter[str] = Counter()
    n_parts = 0
    advice = "what was measured is kept; the same command continues"
    with interrupts.advise(advice), console.counting(n_rows, "measuring") as advance:
        on_rows = _show_progress(n_rows, progress_every_s, advance)
        if ray is not None:
            with NeedsExtra("ray"):
                from edgeseg.archive.on_ray import measure_parts_on_ray
            done = measure_parts_on_ray(plan, todo, ray, threads, on_rows)
        else:
            from edgeseg.archive.pool import measure_parts

            done = measure_parts(plan, todo, threads, processes, on_rows)
        for part in done:
            statuses.update(part.statuses)
            n_parts += 1
    wall_s = time.perf_counter() - started_s
    n_images = statuses.total()
    counts = console.format_counts(f"{n_images} frames in {n_parts} parts", statuses, "empty")
    console.say(
        f"{counts}; {wall_s:.1f} s ({n_images / max(wall_s, 1e-9):.1f}/s); "
        f"{opened.n_parts - len(opened.list_parts())} of {opened.n_parts} parts are missing"
    )
    console.say(f"parts in {opened.parts.text}")
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
    frames = f"{statuses.total()} of {found.n_rows} frames"
    console.say(console.format_counts(frames, statuses, "empty"))
    if found.missing:
        first = ", ".join(map(str, found.missing[:5]))
        console.notice(
            f"{len(found.missing)} of {found.n_parts} parts are missing, such as {first}; run "
            "'edgeseg archive' with the same arguments and without --collect again"
        )
    else:
        console.say("complete: every frame of the manifest has one row")
    console.say(f"results in {opened.plan.out}: {SUMMARY_NAME}, {FAILURES_NAME}, report.html")
    figures = {
        "complete": not found.missing,
        "n_rows": found.n_rows,
        "n_parts": found.n_parts,
        "missing_parts": found.missing,
        "counts": _counts(statuses),
        "flags": dict(found.flags),
    }
    return len(found.missing) + statuses["failed"], figures


def _counts(statuses: Counter[str]) -> dict[str, int]:
    return {"n_images": statuses.total(), **{name: statuses[name] for name in console.STATUSES}}


def _read_shard(text: str | None) -> tuple[int, int]:
    """Return the parts of an archive that an option asks for; refuse others as wrong usage."""
    if text is None:
        return 0, 1
    number, slash, of = text.partition("/")
    is_share = slash and number.isdecimal() and of.isdecimal() and int(of) >= 1
    if not is_share or int(number) > int(of):
        raise typer.BadParameter(
            f"--shard is {text!r}; expected one of N, such as 0/16 to 15/16, or 1/16 to 16/16"
        )
    return int(number), int(of)


def _show_progress(
    total: int, every_s: float | None, advance: Callable[[int], None]
) -> Callable[[int], None]:
    """Return the function to call with numbers of frames, which prints the progress at times."""
    started_s = last_s = time.monotonic()
    n_images = 0

    def on_rows(count: int) -> None:
        nonlocal last_s, n_images
        advance(count)
        n_images += count
        now_s = time.monotonic()
        if every_s is None or now_s - last_s < every_s:
            return
        last_s = now_s
        per_s = n_images / (now_s - started_s)
        left_h = (total - n_images) / per_s / 3600
        console.say(f"{n_images} of {total} frames, {per_s:.1f}/s, {left_h:.1f} h left")

    return on_rows
