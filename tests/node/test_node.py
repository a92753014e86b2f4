"""What a node answers, and when it brings the report up to date."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from edgeseg.errors import OutputWriteError
from edgeseg.node.addresses import Remote
from edgeseg.node.client import send
from edgeseg.node.node import Served, listening
from tests.node.peers import until

pytest.importorskip("pynetdicom")


def sent(arrivals: Any, image: Path, said: list[str], then: Callable[[], bool]) -> Any:
    with listening(arrivals, Served(port=0), None, said.append) as place:
        (outcome,) = send([image], Remote("EDGESEG", *place))
        until(then)
    return outcome


def test_a_row_that_cannot_be_written_is_not_answered_by_success(
    example: Callable[[str], Path], tmp_path: Path
) -> None:
    def add(*_: object) -> list[str]:
        raise OutputWriteError("the disk is full")

    arrivals = SimpleNamespace(add=add, measuring=SimpleNamespace(out=tmp_path))
    said: list[str] = []
    outcome = sent(arrivals, example("rgb_color"), said, lambda: True)
    assert not outcome.sent
    assert not outcome.refused  # it may come again
    assert said == ["the disk is full"]


def test_the_report_follows_while_the_node_runs(
    example: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeseg.run.reporter._QUIET_S", 0.01)
    monkeypatch.setattr("edgeseg.run.reporter._LOOK_S", 0.01)
    reports: list[None] = []
    arrivals = SimpleNamespace(
        add=lambda *_: [],
        report=lambda: reports.append(None),
        measuring=SimpleNamespace(out=tmp_path),
    )
    assert sent(arrivals, example("rgb_color"), [], lambda: len(reports) == 1).sent
