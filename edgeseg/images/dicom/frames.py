"""From a DICOM file to frames: gray values, the scans on the screen, what a pixel measures."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from edgeseg.errors import DataError, ImageDecodeError
from edgeseg.images.dicom import encapsulated, gray, library
from edgeseg.images.dicom.file import DicomFile, inflate, open_bytes, open_file, read_head
from edgeseg.images.dicom.regions import read_scale
from edgeseg.images.frame import Frame, Screen, Size, as_pixel_size, check_sides


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
    if file.is_in_pieces and not encapsulated.ends_with_pixels(stream):
        file.find_frames(stream)
    return file.n_frames


def holds_image(source: BinaryIO | Path) -> bool:
    """Tell whether a DICOM file or stream has pixels, or does not say; documents have none."""
    try:
        dataset = library.read_elements(source, ["SOPClassUID", "Rows"])
    except ImageDecodeError:
        return True
    return "Rows" in dataset or "SOPClassUID" not in dataset


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
    return open_file(path).identifiers()


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
    pixels, colours = gray.convert_to_gray(samples, photometric, file.palette)
    areas, pixel_size, refused = read_scale(file.regions(), file.size)
    if areas:  # around them stand menus, and the patient's name
        whole, pixels = pixels, np.zeros_like(pixels)
        for area in areas:
            pixels[area.slices] = whole[area.slices]
    is_coloured = gray.is_coloured(colours, areas)
    screen = Screen(areas, refused, is_coloured, file.may_name_patient and not areas)
    return Frame(pixels, pixel_size, screen=screen)
