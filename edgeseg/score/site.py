"""Heads that a site has measured itself, beside what edgeseg measured on them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from edgeseg.errors import DataError
from edgeseg.inputs.matching import match_rows
from edgeseg.inputs.rows import find_name_column, normalize_title, read_number, read_rows
from edgeseg.inputs.source import Source
from edgeseg.output.record import RUN_NAME
from edgeseg.system.text import unshield

TITLES = "file,hc_site_mm,hc_edgeseg_mm"
# as `normalize_title` returns them
_OF_SITE = ("hcsitemm", "hcsite", "sitehcmm", "sitehc", "hcreferencemm", "hcmanualmm", "hcmanual")
_OF_MODEL = "hcedgesegmm", "hcedgeseg", "edgeseghcmm", "modelhcmm", "hcmodelmm", "predictedhcmm"
_OF_EITHER = (
    "hcmm", "hc", "headcircumferencemm", "headcircumference", "kopfumfangmm", "kopfumfang",
)  # fmt: skip

Record = Mapping[str, str]


class Head(NamedTuple):
    """One head: the site's circumference, the model's, and half of this one's interval or None."""

    file: str
    site_mm: float
    model_mm: float
    half_width_mm: float | None


class SiteHeads(NamedTuple):
    """Heads to calibrate on, the hash of their model if it is known, and what was left out."""

    heads: tuple[Head, ...]
    model_sha256: str = ""
    notices: tuple[str, ...] = ()


def read_site(path: Path, results: Path | None = None) -> SiteHeads:
    """Read a site's own circumferences and the model's.

    The table has a column of files and the site's circumferences in mm, as ``edgeseg evaluate
    --csv`` writes; the model's are in it too, or in the ``results.csv`` that ``edgeseg infer``
    wrote for these images. Raises `InputNotFoundError` if a file is missing; `DataError` if a table
    is not one, its columns cannot be told apart, a file is there twice, a row fits two images, a
    value is not a positive number of mm, or the results are calibrated already.
    """
    titles, rows = _read_records(path, "a table of a site's head circumferences")
    site, model = _find_columns(path, titles, has_results=results is not None)
    found, model_sha256 = rows, ""
    if results is not None:
        found, model_sha256 = _match_results(path, rows, results), _read_model_hash(results)
    pairs = [(file, row, found[file]) for file, row in rows.items() if file in found]
    heads, notices = _pair_heads(path, site, model, pairs)
    if missing := [file for file in rows if file not in found]:
        notices.append(f"heads without a row in {results}: {len(missing)}, such as {missing[0]!r}")
    return SiteHeads(tuple(heads), model_sha256, tuple(notices))


def _read_records(
    path: Path, what: str, *, skip_frames: bool = False
) -> tuple[tuple[str, ...], dict[str, Record]]:
    titles, rows = read_rows(path, what)
    if twice := [title for title, n in Counter(titles).items() if n > 1 and title]:
        raise DataError(f"{path}: two columns are called {twice[0]!r}")
    column = find_name_column(titles)
    if column is None:
        raise DataError(f"{path}: no column of files; title it 'file'")
    records: dict[str, Record] = {}
    for row in rows:
        file, record = row.cells[column], dict(zip(titles, row.cells, strict=True))
        if skip_frames and record.get("frame"):
            continue  # nothing says of which of them a circumference is
        if file in records:
            raise DataError(f"{row.where}: {file!r} is there twice; keep one")
        records[file] = record
    return titles, records


def _find_columns(path: Path, titles: Sequence[str], *, has_results: bool) -> tuple[str, str]:
    sites, models, others = (
        [title for title in titles if normalize_title(title) in known]
        for known in (_OF_SITE, _OF_MODEL, _OF_EITHER)
    )
    if has_results:
        sites, models = sites or others, ["hc_mm"]
    elif len(others) == 2 and "hc_mm" in others and not sites and not models:
        sites, models = [title for title in others if title != "hc_mm"], ["hc_mm"]
    else:
        sites, models = sites or (others if models else []), models or (others if sites else [])
    if len(sites) != 1 or len(models) != 1:
        raise DataError(
            f"{path}: the columns of the site's circumferences and of edgeseg's, which --results "
            f"may give, are not clear; title them as in {TITLES!r}, in mm; found "
            f"{', '.join(titles)}"
        )
    return sites[0], models[0]


def _match_results(path: Path, rows: Mapping[str, Record], results: Path) -> dict[str, Record]:
    """Return the row of the results for each file of the site's table that has one."""
    titles, measured = _read_records(results, "a table of results", skip_frames=True)
    if lacking := {"status", "hc_mm"} - {*titles}:
        raise DataError(
            f"{results}: no column {', '.join(sorted(lacking))}; expected the results.csv of "
            "'edgeseg infer'"
        )
    if any(row.get("calibration_factor") for row in measured.values()):
        raise DataError(f"{results}: calibrated already; measure again without --calibration")
    sources = [Source(unshield(file), unshield(file)) for file in measured]
    matches = match_rows(sources, rows, f"table {path}")
    found: dict[str, Record] = {}
    for match, row in zip(matches.values(), measured.values(), strict=True):
        if match.reason and not match.is_missing:
            raise DataError(match.reason)
        if match.name:
            found[match.name] = row
    return found


def _pair_heads(
    path: Path, site: str, model: str, pairs: Iterable[tuple[str, Record, Record]]
) -> tuple[list[Head], list[str]]:
    """Return heads, and notices on those left out; pairs are file, the site's row, the model's."""
    heads, left_out = [], []
    for file, own, measured in pairs:
        if not own[site]:
            continue  # the site did not measure this one
        if measured.get("status", "ok") != "ok" or measured.get("flags") or not measured[model]:
            left_out.append(file)
            continue
        where, high = f"{path}, {file!r}", measured.get("hc_high_mm", "")
        site_mm, model_mm = _read_mm(own, site, where), _read_mm(measured, model, where)
        half_mm = _read_mm(measured, "hc_high_mm", where) - model_mm if high else None
        heads.append(Head(file, site_mm, model_mm, half_mm))
    what = "heads left out (flagged, without a head, or without millimetres)"
    return heads, [f"{what}: {len(left_out)}, such as {left_out[0]!r}"] if left_out else []


def _read_mm(row: Record, title: str, where: str) -> float:
    value = read_number(row[title], f"{where}: {title}")
    if value <= 0:
        raise DataError(f"{where}: {title} is {row[title]!r}; expected a positive number of mm")
    return value


def _read_model_hash(results: Path) -> str:
    """Return the hash of the model of a run, as its record beside the results says."""
    try:
        record = json.loads((results.parent / RUN_NAME).read_text(encoding="utf-8"))
        return str(record["model"]["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
