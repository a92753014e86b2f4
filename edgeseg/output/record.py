"""What a run keeps beside its table: names of pictures and documents, its record ``run.json``."""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeseg.inputs.left_out import IMAGE_SUFFIXES
from edgeseg.output.table import STATUSES, TIMING_COLUMNS, Row
from edgeseg.system import host

if TYPE_CHECKING:
    from edgeseg.segmenter import Segmenter

RUN_NAME = "run.json"
_NO_SUFFIX = ".img"
_FRAME = re.compile(r"\.frame-\d{4,}")
KINDS = ("masks", "overlays", "annotated", "sr", "seg")
"""What is written of an image, and the folders it is in: pictures, films, documents of DICOM."""
PICTURES, DOCUMENTS = KINDS[:2], KINDS[3:]
FINDINGS = "findings"
"""Folder of reports of single images that those of studies are made of, in a folder a study."""


def picture_names(file: str, frame: int = 0) -> dict[str, str]:
    """Return what is written of an image, by kind: names below a run's folder, with slashes.

    Different for different files: the mask of ``a.png`` is ``masks/a.png``; other names are kept
    whole: that of ``a.jpg`` is ``masks/a.jpg.png``, and that of ``a.jpg.png``, which would meet it,
    ``masks/a.jpg.png.png``. A name without an image's suffix gets one of its own. Frame 3 of
    ``a.dcm``, counted from 1, has ``masks/a.dcm.frame-0003.png``; all frames of a film have one
    document of each kind, and one film of the overlays.
    """
    picture = f"{file}.frame-{frame:04d}" if frame else _stem(file, ".png")
    document = _stem(file, ".dcm")
    return {
        "masks": f"masks/{picture}.png",
        "overlays": f"overlays/{picture}.jpg",
        "annotated": f"annotated/{file}.avi",
        "sr": f"sr/{document}.dcm",
        "seg": f"seg/{document}.dcm",
    }


@functools.lru_cache(maxsize=256)
def _stem(file: str, own: str) -> str:
    """Return a file's name without the suffix ``own``, or whole where it would meet another."""
    if Path(file).suffix.lower() not in IMAGE_SUFFIXES:
        return file + _NO_SUFFIX
    bare = file.removesuffix(own)
    end = Path(bare).suffix.lower()
    may_meet = end in IMAGE_SUFFIXES or end == _NO_SUFFIX or _FRAME.fullmatch(end)
    return file if may_meet else bare


def record_of(
    segmenter: Segmenter,
    asked: Mapping[str, Any],
    *,
    status: str,
    n_images: int,
    n_waiting: int = 0,
    rows: Sequence[Row] = (),
    wall_s: float = 0.0,
) -> dict[str, Any]:
    """Return what a run's record holds, which is ``running`` or ``done``.

    What was ``asked``, its ``arguments`` and ``options``, is recorded as it is; ``n_images`` are
    those of the input, ``n_waiting`` those of a node that are still to be measured, and ``wall_s``
    is the time of the run without loading the model.
    """
    seen = Counter(row["status"] for row in rows)
    return {
        "status": status,
        **asked,
        "versions": host.versions(),
        "host": host.describe(),
        "model": model_record(segmenter),
        "counts": {
            "n_images": n_images,
            **{status: seen[status] for status in STATUSES},
            **({"n_waiting": n_waiting} if n_waiting else {}),
        },
        "timings": {"wall_s": round(wall_s, 3), "stages_ms": _mean_stages_ms(rows)},
    }


def model_record(segmenter: Segmenter) -> dict[str, Any]:
    """Return what a record says of the model, and what runs it."""
    file, metadata = segmenter.file, segmenter.metadata
    return {
        "name": file.name,
        "sha256": file.sha256,
        "size_bytes": file.size_bytes,
        "precision": metadata.precision,
        "input_height": metadata.input_height,
        "input_width": metadata.input_width,
        "task": metadata.task.as_dict(),
        "provider": segmenter.provider,
    }


def _mean_stages_ms(rows: Iterable[Row]) -> dict[str, float | None]:
    """Return the mean time of each stage over the rows that were measured."""
    times = [[row[column] for column in TIMING_COLUMNS] for row in rows]
    means: dict[str, float | None] = {}
    for i, column in enumerate(TIMING_COLUMNS):
        known = [float(ms) for line in times if (ms := line[i]) is not None]
        means[column.removesuffix("_ms")] = sum(known) / len(known) if known else None
    return means
