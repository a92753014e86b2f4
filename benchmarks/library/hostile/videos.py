"""Video files with wrong parts: AVI, MP4, MOV, MKV and WebM, made from one phantom."""

from __future__ import annotations

import functools
import random
import re
import tempfile
from pathlib import Path

import cv2
import numpy as np

from edgeseg.errors import EdgesegError
from edgeseg.images.frame import MAX_PIXELS
from edgeseg.images.video import read_film
from edgeseg.phantom.head import make_phantom
from library.hostile import mutations

_CODECS = (
    *(("a.avi", "MJPG"), ("b.avi", "FFV1"), ("c.mp4", "mp4v"), ("d.mov", "MJPG")),
    *(("e.mkv", "FFV1"), ("f.webm", "VP80"), ("g.webm", "VP90")),
)
# Boxes, chunks and elements in which numbers say how large something is, and how often it is there.
_MARKS = re.compile(
    rb"avih|strh|strf|movi|00dc|idx1|tkhd|mdhd|stsd|stts|stsz|stco|stsc|elst|\x16\x54\xae\x6b|\xb0|\xba"
)

_BY_LOT = re.compile(  # what Matroska's elements hold: numbers of segment and tracks, and checksums
    rb"(?<=\x73\xa4\x90).{16}|(?<=[\x63\x73]\xc5\x88).{8}|(?<=\xbf\x84).{4}", re.DOTALL
)


@functools.cache
def seeds() -> list[bytes]:
    """Return a whole film of each kind."""
    frame = np.dstack([make_phantom(1, height=72, width=96).image] * 3)
    films = []
    with tempfile.TemporaryDirectory() as folder:
        for name, codec in _CODECS:
            path, fourcc = f"{folder}/{name}", cv2.VideoWriter.fourcc(*codec)
            writer = cv2.VideoWriter(path, cv2.CAP_FFMPEG, fourcc, 10, (96, 72))
            for i in range(6):
                writer.write(np.roll(frame, i, axis=1))
            writer.release()
            # the same seed gives the same files
            data = Path(path).read_bytes()
            head = _BY_LOT.sub(lambda found: bytes(len(found[0])), data[:1024])
            films.append(head + data[1024:])
    return films


def make(rng: random.Random) -> bytes:
    """Return a file that may be a video."""
    data = bytearray(rng.choice(seeds()))
    places = [found.end() for found in _MARKS.finditer(data)]
    for _ in range(rng.randint(0, 3)):
        at, size = rng.choice(places) + 4 * rng.randrange(14), rng.choice((1, 2, 4))
        number = rng.choice(mutations.NUMBERS) % 256**size
        data[at : at + size] = number.to_bytes(size, rng.choice(("little", "big")))
    return mutations.mutated(rng, bytes(data)) if rng.random() < 0.5 else bytes(data)


def read(data: bytes, folder: Path) -> None:
    """Read all frames and hold them to what is promised."""
    path = folder / "film"
    path.write_bytes(data)
    for _, frame in read_film(path):
        if isinstance(frame, EdgesegError):
            raise frame
        gray = frame.pixels
        if gray.dtype != np.uint8 or gray.ndim != 2 or not 0 < gray.size <= MAX_PIXELS:
            raise AssertionError(f"decoded to {gray.dtype}, {gray.shape}")
