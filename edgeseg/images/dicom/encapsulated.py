"""Where the frames of compressed pixel data lie in a file (DICOM PS3.5, A.4)."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import BinaryIO, NamedTuple

from edgeseg.errors import ImageDecodeError

_ITEM, _END = (0xFFFE, 0xE000), (0xFFFE, 0xE0DD)
_END_ITEM = struct.pack("<HHI", *_END, 0)
_UNDEFINED = 0xFFFFFFFF
_MOST_FRAGMENTS = 1_000_000
_END_OF_IMAGE, _TAIL = b"\xff\xd9", 10  # of JPEG and JPEG 2000; padding may follow
_DAMAGED = "the compressed pixel data is damaged or cut short; copy the file again"


class Fragment(NamedTuple):
    """A piece of compressed data: where its bytes begin in the file, and how many they are."""

    start: int
    length: int


def find_frames(
    stream: BinaryIO, n_frames: int, extended_offsets: bytes = b""
) -> list[list[Fragment]]:
    """Return the fragments of each frame; the stream is at the pixel data's value.

    Tables of offsets are believed where they point to the starts of fragments; without one, each
    fragment is a frame, or a frame ends with the fragment that ends an image.

    Raises ImageDecodeError if the data is damaged, or has not so many frames.
    """
    basic_offsets, *fragments = _read_items(stream)
    if not fragments:
        raise ImageDecodeError(_DAMAGED)
    if n_frames == 1:
        return [fragments]
    for code, table in (("Q", extended_offsets), ("I", read_frame(stream, [basic_offsets]))):
        n_offsets = len(table) // struct.calcsize(code)
        offsets = struct.unpack_from(f"<{n_offsets}{code}", table)
        if n_offsets == n_frames and (frames := _split_by_offsets(fragments, offsets)):
            return frames
    if len(fragments) == n_frames:
        return [[fragment] for fragment in fragments]
    frames = _split_by_ends(stream, fragments)
    if len(frames) != n_frames:
        raise ImageDecodeError(
            f"the file says it has {n_frames} frames, and {len(frames)} are found in it"
        )
    return frames


def ends_with_pixels(stream: BinaryIO) -> bool:
    """Tell whether a file ends as pixel data does, with nothing behind it."""
    stream.seek(max(0, stream.seek(0, io.SEEK_END) - len(_END_ITEM)))
    return stream.read() == _END_ITEM


def read_frame(stream: BinaryIO, fragments: Sequence[Fragment]) -> bytes:
    """Return a frame's compressed bytes. Raises ImageDecodeError if the file ends before them."""
    parts = []
    for start, length in fragments:
        stream.seek(start)
        parts.append(stream.read(length))
        if len(parts[-1]) != length:
            raise ImageDecodeError(_DAMAGED)
    return b"".join(parts)


def _read_items(stream: BinaryIO) -> list[Fragment]:
    """Return the items of the pixel data: the table of offsets, and the fragments."""
    found: list[Fragment] = []
    while len(head := stream.read(8)) == 8:
        *tag, length = struct.unpack("<HHI", head)
        if tuple(tag) == _END:
            break
        if tuple(tag) != _ITEM or length == _UNDEFINED:
            raise ImageDecodeError(_DAMAGED)
        found.append(Fragment(stream.tell(), length))
        if len(found) > _MOST_FRAGMENTS:
            raise ImageDecodeError(
                f"the pixel data has more than {_MOST_FRAGMENTS} pieces; save it uncompressed"
            )
        stream.seek(length, io.SEEK_CUR)
    if not found:
        raise ImageDecodeError(_DAMAGED)
    return found


def _split_by_offsets(
    fragments: Sequence[Fragment], offsets: Sequence[int]
) -> list[list[Fragment]] | None:
    """Return the frames that a table of offsets gives; None if it cannot be one of these."""
    places = {fragment.start - fragments[0].start: i for i, fragment in enumerate(fragments)}
    pairs = [*pairwise([*(places.get(offset, -1) for offset in offsets), len(fragments)])]
    if any(not 0 <= start < end for start, end in pairs):
        return None
    return [list(fragments[start:end]) for start, end in pairs]


def _split_by_ends(stream: BinaryIO, fragments: Sequence[Fragment]) -> list[list[Fragment]]:
    frames: list[list[Fragment]] = [[]]
    for fragment in fragments:
        frames[-1].append(fragment)
        stream.seek(fragment.start + max(0, fragment.length - _TAIL))
        if _END_OF_IMAGE in stream.read(min(_TAIL, fragment.length)):
            frames.append([])
    return frames if frames[-1] else frames[:-1]
