from __future__ import annotations

import numpy as np
import pytest

from edgeseg.phantom.head import make_phantom


@pytest.fixture(scope="session")
def gray() -> np.ndarray:
    """Two frames of gray values that differ."""
    image = make_phantom(1, height=96, width=122).image
    return np.stack([image, image[::-1]])
