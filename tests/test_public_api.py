from __future__ import annotations

import builtins
import doctest
import importlib.metadata
import inspect
import re
from pathlib import Path

import pytest

import edgeseg
from edgeseg import errors, metadata, prediction, segmenter, zoo

ROOT = Path(__file__).parents[1]
ERRORS = [name for name, value in vars(errors).items() if inspect.isclass(value)]


def test_every_public_name_exists() -> None:
    classes = ["Ellipse", "ModelMetadata", "Prediction", "Segmenter"]
    assert sorted(edgeseg.__all__) == sorted([*classes, "load", *ERRORS])
    assert all(getattr(edgeseg, name) is not None for name in edgeseg.__all__)
    assert edgeseg.__version__ == importlib.metadata.version("edgeseg")
    with pytest.raises(AttributeError, match="no attribute 'segment'"):
        edgeseg.segment  # noqa: B018


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_edgeseg_errors_and_builtins(name: str) -> None:
    error = getattr(errors, name)
    assert issubclass(error, edgeseg.EdgesegError)
    own = {base for base in error.__mro__ if base.__module__ == builtins.__name__}
    assert error is edgeseg.EdgesegError or own - {Exception, BaseException, object}


def test_models_and_what_they_say_are_public_modules() -> None:
    assert zoo.find("hc18-nano").bundled
    data = metadata.TrainData("mine", 10, "0")
    described = metadata.ModelMetadata(
        "mine", "unet", "full", "fp32", 256, 256, data, (0.05, 0.4), "0.1.0"
    )
    assert metadata.ModelMetadata.from_json(described.to_json()) == described


@pytest.mark.parametrize("module", [edgeseg, segmenter, prediction])
def test_examples_of_the_documentation_run(module: object) -> None:
    failed, tried = doctest.testmod(module)  # type: ignore[arg-type]
    assert tried and not failed


@pytest.mark.parametrize("document", ["README.md", "docs/python.md"])
def test_examples_of_the_documents_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scan_file: bytes, document: str
) -> None:
    (tmp_path / "scan.png").write_bytes(scan_file)
    monkeypatch.chdir(tmp_path)
    text = (ROOT / document).read_text("utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    assert blocks
    for block in blocks:
        names: dict[str, object] = {}
        exec(compile(block, document, "exec"), names)
        assert names["prediction"].hc_mm is not None  # type: ignore[attr-defined]
