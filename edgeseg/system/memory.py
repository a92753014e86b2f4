"""Recognize errors that mean that memory ran out, whichever library raised them."""

from __future__ import annotations

import errno
import re

# Of OpenCV, onnxruntime and other C++ code, of the dynamic linker, and of threads, whose stacks
# need memory. A folder mounted without permission to execute is another trouble of the linker.
_TEXTS = re.compile(
    r"bad_alloc|OutOfMemory|Insufficient memory|[Cc]annot allocate memory|[Uu]nable to allocate|"
    r"can't start new thread|pthread_create|thread.*Resource temporarily unavailable|"
    r"failed to map segment from shared object(?!: Operation not permitted)|"
    r"error return without exception set"  # of Python itself, which had no room for the exception
)


def is_out_of_memory(error: BaseException | None) -> bool:
    """Return whether an error, or one that led to it, means that memory ran out."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            return True
        # Only of libraries: a path in a message of edgeseg's own may contain anything.
        if not isinstance(error, OSError) and _TEXTS.search(str(error)):
            return True
        error = error.__cause__ or error.__context__
    return False
