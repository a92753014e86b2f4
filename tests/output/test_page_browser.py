"""The report in a real browser, opened from the disk as people open it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.drawing.encode import encode
from edgeseg.images.calibration import Calibration
from edgeseg.images.frame import Frame, PixelSize
from edgeseg.inputs.discover import discover
from edgeseg.inputs.pixel_sizes import PixelSizes
from edgeseg.measure import figures as head_figures
from edgeseg.measure.ellipse import Ellipse
from edgeseg.network.task import Task
from edgeseg.output import table
from edgeseg.output.report.page import write_page
from edgeseg.phantom.head import Phantom
from edgeseg.run.folder import FolderRun
from edgeseg.score.corrected import read_corrections
from edgeseg.segmenter import Segmenter
from edgeseg.system.cells import shield
from edgeseg.system.files import csv_text
from tests.browser import DESK, PHONE, opened, wait_until
from tests.tables import read_rows, values_of

pytestmark = pytest.mark.browser
HOSTILE = "<b>x\x1b[31m.png"
HOSTILE_SHOWN = r"<b>x\x1b[31m.png"
PIXEL_MM = 0.2


@pytest.fixture(scope="module")
def report(phantoms: list[Phantom], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six phantoms, an image without a head, and one that cannot be read."""
    folder = tmp_path_factory.mktemp("report")
    scans = folder / "scans"
    scans.mkdir()
    for phantom in phantoms[:6]:
        (scans / phantom.name).write_bytes(encode(".png", phantom.image))
    (scans / HOSTILE).write_bytes(b"no image")
    (scans / "dark.png").write_bytes(encode(".png", np.zeros((200, 300), np.uint8)))
    items = discover([str(scans)]).items
    sizes = PixelSizes(items, PIXEL_MM)
    FolderRun(Segmenter("hc18-nano", device="cpu", threads=1), items, sizes, folder / "out").run()
    return folder / "out" / "report.html"


@pytest.fixture(scope="module")
def rows(report: Path) -> dict[str, dict[str, str]]:
    return {row["file"]: row for row in read_rows(report.parent / "results.csv")}


@pytest.fixture(scope="module")
def tab(chromium: Any, report: Path) -> Iterator[Any]:
    with opened(chromium, report.as_uri()) as page:
        yield page


@pytest.fixture
def page(tab: Any, report: Path) -> Iterator[Any]:
    """The report as it was first opened."""
    yield tab
    tab.evaluate("corrections.clear(); localStorage.clear()")  # else leaving asks
    tab.goto(report.as_uri())


def names(page: Any) -> list[str]:
    return [name.text_content() for name in page.locator(".card .name").all()]


def test_what_needs_a_look_comes_first_and_any_name_is_text(page: Any) -> None:
    found = names(page)
    assert found[0] == HOSTILE_SHOWN
    assert len(found) == 8
    statuses = [badge.text_content()[2:] for badge in page.locator(".badge").all()[:8]]
    order = ["failed", "doubtful", "no head", "ok"]
    assert statuses == sorted(statuses, key=order.index)
    assert page.locator("#grid b").count() == 0


def test_images_are_sorted_and_filtered(page: Any, rows: dict[str, dict[str, str]]) -> None:
    measured = {file: float(row["hc_mm"]) for file, row in rows.items() if row["hc_mm"]}
    page.select_option("#sort", "HC, largest first")
    assert names(page)[: len(measured)] == sorted(measured, key=measured.__getitem__, reverse=True)
    page.select_option("#status", "empty")
    assert names(page) == ["dark.png"]
    assert page.locator("#shown").text_content() == "1 of 8 images"
    page.click("#clear")
    page.fill("#search", "003_")
    assert sorted(names(page)) == ["003_2HC.png", "003_HC.png"]
    page.click("#clear")
    assert len(names(page)) == 8


def test_a_bar_of_the_histogram_shows_its_images(
    page: Any, rows: dict[str, dict[str, str]]
) -> None:
    bar = page.locator(".bar[aria-label]").first
    count, low, high = re.findall(r"[\d.]+", bar.get_attribute("aria-label"))
    bar.focus()
    page.keyboard.press("Enter")
    shown = names(page)
    assert len(shown) == int(count)
    assert all(float(low) <= float(rows[name]["hc_mm"]) < float(high) for name in shown)
    page.keyboard.press("Enter")
    assert len(names(page)) == 8


def test_a_card_opens_its_image_and_arrows_go_on(page: Any, report: Path) -> None:
    page.select_option("#sort", "name")
    order = names(page)
    place = order.index("000_HC.png")
    page.locator(".card").nth(place).focus()
    page.keyboard.press("Enter")
    assert page.locator("#name").text_content() == "000_HC.png"
    picture = page.locator("#picture")
    assert picture.get_attribute("src") == "overlays/000_HC.jpg"
    wait_until(page, "picture.complete && picture.naturalWidth === 400")
    assert "± " in page.locator("#figures").text_content()
    page.keyboard.press("ArrowRight")
    assert page.locator("#name").text_content() == order[place + 1]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("z")
    assert picture.bounding_box()["width"] == 400
    page.keyboard.press("Escape")
    assert not page.locator("#viewer").is_visible()
    assert page.evaluate("document.activeElement.textContent").count("000_HC.png") == 1


def opened_image(page: Any, name: str) -> None:
    page.locator(".card", has_text=name).first.click()
    wait_until(page, "picture.complete && picture.naturalWidth > 0")


def drag(page: Any, handle: str, x: float, y: float) -> None:
    """Drag a handle so many pixels of the picture."""
    zoom = page.locator("#picture").bounding_box()["width"] / page.evaluate("picture.naturalWidth")
    box = page.locator(f"[data-handle={handle}]").bounding_box()
    start = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(start[0] + x * zoom, start[1] + y * zoom, steps=3)
    page.mouse.up()


def ellipse_of(row: dict[str, str]) -> Ellipse:
    columns = ("center_x_px", "center_y_px", "semi_major_px", "semi_minor_px", "angle_rad")
    return Ellipse(*(float(row[column]) for column in columns))


def test_an_ellipse_is_dragged_and_saved_beside_the_model_s(
    page: Any, rows: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    opened_image(page, "000_HC.png")
    page.click("#correct")
    model = ellipse_of(rows["000_HC.png"])
    cos, sin = np.cos(model.angle_rad), np.sin(model.angle_rad)
    drag(page, "center", 12, -7)
    assert page.evaluate("JSON.parse(localStorage.getItem(STORED)).length") == 1
    drag(page, "major", 15 * cos, 15 * sin)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Escape")  # ends correcting, not looking
    expected = Ellipse(
        *(model.center_x_px + 12, model.center_y_px - 6),
        *(model.semi_major_px + 15, model.semi_minor_px, model.angle_rad),
    )
    live = page.locator("#live").text_content()
    assert float(live.split()[1]) == pytest.approx(expected.circumference_px * PIXEL_MM, abs=0.5)
    page.keyboard.press("Escape")
    opened_image(page, "001_HC.png")
    page.click("#accept")
    page.keyboard.press("Escape")
    opened_image(page, "dark.png")
    page.click("#correct")
    page.keyboard.press("+")
    page.click("#close")
    assert page.locator("#corrected").text_content() == "3 reviewed, not saved yet"
    with page.expect_download() as saving:
        page.click("#save")
    assert saving.value.suggested_filename == "corrected.csv"
    saving.value.save_as(tmp_path / "corrected.csv")
    found = {c.file: c for c in read_corrections(tmp_path / "corrected.csv")}
    assert found.keys() == {"000_HC.png", "001_HC.png", "dark.png"}
    moved, same, drawn = (found[name] for name in ("000_HC.png", "001_HC.png", "dark.png"))
    assert moved.is_changed and not same.is_changed
    assert moved.model_ellipse == model
    assert moved.ellipse.center == pytest.approx(expected.center, abs=0.7)
    assert moved.ellipse.semi_major_px == pytest.approx(expected.semi_major_px, abs=0.7)
    assert moved.ellipse.semi_minor_px == pytest.approx(expected.semi_minor_px, abs=0.01)
    mm = moved.ellipse.circumference_px * PIXEL_MM
    assert moved.hc_mm == pytest.approx(mm, abs=2e-3)
    assert same.hc_mm == float(rows["001_HC.png"]["hc_mm"])
    assert drawn.model_ellipse is None
    page.reload()
    assert page.locator("#corrected").text_content() == "3 reviewed, saved"
    opened_image(page, "000_HC.png")
    assert "(corrected)" in page.locator("#live").text_content()
    page.click("#reset")
    assert page.locator("#corrected").text_content() == "2 reviewed, saved"


def test_an_axis_dragged_past_the_other_becomes_the_longer_one(page: Any) -> None:
    opened_image(page, "000_HC.png")
    page.click("#correct")
    before = page.evaluate("({...draft})")
    page.evaluate("dragTo('minor', [draft.centerX, draft.centerY + 2 * draft.semiMajor]); keep()")
    kept = page.evaluate("corrections.get(currentImage.number).ellipse")
    assert kept["semiMajor"] == pytest.approx(2 * before["semiMajor"])
    assert kept["semiMinor"] == pytest.approx(before["semiMajor"])
    assert kept["angle"] == pytest.approx(np.pi / 2)


def test_corrected_figures_are_shown_beside_the_model_s(
    page: Any, rows: dict[str, dict[str, str]]
) -> None:
    """On the card, in the viewer, in the table and in print; sorting follows them."""
    opened_image(page, "000_HC.png")
    page.click("#correct")
    for key in ("A", "A", "A", "b", "ArrowUp"):
        page.keyboard.press(key)
    fields = page.evaluate("corrections.get(currentImage.number).ellipse")
    frame = Frame(np.zeros((270, 400), np.uint8), PixelSize(PIXEL_MM, PIXEL_MM, "option"))
    metadata = replace(Segmenter("hc18-nano", device="cpu").metadata, interval=None)
    own = head_figures.measure(Ellipse(*fields.values()), 0.0, frame, metadata)
    model = table.figures_of(values_of(rows["000_HC.png"]), Task())
    texts = {
        column.title: f"{column.text(own)} (model {column.text(model)})"
        for column in head_figures.COLUMNS
        if column.title
    }
    assert len({*texts.values()}) == 6
    assert (
        page.locator("#figures")
        .inner_text()
        .replace("\n", " ")
        .startswith(" ".join(f"{title} {text}" for title, text in texts.items()))
    )
    page.click("#close")
    card = page.locator(".card", has_text="000_HC.png")
    for title in ("HC (mm)", "BPD (mm)", "OFD (mm)", "GA Hadlock"):
        assert texts[title] in card.text_content()
    assert card.locator(".badge").text_content() == "✓ ok, corrected"
    page.evaluate("layOutPaper()")
    sheet = page.locator("#paper figure", has_text="000_HC.png").text_content()
    assert all(f"{title} {text}" in sheet for title, text in texts.items())
    page.click("#view")
    line = page.locator("#table tr", has_text="000_HC.png").text_content()
    row = rows["000_HC.png"]
    for name in ("hc_mm", "bpd_mm", "ofd_mm", "ga_weeks_hadlock"):
        decimals = len(row[name].partition(".")[2])
        assert f"{own[name]:.{decimals}f} (model {row[name]})" in line
    for factor, order in ((3, "largest"), (1 / 9, "smallest")):
        page.evaluate("factor => { corrections.get(0).ellipse.semiMajor *= factor; }", factor)
        page.select_option("#sort", f"HC, {order} first")
        assert page.locator("#table tbody button").first.text_content() == "000_HC.png"


def test_a_head_that_the_model_missed_has_the_figures_that_were_drawn(page: Any) -> None:
    opened_image(page, "dark.png")
    page.click("#correct")
    page.keyboard.press("+")
    page.click("#close")
    card = page.locator(".card", has_text="dark.png").text_content()
    assert re.search(r"HC \d+\.\d \(model \S\) mm", card)
    assert "no head, corrected" in card


def test_millimetres_of_a_drawn_head_are_calibrated_as_the_run_was(page: Any) -> None:
    row = {
        "pixel_size_x_mm": "0.2", "pixel_size_y_mm": "0.3",
        "calibration_factor": "0.98", "calibration_shift_mm": "-3",
    }  # fmt: skip
    fields = {"centerX": 100, "centerY": 80, "semiMajor": 60, "semiMinor": 50, "angle": 0.4}
    found = page.evaluate("([row, e]) => figuresOf({ row }, e)", [row, fields])
    frame = Frame(
        np.zeros((270, 400), np.uint8), PixelSize(0.2, 0.3, "table"),
        calibration=Calibration(0.98, -3.0),
    )  # fmt: skip
    metadata = replace(Segmenter("hc18-nano", device="cpu").metadata, interval=None)
    expected = head_figures.measure(Ellipse(*fields.values()), 0.0, frame, metadata)
    assert found == {name: pytest.approx(expected[name]) for name in found}


def test_cells_are_shielded_as_python_does(page: Any) -> None:
    texts = ["=1+1", "a,b", 'say "x"', "'=1", "plain", "a;=1", "-x\r", "\t@"]
    expected = [csv_text([[shield(text)]]).removesuffix("\n") for text in texts]
    assert page.evaluate("texts => texts.map(cellText)", texts) == expected


def touch_and_drag(page: Any, handle: str, x: float, y: float) -> None:
    """Correct an image with a finger, and a second one that comes in between."""
    page.tap("#correct")
    box = page.locator(f"[data-handle={handle}]").bounding_box()
    at = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2, "id": 0}
    far = {"x": at["x"] + x, "y": at["y"] + y, "id": 0}
    second = page.locator("[data-handle=major2]").bounding_box()  # goes along with the middle
    other = {
        "x": second["x"] + second["width"] / 2 + x, "y": second["y"] + second["height"] / 2 + y,
        "id": 1,
    }  # fmt: skip
    before = page.evaluate("({...draft})")
    zoom = page.locator("#picture").bounding_box()["width"] / page.evaluate("picture.naturalWidth")
    fingers = page.context.new_cdp_session(page)
    for kind, points in [
        ("touchStart", [at]), ("touchMove", [far]), ("touchStart", [far, other]),
        ("touchMove", [far, other | {"y": other["y"] + 60}]), ("touchEnd", []),
    ]:  # fmt: skip
        fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    after = page.evaluate("({...draft})")
    assert after["centerX"] - before["centerX"] == pytest.approx(x / zoom, abs=1)
    assert after["centerY"] - before["centerY"] == pytest.approx(y / zoom, abs=1)
    assert after["semiMajor"] == before["semiMajor"]
    page.evaluate("corrections.clear()")  # else leaving asks


def test_on_a_phone_nothing_is_wider_than_the_screen(chromium: Any, report: Path) -> None:
    for scheme in ("light", "dark"):
        with opened(
            chromium, report.as_uri(), PHONE, color_scheme=scheme, has_touch=True, is_mobile=True
        ) as page:
            assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
            opened_image(page, "000_HC.png")
            box = page.locator("#picture").bounding_box()
            assert box["width"] <= PHONE["width"]
            assert box["width"] / box["height"] == pytest.approx(400 / 270, rel=0.01)
            touch_and_drag(page, "center", 20, 10)
            ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
            assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[scheme]


def test_an_image_a_page_is_printed(page: Any, tmp_path: Path) -> None:
    page.select_option("#status", "ok")
    count = len(names(page))
    # pictures that take their time, and no dialog
    page.evaluate("""() => {
      let decoded = 0;
      const decode = HTMLImageElement.prototype.decode;
      HTMLImageElement.prototype.decode = async function () {
        await decode.call(this);
        await new Promise((done) => setTimeout(done, 200));
        decoded += 1;
      };
      window.print = () => { window.ready = decoded; };
    }""")
    page.click("#print")
    wait_until(page, "window.ready !== undefined")
    assert page.evaluate("window.ready") == count
    loaded = "img => [img.getAttribute('src').split('/')[0], img.complete && img.naturalWidth]"
    found = page.evaluate(f"[...paper.querySelectorAll('img')].map({loaded})")
    assert found == [["overlays", 400]] * count
    for ready in (True, False):  # by the button, and by the browser's own menu
        if not ready:
            page.evaluate("paper.replaceChildren()")
        sheets = page.pdf()
        assert len(re.findall(rb"/Type /Page\b", sheets)) == count
        assert len(re.findall(rb"/Subtype /Image\b", sheets)) >= count


def test_the_table_has_every_figure(page: Any, rows: dict[str, dict[str, str]]) -> None:
    page.click("#view")
    lines = page.locator("#table tbody tr").all()
    assert len(lines) == len(rows)
    page.locator("#table button", has_text="000_HC.png").click()
    assert page.locator("#name").text_content() == "000_HC.png"
    page.keyboard.press("Escape")
    assert rows["000_HC.png"]["hc_mm"] in page.locator("#table").text_content()


def test_without_the_overlays_beside_it_the_page_shows_what_it_has(
    chromium: Any, report: Path, tmp_path: Path
) -> None:
    (tmp_path / "report.html").write_bytes(report.read_bytes())
    with (
        pytest.raises(AssertionError, match=r"overlays/000_HC\.jpg"),  # which it asked for
        opened(chromium, (tmp_path / "report.html").as_uri()) as page,
    ):
        page.locator(".card", has_text="000_HC.png").first.click()
        wait_until(page, "picture.src.startsWith('data:') && picture.naturalWidth === 400")
        assert "not beside this page" in page.locator("#note").text_content()


def test_errors_are_shown_where_there_are_labels(
    chromium: Any, report: Path, rows: dict[str, dict[str, str]], tmp_path: Path
) -> None:
    labelled = []
    for i, row in enumerate(rows.values()):
        error_mm = (-1) ** i * (1.0 + i) if row["hc_mm"] else None
        reference = "" if error_mm is None else f"{float(row['hc_mm']) - error_mm:.3f}"
        error = "" if error_mm is None else f"{error_mm:.3f}"
        labelled.append({**row, "hc_reference_mm": reference, "hc_error_mm": error, "dice": "0.97"})
    record = {
        "counts": {"n_images": 8, "ok": 6, "doubtful": 0, "empty": 1, "failed": 1},
        **{section: {} for section in ("model", "timings", "host", "versions", "arguments")},
    }
    path = tmp_path / "report.html"
    write_page(path, Task(), [*map(values_of, labelled)], record, None)
    errors = [float(row["hc_error_mm"]) for row in labelled if row["hc_error_mm"]]
    bias, half = np.mean(errors), 1.96 * np.std(errors, ddof=1)
    with opened(chromium, path.as_uri(), DESK) as page:
        captions = " ".join(page.locator("figcaption").all_text_contents()).replace("\u2212", "-")
        assert f"bias {bias:+.2f} mm" in captions
        assert f"{bias - half:+.2f} and {bias + half:+.2f} mm" in captions
        page.select_option("#sort", "error, largest first")
        largest = max(labelled, key=lambda row: abs(float(row["hc_error_mm"] or 0)))
        assert names(page)[0] == largest["file"]
        page.locator("circle.point").first.click()
        assert page.locator("#name").text_content() in rows


def test_classes_are_told_apart_by_colour_and_name(chromium: Any, tmp_path: Path) -> None:
    task = Task("regions", ("background", "lesion", "cyst"))
    row = dict.fromkeys(table.columns(task), "") | {"status": "ok", "confidence": "0.9"}
    sizes = [("a.png", "120", "0"), ("b.png", "40", "700")]
    rows = [
        {**row, "file": f, "lesion_area_px": a, "cyst_area_px": b, "lesion_dice": "0.9"}
        for f, a, b in sizes
    ]
    record = {
        "counts": {"n_images": 2, "ok": 2, "doubtful": 0, "empty": 0, "failed": 0},
        **{section: {} for section in ("model", "timings", "host", "versions", "arguments")},
    }
    write_page(tmp_path / "report.html", task, [*map(values_of, rows)], record, None)
    with opened(chromium, (tmp_path / "report.html").as_uri()) as page:
        page.select_option("#sort", "cyst, largest first")
        assert names(page) == ["b.png", "a.png"]
        figures = page.locator(".card").first.locator(".figure").all_text_contents()
        assert figures == ["lesion 40 px", "cyst 700 px"]
        swatch = page.locator(".card .swatch").nth(1)
        assert swatch.evaluate("e => e.style.background") == "rgb(86, 180, 233)"
        page.locator(".card").first.click()
        assert not page.locator("#correct").is_visible()
