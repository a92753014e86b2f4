"""A model file's bytes: read whole, and refused where they refer to any other file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from edgeseg.errors import ModelError

_LARGEST = 2**31 - 1  # bytes that protobuf reads
# The one key by which a tensor names the file that holds its values, and an operator that does.
_LOCATION, _COMPILED_PART = b"location", b"EPContext"
_ORT_FORMAT = b"ORTM"

# Fields, by number, of each kind of message of an ONNX file in which a tensor can lie.
_WITHIN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14  # fields of a tensor


def read_model(path: Path, *, known: bool = False) -> bytes:
    """Read a model file and refuse one that is not all of its model.

    Engines look for what it refers to beside themselves, in whatever folder they were started, so
    that one file would be several models.

    Parameters
    ----------
    known
        Whether its hash says what it is: then it is not looked through.

    Raises
    ------
    ModelError
        If it cannot be read, is larger than an ONNX file can be, or refers to another file.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise ModelError(f"{path}: larger than the 2 GiB that a single ONNX file can have")
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    if known:
        return data
    try:
        elsewhere = _LOCATION in data and _has_tensor_elsewhere(data)
    except IndexError as error:
        raise ModelError(f"{path}: no model, or a damaged one ({error})") from error
    if elsewhere:
        raise ModelError(
            f"{path}: the model keeps values in another file; save it as a single file, with "
            "onnx.save(onnx.load(FILE), OUT)"
        )
    if _COMPILED_PART in data:
        raise ModelError(
            f"{path}: the model holds parts that were compiled for one device ('EPContext'); use "
            "the file they were made from"
        )
    return data


class _Field(NamedTuple):
    number: int
    value: int  # of those that are numbers
    start: int
    end: int  # of those that are bytes; equal to the start otherwise


def _has_tensor_elsewhere(data: bytes) -> bool:
    """Tell whether a tensor anywhere in an ONNX file says that it lies in another.

    Raises
    ------
    IndexError
        If it is no such file.
    """
    if data[4:8] == _ORT_FORMAT:
        return False  # onnxruntime's own format, which has no such reference
    view = memoryview(data)
    pending = [("model", 0, len(data))]
    while pending:
        kind, start, end = pending.pop()
        for field in _fields(view, start, end):
            if kind == "tensor":
                if field.number == _EXTERNAL_DATA:
                    return True
                if field.number == _DATA_LOCATION and field.value:
                    return True
            elif field.number in _WITHIN[kind]:
                pending.append((_WITHIN[kind][field.number], field.start, field.end))
    return False


def _fields(view: memoryview, start: int, end: int) -> Iterator[_Field]:
    """Yield the fields of a protobuf message.

    Raises
    ------
    IndexError
        If it is none.
    """
    at, depth = start, 0  # depth: of groups, which ONNX has none of and parsers pass over
    while at < end:
        tag, at = _number(view, at, end)
        number, wire = tag >> 3, tag & 7
        value, begins, ends = 0, at, at
        if wire == 0:
            value, ends = _number(view, at, end)
        elif wire == 1:
            ends = at + 8
        elif wire == 2:
            length, begins = _number(view, at, end)
            ends = begins + length
        elif wire == 5:
            ends = at + 4
        elif wire in (3, 4):
            depth += 1 if wire == 3 else -1
        else:
            raise IndexError(f"no field at {at}")
        if ends > end or depth < 0:
            raise IndexError(f"a field ends at {ends}, after its message")
        if depth == 0 and wire in (0, 2):
            yield _Field(number, value, begins, ends if wire == 2 else begins)
        at = ends


def _number(view: memoryview, at: int, end: int) -> tuple[int, int]:
    """Return a number of variable length, and where it ends."""
    value = shift = 0
    while at < end and shift < 70:
        byte = view[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise IndexError(f"no number at {at}")
