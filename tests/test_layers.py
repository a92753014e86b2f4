"""Imports point one way, and what is heavy or prints stays where it belongs."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import edgeseg

ROOT = Path(edgeseg.__file__).parent
# Each may import only what stands below it; those on one line not each other.
ORDER = (
    ("edgeseg.__main__",),
    ("edgeseg.cli",),
    ("edgeseg.adopt", "edgeseg.bench"),
    ("edgeseg.phantom", "edgeseg.live"),
    ("edgeseg.score", "edgeseg.archive", "edgeseg.node", "edgeseg.serve"),
    ("edgeseg.run",),
    ("edgeseg.output",),
    ("edgeseg.segmenter edgeseg.prediction",),  # one layer: the segmenter makes predictions
    ("edgeseg.drawing",),
    ("edgeseg.measure",),
    ("edgeseg.network",),
    ("edgeseg.inputs",),
    ("edgeseg.images",),
    ("edgeseg.system",),
    ("edgeseg.errors",),
)
PUBLIC = ["edgeseg", "edgeseg.metadata", "edgeseg.zoo"]
NEVER = {
    "torch", "torchvision", "lightning", "segmentation_models_pytorch", "safetensors", "matplotlib",
    "onnx",
}  # fmt: skip
# All that needs it stays in one place.
OF_ONE_PLACE: dict[str, str | tuple[str, ...]] = {
    "highdicom": "edgeseg.output.dicom.objects",
    "openvino": "edgeseg.network.openvino",
    "pyarrow": "edgeseg.archive",
    "PIL": ("edgeseg.images.formats", "edgeseg.drawing"),
    "pydicom": "edgeseg.images.dicom.library",
    "pynetdicom": "edgeseg.node.library",
    "dicomweb_client": "edgeseg.node.dicomweb",
    "requests": "edgeseg.node.dicomweb",
    "ray": "edgeseg.archive.on_ray",
}
OF_THE_COMMAND_LINE = {"typer", "rich"}
MODULES = {
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}


def layer(module: str) -> tuple[int, str] | None:
    """Return a module's place in the order, and its house there."""
    for depth, houses in enumerate(ORDER):
        for house in houses:
            if any(module == name or module.startswith(f"{name}.") for name in house.split()):
                return depth, house
    return None


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and module of every import in a file, those inside functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            assert node.module is not None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield node.lineno, whole if whole in MODULES else node.module


def test_imports_point_one_way() -> None:
    """Nobody inside uses the public surface, which would hide which way an import points."""
    assert [name for name in MODULES if layer(name) is None] == PUBLIC
    wrong = []
    for module, path in MODULES.items():
        here = layer(module)
        for line, imported in imports(path):
            if here is None or imported.split(".")[0] != "edgeseg":
                continue
            there = layer(imported)
            if there is None or there[0] < here[0] or (there[0] == here[0] and there != here):
                wrong.append(f"{module}:{line} imports {imported}")
    assert not wrong


def test_what_is_heavy_is_imported_where_it_belongs() -> None:
    users: dict[str, set[str]] = defaultdict(set)
    for module, path in MODULES.items():
        for _, imported in imports(path):
            users[imported.split(".")[0]].add(module)
    assert not NEVER & users.keys()
    for name, place in OF_ONE_PLACE.items():
        assert users[name]
        assert all(module.startswith(place) for module in users[name]), users[name]
    for name in OF_THE_COMMAND_LINE:
        assert users[name], f"{name} is not used: is this test looking at the right thing?"
        assert all(module.startswith("edgeseg.cli") for module in users[name])


def test_only_the_command_line_prints_or_ends_the_program() -> None:
    calls = {"print", "input", "exit", "quit", "sys.exit"}
    calls |= {"sys.stdout.write", "sys.stderr.write", "warnings.warn"}
    wrong = [
        f"{module}:{node.lineno} calls {ast.unparse(node.func)}"
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in calls
    ]
    assert [each for each in wrong if not each.startswith("edgeseg.cli")] == []
    assert wrong, "this test does not see what prints"


def test_no_file_is_long() -> None:
    lengths = {name: len(path.read_text("utf-8").splitlines()) for name, path in MODULES.items()}
    assert {name: n for name, n in lengths.items() if n > 300} == {}
