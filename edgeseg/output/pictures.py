"""The names of what is written of an image: masks, overlays, documents."""

from __future__ import annotations

import re
from pathlib import Path

from edgeseg.inputs.left_out import IMAGE_SUFFIXES

_NO_SUFFIX = ".img"
_FRAME = re.compile(r"\.frame-\d{4,}")
KINDS = ("masks", "overlays", "sr", "seg")
"""What is written of an image, and the folders it is in: pictures, and documents of DICOM."""
PICTURES, DOCUMENTS = KINDS[:2], KINDS[2:]


def picture_names(file: str, frame: int = 0) -> dict[str, str]:
    """Return what is written of an image, by kind: names below a run's folder, with slashes.

    Different for different files: the mask of ``a.png`` is ``masks/a.png``; other names are kept
    whole: that of ``a.jpg`` is ``masks/a.jpg.png``, and that of ``a.jpg.png``, which would meet it,
    ``masks/a.jpg.png.png``. A name without an image's suffix gets one of its own. Frame 3 of
    ``a.dcm``, counted from 1, has ``masks/a.dcm.frame-0003.png``; all frames of a film have one
    document of each kind.
    """
    picture = f"{file}.frame-{frame:04d}" if frame else _stem(file, ".png")
    document = _stem(file, ".dcm")
    return {
        "masks": f"masks/{picture}.png",
        "overlays": f"overlays/{picture}.jpg",
        "sr": f"sr/{document}.dcm",
        "seg": f"seg/{document}.dcm",
    }


def _stem(file: str, own: str) -> str:
    """Return a file's name without the suffix ``own``, or whole where it would meet another."""
    if Path(file).suffix.lower() not in IMAGE_SUFFIXES:
        return file + _NO_SUFFIX
    bare = file.removesuffix(own)
    end = Path(bare).suffix.lower()
    may_meet = end in IMAGE_SUFFIXES or end == _NO_SUFFIX or _FRAME.fullmatch(end)
    return file if may_meet else bare
