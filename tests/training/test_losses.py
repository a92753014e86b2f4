from __future__ import annotations

import numpy as np
import pytest
import torch

from edgeseg.measure.ellipse import Ellipse
from edgeseg_training import losses
from edgeseg_training.config import TrainConfig
from edgeseg_training.ellipse_prior import EllipsePrior
from edgeseg_training.losses import circumference_loss, segmentation_loss, soft_circumference
from edgeseg_training.model import SegmentationModel, build_model

HEAD = Ellipse(70.3, 45.8, 40.0, 28.0, 0.4)


SIZE = (96, 144)


def _map(ellipse: Ellipse) -> torch.Tensor:
    return torch.from_numpy(ellipse.coverage(*SIZE))[None, None]


def test_the_circumference_loss_is_the_relative_error_and_pulls_towards_it() -> None:
    maps = torch.cat([_map(HEAD), _map(other := Ellipse(50.0, 40.0, 30.0, 29.9, 2.0))])
    expected = torch.tensor([HEAD.circumference_px, other.circumference_px], dtype=torch.float32)
    torch.testing.assert_close(soft_circumference(maps), expected, rtol=1e-3, atol=0.0)
    larger = Ellipse(70.3, 45.8, 40.0 * 1.05, 28.0 * 1.05, 0.4)
    assert float(circumference_loss(_map(HEAD), _map(HEAD))) == pytest.approx(0, abs=1e-6)
    assert float(circumference_loss(_map(larger), _map(HEAD))) == pytest.approx(0.0488, rel=0.02)
    logits = torch.logit(_map(larger), eps=1e-2).requires_grad_()
    circumference_loss(torch.sigmoid(logits), _map(HEAD)).backward()
    # descending lowers the probability at the outline, where the larger head goes beyond it
    assert float(logits.grad[0, 0, 46, 110]) > 0


@pytest.mark.parametrize("n_maps", [1, 3])
def test_what_nobody_labelled_pulls_at_nothing(n_maps: int) -> None:
    mask = torch.zeros(1, max(1, n_maps - 1), 8, 12)
    mask[:, :, 2:5, 2:5] = 1.0 / mask.shape[1]
    mask[:, :, :, 6:] = torch.nan
    logits = torch.randn(1, n_maps, 8, 12, requires_grad=True)
    loss = segmentation_loss(logits, mask, "bce+dice")
    loss.backward()
    assert not logits.grad[..., 6:].any() and logits.grad[..., :6].all()
    known = segmentation_loss(logits[..., :6], mask[..., :6], "bce+dice")
    assert loss.item() == pytest.approx(known.item())


def test_each_term_adds_to_the_loss_and_images_without_a_head_add_no_circumference() -> None:
    logits = torch.zeros(1, 1, *SIZE)
    terms = [("bce", 1), ("bce+dice", 1), ("bce+dice+hc", 1), ("bce+dice+hc", 3)]
    bce, dice, once, thrice = (
        float(segmentation_loss(logits, _map(HEAD), kind, weight)) for kind, weight in terms
    )
    assert bce == pytest.approx(0.6931, abs=1e-3)
    assert bce < dice < bce + 1
    assert once > dice
    assert thrice - dice == pytest.approx(3 * (once - dice), rel=1e-4)
    nothing = torch.zeros(2, 1, *SIZE)
    logits = torch.randn(2, 1, *SIZE, requires_grad=True)
    loss = segmentation_loss(logits, nothing, "bce+dice+hc")
    loss.backward()
    assert bool(torch.isfinite(logits.grad).all())
    torch.testing.assert_close(loss, segmentation_loss(logits, nothing, "bce+dice"))


def logits_of(ellipse: Ellipse, slope: float = 4.0) -> torch.Tensor:
    """Logits that fall by ``slope`` a pixel across an ellipse's outline."""
    rows, columns = np.indices(SIZE)
    distance = ellipse.signed_distance(columns, rows)
    return torch.from_numpy((-slope * distance).clip(-9, 9)).float()[None, None]


def prior(strength: float = 3.0) -> EllipsePrior:
    return EllipsePrior(*SIZE, strength)


def test_the_ellipse_of_a_map_is_found() -> None:
    ellipse = Ellipse(70.3, 44.8, 38.0, 27.0, 0.4)
    logits = logits_of(ellipse)
    added = (prior()(logits) - logits)[0, 0].numpy()
    rows, columns = np.indices(SIZE)
    u, v = ellipse.in_unit_circle(columns, rows)
    expected = 3 * np.tanh((1 - np.hypot(u, v)) / 0.03)
    # where the outline lies decides; a hundredth of the radius is a third of a pixel
    assert np.abs(added - expected).max() < 1.0
    assert np.abs(added - expected).mean() < 0.02
    assert abs((added > 0).sum() - ellipse.area_px) < 0.005 * ellipse.area_px


def test_a_dent_where_the_map_is_unsure_is_filled_and_a_sure_one_is_kept() -> None:
    ellipse = Ellipse(72.0, 48.0, 40.0, 30.0, 0.0)
    for logit, filled in ((-1.0, True), (-6.0, False)):
        logits = logits_of(ellipse)
        logits[..., 45:52, 100:108] = logit  # inside, near the right end
        dent = prior()(logits)[..., 45:52, 100:108] > 0
        assert bool(dent.all()) is bool(dent.any()) is filled


def test_a_map_of_two_regions_is_left_as_it_is() -> None:
    one = logits_of(Ellipse(50.0, 48.0, 34.0, 28.0, 0.0))
    two = torch.maximum(one, logits_of(Ellipse(125.0, 40.0, 12.0, 10.0, 0.0)))
    assert torch.equal(prior()(two), two)
    together = prior()(torch.cat([one, two]))  # images of a batch do not touch each other
    torch.testing.assert_close(together, torch.cat([prior()(one), two]))
    assert not torch.equal(prior()(one), one)


def test_no_pixel_gains_more_than_the_strength_whatever_the_map() -> None:
    low = torch.full((1, 1, *SIZE), -200.0)  # sigmoid is 0
    line = low.index_fill(2, torch.tensor([5]), 9.0)
    noise = torch.randn(low.shape, generator=torch.Generator().manual_seed(0)) * 5
    for logits in (low, -low, line, noise):
        added = prior(2.0)(logits) - logits
        assert torch.isfinite(added).all()
        assert added.abs().max() <= 2.0001


def test_it_acts_in_answers_only(tiny: TrainConfig) -> None:
    logits = logits_of(Ellipse(70.0, 45.0, 38.0, 27.0, 0.4))
    model = SegmentationModel(torch.nn.Identity(), 1, "unit", prior())
    torch.testing.assert_close(model.train()(255 * logits), logits)
    torch.testing.assert_close(model.eval()(255 * logits), prior()(logits))
    with_prior = build_model(tiny.updated({"ellipse_prior": 3.0}))
    assert with_prior.prior is not None
    assert with_prior.state_dict().keys() == build_model(tiny).state_dict().keys()


@pytest.mark.parametrize("n_classes", [1, 2])
def test_pixels_of_a_rare_class_count_more(n_classes: int) -> None:
    logits = torch.zeros((1, n_classes + (n_classes > 1), 1, 2))
    mask = torch.zeros((1, n_classes, 1, 2))
    mask[:, -1, 0, 0] = 1  # and the other pixel is background
    once = float(segmentation_loss(logits, mask, "bce"))
    weights = [1.0] * (n_classes - 1) + [5.0]
    assert float(segmentation_loss(logits, mask, "bce", 1.0, weights)) == pytest.approx(3 * once)
    assert [losses.balance(share) for share in (0.5, 0.005, 0.0)] == [1, 4, 20]
