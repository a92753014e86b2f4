"""Nothing calls home: no file but the results, no socket."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from unittest.mock import Mock

import pytest

from edgeseg.drawing.encode import encode
from edgeseg.phantom.head import Phantom
from edgeseg.system import telemetry

LIBRARY = """
import sys, time
import edgeseg
segmenter = edgeseg.load("hc18-nano", device=sys.argv[2], threads=1)
assert segmenter.predict(sys.argv[1], 0.2).hc_mm
time.sleep(0.5)
"""
COMMAND = "import sys; sys.argv[0] = 'edgeseg'; from edgeseg.cli import main; main()"
CALLS = "%network,open,openat,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat"
# a path that a call makes or may write to
WRITES = re.compile(
    r'(?:mkdir\w*|rename\w*|link\w*)\(.*?"(?P<made>[^"]+)"[^"]*$'
    r'|(?:open\w*|creat)\(.*?"(?P<opened>[^"]+)".*(?:O_WRONLY|O_RDWR|O_CREAT)'
    r"|memfd_create\((?P<memory>.*)"
)
DEVICES = ["cpu", *(["openvino"] if importlib.util.find_spec("openvino") else [])]


def quiet_environment(home: Path, **changed: str) -> dict[str, str]:
    """Return an environment as on a user's machine, in which nothing but edgeseg says hush."""
    hushing = {"CI", "TF_BUILD", "JENKINS_URL", "ORT_RUNNING_UNIT_TESTS"}
    hushing |= {"ORT_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY"}
    kept = {name: value for name, value in os.environ.items() if name not in hushing}
    places = ("HOME", "USERPROFILE", "LOCALAPPDATA", "TMPDIR", "TMP", "TEMP")
    places += ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
    here = dict.fromkeys(places, str(home))
    return kept | here | {"PYTHONDONTWRITEBYTECODE": "1"} | changed


@pytest.mark.parametrize("device", DEVICES)
def test_no_socket_is_opened_nor_a_stray_file(
    phantoms: list[Phantom], tmp_path: Path, device: str
) -> None:
    (home := tmp_path / "home").mkdir()
    (image := tmp_path / "a.png").write_bytes(encode(".png", phantoms[0].image))
    strace, trace, out = shutil.which("strace"), tmp_path / "trace", tmp_path / "out"
    tracing = [str(strace), "-f", "-qq", "-e", f"trace={CALLS},memfd_create", "-o", str(trace)]
    if not strace or subprocess.run([*tracing, "true"], check=False).returncode:
        tracing = []  # there is no strace that may look on
    options = ["--out", str(out), "--pixel-size", "0.2", "--device", device]
    for code in ([COMMAND, "infer", str(image), *options], [LIBRARY, str(image), device]):
        command = [*tracing, sys.executable, "-c", *code]
        subprocess.run(command, cwd=home, env=quiet_environment(home), check=True)
        if not tracing:
            continue
        calls = trace.read_text(errors="replace").splitlines()
        assert any(str(image) in call for call in calls), "the trace shows nothing"
        assert not [call for call in calls if re.search(r"\b(socket|connect|send\w*)\(", call)]
        written = [next(filter(None, m.groups())) for m in map(WRITES.search, calls) if m]
        assert not [path for path in written if not path.startswith((str(out), "/dev/null"))]
    assert not list(home.rglob("*"))
    assert {path.name for path in tmp_path.iterdir()} - {"trace"} == {"home", "a.png", "out"}


@pytest.mark.parametrize("module", ["edgeseg", "edgeseg_training"])
@pytest.mark.parametrize(("given", "expected"), [("", "1 1"), ("0", "0 1")])
def test_imports_switch_telemetry_off(
    tmp_path: Path, module: str, given: str, expected: str
) -> None:
    code = (
        f"import os, sys; import {module}; assert 'onnxruntime' not in sys.modules\n"
        "print(os.environ['ORT_DISABLE_TELEMETRY'], os.environ['HF_HUB_DISABLE_TELEMETRY'])"
    )
    environment = quiet_environment(tmp_path, ORT_DISABLE_TELEMETRY=given)
    said = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert said.strip() == expected


def test_loaded_libraries_hear_it_and_hidden_ones_return(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, calls in (("1", 1), ("TRUE", 1), ("0", 0)):
        monkeypatch.setenv("ORT_DISABLE_TELEMETRY", value)
        telemetry.switch_off_loaded(loaded := Mock())
        assert loaded.disable_telemetry_events.call_count == calls
    with telemetry.without_module("wave"), pytest.raises(ImportError):
        import wave
    import wave

    with telemetry.without_module("wave"):
        import wave as again
    assert again is wave
