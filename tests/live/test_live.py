"""A moving picture: its source, what is measured in it, the page, and frames that are kept."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.errors import InputNotFoundError
from edgeseg.live import source as sources
from edgeseg.live.server import LiveServer
from edgeseg.live.source import LiveFrame, LiveSource
from edgeseg.live.view import LiveView, show
from edgeseg.measure.ellipse import Ellipse
from edgeseg.phantom.head import Phantom
from edgeseg.segmenter import Segmenter
from edgeseg.serve.server import run_server
from tests.browser import opened, wait_until
from tests.cli.calls import call, rows
from tests.fakes import head_image

SIZE = (270, 400)
FPS = 50.0


def frame(shift: int) -> np.ndarray:
    head = head_image(Ellipse(200 + shift, 135, 100, 80, 0.2), SIZE)
    return cv2.cvtColor(head, cv2.COLOR_GRAY2BGR)


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.avi"
    size = SIZE[::-1]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), FPS, size)
    for shift in range(12):
        writer.write(frame(shift))
    writer.release()
    return path


class Camera(http.server.BaseHTTPRequestHandler):
    """A network camera: each connection gets what ``scenes`` has next, and is closed."""

    scenes: Iterator[list[np.ndarray]]

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=f")
        self.end_headers()
        for pixels in next(self.scenes, []):
            jpeg = cv2.imencode(".jpg", pixels)[1].tobytes()
            head = f"--f\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + jpeg + b"\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextlib.contextmanager
def camera(*scenes: list[np.ndarray]) -> Iterator[str]:
    Camera.scenes = iter(scenes)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Camera) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/live.mjpg"
        finally:
            server.shutdown()
            thread.join()


def test_a_film_is_played_at_its_own_pace_and_ends(film: Path) -> None:
    frames = [*LiveSource(str(film), threading.Event(), lambda text: None).frames()]
    assert [each.number for each in frames] == [*range(1, 13)]
    assert all(each.time_s >= (each.number - 1) / FPS - 1e-3 for each in frames)
    assert not any(each.trouble for each in frames)  # 12 frames show no frozen camera


def test_a_camera_that_goes_away_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_RETRY_S", 0.01)
    ending, said, seen = threading.Event(), [], []
    black = [np.zeros((*SIZE, 3), np.uint8)] * 3
    with camera([frame(0)] * 4, [frame(5)] * 4, black) as url:
        for live in LiveSource(url, ending, said.append).frames():
            seen.append(live)
            if live.trouble == "the picture is black":
                ending.set()
    waiting = [text for text in said if "waiting" in text]
    assert waiting and "black" in said[-1] and any("comes again" in text for text in said)
    assert len(seen) >= 7 and not np.array_equal(seen[0].pixels, seen[5].pixels)


def test_a_frozen_camera_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_STILL_S", -1.0)  # at once
    said: list[str] = []
    with camera([frame(0)] * 3) as url:
        first = next(LiveSource(url, threading.Event(), said.append).frames())
    assert "has not changed" in first.trouble and url in said[0]


def test_what_is_no_source_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.avi").write_text("no film")
    for name in (str(tmp_path / "text.avi"), str(tmp_path / "none.avi"), "/dev/video99"):
        with pytest.raises(InputNotFoundError, match="no picture comes from it"):
            LiveSource(name, threading.Event(), lambda text: None)


def test_the_password_of_a_camera_is_nowhere(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("live", "http://me:geheim@127.0.0.1:9/a?token=geheim", "--out", tmp_path / "out")
    refused = call(*words)
    assert str(refused.exception).startswith("http://127.0.0.1:9/a: no picture")

    def open_film(source: LiveSource) -> cv2.VideoCapture:
        source.is_film, source._interval_s = True, 1 / FPS
        return cv2.VideoCapture(str(film))

    monkeypatch.setattr(LiveSource, "_open", open_film)
    done = call(*words, "--jsonl", tmp_path / "l.jsonl")
    assert done.exit_code == 0 and "geheim" not in done.output
    assert '"http://127.0.0.1:9/a"' in (tmp_path / "l.jsonl").read_text()
    for path in (tmp_path / "l.jsonl", *filter(Path.is_file, (tmp_path / "out").rglob("*"))):
        assert b"geheim" not in path.read_bytes(), path


def test_the_median_is_of_the_window_s_sure_frames(
    segmenter: Segmenter, phantoms: list[Phantom]
) -> None:
    view = LiveView(segmenter, 0.2, None, window_s=2.0)
    assert view.state() == {"number": 0} and view.newest() is None
    image = cv2.cvtColor(phantoms[0].image, cv2.COLOR_GRAY2BGR)
    small = cv2.resize(image, None, fx=0.5, fy=0.5)
    scenes = [(0.0, small, ""), (3.0, image, ""), (3.5, image * 0, ""), (4.0, small, "frozen")]
    found = [
        view.measure(LiveFrame(number, time_s, pixels, trouble))
        for number, (time_s, pixels, trouble) in enumerate(scenes, start=1)
    ]
    assert [row["time_s"] for row in found] == [0, 3, 3.5, 4] and [*found[0]][-1] == "time_s"
    state = view.state()
    assert state["n_steady"] == 1 and state["trouble"] == "frozen"
    assert float(state["median"].split()[0]) == pytest.approx(found[1]["hc_mm"], abs=0.06)
    number, picture = view.next_picture(3) or (0, b"")
    assert number == 4 and cv2.imdecode(np.frombuffer(picture, np.uint8), 1).shape == small.shape
    view.end()
    assert view.next_picture(4) is None


@contextlib.contextmanager
def serving(view: LiveView, kept: list[LiveFrame]) -> Iterator[LiveServer]:
    def keep(live: LiveFrame) -> str:
        kept.append(live)
        return f"{live.number}.png"

    server = LiveServer(0, view, keep)
    with run_server(server):
        try:
            yield server
        finally:
            view.end()


def ask(server: LiveServer, method: str, path: str, **headers: str) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    with contextlib.closing(connection):
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def test_the_page_s_server_keeps_the_frame_that_is_shown(segmenter: Segmenter) -> None:
    view, kept = LiveView(segmenter, None, None, 2.0), []
    with serving(view, kept) as server:
        assert ask(server, "POST", "/freeze")[0] == 409
        view.measure(LiveFrame(7, 0.1, frame(0)))
        assert ask(server, "GET", "/state")[1]["number"] == 7
        assert ask(server, "POST", "/freeze", Origin="https://else.example")[0] == 403
        assert not kept
        assert ask(server, "POST", "/freeze") == (200, {"file": "7.png"})
        assert [live.number for live in kept] == [7]


@pytest.mark.browser
def test_the_page_shows_and_keeps(
    segmenter: Segmenter, phantoms: list[Phantom], chromium: Any
) -> None:
    view, kept = LiveView(segmenter, 0.2, None, 60.0), []
    image = cv2.cvtColor(phantoms[0].image, cv2.COLOR_GRAY2BGR)
    view.measure(LiveFrame(1, 0.0, image))
    with (
        serving(view, kept) as server,
        opened(chromium, f"http://localhost:{server.server_port}/") as page,
    ):
        wait_until(page, "document.getElementById('picture').naturalWidth > 0")
        wait_until(page, "document.getElementById('spread').textContent.includes('1 sure')")
        text = page.inner_text("main")
        assert "HC" in text and "ok" in text
        page.keyboard.press("Space")
        wait_until(page, "document.getElementById('measured').textContent.includes('1.png')")
        page.click("#freeze")
        wait_until(page, "document.getElementById('measured').children.length === 2")
        view.measure(LiveFrame(2, 0.1, image * 0, "the picture is black"))
        wait_until(page, "document.getElementById('state').textContent.includes('black')")
        view.end()
    assert [live.number for live in kept] == [1, 1]


def test_rows_go_out_as_lines_and_kept_frames_into_the_results(film: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("live", film, "--out", out, "--jsonl", tmp_path / "l.jsonl", "--pixel-size", 0.2)
    for _ in range(2):
        done = call(*words, "--no-page")
        assert done.exit_code == 0, done.output
        (out / "frames").mkdir(exist_ok=True)
        cv2.imwrite(str(out / "frames" / "left.png"), frame(3))  # as a kill leaves one
    lines = [json.loads(line) for line in (tmp_path / "l.jsonl").read_text().splitlines()]
    assert (
        lines[-1]["frame"] == 12
        and lines[0]["file"] == str(film)
        and lines[0].keys() >= {"time_s", "hc_mm"}
    )
    assert [row["file"] for row in rows(out)] == ["left.png"]
    assert (out / "masks" / "left.png").is_file() and (out / "overlays" / "left.jpg").is_file()


def test_showing_ends_with_its_source(film: Path, segmenter: Segmenter) -> None:
    view, numbers = LiveView(segmenter, None, None, 2.0), []
    source = LiveSource(str(film), threading.Event(), lambda text: None)
    show(source, view, lambda row: numbers.append(row["frame"]))
    assert numbers[-1] == 12 and numbers == sorted({*numbers})
    assert view.next_picture(12) is None
