"""A model file is all of its model, wherever the process was started and whatever lies there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.errors import ModelError
from edgeseg.network.metadata import METADATA_KEY
from edgeseg.network.session import read_model
from edgeseg.segmenter import Segmenter
from tests.fakes import HEIGHT, METADATA, WIDTH

onnx = pytest.importorskip("onnx")
helper, F32, U8 = onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8


def elsewhere(name: str, location: str) -> Any:
    """A tensor whose one value lies in a file."""
    tensor = onnx.TensorProto(name=name, data_type=F32, dims=[1])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "4")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def model(nodes: list[Any], initializers: list[Any], **values: Any) -> Any:
    """A model of edgeseg's that answers with gray values over a weight."""
    ports = [
        helper.make_tensor_value_info(name, kind, ["N", 1, HEIGHT, WIDTH])
        for name, kind in (("image", U8), ("probability", F32))
    ]
    nodes = [helper.make_node("Cast", ["image"], ["gray"], to=F32), *nodes]
    graph = helper.make_graph(nodes, "location", ports[:1], ports[1:], initializers)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    made = helper.make_model(graph, opset_imports=opsets, ir_version=8, **values)
    helper.set_model_props(made, {METADATA_KEY: METADATA.to_json()})
    return made


DIVIDE = helper.make_node("Div", ["gray", "w"], ["probability"])


def whole() -> Any:
    return model([DIVIDE], [helper.make_tensor("w", F32, [1], [255.0])])


def in_function(location: str) -> Any:
    constant = helper.make_node("Constant", [], ["w"])
    attribute = constant.attribute.add(name="value", type=onnx.AttributeProto.TENSOR)
    attribute.t.CopyFrom(elsewhere("t", location))
    body = [constant, helper.make_node("Div", ["x", "w"], ["y"])]
    opsets = [helper.make_opsetid("", 17)]
    function = helper.make_function("own", "Over", ["x"], ["y"], body, opsets)
    node = helper.make_node("Over", ["gray"], ["probability"], domain="own")
    return model([node], [], functions=[function])


@pytest.fixture(params=["cpu", "openvino"])
def device(request: pytest.FixtureRequest) -> str:
    if request.param == "openvino":
        pytest.importorskip("openvino")
    return str(request.param)


@pytest.mark.parametrize(
    "place", [lambda location: model([DIVIDE], [elsewhere("w", location)]), in_function]
)
def test_a_tensor_that_lies_elsewhere_is_refused_wherever_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Callable[[str], Any], device: str
) -> None:
    (tmp_path / "secret.bin").write_bytes(np.float32(255).tobytes())
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "m.onnx"
    for location in ("secret.bin", str(tmp_path / "secret.bin"), "*/_ORT_MEM*/*"):
        path.write_bytes(place(location).SerializeToString())
        with pytest.raises(ModelError, match=r"m\.onnx: the model keeps values in another file"):
            Segmenter(path, device=device)
    path.write_bytes(whole().SerializeToString())
    white = np.full((1, 1, HEIGHT, WIDTH), 255, np.uint8)
    assert Segmenter(path, device=device).infer(white).min() == pytest.approx(1)


@pytest.mark.parametrize(
    ("tag", "length"), [(b"\x0a", b"\x88\x80\x80\x00"), (b"\x8a\x00", b"\x08")]
)
def test_however_its_place_is_written(tmp_path: Path, tag: bytes, length: bytes) -> None:
    """Protobuf's parsers read tags and lengths that are longer than they need be."""
    entry = b"\x0a\x08location\x12\x0asecret.bin"
    other = tag + length + entry[2:]
    before, after = elsewhere("w", "secret.bin").SerializeToString().split(entry)
    tensor = before[:-1] + bytes([before[-1] + len(other) - len(entry)]) + other + after
    assert onnx.TensorProto.FromString(tensor).external_data[0].key == "location"
    path = tmp_path / "m.onnx"
    path.write_bytes(tensor)
    with pytest.raises(ModelError, match="another file"):
        read_model(path)


def test_files_compiled_for_one_device_too_large_or_gone_are_refused(tmp_path: Path) -> None:
    made, path = whole(), tmp_path / "m.onnx"
    made.graph.node.add(op_type="EPContext", domain="com.microsoft", output=["x"])
    path.write_bytes(made.SerializeToString())
    with pytest.raises(ModelError, match="compiled for one device"):
        read_model(path)
    assert read_model(path, known=True)
    with pytest.raises(ModelError, match=r"none\.onnx"):
        read_model(tmp_path / "none.onnx")
    large = tmp_path / "large.onnx"
    with large.open("wb") as stream:
        try:
            stream.truncate(2**31)
        except OSError:
            pytest.skip("no room for a file with a hole of 2 GiB")
    with pytest.raises(ModelError, match="2 GiB"):
        read_model(large)


@pytest.mark.parametrize("name", [b"image", b"edgeseg", b"architecture", b"probability"])
def test_names_that_are_no_text_are_a_model_error(tmp_path: Path, device: str, name: bytes) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(whole().SerializeToString().replace(name, b"\xff" + name[1:]))
    with pytest.raises(ModelError):
        Segmenter(path, device=device)
