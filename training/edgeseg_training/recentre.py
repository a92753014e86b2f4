"""Bring the outlines of a quantised graph back to where its float32 source draws them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import numpy_helper

from edgeseg_training.parity import SURE, Sample, measure

_TRIAL = 0.1
_LARGEST = 1.0
_ROUNDS = 3
_TINY = 1e-6

Map = npt.NDArray[np.float32]


def recentre(
    quantised: onnx.ModelProto,
    source: onnx.ModelProto,
    samples: Sequence[Sample],
    tensors: Sequence[npt.NDArray[np.uint8]],
) -> float:
    """Add to the last convolution's bias, in place, what makes HC right on average; return it.

    Rounding in many layers adds up to a small offset of the logits, which moves every outline to
    the same side. The network's last convolution must be in float32 and have a bias.

    Parameters
    ----------
    samples, tensors
        Calibration images and their network inputs, (1, 1, h, w).
    """
    convolution = [node for node in quantised.graph.node if node.op_type == "Conv"][-1]
    (bias,) = (t for t in quantised.graph.initializer if t.name == convolution.input[2])
    original = numpy_helper.to_array(bias).copy()

    def move(shift: float) -> None:
        bias.CopyFrom(numpy_helper.from_array(original + np.float32(shift), bias.name))

    def answers(shift: float) -> list[Map]:
        move(shift)
        return _maps(quantised, tensors)

    shift = logit_shift(_maps(source, tensors), answers, samples)
    move(shift)
    return shift


def logit_shift(
    source: Sequence[Map], answers: Callable[[float], Sequence[Map]], samples: Sequence[Sample]
) -> float:
    """Return the shift with which circumferences are as in ``source`` on average.

    Only heads that both are sure of count: elsewhere the outline hangs on the last digits. By the
    secant method, within 1 of 0; 0 where there is no such head.

    Parameters
    ----------
    source
        Probabilities, each (h, w).
    answers
        Returns such maps for a shift of the logits.
    """
    heads, at_zero = [], []
    for i, (wanted, found, sample) in enumerate(zip(source, answers(0.0), samples, strict=True)):
        before, after = measure(wanted, sample), measure(found, sample)
        if min(before.confidence, after.confidence) >= SURE:
            heads.append((i, sample, math.log(before.hc_mm)))
            at_zero.append(math.log(after.hc_mm) - math.log(before.hc_mm))

    def mean_log_ratio(shift: float) -> float:
        moved = answers(shift)
        ratios = [math.log(measure(moved[i], sample).hc_mm or 1.0) - hc for i, sample, hc in heads]
        return sum(ratios) / len(ratios)

    if not heads:
        return 0.0
    tried = [(0.0, sum(at_zero) / len(at_zero)), (_TRIAL, mean_log_ratio(_TRIAL))]
    for _ in range(_ROUNDS):
        (x0, y0), (x1, y1) = tried[-2:]
        if abs(y1) < _TINY or y1 == y0:
            break
        x = float(np.clip(x1 - y1 * (x1 - x0) / (y1 - y0), -_LARGEST, _LARGEST))
        tried.append((x, mean_log_ratio(x)))
    return min(tried, key=lambda point: abs(point[1]))[0]


def _maps(model: onnx.ModelProto, tensors: Sequence[npt.NDArray[np.uint8]]) -> list[Map]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return [session.run(None, {name: tensor})[0][0, 0] for tensor in tensors]
