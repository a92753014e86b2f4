"""Make the golden set's images: ``python make_inputs.py KIND FOLDER``, with version 0.2's tree.

Its phantoms and its tests' DICOM files never change, whatever the working tree does. It
is a script of its own, since what imports version 0.2 must not import the working tree.
"""

from __future__ import annotations

import csv
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
from tests.sources.dicom import files as dicom_files
from tests.sources.dicom.encodings import encodings, mislabelled, rare
from tests.sources.dicom.real import real_files

from edgeseg.phantom.head import Phantom, make_phantom, table

_SIZES = ((540, 800), (270, 400), (768, 1024), (600, 600))  # (height, width)
_PIXEL_SIZE_MM = (0.3, 0.3)


def make_phantoms(folder: Path, *_: Path) -> None:
    """Write synthetic heads of several sizes, what is done to images, and ``sizes.csv``."""
    phantoms = [
        make_phantom(i, height=height, width=width, cut_by_border=i % 9 == 8)
        for i, (height, width) in enumerate(_SIZES * 5)
    ]
    written = []
    for phantom in phantoms:
        cv2.imwrite(str(folder / phantom.name), phantom.image)
        written.append(phantom)
    for name, image in _changed(phantoms[1].image).items():
        cv2.imwrite(str(folder / name), image)
        written.append(Phantom(name, phantoms[1].image, phantoms[1].ellipse, 0.2))
    (folder / "empty.png").write_bytes(b"")
    (folder / "cut.png").write_bytes((folder / phantoms[0].name).read_bytes()[:5000])
    (folder / "cut.jpg").write_bytes((folder / "quality-90.jpg").read_bytes()[:5000])
    (folder / "text.png").write_text("no image")
    (folder.parent / "sizes.csv").write_text(table(written))


def _changed(gray: np.ndarray) -> dict[str, np.ndarray]:
    """Return files by name: one scan in several formats, framed otherwise, and no scans."""
    deep = gray.astype(np.uint16)
    colour = cv2.merge([gray, gray, gray])
    noise = np.random.Generator(np.random.PCG64(0)).integers(0, 256, gray.shape, dtype=np.uint8)
    return {
        "colour.png": colour,
        "with-alpha.png": cv2.merge([gray, gray, gray, np.full_like(gray, 255)]),
        "16-bit.png": deep * 257,
        "12-bit-in-16.png": deep * 16,
        "quality-90.jpg": gray,
        "colour.jpg": colour,
        "gray.bmp": gray,
        "colour.bmp": colour,
        "gray.tif": gray,
        "16-bit.tif": deep * 257,
        "colour.tif": colour,
        "gray.pgm": gray,
        "16-bit.pgm": deep * 257,
        "colour.ppm": colour,
        "black.png": np.zeros_like(gray),
        "noise.png": noise,
        "inverted.png": 255 - gray,
        "upside-down.png": np.ascontiguousarray(gray[::-1]),
        "half.png": np.ascontiguousarray(gray[:, : gray.shape[1] // 2]),
        "squeezed.png": cv2.resize(gray, (gray.shape[1] // 2, gray.shape[0])),
        "padded-2.png": np.pad(gray, [(n // 2, n // 2) for n in gray.shape]),
        "padded-3.png": np.pad(gray, [(n, n) for n in gray.shape]),
        "tiny.png": np.ascontiguousarray(gray[:8, :8]),
    }


def make_films(folder: Path, *_: Path) -> None:
    """Write a film and a coloured image in every encoding, and films of real machines."""
    scan = make_phantom(3, height=270, width=400).image
    film = np.stack([scan, np.roll(scan, 6, axis=1), np.zeros_like(scan), scan[:, ::-1]])
    tinted = np.stack([scan, scan, (scan * 0.9).astype(np.uint8)], axis=-1)
    for name, frames in (("film", film), ("tinted", tinted)):
        base = dicom_files.write(folder / f"{name}.dcm", frames, pixel_mm=_PIXEL_SIZE_MM)
        (below := folder / name).mkdir()
        for make in (encodings, mislabelled, rare) if name == "film" else (encodings, mislabelled):
            (below / make.__name__).mkdir()
            for _ in make(base, below / make.__name__):
                pass
    (shipped := folder / "shipped").mkdir()
    for real in real_files():
        shutil.copy(real.path, shipped / real.name)
    dicom_files.write(folder / "unsized.dcm", scan, pixel_mm=None)
    dicom_files.write(folder / "two-sizes.dcm", scan, pixel_mm=(0.3, 0.25))


def make_instances(folder: Path, sizes: Path, *scans: Path) -> None:
    """Write images as a machine sends them, with their sizes, a film and one that is coloured."""
    with sizes.open(newline="") as stream:
        size_mm = {name: float(size) for name, size, *_ in list(csv.reader(stream))[1:]}
    for path in scans:
        gray = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        size = size_mm[path.name]
        dicom_files.write(folder / f"{path.stem}.dcm", gray, pixel_mm=(size, size))
    scan = make_phantom(3, height=270, width=400).image
    film = np.stack([np.roll(scan, 3 * i, axis=1) for i in range(12)])
    dicom_files.write(folder / "film.dcm", film, pixel_mm=_PIXEL_SIZE_MM)
    colours = np.stack([film, film, film], axis=-1)
    dicom_files.write(
        folder / "colours.dcm", colours, pixel_mm=_PIXEL_SIZE_MM, photometric="YBR_FULL"
    )


if __name__ == "__main__":
    makers = {"phantoms": make_phantoms, "films": make_films, "instances": make_instances}
    makers[sys.argv[1]](*map(Path, sys.argv[2:]))
