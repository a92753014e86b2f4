"""From DICOM files to frames: gray values, the scans on the screen, what a pixel measures."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.errors import DataError, ImageDecodeError
from edgeseg.images.dicom import compressed, library
from edgeseg.images.dicom.file import (
    DicomFile,
    inflate,
    is_ultrasound,
    open_bytes,
    open_file,
    read_head,
)
from edgeseg.images.dicom.regions import read_scale
from edgeseg.images.formats.base import Pixels
from edgeseg.images.frame import Area, Frame, GrayImage, Screen, Size, as_pixel_size, check_sides
from edgeseg.images.levels import to_8_bit

Colours = npt.NDArray[np.uint8]
_COLOUR_RANGE = 64  # between the largest and the smallest of red, green and blue
_COLOUR_SHARE = 0.1
_EVERY = 4  # of so many pixels in each direction one is looked at for colour
_NEUTRAL = 128  # of the differences from red and blue
_PARTIAL_BLACK, _PARTIAL_RANGE = 16, 219  # of ITU-R BT.601
_MOST_RECORDS = 1_000_000


def count_frames(path: Path) -> int:
    """Return how many frames a file has.

    Raises ImageDecodeError if it cannot be read or holds no ultrasound image; the text does not
    name the file; MissingExtraError if pydicom is not installed.
    """
    return open_file(path).n_frames


def count_frames_in(stream: BinaryIO) -> int:
    """Return how many frames an open file has; of compressed pixels only the end is looked at."""
    if (data := inflate(stream)) is not None:
        stream = io.BytesIO(data)
    file = read_head(stream)
    if file.is_in_pieces and not compressed.ends_with_pixels(stream):
        file.find_frames(stream)
    return file.n_frames


def read_kind(source: BinaryIO | Path) -> tuple[str, str]:
    """Return what a DICOM file or stream is, and the UID of its study.

    It is ``ultrasound``, as may be what does not say, another ``image``, or a ``document``.
    """
    try:
        keywords = ["SOPClassUID", "Rows", "Modality", "StudyInstanceUID"]
        dataset = library.read_elements(source, keywords)
    except ImageDecodeError:
        return "ultrasound", ""
    kind = "ultrasound" if is_ultrasound(dataset) else "image"
    if "Rows" not in dataset and "SOPClassUID" in dataset:
        kind = "document"
    return kind, library.text(dataset, "StudyInstanceUID")


def digest_pixels(path: Path) -> str:
    """Return an instance's encoding and, behind a space, what tells its pixels apart in it."""
    try:
        with path.open("rb") as stream:
            dataset = library.read_elements(stream, ["SOPInstanceUID"])
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return f"{library.syntax_of(dataset)} {digest}"
    except (OSError, ImageDecodeError):
        return ""


def read_frame(path: Path, number: int) -> Frame:
    """Return one frame of a file, from 1, without reading the others; see `count_frames`."""
    return replace(_read(open_file(path), number), name=path.name)


def decode_frame(data: bytes) -> Frame:
    """Return the frame of a file in memory, which may have only one; see `count_frames`."""
    file = open_bytes(data)
    if (n_frames := file.n_frames) > 1:
        raise ImageDecodeError(
            f"the file holds {n_frames} frames, one was expected; a name that ends in .dcm "
            "tells that it is a film (in Python edgeseg.images.dicom.frames.read_frames gives them)"
        )
    return _read(file, 1)


def identifiers(path: Path) -> dict[str, str]:
    """Return what tells whose a file's images are, by column; see `count_frames`."""
    dataset = open_file(path).dataset
    return {name: library.text(dataset, keyword) for name, keyword in library.IDENTIFIERS.items()}


def read_frames(path: str | os.PathLike[str], pixel_size_mm: Size = None) -> Iterator[Frame]:
    """Yield the frames of a film one by one, such as `edgeseg.Segmenter.stream` takes them.

    ``pixel_size_mm``: millimetres per pixel of all, one number or (x, y); None takes what the file
    says. Raises what `count_frames` does; DataError if the pixel size cannot be one.
    """
    where = Path(os.fsdecode(path))
    given = as_pixel_size(pixel_size_mm)
    for number in range(1, count_frames(where) + 1):
        frame = read_frame(where, number)
        yield frame if given is None else replace(frame, pixel_size=given)


def _read(file: DicomFile, number: int) -> Frame:
    height, width = file.size
    check_sides(width, height)
    if not 1 <= number <= file.n_frames:
        raise DataError(f"frame {number} was asked for; the file has {file.n_frames}")
    samples, photometric = file.samples(number)
    pixels, colours = convert_to_gray(samples, photometric, file.palette)
    areas, pixel_size, refused, is_coloured = read_scale(file.regions(), file.size)
    if areas:  # around them stand menus, and the patient's name
        whole, pixels = pixels, np.zeros_like(pixels)
        for area in areas:
            pixels[area.slices] = whole[area.slices]
    has_no_names = library.text(file.dataset, "BurnedInAnnotation").upper() == "NO"
    is_coloured = is_coloured or _is_coloured(colours, areas)
    screen = Screen(areas, refused, is_coloured, not areas and not has_no_names)
    return Frame(pixels, pixel_size, screen=screen)


def convert_to_gray(
    samples: Pixels, photometric: str, palette: Callable[[], tuple[int, Colours]]
) -> tuple[GrayImage, Colours | None]:
    """Return gray values, (h, w), uint8, and the colours that they are of.

    The samples, (h, w) or (h, w, 3), are what DICOM's word says in the order of the file. A palette
    gives the first value that is mapped, and the colours, shape (n, 3), red first. Returned are
    some pixels' red, green and blue, uint8, for `_is_coloured`; None of gray images.

    Raises ImageDecodeError if they cannot be what the file says.
    """
    if samples.ndim == 2 and photometric == "PALETTE COLOR":
        first, colours = palette()
        places = np.clip(samples.astype(np.int32) - first, 0, len(colours) - 1)
        return _to_luma(colours[np.newaxis])[0][places], colours[places[::_EVERY, ::_EVERY]]
    if samples.ndim == 2:
        gray = to_8_bit(samples)
        return np.invert(gray) if photometric == "MONOCHROME1" else gray, None
    if photometric.startswith("YBR") and photometric not in ("YBR_ICT", "YBR_RCT"):
        if samples.dtype != np.uint8:
            raise ImageDecodeError(f"{photometric} of more than 8 bits is not read")
        luma = samples[..., 0].astype(np.uint8)
        if photometric.startswith("YBR_PARTIAL"):
            spread = (luma.astype(np.float32) - _PARTIAL_BLACK) * (255 / _PARTIAL_RANGE)
            luma = np.clip(np.round(spread), 0, 255).astype(np.uint8)
        return luma, _approximate_colours(samples[::_EVERY, ::_EVERY].astype(np.uint8))
    rgb = to_8_bit(samples)
    return _to_luma(rgb), rgb[::_EVERY, ::_EVERY]


def _is_coloured(colours: Colours | None, areas: Iterable[Area]) -> bool:
    """Tell whether scans have more colour than tinted B-mode; without areas, the whole image."""
    if colours is None:
        return False
    height, width = (_EVERY * side for side in colours.shape[:2])
    n_coloured = n_seen = 0
    for left, top, right, bottom, _ in [*areas] or [Area(0, 0, width, height)]:
        part = colours[top // _EVERY : bottom // _EVERY, left // _EVERY : right // _EVERY]
        spread = part.max(axis=2).astype(np.int16) - part.min(axis=2)
        n_coloured += int(np.count_nonzero(spread > _COLOUR_RANGE))
        n_seen += spread.size
    return n_coloured > _COLOUR_SHARE * n_seen


def _to_luma(rgb: Colours) -> GrayImage:
    return cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)


def _approximate_colours(samples: Colours) -> Colours:
    """Return how far red and blue lie from gray, and gray between them, as `_is_coloured` asks."""
    differences = samples[..., 2:0:-1].astype(np.float32) - _NEUTRAL
    ends = np.clip(_NEUTRAL + differences * (1.402, 1.772), 0, 255)
    neutral = np.full_like(ends[..., :1], _NEUTRAL)
    return np.concatenate([ends, neutral], axis=2).astype(np.uint8)


def list_images(index: Path) -> list[Path]:
    """Return the images that the index of a medium, a DICOMDIR, lists, as they lie beside it.

    Mounted media may show the names in small letters.

    Raises ImageDecodeError if it is no index; MissingExtraError if pydicom is not installed.
    """
    dataset = library.read_elements(index, ["DirectoryRecordSequence"])
    records = library.sequence(dataset, "DirectoryRecordSequence", _MOST_RECORDS)
    if not records:
        raise ImageDecodeError(f"{index}: this is no index of DICOM files; name their folder")
    found = (_find_image(index.parent, record) for record in records)
    return [*dict.fromkeys(path for path in found if path is not None)]


def _find_image(folder: Path, record: Any) -> Path | None:
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
