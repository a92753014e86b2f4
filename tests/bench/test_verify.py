from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeseg.bench.verify import Check, verify
from edgeseg.network import zoo
from tests.fakes import LESIONS, METADATA, FakeSession, bright, open_fake


def checks(monkeypatch: pytest.MonkeyPatch, session: FakeSession) -> dict[str, Check]:
    open_fake(monkeypatch, session)
    return {check.name: check for check in verify("hc18-nano")}


@pytest.mark.parametrize("model", zoo.manifest())
def test_bundled_models_hold(model: str) -> None:
    found = verify(model, "cpu")
    assert [check.name for check in found] == [
        "hash", "metadata", "graph", "output", "batch", "phantom",
    ]  # fmt: skip
    assert all(check.holds for check in found)
    assert model in found[0].seen


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_a_graph_of_a_fixed_batch_is_run_in_parts(
    monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    found = checks(monkeypatch, FakeSession(batch=batch))
    assert found["batch"].holds
    assert found["batch"].seen.startswith(f"the graph takes {batch} at a time")


@pytest.mark.parametrize("channels", [1, 3])
def test_a_float_input_is_named(monkeypatch: pytest.MonkeyPatch, channels: int) -> None:
    found = checks(monkeypatch, FakeSession(channels=channels))
    assert found["graph"].seen.startswith(f"float32 (N, {channels}, 192, 288) to float32, head:")
    assert found["batch"].holds


def test_images_of_a_batch_that_disturb_each_other_are_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def mixed(gray: np.ndarray) -> np.ndarray:
        return bright(gray) / len(gray)

    assert not checks(monkeypatch, FakeSession(mixed))["batch"].holds


@pytest.mark.parametrize("answer", [-0.5, 7.0, np.nan])
def test_answers_that_are_no_probabilities_end_the_checks(
    monkeypatch: pytest.MonkeyPatch, answer: float
) -> None:
    found = checks(monkeypatch, FakeSession(lambda gray: np.full(gray.shape, answer, np.float32)))
    assert list(found) == ["hash", "metadata", "graph", "output"]
    assert not found["output"].holds
    assert "expected probabilities from 0 to 1" in found["output"].seen


def test_maps_of_another_size_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    found = checks(monkeypatch, FakeSession(lambda gray: bright(gray)[..., ::2, ::2]))
    assert not found["output"].holds


def test_a_bundled_model_that_measures_the_phantom_wrongly_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = checks(monkeypatch, FakeSession(lambda gray: np.zeros(gray.shape, np.float32)))
    assert not found["phantom"].holds
    assert found["phantom"].seen == "no head found"


def test_other_tasks_have_no_phantom(monkeypatch: pytest.MonkeyPatch) -> None:
    def two(gray: np.ndarray) -> np.ndarray:
        return np.repeat(bright(gray), 2, axis=1)

    found = checks(monkeypatch, FakeSession(two, LESIONS))
    assert "phantom" not in found
    assert "regions: lesion, cyst, on CPU" in found["graph"].seen


def test_unknown_training_data_is_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "trained on unknown data" in checks(monkeypatch, FakeSession())["metadata"].seen
    known = replace(METADATA, name="mine")
    assert checks(monkeypatch, FakeSession(metadata=known))["metadata"].seen.startswith("mine, ")
