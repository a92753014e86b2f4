from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from edgeseg.errors import ModelError
from edgeseg.network.limits import Limits, read_limits


def test_limits_go_there_and_back() -> None:
    limits = Limits(presence_refused=0.05, view_shares=(0.5, 1.0), hc_mm=(50.0, 300.0))
    assert read_limits(asdict(limits) | {"added_later": 1}) == limits
    assert read_limits({}) == Limits()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("view_shares", value) for value in ([0, 0.7], [0.58, 0], [0.58, 1.1], [1e-300, 0.7])],
        *[("hc_mm", value) for value in ([400, 40], [40], 40, ["40", 400], [40, float("nan")])],
        *[("confidence", value) for value in (-0.1, True, "0.9", 1e400, 10**400, None)],
    ],
)
def test_what_is_no_limit_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ModelError, match=f"as its {name}"):
        read_limits({name: value})
