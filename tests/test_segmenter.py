from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from edgeseg.drawing.encode import encode
from edgeseg.errors import DataError, DeviceError, ModelError, ModelNotFoundError
from edgeseg.images.frame import Frame, PixelSize
from edgeseg.measure.ellipse import Ellipse
from edgeseg.network import zoo
from edgeseg.network.session import PROVIDERS
from edgeseg.phantom.head import Phantom, demo_phantoms
from edgeseg.segmenter import Segmenter
from tests.fakes import FakeSession, head_image, open_fake


@pytest.fixture(scope="module")
def demo() -> list[Phantom]:
    return demo_phantoms()


@pytest.mark.parametrize("model", zoo.manifest())
def test_phantoms_are_measured_within_a_percent(model: str, demo: list[Phantom]) -> None:
    segmenter = Segmenter(model, device="cpu", threads=1)
    for phantom in demo:
        prediction = segmenter.predict(phantom.image, phantom.pixel_size_mm)
        assert prediction.hc_mm == pytest.approx(phantom.hc_mm, rel=0.01)
        assert prediction.hc_px == pytest.approx(phantom.ellipse.circumference_px, rel=0.01)
        assert prediction.area_mm2 == pytest.approx(
            phantom.ellipse.area_px * phantom.pixel_size_mm**2, rel=0.02
        )
        assert 0.9 < prediction.confidence <= 1
        if model == "hc18-edge":  # trusted, cut or not
            assert (prediction.status, prediction.flags) == ("ok", ())


def test_the_mask_is_native_and_matches_the_head(segmenter: Segmenter, demo: list[Phantom]) -> None:
    phantom = demo[0]
    found = segmenter.predict(phantom.image)
    assert found.hc_px is not None  # and without a pixel size nothing in mm
    assert found.hc_mm is found.area_mm2 is found.ga_weeks_hadlock is None
    mask = found.mask()
    assert mask.shape == phantom.image.shape
    assert set(np.unique(mask)) == {0, 255}
    reference = phantom.ellipse.mask(*phantom.image.shape)
    assert np.mean(mask != reference) < 0.01


@pytest.mark.parametrize("model", zoo.manifest())
@pytest.mark.parametrize("kind", ["black", "gray", "white", "noise", "dim noise"])
def test_an_image_without_a_head_is_empty(model: str, kind: str) -> None:
    segmenter = Segmenter(model, device="cpu", threads=1)
    rng = np.random.default_rng(0)
    gray = {
        "black": np.zeros((540, 800), np.uint8),
        "gray": np.full((540, 800), 90, np.uint8),
        "white": np.full((540, 800), 255, np.uint8),
        "noise": rng.integers(0, 255, (540, 800)).astype(np.uint8),
        "dim noise": rng.integers(0, 12, (540, 800)).astype(np.uint8),
    }[kind]
    prediction = segmenter.predict(gray, 0.1)
    assert prediction.ellipse is None
    assert prediction.hc_mm is None
    assert prediction.confidence == 0
    assert not prediction.mask().any()
    assert segmenter.predict_batch([]) == []


def test_a_second_region_is_flagged_and_hides_no_head(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head and, beside it, a square with most of its area, which is no longer in the view."""
    head = Ellipse(80.0, 90.0, 50.0, 40.0, 0.5)
    image = head_image(head, (192, 288))
    image[60:130, 190:260] = 255
    prediction = open_fake(monkeypatch, FakeSession()).predict(image, 0.5)
    assert prediction.status == "doubtful"
    assert prediction.hc_px == pytest.approx(head.circumference_px, rel=0.005)
    assert "several_regions" in prediction.flags


@pytest.mark.parametrize(
    ("array", "sizes", "reason"),
    [
        (np.zeros((540, 800, 2), np.uint8), [None], "expected a path"),
        (np.full((540, 800), np.nan), [None], "without NaN"),
        (np.zeros((10, 800), np.uint8), [None], "each side must be at least"),
        (np.zeros((540, 800), np.uint8), [-1.0], "positive number"),
        (np.zeros((540, 800), np.uint8), ["0.1"], "expected mm, one number"),
        (np.zeros((540, 800), np.uint8), [0.1, 0.1], "1 images but 2 pixel sizes"),
        (np.zeros((540, 800), np.uint8), 0.1, "got float; expected several pixel sizes"),
    ],
)
def test_wrong_arguments_are_refused(
    segmenter: Segmenter, array: object, sizes: list[float | None], reason: str
) -> None:
    with pytest.raises(DataError, match=reason):
        segmenter.predict_batch([array], sizes)  # type: ignore[list-item]


def test_unknown_models_are_not_found_and_close_names_suggested(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="did you mean 'hc18-edge'"):
        Segmenter("hc18-edg")
    with pytest.raises(ModelError, match="is a folder"):
        Segmenter(tmp_path)
    (tmp_path / "model.onnx").write_text("hello")
    with pytest.raises(ModelError, match="not a model onnxruntime can load"):
        Segmenter(tmp_path / "model.onnx")


def test_a_model_is_found_however_its_path_is_given(tmp_path: Path) -> None:
    shutil.copy(zoo.find("hc18-nano").path, tmp_path / "mine.onnx")
    with os.scandir(tmp_path) as entries:
        entry = next(entries)
    assert zoo.find(entry) == zoo.find(str(tmp_path / "mine.onnx"))
    with pytest.raises(ModelNotFoundError, match="got NoneType; expected a bundled model's name"):
        Segmenter(None)  # type: ignore[arg-type]


def test_several_images_are_asked_for(segmenter: Segmenter, demo: list[Phantom]) -> None:
    for one in ("a.png", Path("a.png"), b"", None, 3):
        with pytest.raises(DataError, match="expected several images, such as a list"):
            segmenter.predict_batch(one)  # type: ignore[arg-type]
    found = segmenter.predict_batch(
        (phantom.image for phantom in demo[:2]), iter([0.1, (0.1, 0.1)])
    )  # type: ignore[arg-type]
    assert [prediction.pixel_size_mm for prediction in found] == [0.1, 0.1]


def test_a_prediction_knows_the_name_of_its_file(
    segmenter: Segmenter, demo: list[Phantom], tmp_path: Path
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encode(".png", demo[0].image))
    assert segmenter.predict(path).to_dict()["file"] == "a.png"
    assert segmenter.predict(demo[0].image).to_dict()["file"] == ""


def test_frames_are_held_to_what_arrays_are(segmenter: Segmenter, demo: list[Phantom]) -> None:
    gray = demo[0].image
    size = PixelSize(0.2, 0.2, "dicom")
    found = segmenter.predict(Frame(np.dstack([gray] * 3), size, "x"))  # type: ignore[arg-type]
    assert (found.frame.name, found.pixel_size) == ("x", size)
    assert np.array_equal(found.frame.pixels, gray)
    whole = Frame(gray, size)
    assert segmenter.predict(whole).frame is whole
    assert segmenter.predict(whole, 0.1).pixel_size == (0.1, 0.1, "option")


@pytest.mark.parametrize("device", ["cuda", "tensorrt", "coreml", "directml"])
def test_a_missing_device_is_an_error_that_names_the_package(device: str) -> None:
    if PROVIDERS[device] in onnxruntime.get_available_providers():
        pytest.skip(f"{device} is there")
    with pytest.raises(DeviceError, match=r"is not installed.*pip install onnxruntime"):
        Segmenter("hc18-edge", device=device)


@pytest.mark.parametrize(("device", "threads"), [("gpu", 1), ("cpu", 0)])
def test_wrong_devices_and_threads_are_refused(device: str, threads: int) -> None:
    with pytest.raises(DeviceError, match="expected"):
        Segmenter("hc18-edge", device=device, threads=threads)


def test_auto_is_the_cpu_here(segmenter: Segmenter) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("CUDA is there")
    assert Segmenter("hc18-edge").provider == "CPUExecutionProvider"
    assert segmenter.provider == "CPUExecutionProvider"


def test_a_bundled_model_that_was_changed_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entry = zoo.manifest()["hc18-edge"]
    data = bytearray(zoo.find("hc18-edge").path.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / entry["file"]).write_bytes(data)
    monkeypatch.setattr(zoo, "_FOLDER", tmp_path)
    with pytest.raises(ModelError, match="install edgeseg again"):
        Segmenter("hc18-edge")
    (tmp_path / entry["file"]).unlink()
    with pytest.raises(ModelError, match="missing"):
        Segmenter("hc18-edge")


def test_the_bundled_model_s_card_is_true(segmenter: Segmenter) -> None:
    card, metadata = zoo.manifest()["hc18-edge"], segmenter.metadata
    assert card["size_bytes"] == segmenter.file.size_bytes
    assert (card["input_height"], card["input_width"]) == (192, 288)
    for key in ("precision", "architecture", "strategy", "input_height", "parameters", "gmac"):
        assert card[key] == getattr(metadata, key)
    assert metadata.train_data.count == 799
    low, high = metadata.train_pixel_size_mm_range
    assert 0.04 < low < high < 0.4


@pytest.mark.parametrize(
    "answer",
    [lambda gray: gray[:1] / 255, lambda gray: gray[:, :0], lambda gray: gray[..., :0],
     lambda gray: gray[:, 0] / 255, lambda gray: np.repeat(gray, 2, axis=1) / 255],
    ids=["batch", "no map", "no pixel", "no channels", "two maps"],
)  # fmt: skip
def test_answers_of_another_shape_are_no_maps(
    monkeypatch: pytest.MonkeyPatch, answer: Callable[[np.ndarray], np.ndarray]
) -> None:
    fake = open_fake(monkeypatch, FakeSession(answer))
    with pytest.raises(ModelError, match="the model answers with shape"):
        fake.infer(np.zeros((2, 1, 192, 288), np.uint8))
