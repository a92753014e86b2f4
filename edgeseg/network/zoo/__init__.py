"""The bundled models: where they lie, what they are, and that they are what they were."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edgeseg.errors import ModelError, ModelNotFoundError

if TYPE_CHECKING:  # the rest of the network's house needs OpenCV, which delays every command
    from edgeseg.network.metadata import ModelMetadata

DEFAULT_MODEL = "hc18-nano"
_FOLDER = Path(__file__).parent


class ModelFile(NamedTuple):
    """A model on disk, bundled or the user's own, whose name is then its file's stem."""

    name: str
    path: Path
    sha256: str
    size_bytes: int
    bundled: bool


@cache
def manifest() -> dict[str, dict[str, Any]]:
    """Return the bundled models: name -> file, sha256, size_bytes and the model card."""
    text = (_FOLDER / "manifest.json").read_text(encoding="utf-8")
    models: dict[str, dict[str, Any]] = json.loads(text)["models"]
    return models


def card_lines(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return a card as labelled lines: an entry of `manifest`, or what `file_card` gives."""
    task, data, metrics = card.get("task"), card["train_data"], card["metrics"]
    cost = f"{card['gmac']:.2f} GMAC, " if card["gmac"] is not None else ""
    if card["parameters"] is not None:
        cost += f"{card['parameters'] / 1e6:.2f} M parameters, "
    images = data and f"{data['name']}, {data['count']} images (SHA-256 {data['sha256']:.12}…)"
    sizes_mm = card.get("train_pixel_size_mm_range") or (data or {}).get("pixel_size_mm_range")
    measured = ", ".join(str(metrics[key]) for key in ("data", "split") if key in metrics)
    figures, limits = metrics.get("figures"), card.get("limits")
    lines = [
        ("name", card.get("name")),
        ("task", task and ", ".join([task["kind"], *task.get("classes", ())[1:]])),
        ("network", f"{card['architecture']}, strategy {card['strategy']}, {card['precision']}"),
        ("input", f"{card['input_height']}x{card['input_width']}, gray"),
        ("cost", f"{cost}{card['size_bytes'] / 1e6:.2f} MB"),
        ("trained on", images or "unknown"),
        ("pixel sizes", sizes_mm and "{:.3g} to {:.3g} mm".format(*sizes_mm)),
        ("measured on", measured),
        *((k, _figure(v)) for k, v in (figures.items() if isinstance(figures, Mapping) else ())),
        ("each image", metrics.get("results")),
        ("train again", card.get("train_command")),
        ("threshold", card.get("threshold")),
        ("licence", card["licence"]),
        ("use", card["intended_use"]),
        *(("limit", limit) for limit in (limits if isinstance(limits, list) else ())),
        ("SHA-256", card["sha256"]),
    ]
    return [(label, str(value)) for label, value in lines if value]


def file_card(file: ModelFile, metadata: ModelMetadata) -> dict[str, Any]:
    """Return what a user's own model file says of itself, as `manifest` has it of bundled ones."""
    card: dict[str, Any] = json.loads(metadata.to_json())
    return card | {"file": file.path.name, "sha256": file.sha256, "size_bytes": file.size_bytes}


def _figure(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_figure(inner)}" for key, inner in value.items())
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def find(name_or_path: str | os.PathLike[str]) -> ModelFile:
    """Find a bundled model by name, or an ONNX file by path.

    Raises `ModelNotFoundError` if it is neither; `ModelError` if a bundled file is not what the
    manifest says, or the path is not a file that can be read.
    """
    try:
        name = os.fsdecode(name_or_path)
    except TypeError:
        raise ModelNotFoundError(
            f"got {type(name_or_path).__name__}; expected a bundled model's name "
            f"({', '.join(manifest())}) or the path of an ONNX file"
        ) from None
    if name in manifest():
        expected = manifest()[name]["sha256"]
        path = _FOLDER / manifest()[name]["file"]
        found = _describe(path, name, bundled=True) if path.is_file() else None
        if found is None or found.sha256 != expected:
            seen = f"SHA-256 {found.sha256[:12]}…" if found else "missing"
            raise ModelError(
                f"{path}: the bundled model is {seen}, the manifest's has {expected[:12]}…; "
                "install edgeseg again"
            )
        return found
    path = Path(name)
    try:
        if path.is_file():
            return _describe(path, path.stem, bundled=False)
        is_folder = path.is_dir()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    if is_folder:
        raise ModelError(f"{path} is a folder; expected an .onnx file or a bundled model's name")
    close = difflib.get_close_matches(name, manifest(), n=1)
    raise ModelNotFoundError(
        f"{name!r} is neither a bundled model ({', '.join(manifest())}) nor a file"
        + (f"; did you mean {close[0]!r}?" if close else "")
    )


def _describe(path: Path, name: str, *, bundled: bool) -> ModelFile:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return ModelFile(name, path, digest, path.stat().st_size, bundled)
