from __future__ import annotations

import pytest
import torch

from edgeseg.measure.ellipse import Ellipse
from edgeseg_training.losses import circumference_loss, segmentation_loss, soft_circumference

HEAD = Ellipse(70.3, 45.8, 40.0, 28.0, 0.4)


def _map(ellipse: Ellipse) -> torch.Tensor:
    return torch.from_numpy(ellipse.coverage(96, 144))[None, None]


def test_the_soft_circumference_is_the_ellipse_s() -> None:
    other = Ellipse(50.0, 40.0, 30.0, 29.9, 2.0)
    maps = torch.cat([_map(HEAD), _map(other)])
    expected = torch.tensor([HEAD.circumference_px, other.circumference_px], dtype=torch.float32)
    torch.testing.assert_close(soft_circumference(maps), expected, rtol=1e-3, atol=0.0)


def test_the_circumference_loss_is_the_relative_error_and_pulls_towards_it() -> None:
    larger = Ellipse(70.3, 45.8, 40.0 * 1.05, 28.0 * 1.05, 0.4)
    assert float(circumference_loss(_map(HEAD), _map(HEAD))) == pytest.approx(0, abs=1e-6)
    assert float(circumference_loss(_map(larger), _map(HEAD))) == pytest.approx(0.0488, rel=0.02)
    logits = torch.logit(_map(larger), eps=1e-2).requires_grad_()
    circumference_loss(torch.sigmoid(logits), _map(HEAD)).backward()
    # descending lowers the probability at the outline, where the larger head goes beyond it
    assert logits.grad is not None
    assert float(logits.grad[0, 0, 46, 110]) > 0


def test_images_without_a_head_add_no_circumference() -> None:
    nothing = torch.zeros(2, 1, 96, 144)
    logits = torch.randn(2, 1, 96, 144, requires_grad=True)
    loss = segmentation_loss(logits, nothing, "bce+dice+hc")
    loss.backward()
    assert logits.grad is not None
    assert bool(torch.isfinite(logits.grad).all())
    torch.testing.assert_close(loss, segmentation_loss(logits, nothing, "bce+dice"))


def test_each_term_adds_to_the_loss() -> None:
    logits = torch.zeros(1, 1, 96, 144)
    terms = [("bce", 1), ("bce+dice", 1), ("bce+dice+hc", 1), ("bce+dice+hc", 3)]
    bce, dice, once, thrice = (
        float(segmentation_loss(logits, _map(HEAD), kind, weight)) for kind, weight in terms
    )
    assert bce == pytest.approx(0.6931, abs=1e-3)
    assert bce < dice < bce + 1
    assert once > dice
    assert thrice - dice == pytest.approx(3 * (once - dice), rel=1e-4)
