"""Where the frames of compressed pixel data lie in a file (DICOM PS3.5, A.4)."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import BinaryIO, NamedTuple

from edgeseg.errors import ImageDecodeError

_ITEM, _END = 0xFFFEE000, 0xFFFEE0DD
_END_ITEM = struct.pack("<HHI", _END >> 16, _END & 0xFFFF, 0)
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
    first = _read_fragment(stream)
    if first is None:
        raise ImageDecodeError(_DAMAGED)
    stream.seek(first.start)
    table = stream.read(first.length)
    fragments = _read_fragments(stream, first.start + first.length)
    if n_frames == 1:
        return [fragments]
    for code, packed in (("Q", extended_offsets), ("I", table)):
        n_offsets = len(packed) // struct.calcsize(code)
        offsets = struct.unpack_from(f"<{n_offsets}{code}", packed)
        if (frames := _split_by_offsets(fragments, offsets, n_frames)) is not None:
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
    """Return a frame's compressed bytes.

    Raises ImageDecodeError if the file ends before them.
    """
    parts = []
    for start, length in fragments:
        stream.seek(start)
        parts.append(stream.read(length))
        if len(parts[-1]) != length:
            raise ImageDecodeError(_DAMAGED)
    return b"".join(parts)


def _read_fragment(stream: BinaryIO) -> Fragment | None:
    """Read an item's tag and length; None at the end."""
    head = stream.read(8)
    if len(head) < 8:
        return None
    group, element, length = struct.unpack("<HHI", head)
    tag = group << 16 | element
    if tag == _END:
        return None
    if tag != _ITEM or length == _UNDEFINED:
        raise ImageDecodeError(_DAMAGED)
    return Fragment(stream.tell(), length)


def _read_fragments(stream: BinaryIO, start: int) -> list[Fragment]:
    found: list[Fragment] = []
    stream.seek(start)
    while (fragment := _read_fragment(stream)) is not None:
        found.append(fragment)
        if len(found) > _MOST_FRAGMENTS:
            raise ImageDecodeError(
                f"the pixel data has more than {_MOST_FRAGMENTS} pieces; save it uncompressed"
            )
        stream.seek(fragment.start + fragment.length)
    if not found:
        raise ImageDecodeError(_DAMAGED)
    return found


def _split_by_offsets(
    fragments: Sequence[Fragment], offsets: Sequence[int], n_frames: int
) -> list[list[Fragment]] | None:
    """Return the frames that a table of offsets gives; None if it cannot be one of these."""
    if len(offsets) != n_frames:
        return None
    places = {fragment.start - fragments[0].start: i for i, fragment in enumerate(fragments)}
    starts = [places.get(offset, -1) for offset in offsets]
    pairs = [*pairwise([*starts, len(fragments)])]
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
