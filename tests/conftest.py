"""Data the tests share: phantoms, and HC18 where EDGESEG_HC18 says it is."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from hypothesis import settings

from edgeseg.drawing.encode import encode
from edgeseg.phantom.head import Phantom, make_phantom
from edgeseg.segmenter import Segmenter
from tests.browser import chromium
from tests.phantoms import write_hc18

__all__ = ["chromium"]  # a fixture

PHANTOM_SIZE = (270, 400)
_SLOW = ("slow", "ray", "nightly")
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"

# A shell that runs a suite in the background has it, and so its children, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy or slow machine is no failure.
settings.register_profile("edgeseg", deadline=None)
settings.load_profile("edgeseg")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests marked ``nightly``, and put files with slow tests first.

    With each file in one of several processes a slow file that came last would run alone.
    """
    if not os.environ.get("EDGESEG_NIGHTLY") and "nightly" not in config.option.markexpr:
        nightly = [item for item in items if item.get_closest_marker("nightly")]
        items[:] = [item for item in items if item not in nightly]
        config.hook.pytest_deselected(items=nightly)
    slow = {item.path for item in items if any(map(item.get_closest_marker, _SLOW))}
    items.sort(key=lambda item: item.path not in slow)


def benchmark_script(name: str) -> ModuleType:
    """Import a script of ``benchmarks/`` as running it would, beside its neighbours."""
    if str(BENCHMARKS) not in sys.path:
        sys.path.append(str(BENCHMARKS))
    return importlib.import_module(name)


@pytest.fixture(scope="session")
def hc18_root() -> Path:
    """The labelled HC18 images; tests that need them are marked ``hc18``."""
    root = Path(os.environ.get("EDGESEG_HC18", "EDGESEG_HC18"))
    if not root.is_dir():
        pytest.skip(f"{root} is no folder; point EDGESEG_HC18 at one with HC18's training_set/")
    return root


@pytest.fixture(scope="session")
def phantoms() -> list[Phantom]:
    """Twelve small phantoms named as in HC18; two are of one head, 003."""
    names = [f"{i:03d}_HC.png" for i in range(11)]
    names.insert(4, "003_2HC.png")
    height, width = PHANTOM_SIZE
    return [
        make_phantom(i, height=height, width=width, name=name, cut_by_border=name == "010_HC.png")
        for i, name in enumerate(names)
    ]


@pytest.fixture(scope="session")
def phantom_data(phantoms: list[Phantom], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An HC18-shaped folder of the twelve phantoms; tests must not change it."""
    folder = tmp_path_factory.mktemp("phantoms")
    write_hc18(phantoms, folder)
    return folder


@pytest.fixture(scope="session")
def segmenter() -> Segmenter:
    return Segmenter("hc18-edge", device="cpu", threads=1)


@pytest.fixture(scope="session")
def nano() -> Segmenter:
    return Segmenter("hc18-nano", device="cpu", threads=1)


@pytest.fixture(scope="session")
def scan(phantoms: list[Phantom]) -> np.ndarray:
    """The first phantom's gray values."""
    return phantoms[0].image


@pytest.fixture(scope="session")
def scan_file(scan: np.ndarray) -> bytes:
    """The first phantom as a PNG file."""
    return encode(".png", scan)
