"""Bring the outlines of a quantised graph back to where its float32 source draws them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import numpy_helper

from edgeseg_training.parity import Sample, measure

_TRIAL = 0.1
_ROUNDS = 3
_NEAR_ZERO = 1e-6

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
    pairs = list(zip(_maps(source, tensors), _maps(quantised, tensors), strict=True))
    shift = logit_shift(*zip(*pairs, strict=True), samples)
    convolution = [node for node in quantised.graph.node if node.op_type == "Conv"][-1]
    (bias,) = (t for t in quantised.graph.initializer if t.name == convolution.input[2])
    moved = numpy_helper.to_array(bias) + np.float32(shift)
    bias.CopyFrom(numpy_helper.from_array(moved, bias.name))
    return shift


def logit_shift(source: Sequence[Map], maps: Sequence[Map], samples: Sequence[Sample]) -> float:
    """Return the logit to add to ``maps`` for circumferences as in ``source`` on average.

    Maps are (h, w), probabilities. By the secant method; 0 where no head is found.
    """
    wanted = [measure(m, sample).hc_mm for m, sample in zip(source, samples, strict=True)]
    logits = [np.log(m.clip(1e-6) / (1 - m).clip(1e-6)) for m in maps]

    def mean_log_ratio(shift: float) -> float:
        found = [
            measure((1 / (1 + np.exp(-(z + shift)))).astype(np.float32), sample).hc_mm
            for z, sample in zip(logits, samples, strict=True)
        ]
        ratios = [np.log(a / b) for a, b in zip(found, wanted, strict=True) if a and b]
        return float(np.mean(ratios)) if ratios else 0.0

    before, shift = (0.0, mean_log_ratio(0.0)), _TRIAL
    for _ in range(_ROUNDS):
        error = mean_log_ratio(shift)
        slope = (error - before[1]) / (shift - before[0])
        if abs(slope) < _NEAR_ZERO:
            return before[0]
        before, shift = (shift, error), shift - error / slope
        if abs(before[0] - shift) < _NEAR_ZERO:
            break
    return shift


def _maps(model: onnx.ModelProto, tensors: Sequence[npt.NDArray[np.uint8]]) -> list[Map]:
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return [session.run(None, {name: tensor})[0][0, 0] for tensor in tensors]
