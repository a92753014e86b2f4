"""Images through the page of `edgeseg serve`, in Chromium."""

from __future__ import annotations

import csv
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2

from .figures import Figures, add_rows
from .services import port_of, running
from .trees import CPU, Tree

_BROWSERS = ("chromium", "chromium-browser", "google-chrome")
_PATIENCE_S = 600


def measure(tree: Tree, scans: Sequence[Path], out: Path) -> Figures:
    """Measure scans of one size at 0.1 mm a pixel, then as JPEG, and take the page's table.

    Raises
    ------
    SystemExit
        If there is no Chromium, or the page does not measure them all.
    """
    from playwright.sync_api import sync_playwright

    browser = os.environ.get("EDGESEG_CHROMIUM") or next(filter(None, map(shutil.which, _BROWSERS)))
    sizes = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED).shape[:2] for path in scans]
    common = max({*sizes}, key=sizes.count)
    alike = [path for path, size in zip(scans, sizes, strict=True) if size == common]
    figures: Figures = {}
    with running(tree, "http", "serve", "--port", 0, *CPU) as line, sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for kind in ("png", "jpg"):
            files = [str(path) for path in alike] if kind == "png" else as_jpeg(alike, out)
            page = chromium.new_page()
            page.goto(f"http://127.0.0.1:{port_of(line)}/")
            wait_until(tree, page, "document.body.dataset.ready === 'true'")
            page.fill("#size-x", "0.1")
            page.set_input_files("#files", files)
            count = "document.querySelectorAll('#measured button').length"
            state = "document.getElementById('state').textContent.startsWith('Ready')"
            wait_until(tree, page, f"{count} >= {len(files)} && {state}")
            with page.expect_download() as saving:
                page.click("#save-table")
            saving.value.save_as(out / f"{kind}.csv")
            with (out / f"{kind}.csv").open(newline="", encoding="utf-8-sig") as stream:
                add_rows(figures, csv.DictReader(stream), f"{kind}/")
            page.close()
        chromium.close()
    return figures


def as_jpeg(scans: Sequence[Path], out: Path) -> list[str]:
    """Write scans as JPEG and return their paths."""
    written = []
    for path in scans:
        written.append(str(out / f"{path.stem}.jpg"))
        cv2.imwrite(written[-1], cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    return written


def wait_until(tree: Tree, page: Any, condition: str) -> None:
    """Wait for a condition in a page whose policy forbids playwright's own way."""
    for _ in range(_PATIENCE_S * 10):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(100)
    sys.exit(f"{tree.name}: never in its page: {condition}")
