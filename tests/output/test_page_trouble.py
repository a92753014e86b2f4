"""The report in a browser with what is rare: values on edges, hostile names, many rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeseg.network.task import Task
from edgeseg.output import table
from edgeseg.output.report.page import write_page
from edgeseg.score.corrected import read_corrections
from edgeseg.system.text import visible
from tests.browser import DESK, opened, wait_until
from tests.output.test_page_browser import names
from tests.tables import values_of

pytestmark = pytest.mark.browser
HOSTILE = '</script><b>"\x1b[31m\n\u202e\u200b\udcff\U000e0041é.png'


def written(path: Path, cells: list[dict[str, str]], overlays: Path | None = None) -> str:
    """Write a page of heads that were measured and return its address."""
    blank = dict.fromkeys(table.columns(Task()), "") | {"status": "ok", "confidence": "0.9000"}
    counts = dict.fromkeys(("n_images", "ok", "doubtful", "empty", "failed"), len(cells))
    rows = [values_of(blank | own) for own in cells]
    write_page(path / "report.html", Task(), rows, {"counts": counts}, overlays)
    return (path / "report.html").as_uri()


@pytest.fixture(scope="module")
def tab(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with opened(chromium, written(tmp_path_factory.mktemp("report"), [])) as page:
        yield page


@pytest.fixture
def page(tab: Any) -> Iterator[Any]:
    """A page on which each case opens its own report."""
    yield tab
    tab.evaluate("corrections.clear(); localStorage.clear()")  # else leaving asks
    tab.set_viewport_size(DESK)


@pytest.mark.parametrize("step", [0.03, -0.03])
def test_a_bar_shows_as_many_images_as_it_says(page: Any, tmp_path: Path, step: float) -> None:
    cells = [{"file": f"{i}.png", "hc_error_mm": f"{i * step:.2f}"} for i in range(31)]
    page.goto(written(tmp_path, cells))
    said = []
    for bar in page.locator("rect.bar").all():
        said.append(int(bar.get_attribute("aria-label").split()[0]))
        bar.press("Enter")
        assert len(names(page)) == said[-1]
    assert sum(said) == 31
    assert page.locator("div.bar").get_attribute("aria-pressed") is None


def test_points_are_walked_by_keys_and_the_card_is_returned_to(page: Any, tmp_path: Path) -> None:
    cells = [
        {"file": f"{i}.png", "hc_mm": f"{100 + i}", "hc_reference_mm": "100", "hc_error_mm": f"{i}"}
        for i in range(5)
    ]
    page.goto(written(tmp_path, cells))
    page.locator("svg:has(circle)").first.locator("circle[tabindex='0']").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    assert page.locator("#name").text_content() == "2.png"
    page.keyboard.press("Escape")
    wait_until(page, "document.activeElement.matches('.card')")
    assert "2.png" in page.evaluate("document.activeElement.textContent")
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    page.evaluate("viewer.close()")  # as browsers do by themselves
    wait_until(page, "document.activeElement.textContent.includes('3.png')")


def test_any_name_is_text_as_in_a_terminal(page: Any, tmp_path: Path) -> None:
    url = written(tmp_path, [{"file": HOSTILE}, {"file": "plain.png"}])
    page.goto(url)
    texts = [HOSTILE, *map(chr, [*range(32), 0x7F, 0x85, 0xAD, 0x200F, 0x2028, 0xD800, 0xFEFF])]
    shown = page.evaluate("codes => codes.map((c) => visible(String.fromCodePoint(...c)))",
                          [[ord(char) for char in text] for text in texts])  # fmt: skip
    # Python writes the three commonest otherwise
    python = {"\n": "\\x0a", "\t": "\\x09", "\r": "\\x0d"}
    assert shown == ["".join(python.get(char, visible(char)) for char in text) for text in texts]
    page.locator(".card").first.click()
    assert page.locator("#name").text_content() == shown[0]
    assert page.locator("b").count() == 0


def test_corrections_of_a_name_that_is_no_text_find_their_image(page: Any, tmp_path: Path) -> None:
    ellipse = {"center_x_px": "50.000", "center_y_px": "40.000", "semi_major_px": "30.000"}
    ellipse |= {"semi_minor_px": "20.000", "angle_rad": "0.500000", "hc_px": "158.653"}
    url = written(tmp_path, [{"file": "=\udcff.png"} | ellipse])
    page.goto(url)
    page.evaluate("currentImage = images[0]; acceptMeasured()")
    page.evaluate("openViewer(currentImage)")
    assert page.locator("#live").text_content().endswith("px (accepted)")
    page.click("#close")
    with page.expect_download() as saving:
        page.click("#save")
    saving.value.save_as(tmp_path / "corrected.csv")
    (found,) = read_corrections(tmp_path / "corrected.csv")
    assert found.file == "=\\udcff.png"  # as results.csv has it
    assert not found.is_changed


def test_corrections_outlive_a_page_without_their_image(page: Any, tmp_path: Path) -> None:
    first, second = {"file": "a.png", "hc_px": "100.0"}, {"file": "b.png", "hc_px": "200.0"}
    given = {"centerX": 5, "centerY": 5, "semiMajor": 4, "semiMinor": 3, "angle": 0}
    correct = """([place, ellipse]) => {
      corrections.set(place, { ellipse, saved: true }); storeCorrections();
    }"""
    page.goto(written(tmp_path, [first, second]))
    page.evaluate(correct, [0, given])
    written(tmp_path, [second])
    page.reload()
    assert not page.locator("#corrections").is_visible()
    page.evaluate(correct, [0, given])
    written(tmp_path, [first, second])
    page.reload()
    assert page.locator("#corrected").text_content() == "2 reviewed, saved"
    page.evaluate(correct, [0, given | {"centerX": 7}])
    page.reload()
    assert page.evaluate("corrections.get(0).ellipse.centerX") == 7


def test_what_others_left_in_the_browser_breaks_nothing(page: Any, tmp_path: Path) -> None:
    page.goto(written(tmp_path, [{"file": "a.png"}]))
    for kept in ("no JSON", "7", "[[1]]", "[3]"):
        page.evaluate("kept => localStorage.setItem(STORED, kept)", kept)
        page.reload()
        assert names(page) == ["a.png"]


def test_a_tall_window_is_filled_and_the_rest_is_left(page: Any, tmp_path: Path) -> None:
    url = written(tmp_path, [{"file": f"{i}.png"} for i in range(2000)])
    page.set_viewport_size({"width": DESK["width"], "height": 16_000})
    page.goto(url)
    page.select_option("#sort", "name")
    assert names(page)[:3] == ["0.png", "1.png", "2.png"]
    page.click("#view")
    wait_until(page, "document.getElementById('more').getBoundingClientRect().top > 16_000")
    assert page.locator("#table tbody tr").count() < 1500
    page.fill("#search", "1999")
    assert page.locator("#table tbody tr").count() == 1


def test_long_names_and_all_that_is_folded_fit_a_phone(page: Any, tmp_path: Path) -> None:
    cells = [{"file": f"{'very' * 40}{i}.png", "hc_mm": f"{i + 150}"} for i in range(4)]
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(written(tmp_path, cells))
    for each in page.locator("main > details").all():
        each.evaluate("element => { element.open = true; }")
    page.click("#view")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert re.search("very", page.locator("#table").text_content())


def test_an_overlay_that_is_no_picture_is_said(page: Any, tmp_path: Path) -> None:
    (tmp_path / "overlays").mkdir()
    (tmp_path / "overlays" / "a.jpg").write_bytes(b"no picture")
    url = written(tmp_path, [{"file": "a.png"}], tmp_path / "overlays")
    page.goto(url)
    wait_until(page, "document.querySelector('.card .lost') !== null")
    assert page.locator(".card img").count() == 0
    page.locator(".card").click()
    wait_until(page, "document.getElementById('note').textContent.includes('cannot be read')")
