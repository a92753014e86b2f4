from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUNTIME = """
import importlib, pkgutil, sys
import edgeseg
# these need an extra (pyarrow, ray), and are imported by their commands
extras = ("edgeseg.__main__", "edgeseg.archive")
for module in pkgutil.walk_packages(edgeseg.__path__, "edgeseg."):
    if not module.name.startswith(extras):
        importlib.import_module(module.name)
heavy = {"torch", "torchvision", "segmentation_models_pytorch", "onnx", "lightning", "matplotlib"}
heavy |= {"highdicom", "pydicom", "pynetdicom", "pyarrow", "ray"}
print(",".join(sorted(heavy & set(sys.modules))))
"""
COMMAND = """
import sys
sys.argv[0] = "edgeseg"
try:
    from edgeseg.cli import main
    main()
except SystemExit:
    pass
heavy = {"torch", "onnx", "onnxruntime", "cv2", "numpy", "pydantic", "PIL"}
print("loaded:" + ",".join(sorted(heavy & set(sys.modules))))
"""


def run(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.strip()


def test_no_runtime_module_imports_training_packages() -> None:
    assert run(RUNTIME) == ""


@pytest.mark.parametrize("arguments", [["--help"], ["infer", "--help"], ["models"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert run(COMMAND, *arguments).splitlines()[-1] == "loaded:"


def test_one_png_is_measured_without_what_it_does_not_need(
    phantom_data: Path, tmp_path: Path
) -> None:
    image = str(phantom_data / "training_set" / "000_HC.png")
    options = ["--out", str(tmp_path / "out"), "--pixel-size", "0.1", "--threads", "1"]
    loaded = run(COMMAND, "infer", image, *options).splitlines()[-1]
    assert loaded == "loaded:cv2,numpy,onnxruntime"


@pytest.mark.parametrize(("command", "extra"), [("train", "train"), ("export", "train")])
def test_commands_that_need_an_extra_name_it(command: str, extra: str) -> None:
    options = {"train": ["--data", "d", "--out", "o"]}.get(command, ["c", "--out", "o.onnx"])
    code = f"""
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "lightning", "onnx"):
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
sys.argv = ["edgeseg", {command!r}, *{options!r}]
from edgeseg.cli import main
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 1
    assert f"pip install 'edgeseg[{extra}]'" in done.stderr
    assert "Traceback" not in done.stderr
