"""The report in a real browser, opened from the disk as people open it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.drawing.encode import encode
from edgeseg.images.calibration import Calibration
from edgeseg.images.frame import Frame, PixelSize
from edgeseg.inputs.discover import discover
from edgeseg.inputs.facts import PixelSizes
from edgeseg.measure import figures as head_figures
from edgeseg.measure.ellipse import Ellipse
from edgeseg.network.task import Task
from edgeseg.output import table
from edgeseg.phantom.head import Phantom
from edgeseg.run.folder import measure_folder
from edgeseg.run.worker import Worker
from edgeseg.score.corrected import read_corrections
from edgeseg.segmenter import Segmenter
from edgeseg.system.version import __version__
from tests.browser import PHONE, opened, wait_until
from tests.tables import read_rows, values_of

pytestmark = pytest.mark.browser
HOSTILE, HOSTILE_SHOWN = "<b>x\x1b[31m.png", r"<b>x\x1b[31m.png"
PIXEL_MM = 0.2
Rows = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def report(
    nano: Segmenter, phantoms: list[Phantom], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run of six phantoms, an image without a head, and one that cannot be read."""
    folder = tmp_path_factory.mktemp("report")
    scans = folder / "scans"
    scans.mkdir()
    for phantom in phantoms[:6]:
        (scans / phantom.name).write_bytes(encode(".png", phantom.image))
    (scans / HOSTILE).write_bytes(b"no image")
    (scans / "dark.png").write_bytes(encode(".png", np.zeros((200, 300), np.uint8)))
    items = discover([str(scans)]).items
    measure_folder(Worker(nano, PixelSizes(items, PIXEL_MM)), items, folder / "out")
    return folder / "out" / "report.html"


@pytest.fixture(scope="module")
def rows(report: Path) -> Rows:
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


def test_images_are_sorted_and_filtered(page: Any, rows: Rows) -> None:
    assert names(page)[0] == HOSTILE_SHOWN
    statuses = [badge.text_content()[2:] for badge in page.locator(".badge").all()[:8]]
    order = ["failed", "doubtful", "no head", "ok"]
    assert statuses == sorted(statuses, key=order.index)
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
    open_image(page, "000_HC.png")
    page.click("#accept")  # which goes on
    page.click("#close")
    page.select_option("#review", "yes")
    assert names(page) == ["000_HC.png"]
    page.fill("#search", "none of this name")
    assert names(page) == []


def test_the_table_sorts_by_its_titles_and_its_rows_have_one_height(page: Any, rows: Rows) -> None:
    page.evaluate("images[2].row.flags = 'irregular_outline;'.repeat(9)")
    page.click("#view")
    lines = page.locator("#table tbody tr")
    assert lines.count() == len(rows)
    assert rows["000_HC.png"]["hc_mm"] in page.locator("#table").text_content()
    assert len({line.bounding_box()["height"] for line in lines.all()}) == 1
    measured = {file: float(row["cephalic_index"]) for file, row in rows.items() if row["hc_mm"]}
    title = page.locator("#table th", has_text="cephalic_index")
    for key, sign in (("Enter", "ascending"), (" ", "descending")):
        title.locator("button").press(key)
        assert title.get_attribute("aria-sort") == sign
        found = lines.locator("button").all_text_contents()[: len(measured)]
        order = sorted(measured, key=measured.__getitem__, reverse=sign == "descending")
        assert found == order
    broken = """[...document.querySelectorAll('#table th button')].flatMap(
      ({ childNodes }) => [...childNodes]).filter((word) => {
        const range = document.createRange();
        range.selectNode(word);
        return range.getClientRects().length > 1;
      }).map((word) => word.textContent)"""
    assert page.evaluate(broken) == []  # words go on in another line


def test_a_card_opens_its_image_and_arrows_go_on(page: Any) -> None:
    page.select_option("#sort", "name")
    order = names(page)
    place = order.index("000_HC.png")
    page.locator(".card").nth(place).focus()
    page.keyboard.press("Enter")
    assert page.locator("#name").text_content() == "000_HC.png"
    picture = page.locator("#picture")
    assert picture.get_attribute("src") == "overlays/000_HC.jpg"
    wait_until(page, "picture.complete && picture.naturalWidth === 400")
    page.keyboard.press("ArrowRight")
    assert page.locator("#name").text_content() == order[place + 1]
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Escape")
    assert not page.locator("#viewer").is_visible()
    assert "000_HC.png" in page.evaluate("document.activeElement.textContent")


def open_image(page: Any, name: str) -> None:
    page.locator(".card", has_text=name).first.click()
    wait_until(page, "picture.complete && picture.naturalWidth > 0")


def test_the_picture_is_enlarged_zoomed_and_moved_also_while_correcting(page: Any) -> None:
    open_image(page, "000_HC.png")
    page.click("#correct")
    shown, room = (page.locator(each).bounding_box() for each in ("#picture", "#stage"))
    assert shown["width"] == pytest.approx(room["width"], abs=1)  # of 400 pixels
    under = "([x, y]) => pointOf({ clientX: x, clientY: y })"
    place = [room["x"] + 300, room["y"] + 200]
    before = page.evaluate(under, place)
    page.mouse.move(*place)
    page.mouse.wheel(0, -300)
    wait_until(page, f"picture.getBoundingClientRect().width > {1.5 * shown['width']}")
    assert page.evaluate(under, place) == pytest.approx(before, abs=0.01)
    rings = """Object.values(handlePlaces(draft)).map(([x, y]) => Math.min(
      ...ellipses.points(draft, 999).map(([a, b]) => Math.hypot(a - x, b - y))) / inPicture(1))"""
    assert min(page.evaluate(rings)) > page.evaluate("RING_PX")  # none covers the outline
    kept = page.evaluate("({...draft})")
    page.keyboard.press("l")
    moved = page.evaluate(under, place)
    assert moved[0] > before[0] + 5
    page.mouse.down()
    page.mouse.move(place[0] + 50, place[1] + 30)
    page.mouse.up()
    scale = page.evaluate("inPicture(1)")
    expected = [moved[0] - 50 * scale, moved[1] - 30 * scale]
    assert page.evaluate(under, place) == pytest.approx(expected, abs=0.01)
    page.keyboard.press("Z")
    page.keyboard.press("0")
    assert page.locator("#picture").bounding_box() == shown
    assert page.evaluate("({...draft})") == kept


def drag(page: Any, handle: str, x: float, y: float) -> None:
    """Drag a handle so many pixels of the picture."""
    zoom = page.locator("#picture").bounding_box()["width"] / page.evaluate("picture.naturalWidth")
    box = page.locator(f"[data-handle={handle}]").bounding_box()
    start = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move(start[0] + x * zoom, start[1] + y * zoom, steps=3)
    page.mouse.up()


def test_a_dragged_ellipse_is_saved_with_the_model_s(page: Any, rows: Rows, tmp_path: Path) -> None:
    open_image(page, "000_HC.png")
    page.click("#correct")
    row = rows["000_HC.png"]
    columns = ("center_x_px", "center_y_px", "semi_major_px", "semi_minor_px", "angle_rad")
    model = Ellipse(*(float(row[column]) for column in columns))
    drag(page, "center", 12, -7)
    assert page.evaluate("JSON.parse(localStorage.getItem(STORED)).length") == 1
    drag(page, "major", 15 * np.cos(model.angle_rad), 15 * np.sin(model.angle_rad))
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Escape")  # ends correcting, not looking
    expected = Ellipse(
        *(model.center_x_px + 12, model.center_y_px - 6),
        *(model.semi_major_px + 15, model.semi_minor_px, model.angle_rad),
    )
    live = page.locator("#live").text_content()
    assert float(live.split()[1]) == pytest.approx(expected.circumference_px * PIXEL_MM, abs=0.5)
    page.keyboard.press("Escape")
    open_image(page, "001_HC.png")
    following = page.evaluate("shownImages[shownImages.indexOf(currentImage) + 1].name")
    page.click("#accept")
    assert page.locator("#name").text_content() == following
    page.keyboard.press("Escape")
    open_image(page, "dark.png")
    page.click("#correct")
    page.keyboard.press("+")
    page.click("#close")
    card = page.locator(".card", has_text="dark.png").text_content()
    assert re.search(r"no head, corrected.*HC \d+\.\d \(model \S\) mm", card)
    assert page.locator("#corrected").text_content() == "3 reviewed, not saved yet"
    with page.expect_download() as saving:
        page.click("#save")
    assert saving.value.suggested_filename == "corrected.csv"
    saving.value.save_as(tmp_path / "corrected.csv")
    found = {c.file: c for c in read_corrections(tmp_path / "corrected.csv")}
    moved, same, drawn = (found.pop(name) for name in ("000_HC.png", "001_HC.png", "dark.png"))
    assert not found
    assert moved.is_changed and not same.is_changed
    assert moved.model_ellipse == model
    assert moved.ellipse.center == pytest.approx(expected.center, abs=0.7)
    assert moved.ellipse.semi_major_px == pytest.approx(expected.semi_major_px, abs=0.7)
    assert moved.ellipse.semi_minor_px == pytest.approx(expected.semi_minor_px, abs=0.01)
    assert moved.hc_mm == pytest.approx(moved.ellipse.circumference_px * PIXEL_MM, abs=2e-3)
    assert same.hc_mm == float(rows["001_HC.png"]["hc_mm"])
    assert drawn.model_ellipse is None
    page.reload()
    assert page.locator("#corrected").text_content() == "3 reviewed, saved"
    open_image(page, "000_HC.png")
    assert "(corrected)" in page.locator("#live").text_content()
    page.click("#accept")  # which keeps what is corrected
    page.click("#previous")
    assert "(corrected)" in page.locator("#live").text_content()
    page.click("#reset")
    assert page.locator("#corrected").text_content() == "2 reviewed, saved"
    page.click("#close")
    # the table brings all back, but replaces nothing that is not saved
    loaded = "document.getElementById('loaded').textContent"
    open_image(page, "000_HC.png")
    page.click("#accept")
    page.click("#close")
    page.set_input_files("#load", tmp_path / "corrected.csv")
    wait_until(page, f"{loaded}.includes('save yours first')")
    assert page.evaluate("reviewOf(images[0])") == "accepted"
    page.evaluate("corrections.clear()")
    text = (tmp_path / "corrected.csv").read_text("utf-8")
    (tmp_path / "sized.csv").write_text(text.replace(f",{PIXEL_MM},", ",0.9,"), "utf-8")
    (tmp_path / "other.csv").write_text("file,frame\n000_HC.png,\n")
    for name, said in (
        ("corrected.csv", "3 loaded"),
        ("sized.csv", "0 loaded; 3 rows"),
        ("other.csv", "this is no corrected.csv"),
    ):
        page.set_input_files("#load", tmp_path / name)
        wait_until(page, f"{loaded}.startsWith('{said}')")
        assert page.locator("#corrected").text_content() == "3 reviewed, saved"
    assert ", corrected" in page.locator(".card", has_text="dark.png").text_content()


def drawn_figures(
    nano: Segmenter, fields: dict[str, float], size: PixelSize, site: Calibration | None = None
) -> dict[str, float | None]:
    """Return the figures of a head that a person drew."""
    weeks = 20.0 if site else None
    frame = Frame(np.zeros((270, 400), np.uint8), size, ga_weeks=weeks, calibration=site)
    metadata = replace(nano.metadata, interval=None)
    return dict(head_figures.measure(Ellipse(*fields.values()), 0.0, frame, metadata))


def test_corrected_figures_stand_beside_the_model_s(page: Any, nano: Segmenter, rows: Rows) -> None:
    """On the card, in the viewer, in the table and in print; sorting follows them."""
    open_image(page, "000_HC.png")
    page.click("#correct")
    for key in ("A", "A", "A", "b", "ArrowUp"):
        page.keyboard.press(key)
    fields = page.evaluate("corrections.get(currentImage.number).ellipse")
    own = drawn_figures(nano, fields, PixelSize(PIXEL_MM, PIXEL_MM, "option"))
    row = rows["000_HC.png"]
    model = table.figures_of(values_of(row), Task())
    titled = [column for column in head_figures.COLUMNS if column.title]
    texts = {c.title: f"{c.text(own)} (model {c.text(model)})" for c in titled}
    assert len({*texts.values()}) == 6
    read = page.locator("#figures").inner_text().replace("\n", " ")
    assert read.startswith(" ".join(f"{title} {text}" for title, text in texts.items()))
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
    for name in ("hc_mm", "bpd_mm", "ofd_mm", "ga_weeks_hadlock"):
        decimals = len(row[name].partition(".")[2])
        assert f"{own[name]:.{decimals}f} (model {row[name]})" in line
    for factor, order in ((3, "largest"), (1 / 9, "smallest")):
        page.evaluate("factor => { corrections.get(0).ellipse.semiMajor *= factor; }", factor)
        page.select_option("#sort", f"HC, {order} first")
        assert page.locator("#table tbody button").first.text_content() == "000_HC.png"
    # millimetres are calibrated as the run was, and centiles are of the age that was given
    given = {"pixel_size_x_mm": "0.5", "pixel_size_y_mm": "0.55", "ga_weeks_given": "20.0000"}
    given |= {"calibration_factor": "0.98", "calibration_shift_mm": "-3"}
    fields = {"centerX": 100, "centerY": 80, "semiMajor": 60, "semiMinor": 46, "angle": 0.4}
    found = page.evaluate("([row, e]) => figuresOf({ row }, e)", [given, fields])
    size, site = PixelSize(0.5, 0.55, "table"), Calibration(0.98, -3.0)
    expected = drawn_figures(nano, fields, size, site)
    assert found == {name: pytest.approx(expected[name], abs=1e-4) for name in found}
    centiles = [name for name in found if name.endswith("_centile_intergrowth")]
    assert len(centiles) == 3
    assert all(1 < found[name] < 99 for name in centiles)
    for name, value in zip([*centiles, *centiles], (0.4, 3.2, None, 99.6, 50.6, 2.4), strict=True):
        text = page.evaluate("([n, v]) => headFigures.text(n, { [n]: v, hc_mm: 1 })", [name, value])
        assert text == head_figures.format_centile({name: value, "ga_weeks_given": 41.0}, name)


def test_on_a_phone_all_fits_and_a_finger_drags_alone(chromium: Any, report: Path) -> None:
    """A second finger that comes in between changes nothing."""
    phone = {"size": PHONE, "color_scheme": "dark", "has_touch": True, "is_mobile": True}
    with opened(chromium, report.as_uri(), **phone) as page:
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        open_image(page, "000_HC.png")
        box = page.locator("#picture").bounding_box()
        assert box["width"] <= PHONE["width"]
        assert box["width"] / box["height"] == pytest.approx(400 / 270, rel=0.01)
        ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert ground == "rgb(20, 23, 27)"
        page.tap("#correct")
        places = []
        for number, handle in enumerate(("center", "major2")):  # which goes along with the middle
            at = page.locator(f"[data-handle={handle}]").bounding_box()
            places.append({"x": at["x"] + at["width"] / 2, "y": at["y"] + at["height"] / 2})
            places[-1]["id"] = number
        at, other = places
        before = page.evaluate("({...draft})")
        fingers = page.context.new_cdp_session(page)
        far = at | {"x": at["x"] + 20, "y": at["y"] + 10}
        for kind, points in [
            ("touchStart", [at]), ("touchMove", [far]), ("touchStart", [far, other]),
            ("touchMove", [far, other | {"y": other["y"] + 60}]), ("touchEnd", []),
        ]:  # fmt: skip
            fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        after = page.evaluate("({...draft})")
        zoom = box["width"] / 400
        assert after["centerX"] - before["centerX"] == pytest.approx(20 / zoom, abs=1)
        assert after["centerY"] - before["centerY"] == pytest.approx(10 / zoom, abs=1)
        assert after["semiMajor"] == before["semiMajor"]
        stage = page.locator("#stage").bounding_box()
        apart = [
            [{"x": stage["x"] + x, "y": stage["y"] + 20, "id": i} for i, x in enumerate(both)]
            for both in ((150, 170), (100, 220))
        ]
        for kind, points in zip(("touchStart", "touchMove", "touchEnd"), [*apart, []], strict=True):
            fingers.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
        assert page.locator("#picture").bounding_box()["width"] == pytest.approx(6 * box["width"])
        page.evaluate("corrections.clear()")  # else leaving asks


def test_an_image_a_page_is_printed(page: Any) -> None:
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
    heads = page.evaluate("[...paper.children].map(sheet => sheet.firstChild.textContent)")
    day, warning = date.today().isoformat(), page.locator(".warning").first.text_content()
    about = f"Head circumference, model hc18-nano, edgeseg {__version__}"
    assert heads == [f"Printed {day}. {about}. {warning}"] * count
    page.evaluate("paper.replaceChildren()")  # as by the browser's own menu
    sheets = page.pdf()
    assert len(re.findall(rb"/Type /Page\b", sheets)) == count
    assert len(re.findall(rb"/Subtype /Image\b", sheets)) >= count


def test_without_the_overlays_beside_it_the_page_shows_what_it_has(
    chromium: Any, report: Path, tmp_path: Path
) -> None:
    (tmp_path / "report.html").write_bytes(report.read_bytes())
    with (
        pytest.raises(AssertionError, match=r"overlays/000_HC\.jpg"),  # which it asked for
        opened(chromium, (tmp_path / "report.html").as_uri()) as page,
    ):
        page.locator(".card", has_text="000_HC.png").first.click()
        wait_until(page, "picture.src.startsWith('data:') && picture.naturalWidth > 0")
        assert page.evaluate("picture.width") == 400
        assert "not beside this page" in page.locator("#note").text_content()
