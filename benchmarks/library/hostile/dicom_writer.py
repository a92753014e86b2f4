"""DICOM files of one phantom, written byte by byte, so that any part can be wrong."""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np

from edgeseg.phantom.head import make_phantom

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
DEFLATED, RLE = "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.5"
JPEG, LOSSLESS = "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70"
JPEG_2000, JPEG_LS, VIDEO = (f"1.2.840.10008.1.2.4.{n}" for n in (90, 80, 102))
_CINE, DIRECTORY = "1.2.840.10008.5.1.4.1.1.3.1", "1.2.840.10008.1.3.10"
UNDEFINED = 0xFFFFFFFF
_LONG = {"OB", "OW", "OF", "OD", "SQ", "UN", "UT", "UC", "UR", "OL", "OV", "SV", "UV"}
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
CHARSET, REGIONS, LEFT_OUT = 0x00080005, 0x00186011, 0x00091010
SAMPLES, PHOTOMETRIC, PLANAR, FRAMES = 0x00280002, 0x00280004, 0x00280006, 0x00280008
ROWS, COLUMNS, ALLOCATED, STORED = 0x00280010, 0x00280011, 0x00280100, 0x00280101
HIGH, SIGNED, PIXELS, EXTENDED = 0x00280102, 0x00280103, 0x7FE00010, 0x7FE00001
TABLES = (0x00281201, 0x00281202, 0x00281203)
_DESCRIPTORS = (0x00281101, 0x00281102, 0x00281103)


@dataclass(frozen=True)
class Element:
    """A data element.

    Attributes
    ----------
    value
        Its bytes, or the items of a sequence.
    length
        Stated instead of the real one; ``UNDEFINED`` of bytes is stated without an end.
    """

    tag: int
    vr: str
    value: bytes | tuple[Elements, ...]
    length: int | None = None


Elements = tuple[Element, ...]


@dataclass(frozen=True)
class File:
    """What a file is written from.

    Attributes
    ----------
    fragments
        Of encapsulated pixels, the offset table first; None where pixels are an element's bytes.
    real
        Syntax that the elements are written in, if it is not the stated one.
    """

    syntax: str
    elements: Elements
    fragments: tuple[bytes, ...] | None = None
    real: str = ""
    preamble: bool = True
    undefined: bool = False
    meta: Elements = field(default=())

    def get(self, tag: int) -> Element | None:
        """Return an element of the first level."""
        return next((each for each in self.elements if each.tag == tag), None)

    def put(self, element: Element) -> File:
        """Return it with an element in its place."""
        others = [each for each in self.elements if each.tag != element.tag]
        return replace(self, elements=tuple(sorted([*others, element], key=lambda e: e.tag)))

    def without(self, tag: int) -> File:
        """Return it without an element."""
        return replace(self, elements=tuple(each for each in self.elements if each.tag != tag))


def written(file: File) -> bytes:
    """Return a file's bytes."""
    real = file.real or file.syntax
    body = elements_of(file.elements, real, undefined=file.undefined)
    if file.fragments is not None:
        order = ">" if real == BIG else "<"
        head = header_of(Element(PIXELS, "OB", b""), real, UNDEFINED)
        parts = [tag_of(order, ITEM) + struct.pack(order + "I", len(p)) + p for p in file.fragments]
        body += b"".join([head, *parts, tag_of(order, SEQUENCE_END) + bytes(4)])
    if real == DEFLATED:
        packing = zlib.compressobj(wbits=-15)
        body = packing.compress(body) + packing.flush()
    if not file.preamble:
        return body
    meta = (
        *(Element(0x00020001, "OB", b"\0\1"), Element(0x00020002, "UI", _CINE.encode())),
        *(Element(0x00020003, "UI", b"1.2.3"), Element(0x00020010, "UI", file.syntax.encode())),
        *file.meta,
    )
    known = elements_of(meta, EXPLICIT)
    length = elements_of((Element(0x00020000, "UL", struct.pack("<I", len(known))),), EXPLICIT)
    return bytes(128) + b"DICM" + length + known + body


def tag_of(order: str, tag: int) -> bytes:
    """Return a tag's bytes; ``order`` as in `struct`."""
    return struct.pack(order + "HH", tag >> 16, tag & 0xFFFF)


def header_of(element: Element, syntax: str, length: int) -> bytes:
    """Return what comes before an element's value."""
    order = ">" if syntax == BIG else "<"
    tag = tag_of(order, element.tag)
    if syntax == IMPLICIT:
        return tag + struct.pack("<I", length)
    vr = element.vr.encode("latin-1")
    if element.vr in _LONG:
        return tag + vr + struct.pack(order + "HI", 0, length)
    return tag + vr + struct.pack(order + "H", length & 0xFFFF)


def elements_of(elements: Elements, syntax: str, *, undefined: bool = False) -> bytes:
    """Return elements' bytes; ``undefined`` leaves the lengths of sequences open."""
    order, parts = ">" if syntax == BIG else "<", []
    for element in elements:
        value = element.value
        if isinstance(value, bytes):
            value += (b"\0" if element.vr in ("UI", "OB") else b" ") * (len(value) % 2)
            length = len(value)
        else:
            length = UNDEFINED if undefined else -1
            value = _items(value, syntax, undefined=undefined)
            length = len(value) if length < 0 else length
        length = length if element.length is None else element.length
        parts += [header_of(element, syntax, length), value]
        if undefined and not isinstance(element.value, bytes):
            parts.append(tag_of(order, SEQUENCE_END) + bytes(4))
    return b"".join(parts)


def _items(items: tuple[Elements, ...], syntax: str, *, undefined: bool) -> bytes:
    order, parts = ">" if syntax == BIG else "<", []
    for item in items:
        body = elements_of(item, syntax, undefined=undefined)
        length = UNDEFINED if undefined else len(body)
        parts += [tag_of(order, ITEM), struct.pack(order + "I", length), body]
        if undefined:
            parts.append(tag_of(order, ITEM_END) + bytes(4))
    return b"".join(parts)


def numbers(tag: int, *values: int, order: str = "<") -> Element:
    """Return an element of 16-bit numbers."""
    return Element(tag, "US", struct.pack(f"{order}{len(values)}H", *(v & 0xFFFF for v in values)))


def region_of(x0: int, y0: int, x1: int, y1: int, order: str, delta_cm: float = 0.01) -> Elements:
    """Return the item of an ultrasound region."""
    corners = zip((0x00186018, 0x0018601A, 0x0018601C, 0x0018601E), (x0, y0, x1, y1), strict=True)
    return (
        *(numbers(0x00186012, 1, order=order), numbers(0x00186014, 1, order=order)),
        Element(0x00186016, "UL", struct.pack(order + "I", 0)),
        *(Element(tag, "UL", struct.pack(order + "I", at % 2**32)) for tag, at in corners),
        *(numbers(0x00186024, 3, order=order), numbers(0x00186026, 3, order=order)),
        Element(0x0018602C, "FD", struct.pack(order + "d", delta_cm)),
        Element(0x0018602E, "FD", struct.pack(order + "d", delta_cm)),
    )


def _file(
    pixels: np.ndarray, photometric: str, syntax: str = EXPLICIT, bits: int = 8, **more: Any
) -> File:
    """Return a file of frames as they are stored, shape (N, H, W) or (N, H, W, 3)."""
    order = ">" if syntax == BIG else "<"
    n_frames, height, width = pixels.shape[:3]
    n_samples = 3 if pixels.ndim == 4 else 1
    kind = np.dtype(f"{order}u{1 if bits == 8 else 2}")
    coded = more.get("fragments") is not None
    data = Element(PIXELS, "OB" if bits == 8 else "OW", pixels.astype(kind).tobytes())
    elements = (
        *(Element(CHARSET, "CS", b"ISO_IR 100"), Element(0x00080016, "UI", _CINE.encode())),
        *(Element(0x00080018, "UI", b"1.2.3"), Element(0x00080060, "CS", b"US")),
        Element(0x00100010, "PN", b"Doe^Jane"),
        Element(REGIONS, "SQ", (region_of(0, 0, width - 1, height - 1, order),)),
        numbers(SAMPLES, n_samples, order=order),
        Element(PHOTOMETRIC, "CS", photometric.encode()),
        *((numbers(PLANAR, 0, order=order),) if n_samples == 3 else ()),
        Element(FRAMES, "IS", b"%d" % n_frames),
        *(numbers(ROWS, height, order=order), numbers(COLUMNS, width, order=order)),
        *(numbers(ALLOCATED, 8 * kind.itemsize, order=order), numbers(STORED, bits, order=order)),
        *(numbers(HIGH, bits - 1, order=order), numbers(SIGNED, 0, order=order)),
        *more.pop("tables", ()),
        *(() if coded else (data,)),
    )
    return File(syntax, elements, **more)


def _palette(entries: int = 256, *, segments: bool = False) -> Elements:
    ramp = np.linspace(0, 65535, entries).astype("<u2")
    line = struct.pack("<3H", 0, 1, 0) + struct.pack("<3H", 1, entries - 1, 65535)
    places = [tag + 0x20 for tag in TABLES] if segments else TABLES
    return (
        *(numbers(tag, entries, 0, 16) for tag in _DESCRIPTORS),
        *(Element(tag, "OW", line if segments else ramp.tobytes()) for tag in places),
    )


def _run_lengths(plane: np.ndarray) -> bytes:
    """Return one plane as RLE's header and segment, of literal runs alone."""
    runs = [plane.tobytes()[i : i + 128] for i in range(0, plane.size, 128)]
    packed = b"".join(bytes([len(run) - 1]) + run for run in runs)
    return struct.pack("<16I", 1, 64, *[0] * 14) + packed + bytes(len(packed) % 2)


def _streams(encode: Callable[[np.ndarray], bytes], frames: np.ndarray) -> tuple[bytes, ...]:
    coded = [encode(frame) for frame in frames]
    padded = [stream + bytes(len(stream) % 2) for stream in coded]
    starts = np.cumsum([0, *(len(stream) + 8 for stream in padded[:-1])])
    return (struct.pack(f"<{len(starts)}I", *starts), *padded)


def _jpeg(frame: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", frame)[1].tobytes()


def _jpeg_2000(frame: np.ndarray) -> bytes:
    file = cv2.imencode(".jp2", frame)[1].tobytes()
    return file[file.index(b"jp2c") + 4 :]


@functools.cache
def seeds() -> tuple[File, ...]:
    """Return whole files."""
    gray = make_phantom(1, height=72, width=96).image
    frames, two = gray[None], np.stack([gray, gray[::-1]])
    colours = np.stack([frames] * 3, axis=3)
    coded = {
        JPEG: _streams(_jpeg, frames),
        RLE: _streams(_run_lengths, frames),
    }
    if cv2.haveImageWriter("a.jp2"):
        coded[JPEG_2000] = _streams(_jpeg_2000, frames)
    deep = frames.astype(np.uint16) * 16
    return (
        _file(two, "MONOCHROME2"),
        _file(two, "MONOCHROME2", JPEG, fragments=_streams(_jpeg, two)),
        _file(frames, "MONOCHROME2"),
        _file(frames, "MONOCHROME1"),
        _file(frames, "MONOCHROME2", IMPLICIT),
        _file(frames, "MONOCHROME2", IMPLICIT, preamble=False),
        _file(deep, "MONOCHROME2", BIG, 12),
        _file(deep, "MONOCHROME2", DEFLATED, 12),
        _file(colours, "RGB"),
        _file(colours, "YBR_FULL", undefined=True),
        _file(frames, "PALETTE COLOR", tables=_palette()),
        _file(frames, "PALETTE COLOR", tables=_palette(segments=True)),
        *(_file(frames, "MONOCHROME2", syntax, fragments=f) for syntax, f in coded.items()),
        _file(colours, "YBR_FULL_422", JPEG, fragments=_streams(_jpeg, colours)),
    )
