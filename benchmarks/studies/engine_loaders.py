"""How each inference engine loads a model: a function from a task to one that runs an image.

Imported in the engine's own virtual environment, so each function imports what it needs, and the
module nothing but numpy.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Run = Callable[[Image], npt.NDArray[np.float32]]


class Task(NamedTuple):
    """What an engine is given; the same model in the forms that engines read.

    Attributes
    ----------
    shipped
        The ONNX file as it is bundled.
    plain
        The same in float32 throughout.
    plain_float
        The same with a float32 image as input.
    int8
        Its int8 export, or "".
    recipe
        TOML file of the network, for torch.
    threads
        Threads inside one inference.
    image, answer
        ``.npy`` files: the input, uint8 of shape (1, 1, h, w), and where the output goes.
    folder
        For converted models.
    """

    shipped: str
    plain: str
    plain_float: str
    int8: str
    recipe: str
    threads: int
    image: str
    answer: str
    folder: str


def edgeseg(task: Task) -> Run:
    """Run a bundled model as edgeseg does."""
    return _edgeseg(task.shipped, task.threads)


def edgeseg_int8(task: Task) -> Run:
    """Run an int8 export as edgeseg does."""
    return _edgeseg(_int8(task), task.threads)


def onnxruntime(task: Task) -> Run:
    """Run the network as it was trained, without what export does for onnxruntime."""
    return _edgeseg(task.plain, task.threads)


def _edgeseg(path: str, threads: int) -> Run:
    from edgeseg.segmenter import Segmenter

    return Segmenter(path, device="cpu", threads=threads).infer


def torch_eager(task: Task) -> Run:
    """Run the network as it was trained, with batch-norm folded."""
    return _torch(_torch_network(task), task)


def torch_channels_last(task: Task) -> Run:
    """Run it with channels last."""
    import torch

    return _torch(_torch_network(task).to(memory_format=torch.channels_last), task)


def torch_bf16(task: Task) -> Run:
    """Run it in bfloat16, channels last."""
    import torch

    network = _torch_network(task).to(memory_format=torch.channels_last)
    return _torch(network, task, torch.bfloat16)


def torch_compile(task: Task) -> Run:
    """Run it through torch.compile, channels last."""
    import torch

    network = _torch_network(task).to(memory_format=torch.channels_last)
    return _torch(torch.compile(network), task)


def _torch_network(task: Task) -> Any:
    from torch_weights import load_network

    return load_network(Path(task.recipe), Path(task.plain))


def _torch(network: Any, task: Task, autocast: Any = None) -> Run:
    import torch

    torch.set_num_threads(task.threads)

    def run(image: Image) -> npt.NDArray[np.float32]:
        with torch.inference_mode(), torch.autocast("cpu", autocast, enabled=autocast is not None):
            answer: npt.NDArray[np.float32] = network(torch.from_numpy(image)).sigmoid().numpy()
        return answer

    return run


def openvino(task: Task) -> Run:
    """Run OpenVINO in float32."""
    return _openvino(task.plain, task.threads, "f32")


def openvino_default(task: Task) -> Run:
    """Run OpenVINO as it is: in bfloat16 where the processor has that."""
    return _openvino(task.plain, task.threads, None)


def openvino_int8(task: Task) -> Run:
    """Run the int8 export, with its scales."""
    return _openvino(_int8(task), task.threads, "f32")


def _openvino(path: str, threads: int, precision: str | None) -> Run:
    import openvino as ov

    core = ov.Core()
    model = core.read_model(path)
    _, *rest = model.inputs[0].partial_shape
    model.reshape([1, *(dimension.get_length() for dimension in rest)])
    options: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
    if precision:
        options["INFERENCE_PRECISION_HINT"] = precision
    request = core.compile_model(model, "CPU", options).create_infer_request()
    return lambda image: np.array(request.infer([image], share_inputs=True)[0])


def ncnn(task: Task) -> Run:
    """Run what pnnx converts, stored in float32."""
    import ncnn as engine

    folder = Path(task.folder)
    model = folder / "model.onnx"
    model.write_bytes(Path(task.plain_float).read_bytes())
    # the package's own command imports torch before it starts this program
    package = importlib.util.find_spec("pnnx")
    if package is None or package.origin is None:
        raise RuntimeError("pnnx is not installed")
    _convert([str(Path(package.origin).with_name("pnnx")), model.name, "fp16=0"], folder)
    net = engine.Net()
    net.opt.num_threads = task.threads
    net.opt.use_fp16_storage = net.opt.use_bf16_storage = False
    net.load_param(str(folder / "model.ncnn.param"))
    net.load_model(str(folder / "model.ncnn.bin"))

    def run(image: Image) -> npt.NDArray[np.float32]:
        extractor = net.create_extractor()
        pixels = image.astype(np.float32)
        extractor.input("in0", engine.Mat(pixels, batch_index=0).clone())
        answer: npt.NDArray[np.float32] = extractor.extract("out0")[1].numpy(batch_index=0).copy()
        return answer

    return run


def mnn(task: Task) -> Run:
    """Run what mnnconvert converts, in "high" precision, which is float32."""
    from MNN import expr, nn

    converter = str(Path(sys.executable).parent / "mnnconvert")
    model = Path(task.folder) / "model.mnn"
    _convert(
        [converter, "-f", "ONNX", "--modelFile", task.plain_float, "--MNNModel", str(model),
         "--bizCode", "edgeseg"],
        Path(task.folder),
    )  # fmt: skip
    config = {"backend": 0, "numThread": task.threads, "precision": "high"}
    manager = nn.create_runtime_manager((config,))
    names = (["image"], ["probability"])
    net = nn.load_module_from_file(str(model), *names, runtime_manager=manager)

    def run(image: Image) -> npt.NDArray[np.float32]:
        variable = expr.placeholder(image.shape, expr.NCHW)
        variable.write(image.astype(np.float32))
        return np.array(net.forward([variable])[0].read(), dtype=np.float32)

    return run


def litert(task: Task) -> Run:
    """Run what litert-torch converts from torch, in float32."""
    import litert_torch
    import torch
    from ai_edge_litert.interpreter import Interpreter

    image = np.load(task.image)
    network = torch.nn.Sequential(_torch_network(task), torch.nn.Sigmoid()).eval()
    example = (torch.from_numpy(image).float(),)
    model = Path(task.folder) / "model.tflite"
    litert_torch.convert(network, example).export(str(model))
    interpreter = Interpreter(model_path=str(model), num_threads=task.threads)
    interpreter.allocate_tensors()
    index_in = interpreter.get_input_details()[0]["index"]
    index_out = interpreter.get_output_details()[0]["index"]

    def run(image: Image) -> npt.NDArray[np.float32]:
        interpreter.set_tensor(index_in, image.astype(np.float32))
        interpreter.invoke()
        answer: npt.NDArray[np.float32] = interpreter.get_tensor(index_out)
        return answer

    return run


def _convert(command: list[str], folder: Path) -> None:
    """Run a converter, which talks much, and say its last line if it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise RuntimeError(f"{Path(command[0]).name} ended with status {done.returncode}: {last}")


def _int8(task: Task) -> str:
    if not task.int8:
        raise RuntimeError("no int8 export was given (--int8)")
    return task.int8
