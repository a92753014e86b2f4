"""Predictions are kept, compared and sent: by themselves, and as plain values."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest

from edgeseg.phantom.head import Phantom
from edgeseg.prediction import Prediction
from edgeseg.segmenter import Segmenter
from tests.fakes import LESIONS, FakeSession, bright_and_gray, open_fake


@pytest.fixture
def prediction(segmenter: Segmenter, phantoms: list[Phantom]) -> Prediction:
    return segmenter.predict(phantoms[0].image, (0.2, 0.21))


def test_predictions_are_equal_if_they_are_one(prediction: Prediction) -> None:
    other = copy.deepcopy(prediction)
    assert prediction == prediction
    assert prediction != other
    assert prediction in [other, prediction]
    assert other not in [prediction]
    assert len({prediction, prediction, other}) == 2
    parts = (prediction.frame, prediction.measurement, prediction.metadata, prediction.ellipse)
    assert all(hash(part) == hash(part) for part in parts)


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


def test_plain_values_of_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    gray = np.zeros((192, 288), np.uint8)
    gray[20:60, 20:60] = 255
    found = open_fake(monkeypatch, FakeSession(bright_and_gray, LESIONS)).predict(gray, 0.5)
    values = found.to_dict()
    assert values["lesion_area_px"] == pytest.approx(1600, rel=0.02)
    assert all(type(v) in (str, float, type(None)) for v in values.values())
