"""Models of heads learn to say whether there is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from edgeseg.drawing.encode import encode
from edgeseg.errors import DataError, ModelError, OutputExistsError
from edgeseg.network import zoo
from edgeseg.phantom.head import make_phantom
from edgeseg.segmenter import Segmenter
from edgeseg_training.presence import graph, observe
from edgeseg_training.presence.graph import FEATURES, PRESENCE, remove_presence
from edgeseg_training.presence.images import changed, no_scan, shrunk, without_head
from edgeseg_training.presence.observe import Examples, Images, Observer, gather, with_features
from edgeseg_training.presence.teach import fit, load_model, write_taught
from tests.phantoms import write_hc18

GRAY = np.random.default_rng(0).integers(0, 256, (2, 1, 128, 192), dtype=np.uint8)


@pytest.fixture(scope="module")
def nano() -> onnx.ModelProto:
    model = load_model(zoo.find("hc18-nano").path)
    remove_presence(model)
    return model


def answers(model: onnx.ModelProto, *names: str) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    found: list[np.ndarray] = session.run(list(names), {"image": GRAY})
    return found


def test_features_are_means_maxima_and_means_under_the_map(nano: onnx.ModelProto) -> None:
    model = with_features(nano)
    taps = graph.find_taps(nano)
    assert [tap.shape for tap in taps] == [(96, 8, 12), (32, 16, 24), (24, 32, 48)]
    for tap in taps:
        model.graph.output.append(helper.make_tensor_value_info(tap.name, TensorProto.FLOAT, None))
    features, maps, *stages = answers(model, FEATURES, "probability", *(t.name for t in taps))
    expected = []
    for stage in stages:
        rows, columns = stage.shape[2:]
        parts = maps.reshape(2, 1, rows, 128 // rows, columns, 192 // columns)
        share = parts.mean(axis=(3, 5))
        under = (stage * share).sum(axis=(2, 3)) / (share.sum(axis=(2, 3)) + 1e-3)
        expected += [stage.mean(axis=(2, 3)), stage.max(axis=(2, 3)), under]
    np.testing.assert_allclose(features, np.concatenate(expected, axis=1), rtol=1e-3, atol=1e-4)


@pytest.mark.nightly
def test_the_graph_s_presence_is_the_perceptron_s(nano: onnx.ModelProto) -> None:
    model = with_features(nano)
    (features,) = answers(model, FEATURES)
    generator = np.random.default_rng(1)
    is_head = np.array([1.0, 0.0] * 30, np.float32)
    noisy = features[np.arange(60) % 2] + generator.normal(0, 0.01, (60, features.shape[1]))
    layers = fit(Examples(noisy.astype(np.float32), is_head, np.full(60, 1 / 60, np.float32)))
    graph.add_presence(model, layers)
    presence, maps = answers(model, PRESENCE, "probability")
    hidden = np.maximum(features @ layers.hidden_weight + layers.hidden_bias, 0)
    logit = hidden @ layers.weight + layers.bias
    np.testing.assert_allclose(presence, 1 / (1 + np.exp(-logit)), rtol=1e-3, atol=1e-5)
    assert presence[0] > 0.9 > 0.1 > presence[1]
    np.testing.assert_array_equal(maps, answers(nano, "probability")[0])
    assert [output.name for output in model.graph.output] == ["probability", "moments", PRESENCE]
    remove_presence(model)
    assert model.graph == nano.graph


def test_what_is_no_u_net_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"no model")
    for path in (tmp_path / "a.onnx", tmp_path / "none.onnx"):
        with pytest.raises(ModelError, match="not an ONNX file"):
            load_model(path)
    sides = ["N", 1, 8, 8]
    given = helper.make_tensor_value_info("image", TensorProto.FLOAT, sides)
    answer = helper.make_tensor_value_info("probability", TensorProto.FLOAT, sides)
    node = helper.make_node("Sigmoid", ["image"], ["probability"])
    model = helper.make_model(helper.make_graph([node], "g", [given], [answer]))
    with pytest.raises(ModelError, match="not that of a U-Net"):
        graph.add_features(model)


def test_images_are_changed_and_stay_images() -> None:
    generator, phantom = np.random.default_rng(0), make_phantom(3)
    gray = shrunk(phantom.image, 300)
    assert max(gray.shape) == 300
    copy = changed(gray, generator, 30)
    assert (copy.shape, copy.dtype) == (gray.shape, np.uint8)
    assert np.mean(copy != gray) > 0.3
    factor = 300 / max(phantom.image.shape)
    head = phantom.ellipse.scaled(factor, factor)
    emptied = without_head(gray, head, generator)
    inside = head.mask(*gray.shape) > 0
    assert np.mean(emptied[inside] != gray[inside]) > 0.5
    assert np.mean(emptied[:5] == gray[:5]) > 0.9


@pytest.mark.nightly
def test_a_model_that_was_taught_tells_phantoms_from_drawings(
    monkeypatch: pytest.MonkeyPatch, nano: onnx.ModelProto, tmp_path: Path
) -> None:
    monkeypatch.setattr(observe, "_NO_SCANS", 5)
    with pytest.raises(DataError, match="too few to learn from"):
        gather(Observer(with_features(nano)), Images([], [], []))
    monkeypatch.setattr(observe, "_NO_SCANS", 200)
    heads = [make_phantom(seed) for seed in range(16)]
    write_hc18(heads[:12], tmp_path / "data")
    others, generator = tmp_path / "others", np.random.default_rng(7)
    others.mkdir()
    for i in range(12):
        (others / f"{i}.png").write_bytes(encode(".png", no_scan(generator)))
    onnx.save(nano, tmp_path / "plain.onnx")
    out = tmp_path / "taught.onnx"
    report = write_taught(tmp_path / "plain.onnx", tmp_path / "data", others, None, out)
    assert (report.n_heads, report.n_others) == (12, 12)
    assert report.heads_recognised > 0.9 and report.others_refused > 0.9
    segmenter = Segmenter(out, device="cpu", threads=1)
    presence = [segmenter.predict(phantom.image).presence for phantom in heads[12:]]
    assert min(p or 0.0 for p in presence) > 0.5
    drawn = [segmenter.predict(no_scan(generator)).status for _ in range(20)]
    assert drawn.count("ok") <= 2
    with pytest.raises(OutputExistsError):
        write_taught(tmp_path / "plain.onnx", tmp_path / "data", others, None, out)
