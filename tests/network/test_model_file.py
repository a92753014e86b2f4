"""A model file is all of its model, wherever the process was started and whatever lies there."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.errors import ModelError
from edgeseg.network import model_file, zoo
from edgeseg.network.metadata import METADATA_KEY
from edgeseg.network.model_file import read_model
from edgeseg.segmenter import Segmenter
from tests.fakes import HEIGHT, METADATA, WIDTH

onnx = pytest.importorskip("onnx")
helper, F32, U8 = onnx.helper, onnx.TensorProto.FLOAT, onnx.TensorProto.UINT8


def elsewhere(name: str = "w", location: str = "secret.bin") -> Any:
    """A tensor whose one value lies in a file."""
    tensor = onnx.TensorProto(name=name, data_type=F32, dims=[1])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", "0"), ("length", "4")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return tensor


def whole() -> Any:
    return helper.make_tensor("w", F32, [1], [255.0])


def model(tensor: Any = None) -> Any:
    """A model of edgeseg's that answers with gray values over a weight."""
    shape = ["N", 1, HEIGHT, WIDTH]
    nodes = [
        helper.make_node("Cast", ["image"], ["gray"], to=F32),
        helper.make_node("Div", ["gray", "w"], ["probability"]),
    ]
    graph = helper.make_graph(
        nodes,
        "location",  # a word that occurs
        [helper.make_tensor_value_info("image", U8, shape)],
        [helper.make_tensor_value_info("probability", F32, shape)],
        initializer=[tensor or whole()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(made, {METADATA_KEY: METADATA.to_json()})
    return made


def in_initializer(made: Any) -> None:
    made.graph.initializer[0].CopyFrom(elsewhere())


def in_sparse_values(made: Any) -> None:
    made.graph.sparse_initializer.add().values.CopyFrom(elsewhere())


def in_sparse_indices(made: Any) -> None:
    made.graph.sparse_initializer.add().indices.CopyFrom(elsewhere())


def in_attribute(kind: str) -> Callable[[Any], None]:
    def put(made: Any) -> None:
        attribute = made.graph.node[0].attribute.add(name="value")
        put_in(attribute, kind)

    put.__name__ = f"in_attribute_{kind}"
    return put


def put_in(attribute: Any, kind: str) -> None:
    if kind in ("t", "sparse_tensor"):
        target = getattr(attribute, kind)
    else:
        target = getattr(attribute, kind).add() if kind.endswith("s") else getattr(attribute, kind)
    if "sparse" in kind:
        target = target.values
    if kind in ("g", "graphs"):
        target = target.initializer.add()
    target.CopyFrom(elsewhere())


def in_deep_subgraph(made: Any) -> None:
    graph = made.graph
    for _ in range(300):
        graph = graph.node.add().attribute.add(name="body").g
    graph.initializer.add().CopyFrom(elsewhere())


def in_function(made: Any) -> None:
    put_in(made.functions.add().node.add().attribute.add(name="value"), "t")


def in_default_of_function(made: Any) -> None:
    put_in(made.functions.add().attribute_proto.add(name="value"), "t")


def in_training(made: Any) -> None:
    made.training_info.add().initialization.initializer.add().CopyFrom(elsewhere())


def in_algorithm(made: Any) -> None:
    made.training_info.add().algorithm.initializer.add().CopyFrom(elsewhere())


def without_saying_so(made: Any) -> None:
    """The location is there, but not that it is meant."""
    made.graph.initializer[0].CopyFrom(elsewhere())
    made.graph.initializer[0].ClearField("data_location")


PLACES = [
    in_initializer, in_sparse_values, in_sparse_indices, in_deep_subgraph, in_function,
    in_default_of_function, in_training, in_algorithm, without_saying_so,
    *map(in_attribute, ("t", "g", "tensors", "graphs", "sparse_tensor", "sparse_tensors")),
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_tensor_that_lies_elsewhere_is_refused_wherever_it_hides(
    tmp_path: Path, place: Callable[[Any], None]
) -> None:
    made = model()
    place(made)
    path = tmp_path / "m.onnx"
    path.write_bytes(made.SerializeToString())
    with pytest.raises(ModelError, match=r"m\.onnx: the model keeps values in another file; save"):
        read_model(path)


@pytest.mark.parametrize("device", ["cpu", "openvino"])
@pytest.mark.parametrize("location", ["secret.bin", "./secret.bin", "*/_ORT_MEM_ADDR_/*"])
def test_one_file_is_one_model_in_every_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, location: str
) -> None:
    if device == "openvino":
        pytest.importorskip("openvino")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "secret.bin").write_bytes(np.float32(255).tobytes())
    refers = tmp_path / "refers.onnx"
    refers.write_bytes(model(elsewhere(location=location)).SerializeToString())
    (tmp_path / "whole.onnx").write_bytes(model().SerializeToString())
    for folder in (tmp_path, tmp_path / "there"):
        monkeypatch.chdir(folder)
        with pytest.raises(ModelError, match="keeps values in another file"):
            Segmenter(refers, device=device)
        assert Segmenter(tmp_path / "whole.onnx", device=device).infer(
            np.full((1, 1, HEIGHT, WIDTH), 255, np.uint8)
        ).min() == pytest.approx(1)


def holds_tensor_elsewhere(message: Any) -> bool:
    """Look through a parsed model by what protobuf itself says of its fields."""
    if isinstance(message, onnx.TensorProto):
        return bool(message.external_data) or message.data_location != 0
    return any(
        holds_tensor_elsewhere(inner)
        for field, value in message.ListFields()
        if field.type == field.TYPE_MESSAGE
        for inner in (value if hasattr(value, "__len__") else [value])
    )


def mutations(data: bytes, count: int) -> Iterator[bytes]:
    chance = random.Random(0)
    for _ in range(count):
        changed = bytearray(data)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(changed))
            kind = chance.randrange(3)
            if kind == 0:
                changed[at] = chance.randrange(256)
            elif kind == 1:
                del changed[at : at + chance.randint(1, 4)]
            else:
                changed[at:at] = chance.randbytes(chance.randint(1, 4))
        yield bytes(changed)


def test_what_protobuf_reads_so_is_refused(tmp_path: Path) -> None:
    """However it is damaged: nothing that has such a tensor passes."""
    made = model()
    for place in PLACES:
        if place is not in_deep_subgraph:  # deeper than protobuf reads
            place(made)
    path, seen = tmp_path / "m.onnx", 0
    for data in mutations(made.SerializeToString(), 2000):
        try:
            parsed = onnx.load_model_from_string(data)
        except Exception:  # protobuf's own
            continue
        if holds_tensor_elsewhere(parsed):
            seen += 1
            path.write_bytes(data)
            with pytest.raises(ModelError):
                read_model(path)
    assert seen > 100


def test_a_word_is_no_reference(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    data = model().SerializeToString()
    assert b"location" in data
    path.write_bytes(data)
    assert read_model(path) == data
    path.write_bytes(b"....ORTM" + b"location")
    assert read_model(path)  # onnxruntime's own format: it says what it thinks of it
    path.write_bytes(data[:-20])
    with pytest.raises(ModelError, match="no model, or a damaged one"):
        read_model(path)


def test_bundled_files_are_not_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_file, "_has_tensor_elsewhere", lambda _: pytest.fail("looked"))
    monkeypatch.setattr(model_file, "_LOCATION", b"")
    path = zoo.find("hc18-nano").path
    assert read_model(path, known=True) == path.read_bytes()
    assert Segmenter("hc18-nano", device="cpu").file.bundled


def test_parts_compiled_for_one_device_are_refused(tmp_path: Path) -> None:
    made = model()
    made.graph.node.add(op_type="EPContext", domain="com.microsoft", output=["x"])
    path = tmp_path / "m.onnx"
    path.write_bytes(made.SerializeToString())
    with pytest.raises(ModelError, match="compiled for one device"):
        read_model(path)


def test_a_file_that_cannot_be_read_or_is_too_large_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.onnx: cannot be read \(No such file"):
        read_model(tmp_path / "none.onnx")
    large = tmp_path / "large.onnx"
    with large.open("wb") as stream:
        try:
            stream.truncate(2**31)
        except OSError:
            pytest.skip("no room for a file with a hole of 2 GiB")
    with pytest.raises(ModelError, match="larger than the 2 GiB"):
        read_model(large)


def test_the_fields_are_those_of_onnx() -> None:
    kinds = {
        "ModelProto": "model", "GraphProto": "graph", "NodeProto": "node",
        "AttributeProto": "attribute", "SparseTensorProto": "sparse", "FunctionProto": "function",
        "TrainingInfoProto": "training", "TensorProto": "tensor",
    }  # fmt: skip
    for name, kind in kinds.items():
        if kind == "tensor":
            continue
        within = {
            field.number: kinds[field.message_type.name]
            for field in getattr(onnx, name).DESCRIPTOR.fields
            if field.message_type is not None and field.message_type.name in kinds
        }
        assert model_file._WITHIN[kind] == within


@pytest.mark.parametrize("device", ["cpu", "openvino"])
@pytest.mark.parametrize("name", [b"image", b"edgeseg", b"architecture", b"probability"])
def test_names_that_are_no_text_are_a_model_error(tmp_path: Path, device: str, name: bytes) -> None:
    if device == "openvino":
        pytest.importorskip("openvino")
    path = tmp_path / "m.onnx"
    path.write_bytes(model().SerializeToString().replace(name, b"\xff" + name[1:]))
    with pytest.raises(ModelError):
        Segmenter(path, device=device)
