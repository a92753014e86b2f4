"""The command that calibrates edgeseg to a site."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli import console
from edgeseg.cli.options import JsonOption, OverwriteOption, option
from edgeseg.cli.reports import check_reports, figures_to

if TYPE_CHECKING:
    from edgeseg.score.calibrate import Share, SiteOffset


def calibrate(
    site: Annotated[
        Path,
        typer.Argument(
            metavar="SITE.csv",
            help="Table of 20 to 30 heads: file, your HC in mm and, without --results, edgeseg's.",
        ),
    ],
    out: Annotated[Path, option("File to write, for 'edgeseg infer --calibration'.")],
    results: Annotated[
        Path | None, option("results.csv of 'edgeseg infer' on these images.", metavar="CSV")
    ] = None,
    overwrite: OverwriteOption = False,
    json_file: JsonOption = None,
) -> None:
    """Determine how your site's head circumferences differ from the model's."""
    from edgeseg.score import calibrate as calibration
    from edgeseg.score.site import read_site
    from edgeseg.system.files import claim

    check_reports(out, json_file)
    claim(out, overwrite)
    offset = calibration.calibrate(read_site(site, results))
    for text in offset.notices:
        console.notice(text)
    calibration.write_calibration(out, offset)
    with figures_to(json_file) as write_figures:
        console.table(("", ""), _lines(offset))
        console.say(f"written to {out}; apply it with edgeseg infer --calibration {out}")
        write_figures(calibration.as_json(offset))


def _lines(offset: SiteOffset) -> list[tuple[str, str]]:
    learnt = offset.calibration
    low, high = offset.hc_range_mm
    if offset.kind == "ratio":
        change, half = 100 * (learnt.factor - 1), 100 * learnt.factor_half_width
        text = f"{change:+.2f} % ± {half:.2f} % of HC: every length times {learnt.factor:.4f}"
    else:
        text = f"{learnt.shift_mm:+.2f} ± {learnt.shift_half_width_mm:.2f} mm of HC, at every size"
    return [
        ("heads", f"{offset.n_heads}, HC {low:.1f} to {high:.1f} mm"),
        ("your site against the model", text),
        ("mean difference, mm", f"{offset.error_before_mm:.2f} before, {offset.error_after_mm:.2f} "
         "after (each head calibrated by the others)"),
        ("HC within its 90 % interval, before", _share(offset.coverage_before)),
        ("after (each head calibrated by the others)", _share(offset.coverage_after)),
    ]  # fmt: skip


def _share(share: Share | None) -> str:
    if share is None:
        return "unknown: the table has no intervals (hc_low_mm, hc_high_mm)"
    percent = [100 * value for value in (share.value, share.low, share.high)]
    return "{:.0f} % (95 % interval {:.0f} to {:.0f} %)".format(*percent)
