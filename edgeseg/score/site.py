"""Heads that a site has measured itself, beside what edgeseg measured on them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from edgeseg.errors import DataError
from edgeseg.inputs.matching import match_rows
from edgeseg.inputs.rows import read_number, read_rows
from edgeseg.inputs.source import Source
from edgeseg.inputs.titles import find_name_column, normalize_title
from edgeseg.output.record import RUN_NAME
from edgeseg.system.cells import unshield

TITLES = "file,hc_site_mm,hc_edgeseg_mm"
# as `normalize_title` returns them
_OF_SITE = frozenset(
    ("hcsitemm", "hcsite", "sitehcmm", "sitehc", "hcreferencemm", "hcmanualmm", "hcmanual")
)
_OF_MODEL = frozenset(
    ("hcedgesegmm", "hcedgeseg", "edgeseghcmm", "modelhcmm", "hcmodelmm", "predictedhcmm")
)
_OF_EITHER = frozenset(
    ("hcmm", "hc", "headcircumferencemm", "headcircumference", "kopfumfangmm", "kopfumfang")
)

Record = Mapping[str, str]


class Head(NamedTuple):
    """One head: the site's circumference, the model's, and half of this one's interval or None."""

    file: str
    site_mm: float
    model_mm: float
    half_width_mm: float | None


@dataclass(frozen=True, slots=True)
class SiteHeads:
    """Heads to calibrate on.

    Attributes
    ----------
    model_sha256
        Of the model that measured them; empty if unknown.
    notices
        What was left out.
    """

    heads: tuple[Head, ...]
    model_sha256: str = ""
    notices: tuple[str, ...] = ()


def read_site(path: Path, results: Path | None = None) -> SiteHeads:
    """Read a site's own circumferences and the model's.

    Parameters
    ----------
    path
        CSV with a header, a column of files and the site's circumferences in mm; without
        ``results`` the model's too. What ``edgeseg evaluate --csv`` writes is such a table.
    results
        The ``results.csv`` that ``edgeseg infer`` wrote for these images.

    Raises
    ------
    InputNotFoundError
        If a file is missing.
    DataError
        If a table is not one, its columns cannot be told apart, a file is there twice, a row fits
        two images, a value is not a positive number of mm, or the results are calibrated already.
    """
    titles, rows = _read_records(path, "a table of a site's head circumferences")
    if results is None:
        site, model = _find_columns(path, titles)
        heads, notices = _pair_heads(path, site, model, [(f, row, row) for f, row in rows.items()])
        return SiteHeads(tuple(heads), "", tuple(notices))
    site = _find_site_column(path, titles)
    found = _match_results(path, rows, results)
    pairs = [(file, row, found[file]) for file, row in rows.items() if file in found]
    heads, notices = _pair_heads(path, site, "hc_mm", pairs)
    if missing := [file for file in rows if file not in found]:
        notices.append(f"heads without a row in {results}: {len(missing)}, such as {missing[0]!r}")
    return SiteHeads(tuple(heads), _read_model_hash(results), tuple(notices))


def _read_records(
    path: Path, what: str, *, skip_frames: bool = False
) -> tuple[tuple[str, ...], dict[str, Record]]:
    """Read a table's titles, and its rows by file."""
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


def _titles_in(titles: Sequence[str], known: frozenset[str]) -> list[str]:
    return [title for title in titles if normalize_title(title) in known]


def _find_columns(path: Path, titles: Sequence[str]) -> tuple[str, str]:
    """Return the titles of the site's and of the model's column."""
    sites, models = _titles_in(titles, _OF_SITE), _titles_in(titles, _OF_MODEL)
    others = _titles_in(titles, _OF_EITHER)
    if len(others) == 2 and "hc_mm" in others and not sites and not models:
        models, others = ["hc_mm"], [title for title in others if title != "hc_mm"]
    sites, models = sites or (others if models else []), models or (others if sites else [])
    if len(sites) != 1 or len(models) != 1:
        raise DataError(
            f"{path}: the site's and edgeseg's circumferences cannot be told apart; title them as "
            f"in {TITLES!r}, in mm, or give --results; found {', '.join(titles)}"
        )
    return sites[0], models[0]


def _find_site_column(path: Path, titles: Sequence[str]) -> str:
    found = _titles_in(titles, _OF_SITE) or _titles_in(titles, _OF_EITHER)
    if len(found) != 1:
        raise DataError(
            f"{path}: one column of the site's circumferences expected, titled 'hc_site_mm' or "
            f"'head circumference (mm)'; found {', '.join(titles)}"
        )
    return found[0]


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
        site_mm = _read_length(own[site], f"{path}, {file!r}: {site}")
        model_mm = _read_length(measured[model], f"{path}, {file!r}: {model}")
        high = measured.get("hc_high_mm", "")
        half_mm = _read_length(high, f"{path}, {file!r}: hc_high_mm") - model_mm if high else None
        heads.append(Head(file, site_mm, model_mm, half_mm))
    if not left_out:
        return heads, []
    return heads, [
        f"heads left out (flagged, without a head, or without millimetres): {len(left_out)}, "
        f"such as {left_out[0]!r}"
    ]


def _read_length(text: str, what: str) -> float:
    value = read_number(text, what)
    if value <= 0:
        raise DataError(f"{what} is {text!r}; expected a positive number of mm")
    return value


def _read_model_hash(results: Path) -> str:
    """Return the hash of the model of a run, as its record beside the results says."""
    try:
        record = json.loads((results.parent / RUN_NAME).read_text(encoding="utf-8"))
        return str(record["model"]["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
