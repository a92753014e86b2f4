"""What CUDA needs besides onnxruntime: libraries that pip installed, and how it computes."""

from __future__ import annotations

import contextlib
import io
from typing import Any

from edgeseg.system.text import first_line

CUDA_OPTIONS = {
    # in 32 bits, as the CPU does: the card's short format moves outlines
    "use_tf32": "0",
    # the last images of a round are of any number, and each would wait for a full search
    "cudnn_conv_algo_search": "HEURISTIC",
}


def load_libraries(onnxruntime: Any) -> str:
    """Load CUDA's libraries where pip has put them; return what failed, for an error.

    Without, only those of the system are found.
    """
    if not hasattr(onnxruntime, "preload_dlls"):  # before version 1.21
        return ""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            onnxruntime.preload_dlls()
        except Exception as error:  # of a broken installation, which opening the session reports
            return f" ({first_line(error)})"
    lines = printed.getvalue().strip().splitlines()
    return f" ({first_line(OSError(lines[0]))})" if lines else ""
