"""The page as a person uses it, on a screen as small as a phone's."""

from __future__ import annotations

import base64
import json
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
from tests.browser import PHONE, executable, opened, until

pytestmark = pytest.mark.browser
READY = "document.body.dataset.ready === 'true'"
IDLE = "document.getElementById('state').textContent.startsWith('Ready')"
MOST_BYTES = 5_000_000


@pytest.fixture
def page(chromium: Any, address: str) -> Iterator[Any]:
    with opened(chromium, address, PHONE) as page:
        until(page, READY)
        yield page


def given(page: Any, files: dict[str, bytes], how: str = "choose") -> None:
    """Choose, drop or paste files, and wait until they are measured."""
    if how == "choose":
        payloads = [
            {"name": name, "mimeType": "image/png", "buffer": data} for name, data in files.items()
        ]
        page.set_input_files("#files", payloads)
    else:
        packed = {name: base64.b64encode(data).decode() for name, data in files.items()}
        page.evaluate(
            """([how, files]) => {
              const transfer = new DataTransfer();
              for (const [name, text] of Object.entries(files)) {
                const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
                transfer.items.add(new File([bytes], name, { type: "image/png" }));
              }
              document.dispatchEvent(how === "drop"
                ? new DragEvent("drop", { dataTransfer: transfer, bubbles: true })
                : new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }));
            }""",
            [how, packed],
        )
    until(page, f"document.querySelectorAll('#measured button').length >= {len(files)} && {IDLE}")


def scan(phantom: Phantom) -> bytes:
    return encode(".png", phantom.image)


def test_one_tap_measures_the_example(page: Any, nano: Segmenter) -> None:
    page.click("#example")
    until(page, f"document.querySelectorAll('#measured button').length === 1 && {IDLE}")
    example = site(nano)["example.json"].content
    prediction = nano.predict(
        site(nano)["example.png"].content, json.loads(example)["pixel_size_mm"]
    )
    assert prediction.hc_mm is not None
    said = page.locator("#figure").text_content()
    assert float(said.split()[1]) == pytest.approx(prediction.hc_mm, abs=0.3)
    assert "measured" in page.locator("#verdict").text_content()
    assert page.locator("#picture").bounding_box()["width"] <= PHONE["width"]
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    assert "Nothing is sent anywhere" in page.locator("#private").text_content()
    assert "Not a medical device" in page.locator("#intended").text_content()


@pytest.mark.parametrize("how", ["choose", "drop", "paste"])
def test_images_come_in_any_way(page: Any, phantoms: list[Phantom], how: str) -> None:
    given(page, {"a.png": scan(phantoms[0]), "b.png": scan(phantoms[1])}, how)
    names = page.locator("#measured button").all_text_contents()
    assert [name.split(":")[0] for name in names] == ["a.png", "b.png"]
    assert " px (no pixel size)" in page.locator("#figure").text_content()
    assert "in pixels" in page.locator("#size-note").text_content()


def test_a_bad_file_says_why_and_the_others_go_on(page: Any, phantoms: list[Phantom]) -> None:
    hostile = "<b>x\x1b[31m.png"
    given(page, {hostile: b"no image", "good.png": scan(phantoms[0])})
    first, second = page.locator("#measured button").all()
    assert first.text_content().startswith(
        "<b>x\\x1b[31m.png: this is not a PNG, JPEG or BMP image"
    )
    assert second.get_attribute("class") == "ok"
    first.click()
    assert page.locator("#verdict").text_content() == "✗ failed"
    assert not page.locator("#picture").is_visible()
    assert page.locator("#measured b").count() == 0


def test_doubts_are_told_with_their_meaning(
    page: Any, nano: Segmenter, phantoms: list[Phantom]
) -> None:
    image = phantoms[2].image[:, : phantoms[2].image.shape[1] // 2]
    prediction = nano.predict(image)
    assert prediction.status == "doubtful"
    given(page, {"half.png": encode(".png", image)})
    assert page.locator("#verdict").get_attribute("class") == "doubtful"
    doubts = page.locator("#doubts li").all_text_contents()
    assert "; ".join(doubts) == prediction.reason


@pytest.mark.parametrize("text", ["0", "abc", "11", "0.1.2", "-1"])
def test_what_is_no_pixel_size_is_refused(page: Any, phantoms: list[Phantom], text: str) -> None:
    page.fill("#size-x", text)
    assert "expected mm" in page.locator("#size-note").text_content()
    page.set_input_files(
        "#files", [{"name": "a.png", "mimeType": "image/png", "buffer": scan(phantoms[0])}]
    )
    until(page, "document.getElementById('state').classList.contains('wrong')")
    assert page.locator("#measured button").count() == 0


def test_picture_and_table_are_saved(
    page: Any, nano: Segmenter, phantoms: list[Phantom], tmp_path: Path
) -> None:
    page.fill("#size-x", "0,2")
    page.fill("#size-y", "0.25")
    name = "=1+1,b.png"
    given(page, {name: scan(phantoms[0]), "bad.png": b"no image"})
    page.locator("#measured button").first.click()
    for button, file in (("#save-picture", "picture.png"), ("#save-table", "results.csv")):
        with page.expect_download() as saving:
            page.click(button)
        saving.value.save_as(tmp_path / file)
    picture = cv2.imread(str(tmp_path / "picture.png"))
    assert picture is not None
    assert picture.shape[:2] == phantoms[0].image.shape
    blue, green, red = (picture[..., i].astype(int) for i in range(3))
    outline = (green > red + 60) & (green > blue + 60)
    prediction = nano.predict(phantoms[0].image, (0.2, 0.25))
    assert prediction.ellipse is not None
    x, y = np.round(prediction.ellipse.points(90)).astype(int).T
    assert cv2.dilate(outline.astype(np.uint8), np.ones((3, 3)))[y, x].mean() > 0.95
    good, bad = table.read_rows(tmp_path / "results.csv")
    assert tuple(good) == table.columns(nano.metadata.task)
    expected = table.prediction_row(name, prediction, 0.0)
    for column, cell in expected.items():
        if column.endswith(("_ms",)):
            continue
        if column.endswith(
            ("_mm", "_px", "_mm2", "_rad", "index", "hadlock", "intergrowth", "dence")
        ):
            assert float(good[column]) == pytest.approx(float(cell), abs=0.02), column
            decimals = len(cell.partition(".")[2])
            assert column.startswith("pixel") or len(good[column].partition(".")[2]) == decimals
        else:
            assert good[column] == cell, column
    assert (bad["status"], bad["hc_mm"], bad["confidence"]) == ("failed", "", "")


def test_it_works_without_a_network_after_the_first_visit(
    chromium: Any, address: str, phantoms: list[Phantom]
) -> None:
    with opened(chromium, address, PHONE) as page:
        until(page, READY)
        page.evaluate("navigator.serviceWorker.ready.then(() => {})")
        page.context.set_offline(True)
        page.reload()
        until(page, READY)
        given(page, {"a.png": scan(phantoms[0])})
        assert page.locator("#figure").text_content().startswith("HC ")


def test_little_is_sent_and_only_what_the_policy_allows(chromium: Any, address: str) -> None:
    with chromium.new_context(service_workers="block") as window:
        page, sizes = window.new_page(), []
        page.on("response", lambda answer: sizes.append(len(answer.body())))
        page.goto(address)
        until(page, READY)
        assert 3_000_000 < sum(sizes) < MOST_BYTES
        policy = page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content")
        assert policy == CONTENT_SECURITY_POLICY
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        asked = page.evaluate("fetch('https://example.org/').then(() => 'sent', () => 'refused')")
        assert asked == "refused"
        assert "Content Security Policy" in " ".join(said)


def test_the_camera_is_measured_until_it_is_stopped(address: str, chromium: Any) -> None:
    """With Chromium's own picture for a camera, which shows no head."""
    arguments = [
        "--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
    ]  # fmt: skip
    browser = chromium.browser_type.launch(executable_path=executable(), args=arguments)
    try:
        with opened(browser, address, PHONE, permissions=["camera"]) as page:
            until(page, READY)
            page.click("#camera")
            until(page, "document.getElementById('verdict').textContent !== ''")
            assert page.locator("#camera").text_content() == "Stop"
            page.click("#camera")
            until(page, "document.querySelectorAll('#measured button').length === 1")
            assert page.locator("#camera").text_content() == "Camera"
            assert page.evaluate("document.getElementById('video').srcObject") is None
    finally:
        browser.close()
