from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from edgeseg.bench.verify import Check, verify
from edgeseg.network import zoo
from tests.fakes import LESIONS, FakeSession, bright, open_fake


def checks(monkeypatch: pytest.MonkeyPatch, session: FakeSession) -> dict[str, Check]:
    open_fake(monkeypatch, session)
    return {check.name: check for check in verify("hc18-nano")}


@pytest.mark.parametrize("model", zoo.manifest())
def test_bundled_models_hold(model: str) -> None:
    found = verify(model, "cpu")
    names = ["hash", "metadata", "graph", "output", "batch", "phantom"]
    assert [check.name for check in found] == names
    assert all(check.holds for check in found)
    assert model in found[0].seen


def test_what_is_special_of_a_graph_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = checks(monkeypatch, FakeSession(batch=2, channels=3))
    assert found["graph"].seen.startswith("float32 (N, 3, 192, 288) to float32, head:")
    assert found["batch"].holds
    assert found["batch"].seen.startswith("the graph takes 2 at a time")
    assert "trained on unknown data" in found["metadata"].seen


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("batch", lambda gray: bright(gray) / len(gray)),
        ("output", lambda gray: bright(gray)[..., ::2, ::2]),
        ("phantom", lambda gray: np.zeros(gray.shape, np.float32)),
    ],
    ids=["images that disturb each other", "maps of another size", "no head"],
)
def test_a_wrong_answer_is_seen(
    monkeypatch: pytest.MonkeyPatch, name: str, answer: Callable[[np.ndarray], np.ndarray]
) -> None:
    assert not checks(monkeypatch, FakeSession(answer))[name].holds


def test_answers_that_are_no_probabilities_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = checks(monkeypatch, FakeSession(lambda gray: np.full(gray.shape, 7, np.float32)))
    assert list(found) == ["hash", "metadata", "graph", "output"]
    assert not found["output"].holds
    assert "expected probabilities from 0 to 1" in found["output"].seen


def test_other_tasks_have_no_phantom(monkeypatch: pytest.MonkeyPatch) -> None:
    session = FakeSession(lambda gray: np.repeat(bright(gray), 2, axis=1), LESIONS)
    found = checks(monkeypatch, session)
    assert "phantom" not in found
    assert "regions: lesion, cyst, on CPU" in found["graph"].seen
