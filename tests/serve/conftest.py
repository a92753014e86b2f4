from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from edgeseg.segmenter import Segmenter
from edgeseg.serve.server import Server
from edgeseg.serve.site import export
from tests.browser import opened, wait_until
from tests.serve.callers import running
from tests.serve.window import MODULES, PREPARE


@pytest.fixture(scope="session")
def address(nano: Segmenter, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where the exported site is served."""
    folder = tmp_path_factory.mktemp("site")
    export(folder, nano, overwrite=False)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="package")
def page(chromium: Any, address: str) -> Iterator[Any]:
    """The site with all its modules at hand as ``t``."""
    with opened(chromium, address) as page:
        page.evaluate(PREPARE, list(MODULES))
        wait_until(page, "window.failure || window.t")
        assert page.evaluate("window.failure") == ""
        wait_until(page, "document.body.dataset.ready === 'true'")
        yield page


@pytest.fixture(scope="package")
def server(nano: Segmenter) -> Iterator[Server]:
    with running(nano) as server:
        yield server
