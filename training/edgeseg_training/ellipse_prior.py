"""A head's outline is an ellipse: where the network is unsure, its own map's ellipse decides."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

# How fast the prior turns from head to background around the ellipse, as a share of its radius.
_SOFTNESS = 0.03
# Agreement of map and ellipse (soft Dice) at which the prior begins to act, and acts in full. Of
# held-out heads one in fifty is below the first, half are above the second; two regions are below.
_LEAST_AGREEMENT, _FULL_AGREEMENT = 0.93, 0.97
_TINY = 1e-6


class EllipsePrior(nn.Module):
    """Adds to each logit what the ellipse of the whole map says of its pixel.

    The ellipse has the map's centre, second moments and area. A pixel's logit gains ``strength``
    well inside it and loses as much well outside, smoothly across its outline: the map can be
    overruled only where it is unsure, between probabilities of 1 / (1 + exp(strength)) and 1 less
    that. A map that is hardly an ellipse, as of two regions, is left as it is.

    Parameters
    ----------
    height, width
        Size of the maps.
    strength
        In logits.
    """

    def __init__(self, height: int, width: int, strength: float) -> None:
        super().__init__()
        self.strength = strength
        # An ellipse stays one when its axes are scaled, so any coordinates do; these keep the
        # moments' digits.
        self.register_buffer("y", torch.linspace(-1, 1, height).view(1, height, 1), False)
        self.register_buffer("x", torch.linspace(-1, 1, width).view(1, 1, width), False)
        self.y: Tensor
        self.x: Tensor
        self.pixel_area = 4 / ((height - 1) * (width - 1))

    def forward(self, logits: Tensor) -> Tensor:
        """Return logits, (N, 1, h, w), float32."""
        weight = torch.sigmoid(logits[:, 0])
        over_y, over_x = weight.sum(1, keepdim=True), weight.sum(2, keepdim=True)
        total = over_y.sum(2, keepdim=True).clamp(min=_TINY)
        dx = self.x - (over_y * self.x).sum(2, keepdim=True) / total
        dy = self.y - (over_x * self.y).sum(1, keepdim=True) / total
        xx = (over_y * dx * dx).sum(2, keepdim=True) / total
        yy = (over_x * dy * dy).sum(1, keepdim=True) / total
        # a sum, not a matrix product, which mixed precision would round
        xy = ((weight * dy).sum(1, keepdim=True) * dx).sum(2, keepdim=True) / total
        determinant = (xx * yy - xy * xy).clamp(min=_TINY)
        # An ellipse with these moments has the area 4 pi sqrt(determinant). Scaled to the map's
        # area, its outline is where d' C^-1 d is `level`.
        level = total * self.pixel_area / (math.pi * determinant.sqrt())
        a, b, c = (value / (determinant * level) for value in (yy, -2 * xy, xx))
        squared = a * dx * dx + (b * dx) * dy + c * dy * dy
        radius = squared.clamp(min=0).sqrt()
        side = torch.tanh((1 - radius) / _SOFTNESS)
        # soft Dice of the map and (1 + side) / 2, both summed over the pixels
        inside = (total + (weight * side).sum((1, 2), keepdim=True)) / 2
        area = (1 + side).sum((1, 2), keepdim=True) / 2
        agreement = 2 * inside / (total + area)
        trust = (agreement - _LEAST_AGREEMENT) / (_FULL_AGREEMENT - _LEAST_AGREEMENT)
        return logits + (self.strength * trust.clamp(0, 1) * side)[:, None]
