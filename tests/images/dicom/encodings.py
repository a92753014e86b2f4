"""Every encoding that can be made here of a DICOM file: by pydicom, dcmtk and OpenCV."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pydicom
from pydicom import uid

from tests.images.dicom.files import Palette, save, save_coded, several, store


class Encoded(NamedTuple):
    """A file in one encoding; ``lossless`` if what it shows is what was given, to the last bit."""

    name: str
    path: Path
    lossless: bool


class Maker:
    """Makes files of what one shows, in a folder."""

    def __init__(self, path: Path, folder: Path) -> None:
        self._path, self._folder, self._count = path, folder, 0
        frames = several(pydicom.dcmread(path).pixel_array)
        self.is_gray = frames.ndim == 3 or bool((frames == frames[..., :1]).all())
        self.frames = frames[..., 0] if self.is_gray and frames.ndim == 4 else frames
        self.colours = np.repeat(self.frames[..., None], 3, 3) if self.is_gray else frames

    def next_path(self) -> Path:
        self._count += 1
        return self._folder / f"{self._count:03d}.dcm"

    def native(self, photometric: str, **how: Any) -> Path:
        """Store it without compression, as `store` does."""
        dataset = pydicom.dcmread(self._path)
        syntax = how.pop("syntax", uid.ExplicitVRLittleEndian)
        preamble = how.pop("preamble", True)
        store(dataset, self.frames, photometric, **how)
        return save(dataset, self.next_path(), syntax, preamble=preamble)

    def coded(
        self, photometric: str, encode: Callable[[np.ndarray], bytes], syntax: str, **how: Any
    ) -> Path:
        """Store it as streams of gray values or, for OpenCV, of blue, green and red."""
        dataset = pydicom.dcmread(self._path)
        is_gray = photometric == "MONOCHROME2"
        store(dataset, self.frames if is_gray else self.colours, photometric)
        frames = self.frames if is_gray else self.colours[..., ::-1]
        return save_coded(dataset, [*map(encode, frames)], self.next_path(), syntax, **how)

    def by_dcmtk(self, command: str, *asked: object) -> Path | None:
        """Run one of dcmtk's tools, its last argument a new file; None if it is not there."""
        if shutil.which(command) is None:
            return None
        path = self.next_path()
        subprocess.run([command, *map(str, asked), str(path)], check=True)
        return path


_BARE = {"preamble": False}
# what is written of any image; the last is whether colours stay exact
_NATIVE: list[tuple[str, dict[str, Any], bool]] = [
    *(("RGB", {}, True), ("RGB", {"planar": 1}, True), ("RGB", _BARE, True)),
    ("RGB", {"syntax": uid.DeflatedExplicitVRLittleEndian}, True),
    ("RGB", {"syntax": uid.ImplicitVRLittleEndian, **_BARE}, True),
    *(("YBR_FULL", {}, False), ("YBR_FULL", {"planar": 1}, False), ("YBR_FULL_422", {}, False)),
]
_NATIVE_GRAY: list[tuple[str, dict[str, Any], bool]] = [
    *(("MONOCHROME2", {}, True), ("MONOCHROME1", {}, True), ("PALETTE COLOR", {}, True)),
    *(("MONOCHROME2", {"bits": 12}, True), ("MONOCHROME2", {"bits": 16}, True)),
    ("MONOCHROME1", {"bits": 12}, True),
    ("PALETTE COLOR", {"palette": Palette(entry_bits=8)}, True),
    ("PALETTE COLOR", {"palette": Palette(16, first=1000)}, True),
    ("PALETTE COLOR", {"palette": Palette(segmented=True)}, True),
    ("PALETTE COLOR", {"palette": Palette(16, 16, 300, True)}, True),
]
_RECODED = ("RGB", "YBR_FULL", "MONOCHROME2", "MONOCHROME2 bits=12", "PALETTE COLOR")
_WRITTEN = {
    "implicit": "+ti", "big endian": "+tb", "bare, explicit": "-F +te", "undefined lengths": "-e",
    "group lengths": "+g",
}  # fmt: skip
# dcmtk's tools without loss
_LOSSLESS = {
    "RLE": "dcmcrle", "lossless JPEG": "dcmcjpeg +e1", "JPEG in parts": "dcmcjpeg +e1 +fs 1 -ot",
    "JPEG, predictor 6": "dcmcjpeg +el", "JPEG, predictor 4": "dcmcjpeg +el +sv 4",
    "JPEG-LS": "dcmcjpls +el +il", "JPEG-LS, by pixels": "dcmcjpls +el +is",
    "JPEG-LS, by planes": "dcmcjpls +el +in",
}  # fmt: skip
_JPEG_2000 = cv2.IMWRITE_JPEG2000_COMPRESSION_X1000
_4_2_2 = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422


def encodings(path: Path, folder: Path, *, every: bool = True) -> Iterator[Encoded]:
    """Yield a file in the encodings that can be made of it here, each once, in an empty folder.

    It is as `write` leaves it, ``MONOCHROME2`` of 8 bits or ``RGB``; of gray values more are made.
    dcmtk makes those of ``every`` way to store pixels, or of one.
    """
    maker, sources = Maker(path, folder), {}
    for photometric, how, is_exact in _NATIVE + (_NATIVE_GRAY if maker.is_gray else []):
        name = " ".join([photometric, *(f"{key}={value}" for key, value in how.items())])
        exact = maker.is_gray or is_exact
        sources[name] = Encoded(name, maker.native(photometric, **how), exact)
    yield from sources.values()
    whole = sources["RGB"].path.read_bytes()
    (lacking := maker.next_path()).write_bytes(whole[128 + len("DICM") :])
    yield Encoded("rgb, no preamble before its meta information", lacking, True)
    names = _RECODED if every else _RECODED[:1]
    for source in (sources[name] for name in names if name in sources):
        for name, asked in _WRITTEN.items():
            written = maker.by_dcmtk("dcmconv", *asked.split(), source.path)
            yield from _made(f"{source.name}, dcmtk: {name}", written, source.lossless)
        for name, asked in _LOSSLESS.items():
            if "bits=12" not in source.name or "JPEG" not in name or "JPEG-LS" in name:
                coded = maker.by_dcmtk(*asked.split(), source.path)
                yield from _made(f"{source.name}, {name}", coded, source.lossless)
    yield from _with_loss(maker, sources["RGB"], ("+s2", "+s4", "+n2", "+cr"))
    if maker.is_gray:
        yield from _with_loss(maker, sources["MONOCHROME2"], ("+s2",))
    yield from _by_opencv(maker)


def _made(name: str, path: Path | None, lossless: bool) -> Iterator[Encoded]:
    if path is not None:
        yield Encoded(name, path, lossless)


def _with_loss(maker: Maker, source: Encoded, samplings: Sequence[str]) -> Iterator[Encoded]:
    """Yield JPEG baseline, decoded again too, and JPEG-LS that is nearly lossless."""
    for sampling in samplings:
        coded = maker.by_dcmtk("dcmcjpeg", "+eb", "+q", 95, sampling, source.path)
        yield from _made(f"{source.name}, JPEG {sampling}", coded, False)
        if coded:
            again = maker.by_dcmtk("dcmdjpeg", "+cp", "+pl", coded)
            yield from _made(f"{source.name}, JPEG {sampling}, decoded", again, False)
        if coded and sampling in ("+s4", "+cr"):
            # what a stream holds, and what the file says of it, the other way round
            said = "RGB" if sampling == "+s4" else "YBR_FULL_422"
            dataset = pydicom.dcmread(coded)
            dataset.PhotometricInterpretation = said
            dataset.save_as(copy := maker.next_path())
            yield Encoded(f"{source.name}, JPEG {sampling}, stated as {said}", copy, False)
    near = maker.by_dcmtk("dcmcjpls", "+en", source.path)
    yield from _made(f"{source.name}, JPEG-LS with loss", near, False)


def _by_opencv(maker: Maker) -> Iterator[Encoded]:
    """Yield JPEG 2000, and JPEG with frames in parts and every table of their places."""
    kinds = ["RGB", "MONOCHROME2"] if maker.is_gray else ["RGB"]
    for photometric in kinds if cv2.haveImageWriter("a.jp2") else []:
        for quality, syntax in ((1000, uid.JPEG2000Lossless), (400, uid.JPEG2000)):
            coded = maker.coded(photometric, _jpeg_2000(quality), syntax)
            yield Encoded(f"{photometric}, JPEG 2000 {quality}", coded, quality == 1000)
    for offsets, fragments in (("none", 1), ("extended", 1), ("basic", 3), ("none", 3)):
        how: dict[str, Any] = {"offsets": offsets, "fragments": fragments}
        coded = maker.coded("YBR_FULL_422", jpeg, uid.JPEGBaseline8Bit, **how)
        yield Encoded(f"JPEG, offsets {offsets}, {fragments} fragments", coded, False)


def jpeg(frame: np.ndarray) -> bytes:
    options = [cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, _4_2_2]
    return cv2.imencode(".jpg", frame, options)[1].tobytes()


def _jpeg_2000(quality: int) -> Callable[[np.ndarray], bytes]:
    """Return what encodes a frame as a bare codestream; of quality 1000 nothing is lost."""

    def encode(frame: np.ndarray) -> bytes:
        file = cv2.imencode(".jp2", frame, [_JPEG_2000, quality])[1].tobytes()
        return file[file.index(b"jp2c") + len("jp2c") :]

    return encode
