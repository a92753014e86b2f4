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


def picture_name(file: str, frame: int = 0, own: str = ".png") -> str:
    """Return the name of an image's mask and overlay, without their suffix, for its ``file``.

    Different for different files: ``a.png`` gives ``a``; names of other images are kept whole:
    ``a.jpg`` gives ``a.jpg``, and so does ``a.jpg.png``, which would meet it otherwise. A name
    without an image's suffix gets one of its own: ``a`` gives ``a.img``. The third frame of
    ``a.dcm`` gives ``a.dcm.frame-0003``.

    Parameters
    ----------
    frame
        From 1; 0 of a file that is one image.
    own
        The suffix that is left out.
    """
    if frame:
        return f"{file}.frame-{frame:04d}"
    suffix = Path(file).suffix
    if suffix.lower() not in IMAGE_SUFFIXES:
        return file + _NO_SUFFIX
    bare = file.removesuffix(own)
    end = Path(bare).suffix.lower()
    may_meet = end in IMAGE_SUFFIXES or end == _NO_SUFFIX or _FRAME.fullmatch(end)
    return file if may_meet else bare


def picture_names(file: str, frame: int = 0) -> dict[str, str]:
    """Return what is written of an image, by kind: names below a run's folder, with slashes.

    All frames of a film have one document of each kind.
    """
    name, document = picture_name(file, frame), picture_name(file, own=".dcm")
    return {
        "masks": f"masks/{name}.png",
        "overlays": f"overlays/{name}.jpg",
        "sr": f"sr/{document}.dcm",
        "seg": f"seg/{document}.dcm",
    }


def picture_paths(out: Path, file: str, frame: int = 0) -> dict[str, Path]:
    """Return where what is written of an image goes, by kind."""
    return {kind: out / name for kind, name in picture_names(file, frame).items()}
