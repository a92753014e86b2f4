"""A real browser for the tests of pages: Debian's Chromium, driven by playwright."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

PHONE = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 900}
_NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser; tests with it are marked ``browser``, and skipped where there is none."""
    places = [os.environ.get("EDGESEG_CHROMIUM"), *map(shutil.which, _NAMES)]
    path = next(filter(None, places), None)
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if path is None:
        pytest.skip("Chromium is not here; Debian's package is called chromium")
    with playwright.sync_playwright() as driver:
        # root, as in containers, has no sandbox; shared memory is small there
        arguments = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        browser = driver.chromium.launch(executable_path=path, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


@contextlib.contextmanager
def opened(chromium: Any, url: str, size: dict[str, int] = DESK, **context: Any) -> Iterator[Any]:
    """Open a page; fails at the end on any complaint, or any request to another origin.

    What the page saves is accepted; ``context`` is what playwright's ``new_context`` takes.
    """
    complaints: list[str] = []
    requested: list[str] = []
    with contextlib.closing(chromium.new_context(viewport=size, **context)) as window:
        page = window.new_page()
        page.on("console", lambda said: complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda asked: complaints.append(f"failed: {asked.url}"))
        window.on("request", lambda asked: requested.append(asked.url))
        page.goto(url)
        yield page
        complaints = [*complaints]  # a picture that closing cuts off is none
    own = (("data", ""), ("blob", ""), urlsplit(url)[:2])
    complaints += [f"asked for {asked}" for asked in requested if urlsplit(asked)[:2] not in own]
    assert not complaints, complaints


def wait_until(page: Any, condition: str) -> None:
    """Wait until a condition holds in a page whose policy forbids playwright's own waiting."""
    for _ in range(800):  # only a failure takes that long
        if page.evaluate(condition):
            return
        page.wait_for_timeout(25)
    raise AssertionError(f"never: {condition}")
