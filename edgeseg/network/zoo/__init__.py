"""The bundled models: where they lie, what they are, and that they are what they were."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from edgeseg.errors import ModelError, ModelNotFoundError
from edgeseg.network.metadata import ModelMetadata

DEFAULT_MODEL = "hc18-nano"
_FOLDER = Path(__file__).parent


Line = tuple[str, str]


class ModelFile(NamedTuple):
    """A model on disk, bundled or the user's own.

    Attributes
    ----------
    name
        The bundled name, or the file's stem.
    path
        The ONNX file.
    sha256, size_bytes
        Of the file.
    bundled
        Whether it comes with edgeseg.
    """

    name: str
    path: Path
    sha256: str
    size_bytes: int
    bundled: bool


@cache
def manifest() -> dict[str, dict[str, Any]]:
    """Return the bundled models: name -> file, sha256, size_bytes and the model card."""
    models: dict[str, dict[str, Any]] = json.loads(
        (_FOLDER / "manifest.json").read_text(encoding="utf-8")
    )["models"]
    return models


def card_lines(name: str) -> list[Line]:
    """Return a bundled model's card as labelled lines.

    Raises
    ------
    ModelNotFoundError
        If no bundled model has that name.
    """
    if name not in manifest():
        raise _not_found(name, f"is not a bundled model ({', '.join(manifest())})")
    card = manifest()[name]
    data, measured = card["train_data"], card["metrics"]
    figures, ranks = measured["figures"], measured["figures"]["auroc"]
    smallest, largest = data["pixel_size_mm_range"]
    return [
        ("network", f"{card['architecture']}, strategy {card['strategy']}, {card['precision']}"),
        ("input", f"{card['input_height']}x{card['input_width']}, gray"),
        (
            "cost",
            f"{card['gmac']:.2f} GMAC, {card['parameters'] / 1e6:.2f} M parameters, "
            f"{card['size_bytes'] / 1e6:.2f} MB",
        ),
        (
            "trained on",
            f"{data['name']}, {data['count']} images of {smallest:.3g} to {largest:.3g} mm a "
            f"pixel (SHA-256 {data['sha256'][:12]}…)",
        ),
        ("measured on", f"{measured['data']}, {measured['split']}"),
        (
            "Dice",
            f"{100 * figures['dice']:.2f} % (ellipse {100 * figures['dice_ellipse']:.2f} %), "
            f"Hausdorff distance {figures['hausdorff_mm']:.2f} mm",
        ),
        (
            "HC error",
            f"{figures['hc_mad_mm']:.2f} ± {figures['hc_mad_sd_mm']:.2f} mm, bias "
            f"{figures['hc_bias_mm']:+.2f} mm, 95 % below {figures['hc_p95_mm']:.1f} mm, "
            f"{100 * figures['large_error_fraction']:.1f} % above 5 mm",
        ),
        (
            "refused",
            f"{figures['n_refused']} images, which count in full above; of the others Dice "
            f"{100 * figures['dice_of_measured']:.2f} %, HC error "
            f"{figures['hc_mad_mm_of_measured']:.2f} mm",
        ),
        (
            "confidence",
            f"AUROC {ranks['above_3_percent_by_confidence']:.2f} for HC errors above 3 %; with HC "
            f"{ranks['above_5_mm_by_confidence_and_hc']:.2f} for those above 5 mm, for which HC "
            f"alone has {ranks['above_5_mm_by_hc']:.2f}",
        ),
        ("each image", measured["results"]),
        ("train again", card["train_command"]),
        ("licence", card["licence"]),
        ("use", card["intended_use"]),
        *(("limit", limit) for limit in card["limits"]),
        ("SHA-256", card["sha256"]),
    ]


def file_card(file: ModelFile, metadata: ModelMetadata) -> tuple[list[Line], dict[str, Any]]:
    """Return what a user's own model file says of itself, as labelled lines and as values."""
    task, data = metadata.task, metadata.train_data
    cost = f"{metadata.gmac:.2f} GMAC, " if metadata.gmac is not None else ""
    if metadata.parameters is not None:
        cost += f"{metadata.parameters / 1e6:.2f} M parameters, "
    trained = (
        f"{data.name}, {data.count} images (SHA-256 {data.sha256!s:.12}…)" if data else "unknown"
    )
    lines = [
        ("name", metadata.name),
        ("task", f"{task.kind}: {', '.join(task.structures)}"),
        ("network", f"{metadata.architecture}, strategy {metadata.strategy}, {metadata.precision}"),
        ("input", f"{metadata.input_height}x{metadata.input_width}, gray"),
        ("cost", f"{cost}{file.size_bytes / 1e6:.2f} MB"),
        ("trained on", trained),
    ]
    measured = [str(metadata.metrics[key]) for key in ("data", "split") if key in metadata.metrics]
    if measured:
        lines.append(("measured on", ", ".join(measured)))
    figures = metadata.metrics.get("figures")
    if isinstance(figures, Mapping):
        lines += [(key, _figure(value)) for key, value in figures.items()]
    lines += [
        ("threshold", f"{metadata.threshold:g}"),
        ("licence", metadata.licence),
        ("use", metadata.intended_use),
        ("SHA-256", file.sha256),
    ]
    card = {"file": file.path.name, "sha256": file.sha256, "size_bytes": file.size_bytes}
    return lines, json.loads(metadata.to_json()) | card


def _figure(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_figure(inner)}" for key, inner in value.items())
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def find(name_or_path: str | os.PathLike[str]) -> ModelFile:
    """Find a bundled model by name, or an ONNX file by path.

    Raises
    ------
    ModelNotFoundError
        If it is neither.
    ModelError
        If a bundled file is not what the manifest says, or the path is not a file that can be read.
    """
    try:
        name = os.fsdecode(name_or_path)
    except TypeError:
        raise ModelNotFoundError(
            f"got {type(name_or_path).__name__}; expected a bundled model's name "
            f"({', '.join(manifest())}) or the path of an ONNX file"
        ) from None
    if name in manifest():
        entry = manifest()[name]
        path = _FOLDER / entry["file"]
        if not path.is_file():
            raise ModelError(f"{path}: the bundled model is missing; install edgeseg again")
        found = _describe(path, name, bundled=True)
        if found.sha256 != entry["sha256"]:
            raise ModelError(
                f"{path}: SHA-256 {found.sha256[:12]}… is not the manifest's "
                f"{entry['sha256'][:12]}…; the file was changed, install edgeseg again"
            )
        return found
    path = Path(name)
    try:
        is_folder = path.is_dir()
        described = _describe(path, path.stem, bundled=False) if path.is_file() else None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    if is_folder:
        raise ModelError(f"{path} is a folder; expected an .onnx file or a bundled model's name")
    if described is None:
        raise _not_found(name, f"is neither a bundled model ({', '.join(manifest())}) nor a file")
    return described


def _not_found(name: str, why: str) -> ModelNotFoundError:
    close = difflib.get_close_matches(name, manifest(), n=1)
    return ModelNotFoundError(
        f"{name!r} {why}" + (f"; did you mean {close[0]!r}?" if close else "")
    )


def _describe(path: Path, name: str, *, bundled: bool) -> ModelFile:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return ModelFile(name, path, digest, path.stat().st_size, bundled)
