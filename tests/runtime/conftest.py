from __future__ import annotations

import numpy as np
import pytest

from edgeseg.phantom import Phantom
from edgeseg.segmenter import Segmenter


@pytest.fixture(scope="session")
def segmenter() -> Segmenter:
    return Segmenter("hc18-edge", device="cpu", threads=1)


@pytest.fixture(scope="session")
def scan(phantoms: list[Phantom]) -> np.ndarray:
    """The first phantom's gray values."""
    return phantoms[0].image
