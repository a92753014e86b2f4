"""Segmenters in other processes: they travel as what they were opened with."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from edgeseg.errors import ModelError, ModelNotFoundError
from edgeseg.network import zoo
from edgeseg.segmenter import Segmenter


@pytest.fixture
def own_model(tmp_path: Path) -> Path:
    path = tmp_path / "mine.onnx"
    shutil.copy(zoo.find("hc18-nano").path, path)
    return path


def test_copies_have_a_session_of_their_own(segmenter: Segmenter, scan: np.ndarray) -> None:
    copies = [copy.copy(segmenter), copy.deepcopy([segmenter])[0]]
    copies.append(pickle.loads(pickle.dumps(segmenter)))
    for other in copies:
        assert other is not segmenter
        assert other._port.session is not segmenter._port.session
        assert other.file == segmenter.file
        assert other.predict(scan, 0.2).hc_mm == segmenter.predict(scan, 0.2).hc_mm


def test_what_it_was_opened_with_goes_along(monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = Segmenter("hc18-nano", device="cpu", threads=2, spin=False)
    packed = pickle.dumps(segmenter)
    assert len(packed) < 1000, "the model itself does not travel"
    opened = []

    def remember(self: Segmenter, model: str, **options: object) -> None:
        opened.append((model, options))
        self.file = segmenter.file

    monkeypatch.setattr(Segmenter, "__init__", remember)
    pickle.loads(packed)
    assert opened == [("hc18-nano", {"device": "cpu", "threads": 2, "spin": False})]


def test_a_file_is_found_from_another_folder(
    own_model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.chdir(own_model.parent)
    packed = pickle.dumps(Segmenter(own_model.name, device="cpu", threads=1))
    monkeypatch.chdir(tmp_path_factory.mktemp("other"))
    assert pickle.loads(packed).file.path == own_model


def test_a_file_that_was_changed_meanwhile_is_an_error(own_model: Path) -> None:
    packed = pickle.dumps(Segmenter(own_model, device="cpu", threads=1))
    shutil.copy(zoo.find("hc18-edge").path, own_model)
    with pytest.raises(ModelError, match="not the model that the segmenter was opened with"):
        pickle.loads(packed)
    own_model.unlink()
    with pytest.raises(ModelNotFoundError):
        pickle.loads(packed)


class Mine(Segmenter):
    """One of a user's own kind."""


def test_a_kind_of_one_s_own_stays_one() -> None:
    segmenter = Mine("hc18-nano", device="cpu", threads=1)
    assert type(copy.copy(segmenter)) is Mine


@pytest.mark.slow
@pytest.mark.parametrize("start", ["spawn", "fork", "forkserver"])
def test_workers_measure_the_same(start: str, segmenter: Segmenter, scan: np.ndarray) -> None:
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {start} here")
    expected = segmenter.predict(scan, 0.2).to_dict()["hc_mm"]
    with multiprocessing.get_context(start).Pool(2) as pool:
        found = pool.starmap(segmenter.predict, [(scan, 0.2)] * 3)
    assert [prediction.hc_mm for prediction in found] == [expected] * 3
