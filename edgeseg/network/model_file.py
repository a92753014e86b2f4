"""A model file's bytes, refused where they are not all of the model."""

from __future__ import annotations

import re
from pathlib import Path

from edgeseg.errors import ModelError
from edgeseg.system.text import describe_text_file

_LARGEST = 2**31 - 1  # bytes that protobuf reads
# OpenVINO reads values from other files in any folder, and onnxruntime 1.20 some from the folder in
# which it was started. Their place stands under the key `location`: the first field of a protobuf
# message, its tag and its length written in any of the ways that parsers read.
_ELSEWHERE = re.compile(rb"(?:\x0a|\x8a\x80*\x00)(?:\x08|\x88\x80*\x00)location")
_COMPILED_PART = b"EPContext"  # an operator whose work lies in a file made for one device


def read_model(path: Path, *, known: bool = False) -> bytes:
    """Read a model file; `ModelError` if it cannot be read whole, or keeps parts in other files.

    One that is ``known``, since its hash says what it is, is not looked through.
    """
    data = read_bytes(path)
    if known:
        return data
    if refers_to_files(data):
        raise ModelError(
            f"{path}: the model keeps values in another file (or calls a value 'location'); save "
            "it as a single file, with onnx.save(onnx.load(FILE), OUT)"
        )
    if _COMPILED_PART in data:
        raise ModelError(
            f"{path}: the model holds parts that were compiled for one device ('EPContext'); use "
            "the file they were made from"
        )
    return data


def read_bytes(path: Path) -> bytes:
    """Read a file that may be a model; `ModelError` if it cannot be one."""
    try:
        if path.stat().st_size > _LARGEST:
            raise ModelError(f"{path}: larger than the 2 GiB that a single ONNX file can have")
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    if text := describe_text_file(data):
        raise ModelError(f"{path}: {text}")
    return data


def refers_to_files(data: bytes) -> bool:
    """Tell whether an ONNX file says of a tensor that it lies in another (or may say so)."""
    return _ELSEWHERE.search(data) is not None
