"""The page measures structures of the user's own as `infer` does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.adopt.onnx_bytes import append_metadata
from edgeseg.drawing.encode import encode
from edgeseg.images.frame import PixelSize
from edgeseg.measure.ellipse import Ellipse
from edgeseg.network.metadata import METADATA_KEY
from edgeseg.network.task import Task
from edgeseg.segmenter import Segmenter
from tests.fakes import METADATA
from tests.serve.conftest import INPUT, add, packed, prepared, served, size_fields

onnx = pytest.importorskip("onnx", reason="the train extra is not installed")
pytestmark = pytest.mark.browser
SIZE = (180, 270)
TASKS = {
    "regions": Task("regions", ("background", "bright", "gray"), exclusive=False),
    "ellipse": Task("ellipse", ("background", "cyst")),
}


def model_bytes(task: Task) -> bytes:
    """Return a network that answers with what is bright and, as a second map, with what is gray."""
    node, floats = onnx.helper.make_node, onnx.TensorProto.FLOAT
    n_maps = len(task.structures)
    nodes = [
        node("Cast", ["image"], ["float"], to=floats),
        node("Div", ["float", "white"], ["bright"]),
        node("Sub", ["bright", "half"], ["off"]),
        node("Abs", ["off"], ["distance"]),
        node("Sub", ["one", "distance"], ["near"]),
        node("Mul", ["near", "gain"], ["gray"]),
        node("Concat", ["bright", "gray"][:n_maps], ["probability"], axis=1),
    ]
    constants = {"white": 255, "half": 0.4, "one": 1, "gain": 0.6}
    graph = onnx.helper.make_graph(
        nodes,
        "fake",
        [onnx.helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["N", 1, *INPUT])],
        [onnx.helper.make_tensor_value_info("probability", floats, ["N", n_maps, *INPUT])],
        [onnx.helper.make_tensor(name, floats, [], [value]) for name, value in constants.items()],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    made = onnx.helper.make_model(graph, ir_version=8, opset_imports=opset)
    height, width = INPUT
    metadata = replace(METADATA, task=task, input_height=height, input_width=width)
    return append_metadata(made.SerializeToString(), METADATA_KEY, metadata.to_json())


def draw(*parts: tuple[Ellipse, float]) -> np.ndarray:
    image = np.zeros(SIZE)
    for ellipse, level in parts:
        image = np.maximum(image, 255 * level * ellipse.coverage(*SIZE))
    return image.round().astype(np.uint8)


LARGE, SMALL = Ellipse(110.2, 90.7, 60, 25, 0.6), Ellipse(200.5, 60.3, 20, 12, 2.0)
IMAGES = {
    "one": draw((LARGE, 1.0)),
    "two": draw((LARGE, 1.0), (SMALL, 1.0)),
    "both": draw((LARGE, 0.9), (SMALL, 0.4)),
    "cut": draw((replace(LARGE, center_x_px=20.0), 1.0)),
    "none": draw((SMALL, 0.1)),
}


@pytest.fixture(scope="module", params=[*TASKS])
def own(request: Any, chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model of a task, and the page that measures with it."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "own.onnx").write_bytes(model_bytes(TASKS[request.param]))
    segmenter = Segmenter(folder / "own.onnx", device="cpu")
    with served(segmenter, folder / "site") as address, prepared(chromium, address) as page:
        yield segmenter, page


@pytest.mark.parametrize("size", [None, PixelSize(0.3, 0.2, "option")], ids=["px", "mm"])
@pytest.mark.parametrize("image", IMAGES.values(), ids=[*IMAGES])
def test_figures_and_doubts_are_those_of_infer(
    own: tuple[Segmenter, Any], image: np.ndarray, size: PixelSize | None
) -> None:
    segmenter, page = own
    expected = segmenter.predict(image, size and (size.x_mm, size.y_mm))
    found = page.evaluate(
        """([pixels, size, height, width]) => t.measure(
          { pixels: t.bytes(pixels), width, height }, size, t.session, t.model)""",
        [packed(image), size_fields(size), *image.shape],
    )
    assert (found["status"], tuple(found["flags"])) == (expected.status, expected.flags)
    assert found["reason"] == expected.reason
    assert found["confidence"] == pytest.approx(expected.confidence, abs=1e-4)
    figures = {name: value for name, value in expected.figures.items() if value is not None}
    assert {n: v for n, v in found["figures"].items() if v is not None} == pytest.approx(
        figures, rel=1e-3, abs=1e-4
    )


def test_the_page_speaks_of_them_and_not_of_heads(own: tuple[Segmenter, Any]) -> None:
    segmenter, page = own
    (button,) = add(page, {"two.png": encode(".png", IMAGES["two"])})
    name = segmenter.metadata.task.structures[0]
    assert name in button.text_content() and name in page.text_content("h1")
    (none,) = add(page, {"none.png": encode(".png", IMAGES["none"])})
    assert "nothing found" in none.text_content()
    assert not page.is_visible("#example") and "head" not in page.inner_text("main").lower()
    with page.expect_download() as saved:
        page.click("#save-table")
    titles = Path(saved.value.path()).read_text("utf-8-sig").splitlines()[0].split(",")
    assert {*segmenter.predict(IMAGES["two"], 0.1).figures} <= {*titles}
