"""The files of the page that measures in the browser, for this server or any static host."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeseg.drawing.overlay import colour_bgr
from edgeseg.errors import ModelError
from edgeseg.measure.tasks import measure_of
from edgeseg.network.metadata import INTENDED_USE
from edgeseg.output import report, table
from edgeseg.segmenter import Segmenter
from edgeseg.system.files import claim, write_atomic
from edgeseg.system.version import __version__

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; "
    "img-src 'self' blob: data:; style-src 'self'; manifest-src 'self'; worker-src 'self'; "
    "media-src 'self' blob:; base-uri 'none'; form-action 'none'"
)
"""The page may load and contact nothing beyond the address that it comes from."""
PAGE = Path(__file__).with_name("page")
SHARED = Path(report.__file__).parent
_SHARED_NAMES = ("common.css", "figures.js", "text.js")  # with the report
_WORKER = "sw.js"
_TASKS = ("head", "ellipse", "regions")  # that page/measure.js knows
_TYPES = {
    ".css": "text/css", ".html": "text/html", ".js": "text/javascript", ".mjs": "text/javascript",
    ".gz": "application/gzip", ".json": "application/json", ".onnx": "application/octet-stream",
    ".png": "image/png", ".webmanifest": "application/manifest+json",
}  # fmt: skip


class Asset:
    """A file of a site, its type by its name, and its ETag, which changes with its content."""

    def __init__(self, name: str, content: bytes) -> None:
        kind = _TYPES.get(Path(name).suffix, "text/plain")
        self.content, self.content_type = content, kind + "; charset=utf-8" * ("text/" in kind)
        self.tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'


def site(segmenter: Segmenter) -> dict[str, Asset]:
    """Return all files of the site, which measures with a model, by address relative to the page.

    Raises `ModelError` if the page cannot measure with this model.
    """
    check_runs_in_page(segmenter)
    paths = [path for path in sorted(PAGE.rglob("*")) if path.is_file()]
    files = {path.relative_to(PAGE).as_posix(): path.read_bytes() for path in paths}
    files |= {name: (SHARED / name).read_bytes() for name in _SHARED_NAMES}
    files["model.onnx"] = segmenter.file.path.read_bytes()
    files["model.json"] = json.dumps(_describe_model(segmenter)).encode()
    policy = CONTENT_SECURITY_POLICY.encode()
    files["index.html"] = files["index.html"].replace(b"CONTENT_SECURITY_POLICY", policy)
    files[_WORKER] = _add_file_list(files)
    return {name: Asset(name, content) for name, content in files.items()}


def export(out: Path, segmenter: Segmenter, *, overwrite: bool) -> list[Path]:
    """Write the site into a folder that any web server may serve, and return its files.

    Files that are no part of the site are left alone. Raises `ModelError` as `site`, and
    `OutputExistsError` or `OutputWriteError` if the folder holds something and ``overwrite`` is
    false, or it cannot be written.
    """
    assets = site(segmenter)
    claim(out, overwrite)
    for name, asset in assets.items():
        write_atomic(out / name, asset.content)
    return [out / name for name in assets]


def check_runs_in_page(segmenter: Segmenter) -> None:
    """Refuse a model that the page cannot measure with.

    Raises `ModelError` if its task is none of the page's, it is of 8-bit integers, or takes another
    input than one gray image.
    """
    metadata = segmenter.metadata
    reason = ""
    if metadata.task.kind not in _TASKS:
        reason = f"the page measures {', '.join(_TASKS)}, and this is {metadata.task.kind!r}"
    elif metadata.precision == "int8":
        reason = "browsers compute 8-bit integers, as in this model, differently and slower"
    elif (
        metadata.adapter is not None
        or segmenter.input_type != "uint8"
        or segmenter.fixed_batch not in (None, 1)
    ):
        reason = "the page passes one gray image at a time, but this model takes another input"
    if reason:
        raise ModelError(f"{segmenter.file.name} does not run in the page: {reason}; use hc18-nano")


def _describe_model(segmenter: Segmenter) -> dict[str, Any]:
    """Return the facts of a model that the page needs, and the columns of the table it saves."""
    metadata, file = segmenter.metadata, segmenter.file
    task, measure = metadata.task, measure_of(metadata.task)
    titles = table.columns(task, measure.given_columns(task, ages=False, calibrated=False))
    columns = {column.name: column for column in table.known_columns(task)}
    return {
        "name": file.name,
        "sha256": file.sha256,
        "version": __version__,
        "input_height": metadata.input_height,
        "input_width": metadata.input_width,
        "threshold": metadata.threshold,
        "limits": asdict(metadata.limits),
        "interval": asdict(metadata.interval) if metadata.interval else None,
        "flags": dict(measure.FLAGS),
        "task": task.kind,
        "title": measure.title(task),
        "nothing": measure.NOTHING,
        "exclusive": task.exclusive,
        "structures": [
            {"name": name, "colour": "rgb({2}, {1}, {0})".format(*colour_bgr(number))}
            for number, name in enumerate(task.structures, start=1)
        ],
        "columns": [
            {"name": n, "title": columns[n].title, "decimals": columns[n].decimals}
            if n in columns
            else {"name": n, "title": "", "decimals": None}
            for n in titles
        ],
        "intended_use": INTENDED_USE,
    }


def _add_file_list(files: dict[str, bytes]) -> bytes:
    """Return the service worker with the list of files that it keeps, and a hash of them all."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    engine = (".mjs", ".wasm.gz")
    texts = {n for n in files if n.startswith("vendor/") and not n.endswith(engine)}
    kept = sorted({*files} - texts - {_WORKER})
    head = f'const VERSION = "{digest.hexdigest()[:16]}";\nconst FILES = {json.dumps(kept)};\n'
    return head.encode() + files[_WORKER]
