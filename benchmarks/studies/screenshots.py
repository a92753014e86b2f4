"""The pictures of the README, of phantoms: an overlay, the report, the page that measures.

PYTHONPATH=benchmarks python benchmarks/studies/screenshots.py
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from edgeseg.phantom import demo
from edgeseg.segmenter import Segmenter
from edgeseg.serve.api import Measurer
from edgeseg.serve.server import Bounds, Server, run_server
from edgeseg.serve.site import site

PICTURES = Path(__file__).resolve().parents[2] / "docs" / "pictures"


def main() -> None:
    """Make them."""
    parser = argparse.ArgumentParser(description="Screenshots of report and page.")
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    asked = parser.parse_args()
    segmenter = Segmenter("hc18-nano", device="cpu", threads=1)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        os.chdir(folder)
        out = demo.run(segmenter)[0].out.resolve()
        shutil.copy(next((out / "overlays").glob("*.jpg")), PICTURES / "example.jpg")
        arguments = ["--no-sandbox", "--disable-gpu"]
        browser = driver.chromium.launch(executable_path=asked.chromium, args=arguments)
        _shoot(browser, (out / "report.html").as_uri(), (1280, 860), PICTURES / "report.png")
        measurer = Measurer(segmenter, 1, 1)
        server = Server(("127.0.0.1", 0), measurer, site(segmenter), Bounds())
        with run_server(server):
            address = f"http://127.0.0.1:{server.server_address[1]}/"
            _shoot(browser, address, (390, 844), PICTURES / "page.png", press="#example")
        browser.close()


def _shoot(
    browser: Any, address: str, size: tuple[int, int], path: Path, press: str | None = None
) -> None:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]})
    page.goto(address)
    if press:
        page.locator(press).click()
        page.locator("#result").wait_for()
    page.wait_for_timeout(800)
    page.screenshot(path=path)
    page.close()


if __name__ == "__main__":
    main()
