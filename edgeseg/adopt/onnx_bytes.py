"""An ONNX file as bytes of protobuf: metadata is appended, weights beside it are taken in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from edgeseg.errors import ModelError

# numbers of fields in ONNX's messages
_GRAPH, _METADATA = 7, 14  # of a model
_NODE, _INITIALIZER = 1, 5  # of a graph
_OPERATOR = 4  # of a node
_DATA_TYPE, _RAW_DATA, _EXTERNAL, _LOCATION = 2, 9, 13, 14  # of a tensor
_FLOAT16 = b"\x0a"
_INTEGER_OPERATORS = frozenset(
    (b"ConvInteger", b"DequantizeLinear", b"MatMulInteger", b"QLinearConv", b"QLinearMatMul")
)


class _Field(NamedTuple):
    """A field of a message: its number, its bytes with tag and length, and those without."""

    number: int
    whole: bytes
    content: bytes


def append_metadata(model: bytes, key: str, value: str) -> bytes:
    """Return a model with one more text: a field at a message's end belongs to the message."""
    entry = _field(1, key.encode()) + _field(2, value.encode())
    return model + _field(_METADATA, entry)


def find_precision(model: bytes) -> str:
    """Return ``int8``, ``fp16`` or ``fp32``: how a model keeps its weights.

    Raises
    ------
    ModelError
        If the bytes are no ONNX model.
    """
    graph = [f for m in _fields(model) if m.number == _GRAPH for f in _fields(m.content)]
    parts = [
        (f.number, part.number, part.content)
        for f in graph
        if f.number in (_NODE, _INITIALIZER)
        for part in _fields(f.content)
    ]
    if any((n, m) == (_NODE, _OPERATOR) and c in _INTEGER_OPERATORS for n, m, c in parts):
        return "int8"
    return "fp16" if (_INITIALIZER, _DATA_TYPE, _FLOAT16) in parts else "fp32"


def embed_weights(model: bytes, folder: Path) -> bytes:
    """Return a model whose initializers hold the values that they keep in files of a folder.

    Raises
    ------
    ModelError
        If the bytes are no ONNX model, or a file is not there, too short or outside the folder.
    """
    parts = []
    for field in _fields(model):
        whole = field.whole
        if field.number == _GRAPH:
            graph = [
                _field(_INITIALIZER, _with_values(each.content, folder))
                if each.number == _INITIALIZER
                else each.whole
                for each in _fields(field.content)
            ]
            whole = _field(_GRAPH, b"".join(graph))
        parts.append(whole)
    return b"".join(parts)


def _with_values(tensor: bytes, folder: Path) -> bytes:
    fields = list(_fields(tensor))
    place: dict[bytes, bytes] = {}
    for field in fields:
        if field.number == _EXTERNAL:
            key, value = (each.content for each in _fields(field.content))
            place[key] = value
    if not place:
        return tensor
    path = folder / place[b"location"].decode()
    if not path.resolve().is_relative_to(folder.resolve()):
        raise ModelError(f"{path}: lies outside the model's folder; put the weights beside it")
    start, length = int(place.get(b"offset", 0)), int(place.get(b"length", -1))
    try:
        with path.open("rb") as stream:
            stream.seek(start)
            values = stream.read(length)
    except OSError as error:
        raise ModelError(
            f"{path}: the model's weights cannot be read ({error.strerror}); put them beside it, "
            "named as when it was exported"
        ) from error
    kept = [field.whole for field in fields if field.number not in (_EXTERNAL, _LOCATION)]
    return b"".join(kept) + _field(_RAW_DATA, values)


def _field(number: int, content: bytes) -> bytes:
    """Return a field that holds bytes."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _fields(message: bytes) -> Iterator[_Field]:
    at = 0
    while at < len(message):
        start = at
        tag, at = _read_varint(message, at)
        number, wire = tag >> 3, tag & 7
        content = at
        if wire == 0:
            _, at = _read_varint(message, at)
        elif wire == 2:
            length, content = _read_varint(message, at)
            at = content + length
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            at = len(message) + 1
        if at > len(message):
            raise ModelError("it is no ONNX file, or a damaged one")
        yield _Field(number, message[start:at], message[content:at])


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    """Return a number of variable length, and where it ends."""
    value = shift = 0
    while at < len(message) and shift < 70:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ModelError("it is no ONNX file, or a damaged one")
