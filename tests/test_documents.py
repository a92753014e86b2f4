"""Links of the documents lead somewhere, and the commands that their pages begin with run."""

from __future__ import annotations

import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import pytest

from edgeseg.phantom.head import Phantom
from tests.cli.calls import call
from tests.phantoms import write_hc18

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")), ROOT / "training" / "README.md",
    ROOT / "benchmarks" / "README.md",
]  # fmt: skip
PAGES = [path for path in DOCUMENTS if path.parent == ROOT / "docs"]


def anchors(path: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", path.read_text("utf-8"), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.*)$", text, re.M)
    plain = (re.sub(r"[^\w\- ]", "", title.lower()) for title in titles)
    return {title.replace(" ", "-") for title in plain}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text("utf-8")
    for target in re.findall(r'\]\(([^)\s]+)\)|src="([^"]+)"', text):
        name, _, anchor = (target[0] or target[1]).partition("#")
        if re.match(r"https?:", name):
            continue
        there = path.parent / name if name else path
        assert there.exists(), name
        assert not anchor or anchor in anchors(there), f"{name}#{anchor}"


def test_the_readme_is_short_and_names_every_page() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert len(text.split()) <= 1500
    for page in PAGES:
        assert page.name == "index.md" or f"docs/{page.name}" in text


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phantoms: list[Phantom]) -> Path:
    """A folder with what the pages' first commands name."""
    write_hc18(phantoms[:3], tmp_path / "hc18")
    shutil.copytree(tmp_path / "hc18" / "training_set", tmp_path / "scans")
    shutil.copy(tmp_path / "hc18" / "training_set_pixel_size_and_HC.csv", tmp_path / "sizes.csv")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commands_of(page: Path) -> list[list[str]]:
    """Return the words of the commands in a page's blocks, a list a block."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```\n(.*?)^```", text, re.M | re.S)
    return [
        [line for line in block.splitlines() if line.startswith("edgeseg ")] for block in blocks
    ]


@pytest.mark.slow
@pytest.mark.parametrize("command", [
    command for page in PAGES for block in commands_of(page) for command in block
    if re.match("edgeseg (serve|watch|listen) *(?!.*--(host|export))", command)
])  # fmt: skip
def test_services_start_and_stop(command: str, prepared: Path) -> None:
    if " listen" in command:
        pytest.importorskip("pynetdicom")
    _, name, *arguments = shlex.split(command)
    port = [] if name == "watch" else ["--port", "0"]
    words = [sys.executable, "-u", "-m", "edgeseg", name, *arguments, *port]
    started = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=prepared)
    with started as process:
        assert process.stdout is not None
        first = next(line for line in process.stdout if "Ctrl-C stops it" in line)
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
    assert first and process.returncode == 0, rest


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_first_commands_run(page: Path, prepared: Path) -> None:
    commands = next(iter(commands_of(page)), [])
    assert commands or page.stem in ("index", "python", "contributing")  # tests, or other tests
    needs: dict[str, Any] = {"archive": "pyarrow", "dicom": "pydicom"}
    if page.stem in needs:
        pytest.importorskip(needs[page.stem])
    if page.stem == "dicom":
        from tests.images.dicom import files

        (prepared / "study").mkdir()
        gray = cv2.imread(str(next((prepared / "scans").iterdir())), cv2.IMREAD_GRAYSCALE)
        files.write(prepared / "study" / "a.dcm", gray, pixel_mm=(0.2, 0.2))
    if page.stem == "networks":
        onnx = pytest.importorskip("onnx")
        from tests.adopt.graphs import float_model

        onnx.save(float_model(), prepared / "unet.onnx")
    for command in commands:
        _, *arguments = shlex.split(command)
        done = call(*arguments)
        assert done.exit_code == 0, (command, done.output, done.exception)
