"""Page and report measure, correct and save in Firefox and WebKit; axe-core finds nothing there."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
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
from tests.serve.conftest import READY, wait_for_results
from tests.tables import read_rows

pytestmark = [pytest.mark.browser, pytest.mark.nightly]
DRIVER = Path(__file__).with_name("driver.js")
AXE = Path(os.environ.get("NODE_PATH", "NODE_PATH")) / "axe-core" / "axe.min.js"
NO_AXE = "NODE_PATH has to name a folder with npm's packages puppeteer-core (24) and axe-core"
PROGRAMS = {"firefox": ("node", "firefox-esr"), "webkit": ("node", "WebKitWebDriver", "xvfb-run")}


class Window:
    """A browser with methods named as playwright's; `saved` are the files it saved."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process, self._folder = process, folder

    def _ask(self, *command: object) -> Any:
        print(json.dumps(command), file=self._process.stdin, flush=True)
        answer = json.loads(self._process.stdout.readline())
        assert "error" not in answer, (command, answer)
        return answer.get("value")

    def __getattr__(self, name: str) -> Any:
        return functools.partial(self._ask, name)

    def wait_for_timeout(self, timeout_ms: float) -> None:
        time.sleep(timeout_ms / 1000)

    def saved(self, name: str, end: bytes) -> Path:
        """Wait for a file that is saved, up to its last bytes."""
        path = self._folder / name
        for _ in range(400):  # only a failure takes that long
            if path.is_file() and path.read_bytes().endswith(end):
                return path
            time.sleep(0.05)
        raise AssertionError(f"{name} is not among {[*self._folder.iterdir()]}")


@pytest.fixture(scope="module", params=PROGRAMS)
def window(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Window]:
    missing = [name for name in PROGRAMS[request.param] if shutil.which(name) is None]
    if missing or not AXE.is_file():
        pytest.skip(f"{', '.join(missing)} is not here" if missing else NO_AXE)
    folder = tmp_path_factory.mktemp("saved")
    screen = ["xvfb-run", "-a"] if request.param == "webkit" else []
    command = [*screen, "node", DRIVER, request.param, folder]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        yield Window(process, folder)
    assert process.returncode == 0  # else it complained of something


def box(window: Window, selector: str) -> list[float]:
    """Return left, top, width and height of what a selector finds."""
    found = f"document.querySelector('{selector}').getBoundingClientRect()"
    return window.evaluate(f"(({{ x, y, width, height }}) => [x, y, width, height])({found})")


def check_accessible(window: Window) -> None:
    """Let axe-core look at what is shown now, in light and in dark."""
    window.evaluate(f"(() => {{ {AXE.read_text()} }})()")
    for scheme in ("light", "dark"):
        window.evaluate(f"document.documentElement.style.colorScheme = '{scheme}'")
        found = window.evaluate("axe.run().then((found) => JSON.stringify(found.violations))")
        assert found == "[]"


def test_the_page_measures_as_infer_does(
    window: Window, address: str, nano: Segmenter, phantoms: list[Phantom], tmp_path: Path
) -> None:
    window.goto(address)
    wait_until(window, READY)
    first, second, *_ = (phantom.image for phantom in phantoms)
    files = {"a.png": first, "b.jpg": second, "half.png": first * (np.arange(400) < 200)}
    for name, pixels in (files | {"dark.png": 0 * first}).items():
        (tmp_path / name).write_bytes(encode(name[-4:], pixels))
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    window.choose("#files", paths[:1])
    wait_for_results(window, 1)
    window.click("#set-scale")
    x, y, width, _ = box(window, "#picture")
    for tick in (20, 220):
        window.drag(place := (x + 20, y + tick * width / 400), place)
    window.fill("#distance", "24")
    check_accessible(window)
    window.click("#scale-use")
    wait_until(window, "document.getElementById('figure').textContent.endsWith('mm')")
    window.choose("#files", paths[1:])
    wait_for_results(window, 4)
    check_accessible(window)
    window.click("#save-table")
    rows = read_rows(window.saved("results.csv", b"\n"))
    assert [row["status"] for row in rows] == ["ok", "ok", "empty", "doubtful"]
    for row in rows:
        size = float(row["pixel_size_x_mm"])
        assert (row["pixel_size_source"], size) == ("ruler", pytest.approx(24 / 200, rel=0.01))
        expected = nano.predict(tmp_path / row["file"], size)
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


def test_a_head_is_corrected_in_the_report(window: Window, report: Path) -> None:
    window.goto(report.as_uri())
    window.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    check_accessible(window)
    window.click("#view")
    check_accessible(window)
    window.click("#view")
    window.fill("#search", "000_")
    card = "document.querySelector('.card')"
    window.evaluate(f"{card}.scrollIntoView()")  # else WebKit has not laid it out
    wait_until(window, f"{card}.checkVisibility({{ contentVisibilityAuto: true }})")
    window.click(".card")
    wait_until(window, "picture.complete && picture.naturalWidth === 400")
    window.click("#correct")
    zoom = window.evaluate("picture.getBoundingClientRect().width / picture.naturalWidth")
    left, top, width, height = box(window, "[data-handle=center]")
    x, y = left + width / 2, top + height / 2
    window.drag((x, y), (x + 30, y - 20))
    check_accessible(window)
    window.click("#close")
    window.click("#save")
    (found,) = read_corrections(window.saved("corrected.csv", b"\n"))
    moved = np.subtract(found.ellipse.center, found.model_ellipse.center)
    assert moved == pytest.approx([30 / zoom, -20 / zoom], abs=1)
