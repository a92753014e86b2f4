"""Windows of Debian's Firefox and WebKit, with a few methods named as playwright's."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

_FIREFOX = Path(__file__).with_name("firefox.js")


def find(name: str, package: str) -> str:
    """Return a program's path; tests with it are skipped where it is missing."""
    path = shutil.which(name)
    return path or pytest.skip(f"{name} is not here; Debian's package is called {package}")


@contextlib.contextmanager
def firefox(folder: Path) -> Iterator[SimpleNamespace]:
    """Open Firefox, which saves into a folder; fails at the end if it complained of anything."""
    command = [find("node", "nodejs"), _FIREFOX, find("firefox-esr", "firefox-esr"), folder]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:

        def ask(*command: Any) -> Any:
            print(json.dumps(command), file=process.stdin, flush=True)
            answer = json.loads(process.stdout.readline())
            assert "error" not in answer, (command, answer)
            return answer.get("value")

        names = ("goto", "evaluate", "click", "fill", "choose", "drag")
        yield SimpleNamespace(**{name: functools.partial(ask, name) for name in names})
    assert process.returncode == 0


@contextlib.contextmanager
def webkit(folder: Path) -> Iterator[SimpleNamespace]:
    """Open WebKit's MiniBrowser on a screen that nobody sees; it saves into a folder."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    driver = find("WebKitWebDriver", "webkit2gtk-driver")
    command = [find("xvfb-run", "xvfb"), "-a", driver, f"--port={port}"]
    home = os.environ | {"HOME": str(folder), "TMPDIR": str(folder)}
    with subprocess.Popen(command, env=home, start_new_session=True) as process:
        try:
            yield _open_session(f"http://127.0.0.1:{port}/session")
        finally:
            os.killpg(process.pid, signal.SIGTERM)


def _open_session(address: str) -> SimpleNamespace:
    def ask(path: str, **command: Any) -> Any:
        data = json.dumps(command).encode()
        with urllib.request.urlopen(address + path, data) as answer:
            return json.load(answer)["value"]

    def ask_of(selector: str, command: str, **text: str) -> None:
        (number,) = ask("/element", using="css selector", value=selector).values()
        ask(f"/element/{number}/{command}", **text)

    def drag(start: tuple[float, float], end: tuple[float, float]) -> None:
        moves = [{"type": "pointerMove", "x": round(x), "y": round(y)} for x, y in (start, end)]
        moves.insert(1, {"type": "pointerDown", "button": 0})
        moves.append({"type": "pointerUp", "button": 0})
        ask("/actions", actions=[{"type": "pointer", "id": "mouse", "actions": moves}])

    (browser,) = Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser")
    options = {"binary": str(browser), "args": ["--automation"]}
    wanted = {"alwaysMatch": {"webkitgtk:browserOptions": options}}
    for _ in range(400):  # until the driver listens
        with contextlib.suppress(ConnectionError, urllib.error.URLError):
            address += f"/{ask('', capabilities=wanted)['sessionId']}"
            break
        time.sleep(0.05)
    return SimpleNamespace(
        goto=lambda url: ask("/url", url=url),
        evaluate=lambda each: ask("/execute/sync", script=f"return ({each})", args=[]),
        click=lambda selector: ask_of(selector, "click"),
        fill=lambda selector, text: ask_of(selector, "value", text=text),
        choose=lambda selector, paths: ask_of(selector, "value", text="\n".join(paths)),
        drag=drag,
    )
