"""The page as a person uses it, on a screen as small as a phone's."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.drawing.encode import encode
from edgeseg.output import table
from edgeseg.phantom.head import Phantom
from edgeseg.segmenter import Segmenter
from edgeseg.serve.site import CONTENT_SECURITY_POLICY, site
from tests.browser import PHONE, opened, wait_until
from tests.serve.conftest import READY, add, choose, count, wait_for_results
from tests.tables import read_rows

pytestmark = pytest.mark.browser
MOST_BYTES = 5_000_000
ENTERED_MM = 0.12


@pytest.fixture(scope="module")
def window(chromium: Any, address: str) -> Iterator[Any]:
    with opened(chromium, address, PHONE) as page:
        wait_until(page, READY)
        yield page


@pytest.fixture
def page(window: Any) -> Any:
    """The page without a pixel size; what other cases measured is listed still."""
    enter(window, "")
    return window


def enter(page: Any, size: object) -> None:
    page.fill("#size-x", str(size))


def figure(page: Any) -> str:
    """Return what the page shows as its result, such as ``HC 175.3 ± 3.6 mm``."""
    text = page.locator("#figure").text_content()
    assert isinstance(text, str)
    return text


def wait_for_figure(page: Any, pattern: str) -> float:
    """Wait until the result matches a pattern, and return its number."""
    wait_until(page, f"/{pattern}/.test(document.getElementById('figure').textContent)")
    return float(figure(page).split()[1])


def save(page: Any, button: str, path: Path) -> None:
    with page.expect_download() as saving:
        page.click(button)
    saving.value.save_as(path)


def asks_before_leaving(page: Any) -> bool:
    return not page.evaluate("dispatchEvent(new Event('beforeunload', { cancelable: true }))")


def run_example(page: Any) -> None:
    before = count(page)
    page.click("#example")
    wait_for_results(page, before + 1)


def test_the_example_is_measured_by_one_tap(page: Any, nano: Segmenter) -> None:
    run_example(page)
    files = site(nano)
    mm = json.loads(files["example.json"].content)["pixel_size_mm"]
    assert float(figure(page).split()[1]) == pytest.approx(
        nano.predict(files["example.png"].content, mm).hc_mm, abs=0.1
    )
    assert page.locator("#verdict").get_attribute("class") == "ok"
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert "Nothing is sent anywhere" in page.locator("#private").text_content()
    assert "Not a medical device" in page.locator("#intended").text_content()


@pytest.mark.parametrize("entered", ["", str(ENTERED_MM)])
def test_the_example_leaves_the_pixel_size_alone(page: Any, scan_file: bytes, entered: str) -> None:
    run_example(page)
    enter(page, entered)
    stored = page.evaluate("JSON.stringify(localStorage)")
    run_example(page)
    assert page.input_value("#size-x") == entered
    assert page.evaluate("JSON.stringify(localStorage)") == stored
    (button,) = add(page, {"own.png": scan_file})
    assert ("px" in button.text_content()) == (not entered)
    run_example(page)
    example = figure(page)
    enter(page, 0.3)  # for the next image: the example has its own
    add(page, {"next.png": scan_file})
    page.locator("#measured button").nth(-2).click()
    assert figure(page) == example


def test_a_pixel_size_measures_the_image_anew(page: Any, nano: Segmenter, scan: np.ndarray) -> None:
    add(page, {"a.png": encode(".png", scan)})
    assert "px" in figure(page)
    for size in ((ENTERED_MM, ENTERED_MM), (ENTERED_MM, 0.15)):
        enter(page, "{} x {}".format(*size))
        hc_mm = nano.predict(scan, size).hc_mm
        assert wait_for_figure(page, f"HC {hc_mm:.1f}".replace(".", r"\.")) > 0
    for text, said in (("", "in pixels"), ("0.1x", "expected mm"), ("11", "expected mm")):
        enter(page, text)
        wait_for_figure(page, " px")
        assert said in page.locator("#size-note").text_content()
    assert not page.locator("#confirm").is_visible()
    before = count(page)  # what is wrong is refused
    choose(page, {"a.png": encode(".png", scan)})
    wait_until(page, "document.getElementById('state').classList.contains('wrong')")
    assert count(page) == before


def test_a_pixel_size_is_confirmed_for_images_of_another_size(page: Any, scan: np.ndarray) -> None:
    add(page, {"a.png": encode(".png", scan)})
    enter(page, ENTERED_MM)
    hc_mm = wait_for_figure(page, " mm")
    assert not page.locator("#confirm").is_visible()
    add(page, {"cut.png": encode(".png", scan[4:-4])})
    assert " px" in figure(page)
    question = page.locator("#size-note").text_content()
    height, width = scan.shape
    assert all(str(n) in question for n in (ENTERED_MM, width, height, height - 8))
    page.click("#confirm")
    assert wait_for_figure(page, " mm") == pytest.approx(hc_mm, rel=0.02)
    assert not page.locator("#confirm").is_visible()
    page.reload()  # it is remembered, and so is what it is for
    wait_until(page, READY)
    assert page.input_value("#size-x") == str(ENTERED_MM)
    files = {"a.png": scan, "cut.png": scan[4:-4], "narrow.png": scan[:, 4:-4]}
    buttons = add(page, {name: encode(".png", pixels) for name, pixels in files.items()})
    assert [" px" in button.text_content() for button in buttons] == [False, False, True]


def test_a_ruler_in_the_image_sets_the_scale(
    page: Any, nano: Segmenter, scan: np.ndarray, tmp_path: Path
) -> None:
    name = "ruled.png"
    add(page, {name: encode(".png", scan)})
    page.click("#set-scale")
    assert page.locator("#scale-use").is_disabled()
    box = page.locator("#picture").bounding_box()
    shown, x = box["width"] / scan.shape[1], box["x"] + 20
    page.mouse.click(x, box["y"] + 20 * shown)
    page.mouse.move(x, box["y"] + 200 * shown)
    page.mouse.down()
    page.mouse.move(x, box["y"] + 300 * shown)  # 20 pixels in the magnifier
    page.mouse.up()
    page.press(".mark >> nth=1", "ArrowDown")
    page.fill("#distance", "24,12")
    page.click("#scale-use")
    hc_mm = nano.predict(scan, 0.12).hc_mm
    assert wait_for_figure(page, " mm") == pytest.approx(hc_mm, rel=0.002)
    assert f"ruler in {name}" in page.locator("#figures").text_content()
    (same,) = add(page, {"same.png": encode(".png", scan)})
    assert " mm" in same.text_content()
    same.click()
    assert 0 <= page.locator("#result").bounding_box()["y"] < PHONE["height"] / 4
    save(page, "#save-table", tmp_path / "results.csv")
    assert read_rows(tmp_path / "results.csv")[-1]["pixel_size_source"] == "ruler"
    page.click("#remove-size")
    wait_for_figure(page, " px")


def test_doubts_and_bad_files_are_explained_and_the_others_go_on(
    page: Any, nano: Segmenter, phantoms: list[Phantom]
) -> None:
    half = phantoms[2].image[:, : phantoms[2].image.shape[1] // 2]
    files = {"<b>x\x1b[31m.png": b"no image", "good.png": encode(".png", phantoms[0].image)}
    first, second, _ = add(page, files | {"half.png": encode(".png", half)}, "drop")
    assert page.locator("#verdict").get_attribute("class") == "doubtful"
    reason = nano.predict(half).reason
    assert "; ".join(page.locator("#doubts li").all_text_contents()) == reason
    written = page.evaluate("""() => {
      const texts = [], kind = CanvasRenderingContext2D.prototype, { fillText } = kind;
      kind.fillText = (text) => texts.push(text);
      document.getElementById("save-picture").click();
      kind.fillText = fillText;
      return texts.join();
    }""")
    for text in (*reason.split("; "), "unknown", nano.metadata.intended_use):
        assert text in written
    assert first.text_content().startswith("\u2717 failed \u00b7 <b>x\\x1b[31m.png: ")
    assert second.get_attribute("class") == "ok"
    first.click()
    assert page.locator("#verdict").get_attribute("class") == "failed"
    assert not page.locator("#picture").is_visible()
    assert page.locator("#measured b").count() == 0


def test_picture_and_table_are_saved(
    page: Any, nano: Segmenter, scan: np.ndarray, tmp_path: Path
) -> None:
    name = "=1+1,b.png"
    first, _ = add(page, {name: encode(".png", scan), "bad.png": b"no image"}, "paste")
    first.click()
    enter(page, "0,2x0.25")
    wait_for_figure(page, " mm")
    save(page, "#save-picture", tmp_path / "picture.png")
    assert asks_before_leaving(page)
    save(page, "#save-table", tmp_path / "results.csv")
    assert not asks_before_leaving(page)
    picture = cv2.imread(str(tmp_path / "picture.png"))
    assert picture is not None
    height, width = scan.shape
    picture = picture[:height, :width]  # below it are sentences
    blue, green, red = (picture[..., i].astype(int) for i in range(3))
    outline = (green > red + 60) & (green > blue + 60)
    prediction = nano.predict(scan, (0.2, 0.25))
    assert prediction.ellipse is not None
    x, y = np.round(prediction.ellipse.points(90)).astype(int).T
    assert cv2.dilate(outline.astype(np.uint8), np.ones((3, 3)))[y, x].mean() > 0.95
    good, bad = read_rows(tmp_path / "results.csv")[-2:]
    assert tuple(good) == table.columns(nano.metadata.task)
    row = table.prediction_row(name, prediction, 0.0)
    cells = table.cells(row, table.column_decimals(prediction.task))
    for column, cell in zip(row, cells, strict=True):
        if re.fullmatch(r"-?\d+\.\d+", cell) and not column.endswith("_ms"):
            assert float(good[column]) == pytest.approx(float(cell), abs=0.02), column
            decimals = len(cell.partition(".")[2])
            assert column.startswith("pixel") or len(good[column].partition(".")[2]) == decimals
        elif not column.endswith("_ms"):
            assert good[column] == cell, column
    assert (bad["status"], bad["hc_mm"], bad["confidence"]) == ("failed", "", "")


def test_it_works_without_a_network_after_the_first_visit(page: Any, scan_file: bytes) -> None:
    page.evaluate("navigator.serviceWorker.ready.then(() => {})")
    page.context.set_offline(True)
    try:
        page.reload()
        wait_until(page, READY)
        add(page, {"a.png": scan_file})
        assert figure(page).startswith("HC ")
    finally:
        page.context.set_offline(False)


def test_little_is_sent_and_only_what_the_policy_allows(chromium: Any, address: str) -> None:
    with chromium.new_context(service_workers="block") as window:
        page, answers = window.new_page(), []
        page.on("response", lambda answer: answers.append(answer))
        page.goto(address)
        wait_until(page, READY)
        assert 3_000_000 < sum(len(answer.body()) for answer in answers) < MOST_BYTES
        policy = page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content")
        assert policy == CONTENT_SECURITY_POLICY
        messages: list[str] = []
        page.on("console", lambda message: messages.append(message.text))
        asked = page.evaluate("fetch('https://example.org/').then(() => 'sent', () => 'refused')")
        assert asked == "refused"
        assert "Content Security Policy" in " ".join(messages)


def test_the_camera_is_measured_in_pixels_until_it_is_stopped(
    chromium: Any, address: str, scan_file: bytes
) -> None:
    """With a phantom's picture before the camera, at a distance that nobody knows."""
    picture = base64.b64encode(scan_file).decode()
    with opened(chromium, address, PHONE, permissions=["camera"]) as page:
        wait_until(page, READY)
        enter(page, ENTERED_MM)
        page.evaluate(
            """async (picture) => {
              const canvas = document.createElement("canvas"), image = new Image();
              image.src = `data:image/png;base64,${picture}`;
              await image.decode();
              [canvas.width, canvas.height] = [image.width, image.height];
              const context = canvas.getContext("2d");
              const paint = () => { context.drawImage(image, 0, 0); requestAnimationFrame(paint); };
              paint();
              navigator.mediaDevices.getUserMedia = async () => canvas.captureStream();
            }""",
            picture,
        )
        page.click("#camera")
        wait_for_figure(page, "HC .* px")
        assert page.locator("#camera").text_content() == "Stop"
        page.click("#camera")
        wait_until(page, "document.querySelectorAll('#measured button').length === 1")
        assert page.locator("#camera").text_content() == "Camera"
        assert page.evaluate("document.getElementById('video').srcObject") is None
        enter(page, 0.2)
        (button,) = page.locator("#measured button").all()
        assert " px" in button.text_content()
        assert not page.locator("#confirm").is_visible()
