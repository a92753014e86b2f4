"""What the formats share: what is known of a file before it is decoded, and the decoders.

Pillow is imported when the first file that it decodes is read: PNG and JPEG do without.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.errors import ImageDecodeError
from edgeseg.images.frame import PixelSize
from edgeseg.images.kinds import BMP, PNM, Kind

CUT_SHORT = "the file is cut short or damaged; copy it again"

Pixels = npt.NDArray[np.generic]


class Header(NamedTuple):
    """The facts that decide how, and whether, an image is decoded."""

    width: int  # In pixels, before any rotation.
    height: int
    # Decodes the pixels, by OpenCV's ``IMREAD`` flags where it is OpenCV that does: gray values or
    # blue, green, red and perhaps alpha; raises ImageDecodeError.
    decode: Callable[[int], Pixels]
    frames: int = 1  # Number of images in the file, without the thumbnails of a TIFF.
    # Whether an alpha channel or a transparent colour is declared.
    may_be_transparent: bool = False
    has_wide_colours: bool = False  # Whether each pixel has several samples of more than 8 bits.
    orientation: int = 1  # As EXIF counts it, 1 to 8.
    # What the file says of the size of its pixels in the body; None if it does not.
    pixel_size: PixelSize | None = None


def decode_by_opencv(data: bytes, flags: int) -> Pixels:
    """Decode a file's bytes by OpenCV's ``IMREAD`` flags, or raise an ImageDecodeError."""
    try:
        pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ImageDecodeError("the pixels cannot be decoded: damaged or of a rare kind")
    return pixels


def open_by_pillow(data: bytes, kind: Kind) -> Any:
    """Open the bytes of a file that Pillow decodes, or raise an ImageDecodeError."""
    from PIL import BmpImagePlugin, ImageFile, PpmImagePlugin, TiffImagePlugin

    if ImageFile.LOAD_TRUNCATED_IMAGES:
        raise ImageDecodeError(
            "this program has set PIL.ImageFile.LOAD_TRUNCATED_IMAGES, with which a file that is "
            "cut short looks whole; set it to False"
        )
    # The classes by themselves do not warn of large images, which are refused by their sides.
    opens: dict[Kind, Any] = {BMP: BmpImagePlugin.BmpImageFile, PNM: PpmImagePlugin.PpmImageFile}
    try:
        return opens.get(kind, TiffImagePlugin.TiffImageFile)(io.BytesIO(data))
    except Exception:  # of any kind, by what the bytes are
        raise ImageDecodeError(
            f"this {kind.name} file is damaged or of a rare kind; copy it again, or save the "
            "image as PNG"
        ) from None


def decode_numbers(data: bytes) -> tuple[Pixels, bytes] | None:
    """Return the numbers of colours, (height, width), and the palette; None if a file has none."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return (np.asarray(image), bytes(image.getpalette() or ())) if image.mode == "P" else None


def decode_by_pillow(image: Any) -> Pixels:
    """Return the pixels of a PIL image of any mode.

    They are gray, (height, width), of any type; or blue, green, red and perhaps alpha, (height,
    width, 3 or 4), uint8. Raises ImageDecodeError if the file is cut short or damaged.
    """
    try:
        image.load()
        mode: str = image.mode
        is_wide = mode == "F" or mode.startswith("I")
        has_alpha = mode[-1] in "Aa" or ("transparency" in image.info and not is_wide)
        if mode == "CMYK":
            light = 255 - np.asarray(image).astype(np.uint16)
            pixels = (light[..., :3] * light[..., 3:] // 255).astype(np.uint8)
        elif is_wide or (mode == "L" and not has_alpha):
            pixels = np.asarray(image)
        elif mode == "1" and not has_alpha:
            pixels = np.asarray(image.convert("L"))
        else:
            # of the mode La nothing but LA can be made
            image = image.convert("LA") if mode == "La" else image
            pixels = np.asarray(image.convert("RGBA" if has_alpha else "RGB"))
    except Exception as error:  # those of a damaged file, which is read only now, share no base
        raise ImageDecodeError(CUT_SHORT) from error
    if pixels.ndim == 3:
        return np.concatenate([pixels[..., 2::-1], pixels[..., 3:]], axis=2)
    if pixels.dtype == np.int32:  # of signed files, and PGM
        for kind in (np.uint16, np.int16):
            if np.iinfo(kind).min <= pixels.min() and pixels.max() <= np.iinfo(kind).max:
                return pixels.astype(kind)
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def parse_by_pillow(data: bytes, kind: Kind) -> Header:
    """Read the header of a BMP, PGM or PPM file; see `open_by_pillow`."""
    image = open_by_pillow(data, kind)
    if image.mode == "RGB" and kind is PNM:
        settings = image.tile[0][3]
        if isinstance(settings, tuple) and settings[-1] > 255:  # its largest value
            raise ImageDecodeError("colours of 16 bits are not read; save the image as 8 bits")
    width, height = image.size
    has_alpha = image.mode == "RGBA"
    return Header(width, height, lambda _: decode_by_pillow(image), may_be_transparent=has_alpha)
