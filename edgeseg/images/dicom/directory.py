"""The index of a medium with DICOM files, called DICOMDIR."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeseg.errors import ImageDecodeError
from edgeseg.images.dicom import library

_MOST_RECORDS = 1_000_000


def list_images(index: Path) -> list[Path]:
    """Return the images that an index lists, as they lie beside it.

    Mounted media may show the names in small letters.

    Raises ImageDecodeError if it is no index; MissingExtraError if pydicom is not installed.
    """
    dataset = library.read_elements(index, ["DirectoryRecordSequence"])
    records = library.sequence(dataset, "DirectoryRecordSequence", _MOST_RECORDS)
    if not records:
        raise ImageDecodeError(f"{index}: this is no index of DICOM files; name their folder")
    found = (_image(index.parent, record) for record in records)
    return [*dict.fromkeys(path for path in found if path is not None)]


def _image(folder: Path, record: Any) -> Path | None:
    """Return where a record's image lies; None of others, and of what lies elsewhere."""
    if library.text(record, "DirectoryRecordType").upper() != "IMAGE":
        return None
    with library.translate_errors("its index"):
        file_id = record.get("ReferencedFileID") or ()
        parts = [file_id] if isinstance(file_id, str) else [str(part) for part in file_id]
    if not parts or any(part in ("", ".", "..") or {"/", "\\"} & {*part} for part in parts):
        return None
    exact = folder.joinpath(*parts)
    small = folder.joinpath(*(part.lower() for part in parts))
    return small if not exact.exists() and small.exists() else exact
