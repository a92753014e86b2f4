from __future__ import annotations

import pytest

from edgeseg.segmenter import Segmenter


@pytest.fixture(scope="session")
def segmenter() -> Segmenter:
    return Segmenter("hc18-edge", device="cpu", threads=1)
