"""Masks and overlays as files: their names, and their bytes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.errors import ImageDecodeError
from edgeseg.sources.discover import IMAGE_SUFFIXES

_NO_SUFFIX = ".img"
KINDS = ("masks", "overlays")
"""What pictures there are of an image, and the folders they are in."""


def picture_name(file: str) -> str:
    """Return the name of an image's mask and overlay, without their suffix, for its ``file``.

    Different for different files: ``a.png`` gives ``a``; names of other images are kept whole:
    ``a.jpg`` gives ``a.jpg``, and so does ``a.jpg.png``, which would meet it otherwise. A name
    without an image's suffix gets one of its own: ``a`` gives ``a.img``.
    """
    if Path(file).suffix.lower() not in IMAGE_SUFFIXES:
        return file + _NO_SUFFIX
    bare = file.removesuffix(".png")
    ends_like_image = Path(bare).suffix.lower() in {*IMAGE_SUFFIXES, _NO_SUFFIX}
    return file if ends_like_image else bare


def picture_names(file: str) -> dict[str, str]:
    """Return an image's pictures, by kind: their names below a run's folder, with slashes."""
    name = picture_name(file)
    return {"masks": f"masks/{name}.png", "overlays": f"overlays/{name}.jpg"}


def picture_paths(out: Path, file: str) -> dict[str, Path]:
    """Return where an image's pictures go: its mask under ``masks``, its overlay, ``overlays``."""
    return {kind: out / name for kind, name in picture_names(file).items()}


def encode(extension: str, pixels: npt.NDArray[np.uint8], quality: int | None = None) -> bytes:
    """Encode pixels, (H, W) gray or (H, W, 3) BGR, as a PNG or JPEG file's bytes.

    Raises
    ------
    ImageDecodeError
        If the format cannot hold an image of that size.
    """
    options = [cv2.IMWRITE_PNG_COMPRESSION, 1]
    if quality is not None:
        options = [cv2.IMWRITE_JPEG_QUALITY, quality]
    return _encode(extension, pixels, options)


def encode_mask(mask: npt.NDArray[np.uint8]) -> bytes:
    """Encode a mask, (H, W), 0 or 255, as a PNG file's bytes.

    Runs of equal pixels need neither a filter nor a search: a quarter of the usual time, and
    smaller.

    Raises
    ------
    ImageDecodeError
        If the format cannot hold an image of that size.
    """
    options = [
        *(cv2.IMWRITE_PNG_COMPRESSION, 1),
        *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE),
        *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    ]
    return _encode(".png", mask, options)


def _encode(extension: str, pixels: npt.NDArray[np.uint8], options: list[int]) -> bytes:
    try:
        done, encoded = cv2.imencode(extension, pixels, options)
    except cv2.error:
        done = False
    if not done:
        height, width = pixels.shape[:2]
        raise ImageDecodeError(f"{width}x{height} pixels do not fit into a {extension} file")
    return encoded.tobytes()
