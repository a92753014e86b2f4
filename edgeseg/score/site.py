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
    titles, rows = _read(path, "a table of a site's head circumferences")
    if results is None:
        site, model = _two_columns(path, titles)
        pairs = [(file, row, row) for file, row in rows.items()]
        return _heads(path, site, model, pairs)
    site = _site_column(path, titles)
    pairs, missing = _joined(path, rows, results)
    found = _heads(path, site, "hc_mm", pairs)
    notices = list(found.notices)
    if missing:
        notices.append(f"{len(missing)} heads have no row in {results}, such as {missing[0]!r}")
    return SiteHeads(found.heads, _model_of(results), tuple(notices))


def _read(
    path: Path, what: str, *, singles: bool = False
) -> tuple[tuple[str, ...], dict[str, Record]]:
    """Read a table's titles, and its rows by file; with ``singles`` without frames of films."""
    titles, rows = read_rows(path, what)
    if twice := [title for title, n in Counter(titles).items() if n > 1 and title]:
        raise DataError(f"{path}: two columns are called {twice[0]!r}")
    column = find_name_column(titles)
    if column is None:
        raise DataError(f"{path}: no column of files; title it 'file'")
    frame = titles.index("frame") if singles and "frame" in titles else None
    records: dict[str, Record] = {}
    for row in rows:
        if frame is not None and row.cells[frame]:  # nothing says which of them a figure is of
            continue
        file = row.cells[column]
        if file in records:
            raise DataError(f"{row.where}: {file!r} is there twice; keep one")
        records[file] = dict(zip(titles, row.cells, strict=True))
    return titles, records


def _titles_in(titles: Sequence[str], known: frozenset[str]) -> list[str]:
    return [title for title in titles if normalize_title(title) in known]


def _two_columns(path: Path, titles: Sequence[str]) -> tuple[str, str]:
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


def _site_column(path: Path, titles: Sequence[str]) -> str:
    found = _titles_in(titles, _OF_SITE) or _titles_in(titles, _OF_EITHER)
    if len(found) != 1:
        raise DataError(
            f"{path}: one column of the site's circumferences expected, titled 'hc_site_mm' or "
            f"'head circumference (mm)'; found {', '.join(titles)}"
        )
    return found[0]


def _joined(
    path: Path, rows: Mapping[str, Record], results: Path
) -> tuple[list[tuple[str, Record, Record]], list[str]]:
    """Return each file's row of the site and of the results, and files without results."""
    titles, measured = _read(results, "a table of results", singles=True)
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
    pairs = [(file, row, found[file]) for file, row in rows.items() if file in found]
    return pairs, [file for file in rows if file not in found]


def _heads(
    path: Path, site: str, model: str, pairs: Iterable[tuple[str, Record, Record]]
) -> SiteHeads:
    heads, left_out = [], []
    for file, own, measured in pairs:
        doubtful = measured.get("status", "ok") != "ok" or measured.get("flags")
        if not own[site]:
            continue  # the site did not measure this one
        if doubtful or not measured[model]:
            left_out.append(file)
            continue
        site_mm = _millimetres(own[site], f"{path}, {file!r}: {site}")
        model_mm = _millimetres(measured[model], f"{path}, {file!r}: {model}")
        high = measured.get("hc_high_mm", "")
        half_mm = _millimetres(high, f"{path}, {file!r}: hc_high_mm") - model_mm if high else None
        heads.append(Head(file, site_mm, model_mm, half_mm))
    notices = []
    if left_out:
        notices.append(
            f"{len(left_out)} heads are left out, such as {left_out[0]!r}: flagged, without a "
            "head, or without millimetres"
        )
    return SiteHeads(tuple(heads), notices=tuple(notices))


def _millimetres(text: str, what: str) -> float:
    value = read_number(text, what)
    if value <= 0:
        raise DataError(f"{what} is {text!r}; expected a positive number of mm")
    return value


def _model_of(results: Path) -> str:
    """Return the hash of the model of a run, as its record beside the results says."""
    try:
        record = json.loads((results.parent / RUN_NAME).read_text(encoding="utf-8"))
        return str(record["model"]["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
