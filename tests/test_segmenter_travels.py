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
def test_workers_measure_the_same(start: str, segmenter: Segmenter, scan: np.ndarray) -> None:
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {start} here")
    expected = segmenter.predict(scan, 0.2).hc_mm
    with multiprocessing.get_context(start).Pool(2) as pool:
        found = pool.starmap(segmenter.predict, [(scan, 0.2)] * 3)
    assert [prediction.hc_mm for prediction in found] == [expected] * 3
