from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import BENCHMARKS

PLANTED = """
import sys
from edgeseg.node import server

server._Node.on_close = lambda self, event: None  # which deletes what came in part
sys.argv = ["fuzz_node.py", "--count", "60"]
import fuzz_node
fuzz_node._PATIENCE_S = 1.0
fuzz_node.main()
"""


def fuzz(*command: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("pynetdicom")
    if not Path("/proc/self/statm").exists():
        pytest.skip("this system does not tell a process its resident memory")
    called = [sys.executable, *command]
    return subprocess.run(called, capture_output=True, text=True, cwd=BENCHMARKS, timeout=120)


@pytest.mark.parametrize(
    ("count", "at_once"), [("150", "1"), pytest.param("60", "3", marks=pytest.mark.nightly)]
)
def test_a_node_that_holds_has_no_findings(count: str, at_once: str) -> None:
    done = fuzz("fuzz_node.py", "--count", count, "--at-once", at_once)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith(f"| {count} | 0 | {at_once} |")
    assert done.stdout.endswith("| 0 |\n")


@pytest.mark.nightly
def test_what_nobody_thought_of_is_found() -> None:
    done = fuzz("-c", PLANTED)
    assert done.returncode == 1 and "files are left" in done.stderr
