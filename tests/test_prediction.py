"""Predictions are kept, compared and sent: by themselves, and as plain values."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest

from edgeseg.measure.framing import View
from edgeseg.phantom.head import Phantom
from edgeseg.prediction import Prediction
from edgeseg.segmenter import Segmenter
from tests.fakes import LESIONS, FakeSession, bright_and_gray, open_fake


@pytest.fixture
def prediction(segmenter: Segmenter, phantoms: list[Phantom]) -> Prediction:
    return segmenter.predict(phantoms[0].image, (0.2, 0.21))


def test_predictions_are_equal_if_they_are_one(prediction: Prediction) -> None:
    other = copy.deepcopy(prediction)
    assert prediction == prediction != other
    assert len({prediction, prediction, other}) == 2


def test_predictions_travel(prediction: Prediction) -> None:
    arrived = pickle.loads(pickle.dumps(prediction))
    assert arrived.to_dict() == prediction.to_dict()
    assert np.array_equal(arrived.mask(), prediction.mask())
    assert arrived.caption() == prediction.caption()


def test_plain_values_go_into_json_and_are_not_rounded(
    prediction: Prediction, segmenter: Segmenter
) -> None:
    values = prediction.to_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert values["hc_mm"] == prediction.hc_mm
    assert (values["pixel_size_x_mm"], values["pixel_size_y_mm"]) == (0.2, 0.21)
    assert values["pixel_size_source"] == "option"
    assert values["flags"] == ";".join(prediction.flags)
    nothing = segmenter.predict(np.zeros((100, 100), np.uint8)).to_dict()
    assert (nothing["status"], nothing["pixel_size_source"]) == ("empty", "")
    assert nothing["reason"] and nothing["hc_mm"] is nothing["pixel_size_x_mm"] is None


def test_regions_of_any_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    gray = np.zeros((384, 576), np.uint8)
    gray[40:80, 60:120] = 255
    gray[200:300, 300:400] = 128
    found = open_fake(monkeypatch, FakeSession(bright_and_gray, LESIONS)).predict(gray, (0.1, 0.2))
    assert found.figures["lesion_area_px"] == pytest.approx(40 * 60, rel=0.05)
    assert found.figures["cyst_area_mm2"] == pytest.approx(100 * 100 * 0.02, rel=0.05)
    assert set(np.unique(found.mask())) == {0, 1, 2}
    assert found.probability.shape == (2, 192, 288)
    assert found.view == View.whole((384, 576))
    assert found.ellipse is found.hc_mm is None
    assert all(type(value) in (str, float, type(None)) for value in found.to_dict().values())
