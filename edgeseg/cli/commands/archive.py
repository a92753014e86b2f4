"""The commands that list an archive's frames and measure them, on any number of machines."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.cli import console
from edgeseg.cli.options import (
    CalibrationOption,
    DeviceOption,
    JsonOption,
    ModelOption,
    NeedsExtra,
    OverwriteOption,
    PixelSizeOption,
    PixelSizesOption,
    figures_to,
    read_pixel_size,
)
from edgeseg.cli.signals import interrupts
from edgeseg.errors import OutputExistsError

if TYPE_CHECKING:
    from edgeseg.archive.plan import Archive, Shard

_STATUSES = ("ok", "doubtful", "empty", "failed")


def manifest(
    inputs: Annotated[
        list[str],
        typer.Argument(help="Files, folders (recursive), patterns, or URLs such as s3://bucket/a."),
    ],
    out: Annotated[str, typer.Option(help="Parquet file to write; a path or URL.")],
    pixel_size: PixelSizeOption = None,
    pixel_sizes: PixelSizesOption = None,
    overwrite: OverwriteOption = False,
    json_file: JsonOption = None,
) -> None:
    """List the frames of an archive in a table of Parquet, for 'edgeseg archive'."""
    size_mm = read_pixel_size(pixel_size)
    with NeedsExtra("archive"):
        from edgeseg.archive.manifest_writer import write_manifest
        from edgeseg.archive.place import place_of
    place = place_of(out)
    if place.exists() and not overwrite:
        raise OutputExistsError(f"{out} exists; pass --overwrite to replace it")
    if pixel_sizes is None and size_mm is None:
        console.notice(
            "no pixel size given: of files that do not say one themselves, lengths will be in "
            "pixels and the mm columns stay empty"
        )
    elif pixel_sizes is not None and size_mm is not None:
        console.notice(f"--pixel-size holds for all images: {pixel_sizes} is not used")
    with figures_to(json_file) as write_figures:
        with _found() as on_file:
            made = write_manifest(inputs, place, size_mm, pixel_sizes, console.notice, on_file)
        console.say(f"{made.n_frames} frames of {made.n_files} files in {out}")
        write_figures(made._asdict())


def read_shard(value: str | None) -> str | None:
    """Refuse what is no share of an archive, as wrong usage."""
    if value is not None:
        number, slash, of = value.partition("/")
        good = slash and number.isdecimal() and of.isdecimal()
        if not good or not int(number) <= int(of) or int(of) < 1:
            raise typer.BadParameter(
                f"{value!r}; expected one of N shares, such as 0/16 to 15/16, or 1/16 to 16/16"
            )
    return value


def archive(
    manifest: Annotated[str, typer.Argument(help="What 'edgeseg manifest' wrote; path or URL.")],
    out: Annotated[str, typer.Option(help="Folder for the results; a path or URL.")],
    part_size: Annotated[
        int | None, typer.Option(min=1, help="Frames in a part; default 1000.")
    ] = None,
    model: ModelOption = "hc18-nano",
    device: DeviceOption = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="Images worked on at once; default: all cores.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="That share the threads; default: one for four.")
    ] = None,
    read_ahead: Annotated[
        int, typer.Option(min=0, help="Files read before they are wanted; more for far stores.")
    ] = 32,
    calibration: CalibrationOption = None,
    masks: Annotated[bool, typer.Option("--masks/--no-masks")] = False,
    overlays: Annotated[bool, typer.Option("--overlays/--no-overlays")] = False,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Only each N-th part, from I on.", callback=read_shard),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="On a Ray cluster: its address, auto, or local."),
    ] = None,
    collect: Annotated[
        bool, typer.Option("--collect", help="Check that all is there; summary and report.")
    ] = False,
    say_every_s: Annotated[
        float | None,
        typer.Option(
            "--progress-every", min=1, metavar="S", help="Print the progress every S seconds."
        ),
    ] = None,
    json_file: JsonOption = None,
) -> None:
    """Measure the frames of a manifest in parts, each a table of Parquet that is written once.

    Parts that are there are passed over, whoever wrote them: the same command goes on. Damaged
    ones are measured again.
    """
    with NeedsExtra("archive"):
        from edgeseg.archive.manifest import Manifest
        from edgeseg.archive.place import place_of
        from edgeseg.archive.plan import Archive, Plan, read_record
    from edgeseg.images.calibration import read_calibration
    from edgeseg.network import zoo

    if collect and (shard or ray):
        raise typer.BadParameter("--collect looks at all parts; give it alone")
    place = place_of(out)
    record = read_record(place) or {}
    file = zoo.find(model)
    plan = Plan(
        manifest=place_of(manifest).text,
        out=place.text,
        part_size=part_size or record.get("part_size", 1000),
        model=file.name if file.bundled else str(file.path.absolute()),
        device=device,
        read_ahead=read_ahead,
        masks=masks,
        overlays=overlays,
        calibration=read_calibration(calibration) if calibration else None,
    )
    opened = Archive(plan, Manifest(plan.manifest))
    with figures_to(json_file) as write_figures:
        if collect:
            n_bad, figures = _collect(opened)
        else:
            cores = threads, processes
            n_bad, figures = _measured(opened, _shard(shard), ray, cores, say_every_s)
        write_figures(figures)
    if n_bad:
        raise typer.Exit(1)


def _measured(
    opened: Archive, share: Shard, ray: str | None, cores: tuple[int | None, int | None],
    say_every_s: float | None,
) -> tuple[int, dict[str, Any]]:  # fmt: skip
    """Measure what is missing; returns how many rows failed, and the figures of this run."""
    plan, (threads, processes) = opened.plan, cores
    todo = opened.find_missing(share, console.notice)
    n_rows = sum(stop - start for start, stop in map(opened.rows_of, todo))
    started_s = time.perf_counter()
    statuses: Counter[str] = Counter()
    n_parts = 0
    advice = "what is written is kept; the same command goes on"
    with interrupts.advise(advice), console.counting(n_rows, "measuring") as advance:
        on_rows = _telling(n_rows, say_every_s, advance)
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
    console.say(
        f"{n_images} frames in {n_parts} parts: {statuses['ok']} measured, "
        f"{statuses['doubtful']} doubtful, {statuses['empty']} empty, {statuses['failed']} failed; "
        f"{wall_s:.1f} s ({n_images / max(wall_s, 1e-9):.1f}/s); "
        f"{opened.n_parts - len(opened.list_parts())} of {opened.n_parts} parts are missing"
    )
    console.say(f"parts in {opened.parts.text}")
    figures = {
        "counts": {"n_images": n_images, **{name: statuses[name] for name in _STATUSES}},
        "n_parts": n_parts,
        "wall_s": round(wall_s, 3),
    }
    return statuses["failed"], figures


def _collect(opened: Archive) -> tuple[int, dict[str, Any]]:
    """Check and sum up an archive; returns how much is missing or failed, and what is there."""
    from edgeseg.archive.collect import collect
    from edgeseg.archive.plan import FAILURES_NAME, SUMMARY_NAME

    with console.counting(opened.n_parts, "collecting") as advance:
        found = collect(opened, lambda: advance(1))
    for row in found.failures:
        console.notice(f"{row['file']}: {row['reason']}")
    statuses = found.statuses
    console.say(
        f"{statuses.total()} of {found.n_rows} frames: {statuses['ok']} measured, "
        f"{statuses['doubtful']} doubtful, {statuses['empty']} empty, {statuses['failed']} failed"
    )
    if found.missing:
        first = ", ".join(map(str, found.missing[:5]))
        console.notice(
            f"{len(found.missing)} of {found.n_parts} parts are missing, such as {first}; run "
            "'edgeseg archive' with the same arguments and without --collect again"
        )
    else:
        console.say("complete: each frame of the manifest has one row")
    console.say(f"results in {opened.plan.out}: {SUMMARY_NAME}, {FAILURES_NAME}, report.html")
    figures = {
        "complete": not found.missing,
        "n_rows": found.n_rows,
        "n_parts": found.n_parts,
        "missing_parts": found.missing,
        "counts": {"n_images": statuses.total(), **{name: statuses[name] for name in _STATUSES}},
        "flags": dict(found.flags),
    }
    return len(found.missing) + statuses["failed"], figures


def _shard(text: str | None) -> Shard:
    from edgeseg.archive.plan import ALL, Shard

    if text is None:
        return ALL
    number, _, of = text.partition("/")
    return Shard(int(number), int(of))


@contextlib.contextmanager
def _found() -> Iterator[Callable[[], None]]:
    """Show on a terminal how many files were found."""
    with console.counting(None, "listing") as advance:
        yield lambda: advance(1)


def _telling(
    total: int, every_s: float | None, advance: Callable[[int], None]
) -> Callable[[int], None]:
    """Return what to call with numbers of images, which says now and then how far it is."""
    started_s = last_s = time.monotonic()
    n_images = 0

    def told(count: int) -> None:
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

    return told
