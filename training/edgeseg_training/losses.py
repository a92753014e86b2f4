"""What training minimises."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from edgeseg_training.model import probabilities

# A relative error of the circumference beyond this pulls no harder: early maps have no outline yet.
_HC_ERROR_LIMIT = 0.25
_RARE = 0.02  # share of all pixels


def segmentation_loss(
    logits: Tensor,
    mask: Tensor,
    kind: str,
    hc_weight: float = 1.0,
    class_weights: Sequence[float] = (),
) -> Tensor:
    """Return cross-entropy, with the terms that ``kind`` adds to it.

    Parameters
    ----------
    logits
        Shape (N, 1, h, w), or (N, 1 + C, h, w), the background first.
    mask
        Shape (N, C, h, w), a coverage in [0, 1] of each structure; NaN where nobody labelled, which
        neither term counts.
    kind
        ``bce``; ``bce+dice`` adds soft Dice (Milletari et al. 2016); ``bce+dice+hc`` adds the
        relative error of the circumference too, ``hc_weight`` times.
    class_weights
        Of each structure's pixels in the cross-entropy, 1 by default.
    """
    weights = logits.new_tensor(class_weights or [1.0] * mask.shape[1])
    known = (~mask.isnan().any(1, keepdim=True)).to(logits.dtype)
    mask = mask.nan_to_num(0)
    if logits.shape[1] == 1:
        each = functional.binary_cross_entropy_with_logits(
            logits, mask, pos_weight=weights, reduction="none"
        )
    else:
        background = (1 - mask.sum(1, keepdim=True)).clamp(min=0)
        weights = functional.pad(weights, (1, 0), value=1.0)
        target = torch.cat([background, mask], dim=1)
        each = functional.cross_entropy(logits, target, weights, reduction="none")[:, None]
    loss = (each * known).sum() / known.sum().clamp(min=1)
    if kind == "bce":
        return loss
    probability = probabilities(logits) * known
    both = (probability * mask).sum((2, 3))
    total = (probability + mask).sum((2, 3))
    loss = loss + (1 - (2 * both + 1) / (total + 1)).mean()
    if kind == "bce+dice+hc":
        loss = loss + hc_weight * circumference_loss(probability, mask)
    return loss


def balance(share: float) -> float:
    """Return a structure's class weight from its share of all pixels: 1 to 20, above 1 if rare."""
    return min(20.0, max(1.0, _RARE / max(share, 1e-9)))


def circumference_loss(probability: Tensor, mask: Tensor) -> Tensor:
    """Return the mean |log ratio| of soft circumferences; images without a head do not count."""
    present = has_head(mask)
    if not bool(present.any()):
        return probability.sum() * 0
    ratio = soft_circumference(probability[present]) / soft_circumference(mask[present])
    return torch.log(ratio).abs().clamp(max=_HC_ERROR_LIMIT).mean()


def has_head(mask: Tensor) -> Tensor:
    """Tell of each mask, (N, 1, h, w), whether there is a head to measure: shape (N,), bool."""
    return mask.sum((1, 2, 3)) > 1


def soft_circumference(weight: Tensor) -> Tensor:
    """Circumference in pixels of the ellipse with the second moments of each map, shape (N,).

    A full ellipse with semi-axes a and b has the central second moments a²/4 and b²/4 along them.

    Parameters
    ----------
    weight
        Shape (N, 1, h, w), non-negative.
    """
    weight = weight[:, 0].float()
    rows = torch.arange(weight.shape[1], dtype=weight.dtype, device=weight.device)[:, None]
    columns = torch.arange(weight.shape[2], dtype=weight.dtype, device=weight.device)
    total = weight.sum((1, 2)).clamp(min=1e-3)

    def mean(values: Tensor) -> Tensor:
        return (weight * values).sum((1, 2)) / total

    y = rows - mean(rows)[:, None, None]
    x = columns - mean(columns)[:, None, None]
    xx, yy, xy = mean(x * x), mean(y * y), mean(x * y)
    middle = (xx + yy) / 2
    spread = torch.sqrt(((xx - yy) / 2) ** 2 + xy**2 + 1e-6)
    a = 2 * torch.sqrt(middle + spread)
    b = 2 * torch.sqrt((middle - spread).clamp(min=1e-3))
    h = ((a - b) / (a + b)) ** 2
    # Ramanujan's second approximation, as `edgeseg.measure.ellipse.Ellipse.circumference_px`
    return math.pi * (a + b) * (1 + 3 * h / (10 + torch.sqrt(4 - 3 * h)))
