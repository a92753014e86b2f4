from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from edgeseg.phantom.head import Phantom
from edgeseg.score.hc18 import Case
from edgeseg.segmenter import Segmenter
from tests.conftest import BENCHMARKS, benchmark_script


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return benchmark_script("screens")


@pytest.fixture(scope="module")
def drawn() -> ModuleType:
    return benchmark_script("library.screens")


def test_a_scan_fills_its_region_and_nothing_else(drawn: ModuleType) -> None:
    scan = np.full((540, 800), 99, np.uint8)
    for machine in drawn.MACHINES.values():
        bare = machine._replace(furnish=lambda *_: None)
        screen = drawn.shown(bare, [scan] * len(machine.regions))
        assert screen.gray.shape == machine.size
        covered = np.zeros(machine.size, bool)
        for region, (scale_x, scale_y) in zip(machine.regions, screen.scales, strict=True):
            part = region.of(screen.gray)
            assert part.shape == region.size
            region.of(covered)[:] = True
            height, width = (int((part == 99).any(axis=axis).sum()) for axis in (1, 0))
            assert width * scale_x == pytest.approx(800)
            assert height * scale_y == pytest.approx(540)
            assert max(width / part.shape[1], height / part.shape[0]) == pytest.approx(
                machine.fill, abs=0.01
            )
            assert scale_x == pytest.approx(scale_y, rel=0.003)
        assert not (screen.gray[~covered] == 99).any()


def test_a_region_says_what_it_holds(drawn: ModuleType) -> None:
    region = drawn.Region(10, 20, 19, 39)
    assert region.size == (20, 10)
    assert [region.holds(*at) for at in ((10, 20), (19, 39), (9, 30), (15, 40))] == [
        *(True, True, False, False)
    ]


@pytest.mark.parametrize("side", range(4))
def test_the_asked_share_of_a_head_is_beyond_the_region(
    script: ModuleType, drawn: ModuleType, phantoms: list[Phantom], side: int
) -> None:
    segmenter = Segmenter("hc18-nano", device="cpu", threads=1)
    image = phantoms[0].image
    found = segmenter.predict(image, 0.3)
    head = script.Scan(image, 0.3, found)
    machine = drawn.MACHINES["SonoSite, 512x384 of 640x480"]
    case = script.cut(machine._replace(furnish=lambda *_: None), head, 0.3, side)
    assert found.ellipse is not None
    points, axis = found.ellipse.points(360)[:, side % 2], side % 2
    # where the scan's own border ends up says where its head is
    factor = drawn.enlargement(machine, machine.regions[0], image)
    inside = np.flatnonzero((machine.regions[0].of(case.screen.gray) > 0).any(axis=axis))
    length = image.shape[1 - axis] * factor
    start = inside[-1] + 1 - length if side < 2 else inside[0]
    low, high = (float(value) * factor + start for value in (points.min(), points.max()))
    room = machine.regions[0].size[1 - axis]
    beyond = -low if side < 2 else high - room
    assert beyond / (high - low) == pytest.approx(0.3, abs=0.03)


@pytest.mark.slow
def test_every_screen_is_measured_in_every_way(
    script: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    phantoms: list[Phantom],
    tmp_path: Path,
) -> None:
    cases = []
    for i, phantom in enumerate(phantoms[:2]):
        path = tmp_path / f"{i}.png"
        cv2.imwrite(str(path), phantom.image)
        cases.append(Case(path.name, path, path, 0.3, 100.0, str(i)))
    monkeypatch.setattr(script, "spread_cases", lambda *_: cases)
    model, out = BENCHMARKS / "folds" / "hc18-nano-fold0.onnx", tmp_path / "out.json"
    asked = ["screens.py", "--data", ".", "--models", str(model), "--json", str(out)]
    monkeypatch.setattr(sys, "argv", asked)
    script.main()
    figures = json.loads(out.read_text())[model.stem]
    assert len(figures["whole heads"]) == len(figures["cut heads"]) + 2
    for ways in figures["whole heads"].values():
        for found in ways.values():
            assert found["ok"] + found["doubtful"] + found["empty"] == found["n"] > 0
            assert found["runs"] >= 1
    assert "| Aloka, two of 304x392 of 640x480, another head | each region, surest |" in (
        capsys.readouterr().out
    )
