from __future__ import annotations

from collections.abc import Iterator

import pytest

from edgeseg.segmenter import Segmenter
from edgeseg.serve.site import export
from tests.serve.sites import served


@pytest.fixture(scope="session")
def nano() -> Segmenter:
    return Segmenter("hc18-nano", device="cpu", threads=1)


@pytest.fixture(scope="session")
def address(nano: Segmenter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the exported site is served."""
    folder = tmp_path_factory.mktemp("site")
    export(folder, nano, overwrite=False)
    with served(folder) as url:
        yield url
