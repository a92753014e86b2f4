"""The report in a browser with what is rare: labels, classes, hostile names, many rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.network.task import Task
from edgeseg.output import table
from edgeseg.output.report.page import write_page
from edgeseg.score.corrected import read_corrections
from edgeseg.system.files import csv_text
from edgeseg.system.text import shield, visible
from tests.browser import DESK, opened, wait_until
from tests.output.test_page_browser import names
from tests.tables import values_of

pytestmark = pytest.mark.browser
HEAD = Task()
HOSTILE = '</script><b>"\x1b[31m\n\u202e\u200b\udcff\U000e0041é.png'


def written(
    path: Path, cells: list[dict[str, str]], overlays: Path | None = None, task: Task = HEAD
) -> str:
    """Write a page of images that were measured and return its address."""
    blank = dict.fromkeys(table.columns(task), "") | {"status": "ok", "confidence": "0.9000"}
    counts = dict.fromkeys(("n_images", "ok", "doubtful", "empty", "failed"), len(cells))
    rows = [values_of(blank | own) for own in cells]
    write_page(path / "report.html", task, rows, {"counts": counts}, overlays)
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
    """Also where values lie on the edges of bars."""
    cells = [{"file": f"{i}.png", "hc_error_mm": f"{i * step:.2f}"} for i in range(31)]
    page.goto(written(tmp_path, cells))
    said = []
    for bar in page.locator("rect.bar").all():
        said.append(int(bar.get_attribute("aria-label").split()[0]))
        bar.press("Enter")
        assert len(names(page)) == said[-1]
    assert sum(said) == 31
    page.locator("rect.bar").last.press("Enter")
    assert len(names(page)) == 31


def test_errors_are_shown_where_there_are_labels(page: Any, tmp_path: Path) -> None:
    errors = np.array([1.0, -2.0, 3.0, -4.5, 5.0])
    cells = [
        {"file": f"{i}.png", "hc_mm": f"{100 + i + error}", "hc_reference_mm": f"{100 + i}"}
        | {"hc_error_mm": f"{error}", "dice": "0.97"}
        for i, error in enumerate(errors)
    ]
    page.goto(written(tmp_path, [*cells, {"file": "unlabelled.png"}]))
    bias, half = errors.mean(), 1.96 * errors.std(ddof=1)
    captions = " ".join(page.locator("figcaption").all_text_contents()).replace("\u2212", "-")
    assert f"bias {bias:+.2f} mm" in captions
    assert f"{bias - half:+.2f} and {bias + half:+.2f} mm" in captions
    counts = page.locator(".chart:has(rect) text[text-anchor=end]").all_text_contents()
    assert [float(text).is_integer() for text in counts] == [True] * len(counts)  # of images
    page.select_option("#sort", "error, largest first")
    assert names(page) == ["4.png", "3.png", "2.png", "1.png", "0.png", "unlabelled.png"]
    # points are walked by keys, in the order of sizes, and the card is returned to
    page.locator("svg:has(circle)").locator("circle[tabindex='0']").focus()
    for key in ("ArrowRight", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    assert page.locator("#name").text_content() == "3.png"
    page.keyboard.press("ArrowRight")
    page.evaluate("viewer.close()")  # as browsers do by themselves
    wait_until(page, "document.activeElement.matches('.card')")
    assert "2.png" in page.evaluate("document.activeElement.textContent")


def test_classes_are_told_apart_by_colour_and_name(page: Any, tmp_path: Path) -> None:
    sizes = [("a.png", "120", "0"), ("b.png", "40", "700")]
    cells = [
        {"file": f, "lesion_area_px": a, "cyst_area_px": b, "lesion_dice": "0.9"}
        for f, a, b in sizes
    ]
    task = Task("regions", ("background", "lesion", "cyst"))
    page.goto(written(tmp_path, cells, task=task))
    page.select_option("#sort", "cyst, largest first")
    assert names(page) == ["b.png", "a.png"]
    figures = page.locator(".card").first.locator(".figure").all_text_contents()
    assert figures == ["lesion 40 px", "cyst 700 px"]
    swatches = page.locator(".card").first.locator(".swatch")
    colours = swatches.evaluate_all("all => all.map((each) => each.style.background)")
    assert colours == ["rgb(60, 220, 80)", "rgb(86, 180, 233)"]  # as in overlays
    page.locator(".card").first.click()
    assert not page.locator("#correct").is_visible()
    assert "Dice of lesion" in page.locator("#figures").text_content()


def test_any_text_is_text_as_in_a_terminal_and_a_table(page: Any, tmp_path: Path) -> None:
    page.goto(written(tmp_path, [{"file": HOSTILE}, {"file": "plain.png"}]))
    texts = [HOSTILE, *map(chr, [*range(32), 0x7F, 0x85, 0xAD, 0x200F, 0x2028, 0xD800, 0xFEFF])]
    shown = page.evaluate("codes => codes.map((c) => visible(String.fromCodePoint(...c)))",
                          [[ord(char) for char in text] for text in texts])  # fmt: skip
    # Python writes the three commonest otherwise
    python = {"\n": "\\x0a", "\t": "\\x09", "\r": "\\x0d"}
    assert shown == ["".join(python.get(char, visible(char)) for char in text) for text in texts]
    page.locator(".card").first.click()
    assert page.locator("#name").text_content() == shown[0]
    assert page.locator("b").count() == 0
    formulas = ["=1+1", "a,b", 'say "x"', "'=1", "plain", "a;=1", "-x\r", "\t@"]
    expected = [csv_text([[shield(text)]]).removesuffix("\n") for text in formulas]
    assert page.evaluate("texts => texts.map(cellText)", formulas) == expected
    # an axis that was dragged past the other is the longer one
    drawn = {"centerX": 9, "centerY": 9, "semiMajor": 4, "semiMinor": 8, "angle": 3}
    turned = drawn | {"semiMajor": 8, "semiMinor": 4, "angle": 3 - np.pi / 2}
    assert page.evaluate("drawn => ordered(drawn)", drawn) == pytest.approx(turned)


def test_corrections_of_a_name_that_is_no_text_find_their_image(page: Any, tmp_path: Path) -> None:
    ellipse = {"center_x_px": "50.000", "center_y_px": "40.000", "semi_major_px": "30.000"}
    ellipse |= {"semi_minor_px": "20.000", "angle_rad": "0.500000", "hc_px": "158.653"}
    page.goto(written(tmp_path, [{"file": "=\udcff.png"} | ellipse]))
    page.evaluate("""() => {
      images[0].overlay = "data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="; // is seen
      corrections.set(0, { ellipse: measuredEllipse(images[0]), saved: false });
      storeCorrections();
      openViewer(images[0]);
    }""")
    assert page.locator("#live").text_content().endswith("px (accepted)")
    page.click("#close")
    with page.expect_download() as saving:
        page.click("#save")
    saving.value.save_as(tmp_path / "corrected.csv")
    (found,) = read_corrections(tmp_path / "corrected.csv")
    assert found.file == "=\\udcff.png"  # as results.csv has it
    assert not found.is_changed
    page.evaluate("corrections.clear()")
    page.set_input_files("#load", tmp_path / "corrected.csv")
    wait_until(page, "corrections.get(0)?.saved === true")


def test_heads_stand_among_the_centiles_of_the_ages_given(page: Any, tmp_path: Path) -> None:
    """Sizes that are unusual for the age are not green."""
    centiles = {f"{name}_centile_intergrowth": "40.00" for name in ("hc", "bpd", "ofd")}
    known = {"hc_mm": "172.483", "ga_weeks_given": "20.0000"} | centiles
    cells = [{"file": f"{i}.png"} | known for i in range(3)]
    cells[1] |= {"hc_mm": "150.000", "hc_centile_intergrowth": "1.00"}
    cells[2] |= {"ofd_centile_intergrowth": "98.00", "ga_weeks_given": "21.0000"}
    page.goto(written(tmp_path, cells))
    badges = page.locator(".badge").evaluate_all("all => all.map((each) => each.className)")
    assert badges == ["badge ok", "badge doubtful", "badge doubtful"]
    chart = page.locator(".chart", has_text="INTERGROWTH-21st")
    points = chart.locator("circle").evaluate_all(
        "all => all.map(({ cx, cy }) => `${cx.baseVal.value} ${cy.baseVal.value}`)"
    )
    median = chart.locator("path.curve").nth(2).get_attribute("d")[1:].split("L")[12]
    assert [float(x) for x in points[0].split()] == pytest.approx(
        [*map(float, median.split())], abs=0.1
    )


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
    assert not page.locator("#save").is_visible()
    page.evaluate(correct, [0, given])
    written(tmp_path, [first, second])
    page.reload()
    assert page.locator("#corrected").text_content() == "2 reviewed, saved"
    for kept in ("no JSON", "7", "[[1]]"):  # of others
        page.evaluate("kept => localStorage.setItem(STORED, kept)", kept)
        page.reload()
        assert names(page) == ["a.png", "b.png"]


def test_windows_of_any_size_are_filled(page: Any, tmp_path: Path) -> None:
    url = written(tmp_path, [{"file": f"{i}.png"} for i in range(2000)])
    page.set_viewport_size({"width": DESK["width"], "height": 16_000})
    page.goto(url)
    page.select_option("#sort", "name")
    assert names(page)[:3] == ["0.png", "1.png", "2.png"]
    page.click("#view")
    wait_until(page, "document.querySelectorAll('#table tbody tr').length * 47 > 14_000")
    assert page.locator("#table tbody tr").count() < 500  # those in view
    page.evaluate("openViewer(images[0]); go(1999); viewer.close()")
    wait_until(page, "document.activeElement.textContent === '1999.png'")
    assert page.locator("#table tbody button", has_text="1999.png").is_visible()
    # long names, and all that is folded, fit a phone
    cells = [{"file": f"{'very' * 40}{i}.png", "hc_mm": f"{i + 150}"} for i in range(4)]
    page.set_viewport_size({"width": 360, "height": 740})
    page.goto(written(tmp_path, cells))
    for each in page.locator("main > details").all():
        each.evaluate("element => { element.open = true; }")
    page.click("#view")
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_an_overlay_that_is_no_picture_is_said(page: Any, tmp_path: Path) -> None:
    (tmp_path / "overlays").mkdir()
    (tmp_path / "overlays" / "a.jpg").write_bytes(b"no picture")
    page.goto(written(tmp_path, [{"file": "a.png"}], tmp_path / "overlays"))
    wait_until(page, "document.querySelector('.card .lost') !== null")
    assert page.locator(".card img").count() == 0
    page.locator(".card").click()
    wait_until(page, "document.getElementById('note').textContent.includes('cannot be read')")
