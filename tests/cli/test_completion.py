"""What a shell completes, and the script that has it do so."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgeseg.network import zoo

EDGESEG = Path(sys.executable).with_name("edgeseg")
pytestmark = pytest.mark.skipif(not EDGESEG.is_file(), reason="the command is not installed")


def completed(words: str) -> list[str]:
    """Return what is offered for the last of some words."""
    asked = os.environ | {"_EDGESEG_COMPLETE": "complete_bash", "COMP_WORDS": words}
    asked["COMP_CWORD"] = str(len(words.split(" ")) - 1)
    found = subprocess.run([EDGESEG], env=asked, capture_output=True, text=True, check=True)
    return found.stdout.split()


def test_commands_options_and_values_are_completed() -> None:
    assert completed("edgeseg inf") == ["infer", "info"]
    assert "--pixel-sizes" in completed("edgeseg infer --pix")
    assert completed("edgeseg infer --model ") == list(zoo.manifest())
    assert completed("edgeseg watch --device cu") == ["cuda"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes_once_it_is_installed(tmp_path: Path) -> None:
    home = os.environ | {"HOME": str(tmp_path)}
    home["_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"] = "1"
    install = [str(EDGESEG), "--install-completion", "bash"]
    subprocess.run(install, env=home, capture_output=True, check=True)
    script = next(tmp_path.rglob("edgeseg.sh"))
    assert str(script) in (tmp_path / ".bashrc").read_text()
    typed = (
        f"source {script}; PATH={EDGESEG.parent}:$PATH; COMP_WORDS=(edgeseg benc); COMP_CWORD=1; "
        "_edgeseg_completion edgeseg; echo ${COMPREPLY[@]}"
    )
    found = subprocess.run(["bash", "-c", typed], env=home, capture_output=True, text=True)
    assert found.stdout.split() == ["benchmark"]
