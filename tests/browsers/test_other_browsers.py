"""Page and report measure, correct and save in Firefox and WebKit; axe-core finds nothing there."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.drawing.encode import encode
from edgeseg.phantom.head import Phantom
from edgeseg.score.corrected import read_corrections
from edgeseg.segmenter import Segmenter
from tests.browser import wait_until
from tests.browsers.drivers import firefox, webkit
from tests.serve.test_app import ENTERED_MM, READY, wait_for_results
from tests.tables import read_rows

pytestmark = [pytest.mark.browser, pytest.mark.nightly]
AXE = Path(os.environ.get("NODE_PATH", "NODE_PATH")) / "axe-core" / "axe.min.js"
NO_AXE = "NODE_PATH has to name a folder with npm's packages puppeteer-core (24) and axe-core"


@pytest.fixture(scope="module", params=[firefox, webkit], ids=["Firefox", "WebKit"])
def window(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser; ``window.saved`` waits for a file that it saves, up to given last bytes."""
    if not AXE.is_file():
        pytest.skip(NO_AXE)
    folder = tmp_path_factory.mktemp("saved")

    def saved(name: str, end: bytes) -> Path:
        path = folder / name
        for _ in range(400):  # only a failure takes that long
            if path.is_file() and path.read_bytes().endswith(end):
                return path
            time.sleep(0.05)
        raise AssertionError(f"{name} is not among {[*folder.iterdir()]}")

    with request.param(folder) as window:
        window.saved, window.wait_for_timeout = saved, lambda ms: time.sleep(ms / 1000)
        yield window


def check_accessible(window: Any) -> None:
    """Let axe-core look at what is shown now, in light and in dark."""
    window.evaluate(f"(() => {{ {AXE.read_text()} }})()")
    for scheme in ("light", "dark"):
        window.evaluate(f"document.documentElement.style.colorScheme = '{scheme}'")
        found = window.evaluate("axe.run().then((found) => JSON.stringify(found.violations))")
        assert found == "[]"


def test_the_page_measures_as_infer_does(
    window: Any, address: str, nano: Segmenter, phantoms: list[Phantom], tmp_path: Path
) -> None:
    window.goto(address)
    wait_until(window, READY)
    window.fill("#size-x", str(ENTERED_MM))
    first, second, *_ = (phantom.image for phantom in phantoms)
    files = {"a.png": first, "b.jpg": second, "half.png": first * (np.arange(400) < 200)}
    for name, pixels in (files | {"dark.png": 0 * first}).items():
        (tmp_path / name).write_bytes(encode(name[-4:], pixels))
    window.choose("#files", [str(path) for path in sorted(tmp_path.iterdir())])
    wait_for_results(window, 4)
    check_accessible(window)
    window.click("#save-table")
    rows = read_rows(window.saved("results.csv", b"\n"))
    assert [row["status"] for row in rows] == ["ok", "ok", "empty", "doubtful"]
    for row in rows:
        expected = nano.predict(tmp_path / row["file"], ENTERED_MM)
        assert (row["status"], row["reason"]) == (expected.status, expected.reason)
        assert float(row["hc_mm"] or 0) == pytest.approx(expected.hc_mm or 0, abs=0.1)
    window.click("#measured button")
    window.click("#save-picture")
    picture = cv2.imread(str(window.saved("a-measured.png", b"IEND\xaeB`\x82"))).astype(int)
    picture = picture[: first.shape[0]]  # below it are sentences
    assert np.count_nonzero(picture[..., 1] > picture[..., 2] + 60) > 200  # the green outline
    window.click("#example")
    wait_for_results(window, 5)
    check_accessible(window)


def test_a_head_is_corrected_in_the_report(window: Any, report: Path) -> None:
    window.goto(report.as_uri())
    window.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    check_accessible(window)
    window.click("#view")
    check_accessible(window)
    window.click("#view")
    window.fill("#search", "000_")
    card = "document.querySelector('.card')"
    wait_until(window, f"{card}.checkVisibility({{ contentVisibilityAuto: true }})")
    window.click(".card")
    wait_until(window, "picture.complete && picture.naturalWidth === 400")
    window.click("#correct")
    zoom = window.evaluate("picture.getBoundingClientRect().width / picture.naturalWidth")
    handle = "document.querySelector('[data-handle=center]')"
    box = window.evaluate(f"{handle}.getBoundingClientRect().toJSON()")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    window.drag((x, y), (x + 30, y - 20))
    check_accessible(window)
    window.click("#close")
    window.click("#save")
    (found,) = read_corrections(window.saved("corrected.csv", b"\n"))
    moved = np.subtract(found.ellipse.center, found.model_ellipse.center)
    assert moved == pytest.approx([30 / zoom, -20 / zoom], abs=1)
