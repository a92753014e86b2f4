"""An ONNX file as bytes of protobuf: metadata is appended, weights beside it are taken in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

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
_DAMAGED = "it is no ONNX file, or a damaged one"


def append_metadata(model: bytes, key: str, value: str) -> bytes:
    """Return a model with one more text: a field at a message's end belongs to the message."""
    entry = _field(1, key.encode()) + _field(2, value.encode())
    return model + _field(_METADATA, entry)


def find_precision(model: bytes) -> str:
    """Return ``int8``, ``fp16`` or ``fp32``: how a model keeps its weights."""
    parts = {
        (outer, inner, value)
        for part, _, graph in _fields(model)
        if part == _GRAPH
        for outer, _, content in _fields(graph)
        if outer in (_NODE, _INITIALIZER)
        for inner, _, value in _fields(content)
        if inner in (_OPERATOR, _DATA_TYPE)
    }
    if any((_NODE, _OPERATOR, operator) in parts for operator in _INTEGER_OPERATORS):
        return "int8"
    return "fp16" if (_INITIALIZER, _DATA_TYPE, _FLOAT16) in parts else "fp32"


def embed_weights(model: bytes, folder: Path) -> bytes:
    """Return a model whose initializers hold the values that they keep in files of a folder.

    `ModelError` if a file is not there, too short or outside the folder.
    """
    embed = partial(_change, number=_INITIALIZER, change=partial(_with_values, folder=folder))
    return _change(model, _GRAPH, embed)


def _with_values(tensor: bytes, folder: Path) -> bytes:
    place: dict[bytes, bytes] = {}
    for number, _, entry in _fields(tensor):
        if number == _EXTERNAL:
            key, value = (content for _, _, content in _fields(entry))
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
    kept = [whole for n, whole, _ in _fields(tensor) if n not in (_EXTERNAL, _LOCATION)]
    return b"".join(kept) + _field(_RAW_DATA, values)


def _change(message: bytes, number: int, change: Callable[[bytes], bytes]) -> bytes:
    """Return a message whose fields of a number have their content changed."""
    return b"".join(
        _field(number, change(content)) if found == number else whole
        for found, whole, content in _fields(message)
    )


def _field(number: int, content: bytes) -> bytes:
    """Return a field that holds bytes."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes([value])
    return bytes([value & 0x7F | 0x80]) + _varint(value >> 7)


def _fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield a message's fields: their number, their bytes with tag and length, and without."""
    at = 0
    while at < len(message):
        start = at
        tag, at = _read_varint(message, at)
        begin, wire = at, tag & 7
        if wire == 0:
            _, at = _read_varint(message, at)
        elif wire == 2:
            length, begin = _read_varint(message, at)
            at = begin + length
        else:
            at += {1: 8, 5: 4}.get(wire, len(message))
        if at > len(message):
            raise ModelError(_DAMAGED)
        yield tag >> 3, message[start:at], message[begin:at]


def _read_varint(message: bytes, at: int) -> tuple[int, int]:
    """Return a number of variable length, and where it ends."""
    value = 0
    for i, byte in enumerate(message[at : at + 10]):
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, at + i + 1
    raise ModelError(_DAMAGED)
