"""One inference engine in a process of its own, started by runtimes.py inside the engine's venv.

    PYTHONPATH=benchmarks:benchmarks/studies python -m engines ENGINE TASK.json

Loads the task's model, answers the task's image once into a file, then runs as often as each line
on stdin says and writes the latencies as JSON. Imports nothing but numpy and the engine.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import engine_loaders as load
import numpy as np
from engine_loaders import Run, Task


class Engine(NamedTuple):
    """One line of the comparison.

    Attributes
    ----------
    load
        Makes the function that runs an image.
    venv
        Name of the virtual environment it runs in; "" is the one runtimes.py runs in.
    package
        The package whose version is told.
    arithmetic
        What it calculates in.
    """

    load: Callable[[Task], Run]
    venv: str
    package: str
    arithmetic: str


ENGINES = {
    "edgeseg": Engine(load.edgeseg, "", "onnxruntime", "float32"),
    "edgeseg int8": Engine(load.edgeseg_int8, "", "onnxruntime", "int8"),
    "onnxruntime": Engine(load.onnxruntime, "", "onnxruntime", "float32"),
    "torch": Engine(load.torch_eager, "", "torch", "float32"),
    "torch channels_last": Engine(load.torch_channels_last, "", "torch", "float32"),
    "torch.compile": Engine(load.torch_compile, "", "torch", "float32"),
    "torch bf16": Engine(load.torch_bf16, "", "torch", "bfloat16"),
    "openvino": Engine(load.openvino, "openvino", "openvino", "float32"),
    "openvino default": Engine(load.openvino_default, "openvino", "openvino", "its own choice"),
    "openvino int8": Engine(load.openvino_int8, "openvino", "openvino", "int8"),
    "ncnn": Engine(load.ncnn, "ncnn", "ncnn", "float32"),
    "mnn": Engine(load.mnn, "mnn", "MNN", "float32"),
    "litert": Engine(load.litert, "litert", "ai-edge-litert", "float32"),
}
PACKAGES = {
    "openvino": [["openvino"]],
    # pnnx's package asks for torch, which its program does not need
    "ncnn": [["ncnn"], ["--no-deps", "pnnx"]],
    "mnn": [["MNN"]],
    "litert": [["litert-torch", "segmentation-models-pytorch", "onnx"]],
}
"""What pip is given, call by call, for each virtual environment."""


def main() -> None:
    """Serve one engine; what it cannot do is said as {"error": ...}."""
    engine, task = ENGINES[sys.argv[1]], Task(**json.loads(Path(sys.argv[2]).read_text()))
    # Converters and engines print; what they say must not mix with the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(value: dict[str, Any]) -> None:
        answers.write(json.dumps(value) + "\n")
        answers.flush()

    image = np.load(task.image)
    try:
        run = engine.load(task)
        np.save(task.answer, np.asarray(run(image), dtype=np.float32).reshape(image.shape))
    except Exception as error:  # any engine's: the reason is told, the others go on
        lines = str(error).strip().splitlines() or ["no message"]
        say({"error": f"{type(error).__name__}: {lines[0]}"})
        return
    say({"version": importlib.metadata.version(engine.package)})
    for line in sys.stdin:
        latency_ms = []
        cpu_started = time.process_time()
        for _ in range(int(line)):
            started = time.perf_counter()
            run(image)
            latency_ms.append((time.perf_counter() - started) * 1000)
        cpu_ms = (time.process_time() - cpu_started) * 1000 / len(latency_ms)
        say({"latency_ms": latency_ms, "cpu_ms": cpu_ms})


if __name__ == "__main__":
    main()
