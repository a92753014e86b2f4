"""The bundled models: where they lie, what they are, and that they are what they were."""

from __future__ import annotations

import difflib
import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from edgeseg.errors import ModelError, ModelNotFoundError

DEFAULT_MODEL = "hc18-edge"
_FOLDER = Path(__file__).parent / "zoo"


@dataclass(frozen=True, slots=True)
class ModelFile:
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


def find(name_or_path: str | Path) -> ModelFile:
    """Find a bundled model by name, or an ONNX file by path.

    Raises
    ------
    ModelNotFoundError
        If it is neither.
    ModelError
        If a bundled file is not what the manifest says, or the path is not a file.
    """
    name = str(name_or_path)
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
    if path.is_dir():
        raise ModelError(f"{path} is a folder; expected an .onnx file or a bundled model's name")
    if not path.is_file():
        close = difflib.get_close_matches(name, manifest(), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise ModelNotFoundError(
            f"{name!r} is neither a bundled model ({', '.join(manifest())}) nor a file{hint}"
        )
    return _describe(path, path.stem, bundled=False)


def _describe(path: Path, name: str, *, bundled: bool) -> ModelFile:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return ModelFile(name, path, digest, path.stat().st_size, bundled)
