from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUNTIME = """
import importlib, pkgutil, sys
import edgeseg
# these need an extra or PyInstaller, and are imported by what has it
extras = ("edgeseg.__main__", "edgeseg.archive", "edgeseg.system.pyinstaller")
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
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "lightning", "onnx"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
try:
    from edgeseg.cli import main
    main()
except SystemExit:
    pass
heavy = {"torch", "onnx", "onnxruntime", "cv2", "numpy", "pydantic", "PIL"}
print("loaded:" + ",".join(sorted(heavy & set(sys.modules))))
"""


def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)


def test_no_runtime_module_imports_training_packages() -> None:
    assert run(RUNTIME).stdout.strip() == ""


@pytest.mark.parametrize("arguments", ["--help", "infer --help", "models"])
def test_help_loads_nothing_heavy(arguments: str) -> None:
    assert run(COMMAND, *arguments.split()).stdout.splitlines()[-1] == "loaded:"


def test_one_png_is_measured_without_what_it_does_not_need(
    phantom_data: Path, tmp_path: Path
) -> None:
    image = str(phantom_data / "training_set" / "000_HC.png")
    options = ["--out", str(tmp_path / "out"), "--pixel-size", "0.1", "--threads", "1"]
    loaded = run(COMMAND, "infer", image, *options).stdout.splitlines()[-1]
    assert loaded == "loaded:PIL,cv2,numpy,onnxruntime"  # Pillow has the overlay's letters


@pytest.mark.parametrize("arguments", ["train --data d --out o", "export c --out o.onnx"])
def test_commands_that_need_an_extra_name_it(arguments: str) -> None:
    done = run(COMMAND, *arguments.split())
    assert "pip install 'edgeseg[train]'" in done.stderr
    assert "Traceback" not in done.stderr
