"""Links of the documents lead somewhere, and the commands that their pages begin with run."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import cv2
import pytest

from edgeseg.phantom.head import Phantom
from tests.cli.calls import call
from tests.phantoms import write_hc18

ROOT = Path(__file__).parents[1]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "SECURITY.md", "CHANGELOG.md")),
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


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_first_commands_run(page: Path, prepared: Path) -> None:
    block = re.search(r"^```\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    commands = [line for line in (block[1] if block else "").splitlines() if line]
    if page.stem in (
        "index",
        "python",
        "contributing",
    ):  # of these tests/test_public_api.py, or none
        return
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
        name, *arguments = shlex.split(command)
        assert name == "edgeseg"
        done = call(*arguments)
        assert done.exit_code == 0, (command, done.output, done.exception)
