"""Model files and their metadata with wrong parts, made from the bundled models."""

from __future__ import annotations

import copy
import functools
import json
import math
import random
from pathlib import Path
from typing import Any

from edgeseg.network import zoo
from edgeseg.network.metadata import METADATA_KEY, ModelMetadata
from edgeseg.network.task import Task
from edgeseg.phantom.head import make_phantom
from library.hostile import mutations

_MODELS = ("hc18-nano", "hc18-nano", "hc18-nano", "hc18-edge-int8")
# Fields of an ONNX file's messages in which others lie; names of messages are of this file.
_WITHIN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 8: "leaf", 14: "leaf"},
    "graph": {1: "node", 5: "leaf", 11: "value", 12: "value", 13: "value"},
    "node": {5: "attribute"},
    "attribute": {5: "leaf", 6: "graph"},
    "value": {2: "type"},
    "type": {1: "tensor_type"},
    "tensor_type": {2: "shape"},
    "shape": {1: "leaf"},
    "leaf": {},
}
_CLASSES = (
    "lesion",
    "cyst 2",
    "äé",
    "\ud800",
    "=1+1",
    "\x1b[31m",
    "\u202e",
    "a,b",
    " ",
    "x" * 3000,
)
_VALUES: tuple[Any, ...] = (
    *(None, True, "", "a", "\ud800", "\x1b[31m", "<img>|", "x" * 5000, -1, 0, 1, 2**31, 10**400),
    *(math.nan, math.inf, -math.inf, 1e308, 1e-320, 0.5, [], {}, [[]], [1, 2], [0.9, 0.1], "0.5"),
    *([math.nan] * 2, [10**400] * 2, {"kind": "regions"}, {"kind": "head"}, ["a", "b"], ["\ud800"]),
    {"kind": "regions", "classes": ["background", "\ud800"]},
    {"kind": "regions", "classes": ["background", "=1+1", "\x1b[31m"], "exclusive": 3},
)


def make(rng: random.Random) -> bytes:
    """Return a file that may be a model."""
    data = _model(rng.choice(_MODELS))
    how = rng.random()
    if how < 0.15:
        return _with_metadata(data, make_metadata(rng))
    for _ in range(rng.choice((0, 1, 1, 2, 3)) if how > 0.3 else 0):
        data = _mutated(rng, data, "model")
    return mutations.mutated(rng, data, 2) if how < 0.4 else data


def read(data: bytes, folder: Path) -> None:
    """Open it and measure a phantom."""
    from edgeseg.segmenter import Segmenter

    path = folder / "model.onnx"
    path.write_bytes(data)
    prediction = Segmenter(path, device="cpu", threads=1).predict(_scan(), 0.2)
    json.dumps(prediction.to_dict(), allow_nan=False)  # as results hold it
    if prediction.status not in ("ok", "doubtful", "empty"):
        raise AssertionError(f"the status is {prediction.status!r}")
    if not 0 <= (prediction.confidence or 0) <= 1:
        raise AssertionError(f"the confidence is {prediction.confidence}")


@functools.cache
def _model(name: str) -> bytes:
    return zoo.find(name).path.read_bytes()


@functools.cache
def _scan() -> Any:
    return make_phantom(81, height=135, width=200).image


@functools.cache
def _metadata(name: str) -> dict[str, Any]:
    data = _model(name)
    entry = next(v for n, v in _split(data) if n == 14 and METADATA_KEY.encode() in v[:20])
    values: dict[str, Any] = json.loads(dict(_split(entry))[2])
    return values


def make_metadata(rng: random.Random) -> bytes:
    """Return a text that may be a model's metadata."""
    values = copy.deepcopy(_metadata(rng.choice(_MODELS)))
    if rng.random() < 0.2:
        values["schema_version"] = 2
        values["task"] = Task("regions", ("background", rng.choice(_CLASSES)), False).as_dict()
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        _change_value(rng, values)
    text = json.dumps(values, ensure_ascii=rng.random() < 0.9).encode(errors="replace")
    how = rng.random()
    if how < 0.15:
        return mutations.mutated(rng, text)
    if how < 0.2:  # deeper, or longer, than any reader should follow
        deep = rng.choice(
            (b"[" * 10**5, b'{"a":' * 10**5, b"9" * 10**5, b'"' + b"a" * 2**21 + b'"')
        )
        return text.replace(b"0.5", deep, 1)
    return text


def read_metadata(data: bytes, folder: Path) -> None:
    """Parse it, and hold it to what is promised of metadata that was taken."""
    metadata = ModelMetadata.from_json(data.decode("utf-8", errors="replace"))
    if ModelMetadata.from_json(metadata.to_json()) != metadata:
        raise AssertionError("what it writes reads as another")
    " ".join(metadata.task.classes).encode()  # titles of columns


def _change_value(rng: random.Random, values: Any) -> None:
    """Change something in a tree of JSON values."""
    keys: list[Any] = [*values] if isinstance(values, dict) else [*range(len(values))]
    if not keys:
        return
    key = rng.choice(keys)
    if isinstance(values[key], dict | list) and rng.random() < 0.7:
        _change_value(rng, values[key])
    elif rng.random() < 0.15:
        del values[key]
    elif rng.random() < 0.1:
        values[key] = copy.deepcopy(values[rng.choice(keys)])
    else:
        values[key] = copy.deepcopy(rng.choice(_VALUES))


def _with_metadata(data: bytes, text: bytes) -> bytes:
    fields = _split(data)
    entry = _join([(1, METADATA_KEY.encode()), (2, text)])
    kept = [(n, v) for n, v in fields if n != 14]
    return _join([*kept, (14, entry)])


def _mutated(rng: random.Random, data: bytes, kind: str) -> bytes:
    """Return a protobuf message in which one field, somewhere below, is another."""
    fields = _split(data)
    if not fields:
        return data
    i = rng.randrange(len(fields))
    if kind == "model" and rng.random() < 0.8:  # most of a model is its graph
        i = next((k for k, (n, _) in enumerate(fields) if n == 7), i)
    number, value = fields[i]
    below = _WITHIN[kind].get(number)
    if below and isinstance(value, bytes) and rng.random() < 0.9:
        fields[i] = (number, _mutated(rng, value, below))
        return _join(fields)
    how = rng.randrange(6)
    other = rng.randrange(len(fields))
    if how == 0:
        del fields[i]
    elif how == 1:
        fields[i:i] = [fields[i]] * rng.choice((1, 1, 20))
    elif how == 2:
        fields[i], fields[other] = fields[other], fields[i]
    elif how == 3:
        fields[i] = (number, fields[other][1])
    elif isinstance(value, int):
        fields[i] = (number, rng.choice((*mutations.NUMBERS, 2**63, 2**64 - 1, value + 1)))
    else:
        fields[i] = (number, mutations.mutated(rng, value, 2))
    return _join(fields)


def _split(data: bytes) -> list[tuple[int, Any]]:
    """Return a message's fields: numbers as they are, all others as bytes (floats too)."""
    fields: list[tuple[int, Any]] = []
    at = 0
    try:
        while at < len(data):
            tag, at = _number(data, at)
            if tag & 7 == 0:
                value, at = _number(data, at)
                fields.append((tag >> 3, value))
            elif tag & 7 == 2:
                length, at = _number(data, at)
                fields.append((tag >> 3, data[at : at + length]))
                at += length
            elif tag & 7 == 5:
                fields.append((tag >> 3, bytearray(data[at : at + 4])))
                at += 4
            else:
                break
    except IndexError:
        pass  # of a part that an earlier change broke
    return fields


def _join(fields: list[tuple[int, Any]]) -> bytes:
    parts = []
    for number, value in fields:
        if isinstance(value, int):
            parts.append(_written(number << 3) + _written(value))
        elif isinstance(value, bytearray):
            parts.append(_written(number << 3 | 5) + value)
        else:
            parts.append(_written(number << 3 | 2) + _written(len(value)) + value)
    return b"".join(parts)


def _number(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return value, at


def _written(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
