"""The GFLOP/s this machine reaches: what the engines' figures are held against."""

from __future__ import annotations

import timeit

import onnxruntime
import torch
from onnx import TensorProto, helper

from edgeseg.network.session import session_options

_SIZE = 1536


def matrix_product_gflops(threads: int) -> float:
    """Return the GFLOP/s of a float32 matrix product, the best of five by torch and onnxruntime.

    Two libraries, as neither is the faster on every processor.
    """
    torch.set_num_threads(threads)
    matrix = torch.rand(_SIZE, _SIZE)
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [_SIZE, _SIZE]) for n in "abc"]
    product = helper.make_node("MatMul", ["a", "b"], ["c"])
    graph = helper.make_graph([product], "product", values[:2], values[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(),
        session_options(threads, spin=False),  # the next engine's turn comes soon
        providers=["CPUExecutionProvider"],
    )
    feed = {"a": matrix.numpy(), "b": matrix.numpy()}
    times = []
    for call in (lambda: torch.mm(matrix, matrix), lambda: session.run(None, feed)):
        times += timeit.repeat(call, number=1, repeat=5)
    return 2 * _SIZE**3 / min(times) / 1e9
