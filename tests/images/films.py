"""Films of phantoms as video files, and files that say of themselves what is not so."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np

FPS = 12.5
CODECS = {
    "a.avi": "MJPG", "b.avi": "FFV1", "c.mkv": "FFV1", "d.mp4": "mp4v", "e.mov": "mp4v",
    "f.webm": "VP80",
}  # fmt: skip


def write(path: Path, frames: np.ndarray, codec: str = "MJPG", fps: float = FPS) -> Path:
    """Write gray frames, (n, height, width), as a film."""
    height, width = frames.shape[1:]
    fourcc = cv2.VideoWriter.fourcc(*codec)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, fps, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(np.dstack([frame] * 3))
    writer.release()
    return path


def read(path: Path) -> list[np.ndarray]:
    """Return a film's frames as OpenCV gives them."""
    capture, frames = cv2.VideoCapture(str(path)), []
    while (read := capture.read())[0]:
        frames.append(read[1])
    return frames


def patch(path: Path, *values: tuple[bytes, int, bytes]) -> Path:
    """Overwrite bytes of an AVI file, each so far behind a mark."""
    data = bytearray(path.read_bytes())
    for mark, offset, value in values:
        at = data.index(mark) + offset
        data[at : at + len(value)] = value
    path.write_bytes(data)
    return path


def claim_frames(path: Path, n: int) -> Path:
    """Have an AVI file claim so many frames."""
    number = struct.pack("<I", n)
    return patch(path, (b"avih", 24, number), (b"strh", 40, number))


def claim_size(path: Path, width: int, height: int) -> Path:
    """Have an AVI file claim frames of such a size, and hold the first of them uncompressed."""
    size, raw = struct.pack("<2I", width, height), bytes(4)
    return patch(path, (b"avih", 40, size), (b"strf", 12, size), (b"strf", 24, raw))


def claim_no_rate(path: Path) -> Path:
    """Have an AVI file claim no frame a second."""
    return patch(path, (b"avih", 8, bytes(4)), (b"strh", 28, bytes(8)))


def move_index_first(path: Path) -> Path:
    """Move the index of an MP4 file to its start, from where it survives a cut."""
    data, boxes, at = path.read_bytes(), dict[bytes, bytes](), 0
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        boxes[name] = data[at : at + length]
        at += length
    index = bytearray(boxes.pop(b"moov"))
    at = index.index(b"stco") + 8
    (n,) = struct.unpack_from(">I", index, at)
    places = struct.unpack_from(f">{n}I", index, at + 4)
    struct.pack_into(f">{n}I", index, at + 4, *(place + len(index) for place in places))
    path.write_bytes(boxes.pop(b"ftyp") + index + b"".join(boxes.values()))
    return path


def cut(path: Path, share: float) -> Path:
    """Cut a file short."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path
