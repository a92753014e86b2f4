"""Predictions and segmenters are kept, compared, sent to other processes, and shown."""

from __future__ import annotations

import copy
import json
import multiprocessing
import pickle
import shutil
import tracemalloc
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.errors import DataError, ModelError, ModelNotFoundError
from edgeseg.images.frame import Frame, PixelSize
from edgeseg.measure.framing import View
from edgeseg.network import zoo
from edgeseg.prediction import Prediction
from edgeseg.segmenter import Segmenter
from tests.fakes import LESIONS, FakeSession, bright_and_gray, open_fake


@pytest.fixture
def prediction(nano: Segmenter, scan: np.ndarray) -> Prediction:
    return nano.predict(Frame(scan, PixelSize(0.2, 0.21, "option"), "<b>&.png"))


def test_predictions_are_equal_if_they_are_one_and_travel(prediction: Prediction) -> None:
    arrived = pickle.loads(pickle.dumps(prediction))
    assert prediction == prediction != arrived
    assert len({prediction, prediction, arrived}) == 2
    assert arrived.to_dict() == prediction.to_dict()
    assert np.array_equal(arrived.mask(), prediction.mask())
    assert arrived.caption() == prediction.caption()


def test_a_slim_one_is_small_and_keeps_what_was_measured(
    prediction: Prediction, nano: Segmenter
) -> None:
    slim = prediction.slim()
    assert slim.to_dict() == prediction.to_dict()
    assert (slim.size, slim.ellipse) == (prediction.size, prediction.ellipse)
    assert repr(slim) == repr(prediction)
    assert prediction.frame.name in repr(slim) and len(repr(slim)) < 120
    gone = (slim.mask, slim.overlay, slim.overlay_jpeg, lambda: slim.maps, lambda: slim.probability)
    for ask in gone:
        with pytest.raises(DataError, match="slim"):
            ask()
    assert slim._repr_png_() is slim._repr_html_() is None
    scan = prediction.frame.pixels
    tracemalloc.start()
    kept = [nano.predict(scan, 0.2).slim() for _ in range(20)]
    size_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size_bytes / len(kept) < 10_000
    assert len(pickle.dumps(kept)) / len(kept) < 10_000


def test_plain_values_go_into_json_unrounded(prediction: Prediction, nano: Segmenter) -> None:
    values = prediction.to_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert values["hc_mm"] == prediction.hc_mm
    assert (values["pixel_size_x_mm"], values["pixel_size_y_mm"]) == (0.2, 0.21)
    assert values["pixel_size_source"] == "option"
    assert values["flags"] == ";".join(prediction.flags)
    nothing = nano.predict(np.zeros((100, 100), np.uint8)).to_dict()
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


def test_a_notebook_shows_overlay_figures_and_doubts(
    prediction: Prediction, nano: Segmenter, scan: np.ndarray
) -> None:
    picture = cv2.imdecode(np.frombuffer(prediction._repr_png_(), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(picture, prediction.overlay())
    shown = prediction._repr_html_()
    assert "data:image/jpeg;base64," in shown
    assert f"HC {prediction.hc_mm:.1f} ±" in shown
    assert "&lt;b&gt;&amp;.png" in shown and "<b>&" not in shown
    for image, status in ((scan, "doubtful"), (np.zeros((200, 300)), "empty")):
        found = nano.predict(image, 9.0)
        assert found.status == status
        assert found.reason.split("; ")[0].replace("'", "&#x27;") in found._repr_html_()


class Mine(Segmenter):
    """One of a user's own kind."""


def test_copies_are_of_the_same_kind_and_open_the_same_model_anew(scan: np.ndarray) -> None:
    segmenter = Mine("hc18-nano", device="cpu", threads=2, spin=False)
    packed = pickle.dumps(segmenter)
    assert len(packed) < 1000, "the model itself does not travel"
    for other in (copy.copy(segmenter), copy.deepcopy([segmenter])[0], pickle.loads(packed)):
        assert type(other) is Mine
        assert other._port.session is not segmenter._port.session
        assert other._opened_with == ("hc18-nano", "cpu", 2, False)
        assert other.predict(scan, 0.2).hc_mm == segmenter.predict(scan, 0.2).hc_mm


def test_a_file_is_found_from_another_folder_unless_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    own = tmp_path / "mine.onnx"
    shutil.copy(zoo.find("hc18-nano").path, own)
    monkeypatch.chdir(tmp_path)
    packed = pickle.dumps(Segmenter(own.name, device="cpu", threads=1))
    monkeypatch.chdir(tmp_path_factory.mktemp("other"))
    assert pickle.loads(packed).file.path == own
    shutil.copy(zoo.find("hc18-edge").path, own)
    with pytest.raises(ModelError, match="not the model that the segmenter was opened with"):
        pickle.loads(packed)
    own.unlink()
    with pytest.raises(ModelNotFoundError):
        pickle.loads(packed)


@pytest.mark.slow
@pytest.mark.parametrize("start", ["spawn", "fork"])
def test_workers_measure_the_same(start: str, nano: Segmenter, scan: np.ndarray) -> None:
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {start} here")
    with multiprocessing.get_context(start).Pool(2) as pool:
        found = pool.starmap(nano.predict, [(scan, 0.2)] * 3)
    assert [prediction.hc_mm for prediction in found] == [nano.predict(scan, 0.2).hc_mm] * 3
