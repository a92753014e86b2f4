"""Memory that training steps use again and again."""

from __future__ import annotations

import ctypes
import platform

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # mallopt(3)
_NEVER = -1


def keep_freed_memory() -> bool:
    """Let freed memory stay with this process; return whether the allocator could be told.

    Activations of a training step are tens of megabytes each. glibc takes each from the system and
    gives it back, and the system clears every page again, which makes each step slower. Elsewhere
    nothing is changed.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, _NEVER))
