"""Heads that a site has measured itself, beside what edgeseg measured on them."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from edgeseg.errors import DataError
from edgeseg.inputs.rows import file_column, names_of, number, read_rows, words
from edgeseg.output.record import RUN_NAME

TITLES = "file,hc_site_mm,hc_edgeseg_mm"
_SITES = frozenset(
    ("site", "reference", "ref", "manual", "own", "label", "observer", "sonographer")
)
_MODELS = frozenset(("edgeseg", "model", "predicted", "prediction"))
_OTHER = frozenset(("low", "high", "error", "px", "centile", "sd", "diff", "difference"))

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
        If a table is not one, its columns cannot be told apart, a file is there twice, a value is
        not a positive number of mm, or the results are calibrated already.
    """
    titles, rows = _read(path, "a table of a site's head circumferences")
    circumferences = [title for title in titles if _is_circumference(title)]
    for title in circumferences:
        if "cm" in words(title):
            raise DataError(f"{path}: {title!r} is in cm; give millimetres")
    if results is None:
        site, model = _two_columns(path, circumferences)
        pairs = [(file, row, row) for file, row in rows.items()]
        return _heads(path, site, model, pairs)
    site = _site_column(path, circumferences)
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
    place = file_column(path, titles)
    files: dict[str, Record] = {}
    frame = titles.index("frame") if singles and "frame" in titles else None
    for where, cells in rows:
        if frame is not None and cells[frame]:  # of which one a figure is, nobody says
            continue
        if cells[place] in files:
            raise DataError(f"{where}: {cells[place]!r} is there twice; keep one")
        files[cells[place]] = dict(zip(titles, cells, strict=True))
    return titles, files


def _is_circumference(title: str) -> bool:
    found = {*words(title)}
    return ("hc" in found or {"head", "circumference"} <= found) and not found & _OTHER


def _two_columns(path: Path, circumferences: Sequence[str]) -> tuple[str, str]:
    """Return the titles of the site's and of the model's column."""
    models = [title for title in circumferences if {*words(title)} & _MODELS]
    if not models and len(circumferences) == 2:
        models = [title for title in circumferences if title == "hc_mm"]
    sites = [title for title in circumferences if title not in models]
    if len(models) != 1 or len(sites) != 1:
        listed = ", ".join(map(repr, circumferences)) or "none"
        raise DataError(
            f"{path}: the site's and edgeseg's circumferences cannot be told apart (columns of "
            f"them: {listed}); title them as in {TITLES!r}, or give --results"
        )
    return sites[0], models[0]


def _site_column(path: Path, circumferences: Sequence[str]) -> str:
    marked = [title for title in circumferences if {*words(title)} & _SITES]
    candidates = marked or [t for t in circumferences if not {*words(t)} & _MODELS]
    if len(candidates) != 1:
        listed = ", ".join(map(repr, circumferences)) or "none"
        raise DataError(
            f"{path}: one column of the site's circumferences expected, found {listed}; title it "
            "'hc_site_mm'"
        )
    return candidates[0]


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
    called: dict[str, list[Record]] = defaultdict(list)
    for file, row in measured.items():
        for name in names_of(file):
            called[name].append(row)
    pairs, missing = [], []
    for file, row in rows.items():
        fitting = next((called[name] for name in names_of(file) if name in called), [])
        if len(fitting) > 1:
            raise DataError(f"{path}: {file!r} fits {len(fitting)} images of {results}")
        if fitting:
            pairs.append((file, row, fitting[0]))
        else:
            missing.append(file)
    return pairs, missing


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
    value = number(text, what)
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
