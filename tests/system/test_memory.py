from __future__ import annotations

import errno

import cv2
import pytest

from edgeseg.errors import ModelError
from edgeseg.system.text import is_out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        OSError(errno.ENOMEM, "Cannot allocate memory", "a.png"),
        cv2.error("OpenCV(4.12.0) alloc.cpp:73: error: (-4:Insufficient memory)"),
        RuntimeError("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : std::bad_alloc"),
        RuntimeError("can't start new thread"),
        ImportError("libavcodec.so.62: failed to map segment from shared object", name="cv2"),
    ],
)
def test_errors_of_libraries_that_ran_out_of_memory_and_others(error: Exception) -> None:
    assert is_out_of_memory(error)
    wrapped = ModelError("the network failed")
    wrapped.__cause__ = error
    assert is_out_of_memory(wrapped)
    text = "cv2.so: failed to map segment from shared object: Operation not permitted"
    denied = OSError(errno.EACCES, "Permission denied", "bad_alloc.png")
    assert not any(map(is_out_of_memory, (None, denied, ImportError(text))))
