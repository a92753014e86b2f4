"""One model: which images it takes, what belongs to which, and what runs at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from edgeseg import segmenter as segmenting
from edgeseg.drawing.encode import encode
from edgeseg.errors import DataError, DeviceError, ModelError, ModelNotFoundError
from edgeseg.images.calibration import Calibration
from edgeseg.images.frame import Frame, PixelSize
from edgeseg.measure import outline
from edgeseg.measure.ellipse import Ellipse
from edgeseg.network import zoo
from edgeseg.network.session import PROVIDERS
from edgeseg.phantom.head import demo_phantoms
from edgeseg.segmenter import Segmenter
from tests.fakes import Clock, FakeSession, bright, head_image, open_fake

# Other heads in images of other sizes, with other pixels.
HEADS = {
    (384, 576): Ellipse(280.0, 200.0, 140.0, 108.0, 0.3),
    (540, 800): Ellipse(420.0, 250.0, 170.0, 140.0, 1.2),
    (300, 500): Ellipse(200.0, 160.0, 100.0, 80.0, 2.0),
    (600, 400): Ellipse(210.0, 280.0, 150.0, 110.0, 0.8),
    (384, 577): Ellipse(300.0, 190.0, 110.0, 90.0, 2.8),
}
IMAGES = [head_image(head, size) for size, head in HEADS.items()]
SIZES = [PixelSize(0.2, 0.2, "option"), None, PixelSize(0.1, 0.3, "dicom"), 0.15, (0.25, 0.2)]


@pytest.mark.parametrize("model", zoo.manifest())
def test_phantoms_are_measured_within_a_percent_and_no_head_is_empty(model: str) -> None:
    segmenter = Segmenter(model, device="cpu", threads=1)
    for phantom in demo_phantoms():
        prediction = segmenter.predict(phantom.image, phantom.pixel_size_mm)
        assert prediction.hc_mm == pytest.approx(phantom.hc_mm, rel=0.01)
        area_mm2 = phantom.ellipse.area_px * phantom.pixel_size_mm**2
        assert prediction.area_mm2 == pytest.approx(area_mm2, rel=0.02)
        assert np.mean(prediction.mask() != phantom.ellipse.mask(540, 800)) < 0.01
        assert 0.9 < prediction.confidence <= 1
        if model == "hc18-edge":  # trusted, cut or not
            assert (prediction.status, prediction.flags) == ("ok", ())
    noise = np.random.default_rng(0).integers(0, 255, (540, 800)).astype(np.uint8)
    for gray in (np.zeros((540, 800), np.uint8), np.full((540, 800), 255, np.uint8), noise):
        prediction = segmenter.predict(gray, 0.1)
        assert prediction.ellipse is prediction.hc_mm is None
        assert prediction.confidence == 0
        assert not prediction.mask().any()


@pytest.mark.parametrize("batch", [None, 1, 4])
def test_every_image_keeps_its_own(monkeypatch: pytest.MonkeyPatch, batch: int | None) -> None:
    segmenter = open_fake(monkeypatch, FakeSession(batch=batch))
    predictions = segmenter.predict_batch(iter(IMAGES), SIZES)  # type: ignore[arg-type]
    for (size, head), image, given, found in zip(
        HEADS.items(), IMAGES, SIZES, predictions, strict=True
    ):
        assert found.frame.pixels is image
        assert found.size == size
        assert found.ellipse is not None
        assert found.ellipse.center == pytest.approx(head.center, abs=0.5)
        assert found.hc_px == pytest.approx(head.circumference_px, rel=0.005)
        assert np.mean(found.mask() != head.mask(*size)) < 0.01
        if given is None:
            assert found.pixel_size is found.hc_mm is None
            continue
        x_mm, y_mm = (given, given) if isinstance(given, float) else given[:2]
        assert found.pixel_size is not None
        assert found.pixel_size[:2] == (x_mm, y_mm)
        expected = head.scaled(x_mm, y_mm).circumference_px
        assert found.hc_mm == pytest.approx(expected, rel=0.005)


def test_a_frame_keeps_what_is_known_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = open_fake(monkeypatch, FakeSession())
    size = PixelSize(0.1, 0.2, "dicom")
    frame = Frame(IMAGES[0], size, "a.dcm", 20.0, Calibration(0.98))
    own, other = segmenter.predict_batch([frame, frame], [None, 0.3])
    assert own.frame is frame
    assert other.frame.pixel_size == PixelSize(0.3, 0.3, "option")
    assert replace(other.frame, pixel_size=size).name == "a.dcm"
    assert (other.frame.ga_weeks, other.frame.calibration) == (20.0, Calibration(0.98))
    coloured = Frame(np.dstack([IMAGES[0]] * 3), size)  # type: ignore[arg-type]
    assert np.array_equal(segmenter.predict(coloured).frame.pixels, IMAGES[0])


@pytest.mark.parametrize(
    ("images", "sizes", "reason"),
    [
        ([np.zeros((540, 800, 2), np.uint8)], [None], "expected a path"),
        (IMAGES[:1], [-1.0], "positive number"),
        (IMAGES[:1], [0.1, 0.1], "1 images but 2 pixel sizes"),
        (IMAGES[:1], 0.1, "got float; expected several pixel sizes"),
        *[(one, None, "expected several images, such as a list") for one in ("a.png", b"", 3)],
    ],
)
def test_wrong_arguments_are_refused(
    segmenter: Segmenter, images: object, sizes: object, reason: str
) -> None:
    with pytest.raises(DataError, match=reason):
        segmenter.predict_batch(images, sizes)  # type: ignore[arg-type]


def test_unknown_models_are_not_found_and_close_names_suggested(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFoundError, match="did you mean 'hc18-edge'"):
        Segmenter("hc18-edg")
    with pytest.raises(ModelNotFoundError, match="got NoneType; expected a bundled model's name"):
        Segmenter(None)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="is a folder"):
        Segmenter(tmp_path)
    (tmp_path / "model.onnx").write_text("hello")
    with pytest.raises(ModelError, match="not a model onnxruntime can load"):
        Segmenter(tmp_path / "model.onnx")


def test_missing_devices_name_their_package_and_wrong_ones_or_threads_are_refused() -> None:
    for device in ("cuda", "coreml"):
        if PROVIDERS[device] not in onnxruntime.get_available_providers():
            with pytest.raises(DeviceError, match=r"is not installed.*pip install onnxruntime"):
                Segmenter("hc18-edge", device=device)
    for device, threads in (("gpu", 1), ("cpu", 0)):
        with pytest.raises(DeviceError, match="expected"):
            Segmenter("hc18-edge", device=device, threads=threads)


def test_a_bundled_model_that_was_changed_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / zoo.manifest()["hc18-edge"]["file"]
    data = bytearray(zoo.find("hc18-edge").path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    monkeypatch.setattr(zoo, "_FOLDER", tmp_path)
    with pytest.raises(ModelError, match="install edgeseg again"):
        Segmenter("hc18-edge")
    path.unlink()
    with pytest.raises(ModelError, match="missing"):
        Segmenter("hc18-edge")


def test_the_bundled_model_s_card_is_true(segmenter: Segmenter) -> None:
    card, metadata = zoo.manifest()["hc18-edge"], segmenter.metadata
    assert card["size_bytes"] == segmenter.file.size_bytes
    for key in ("precision", "architecture", "strategy", "input_height", "parameters", "gmac"):
        assert card[key] == getattr(metadata, key)
    assert metadata.train_data.count == 799


def test_answers_of_another_shape_are_no_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    for answer in (lambda gray: gray[:1] / 255, lambda gray: gray[:, 0] / 255):
        fake = open_fake(monkeypatch, FakeSession(answer))
        with pytest.raises(ModelError, match="the model answers with shape"):
            fake.infer(np.zeros((2, 1, 192, 288), np.uint8))


@pytest.mark.parametrize(
    ("value", "is_refused"),
    [(np.nan, True), (-0.01, True), (1.01, True), (-0.0005, False), (1.0005, False)],
)
def test_answers_that_are_no_probabilities_are_refused(
    monkeypatch: pytest.MonkeyPatch, value: float, is_refused: bool
) -> None:
    def answer(gray: np.ndarray) -> np.ndarray:
        maps = bright(gray)
        maps[-1, 0, 5, 7] = value
        return maps

    fake = open_fake(monkeypatch, FakeSession(answer))
    refused = pytest.raises(ModelError, match="expected probabilities from 0 to 1")
    with refused if is_refused else nullcontext():
        fake.predict(IMAGES[0])


@pytest.mark.parametrize(("cores", "threads", "at_once"), [(4, 2, 2), (2, 4, 1), (3, None, 3)])
def test_no_more_runs_at_once_than_there_are_cores_for(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: int | None, at_once: int
) -> None:
    entered, go_on = threading.Semaphore(0), threading.Event()

    def wait(gray: np.ndarray) -> np.ndarray:
        entered.release()
        assert go_on.wait(30)
        return bright(gray)

    monkeypatch.setattr(segmenting, "usable_cores", lambda: cores)
    segmenter = open_fake(monkeypatch, FakeSession(wait), threads=threads)
    tensor = np.zeros((1, 1, 192, 288), np.uint8)
    with ThreadPoolExecutor(at_once + 2) as pool:
        runs = [pool.submit(segmenter.infer, tensor) for _ in range(at_once + 2)]
        try:
            assert all(entered.acquire(timeout=30) for _ in range(at_once))
            assert not entered.acquire(timeout=0.2), "one more is in the network"
        finally:
            go_on.set()
    assert all(run.result().shape == tensor.shape for run in runs)


def test_a_run_that_fails_gives_its_turn_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(gray: np.ndarray) -> np.ndarray:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(segmenting, "usable_cores", lambda: 1)
    segmenter = open_fake(monkeypatch, FakeSession(fail))
    for _ in range(2):  # the second would wait for ever
        with pytest.raises(ModelError, match="out of memory"):
            segmenter.predict(IMAGES[0])


def test_times_are_each_stage_s(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    segmenter = open_fake(monkeypatch, FakeSession(clock.takes(20, bright)))
    monkeypatch.setattr(segmenting, "time", clock)
    monkeypatch.setattr(segmenting, "preprocess", clock.takes(1, segmenting.preprocess))
    monkeypatch.setattr(outline, "see", clock.takes(3, outline.see))
    assert segmenter.predict(IMAGES[0]).times_ms == pytest.approx((2, 40, 6))  # of two looks


def test_a_file_gives_its_name_to_the_prediction(segmenter: Segmenter, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encode(".png", IMAGES[0]))
    assert segmenter.predict(tmp_path / "a.png").to_dict()["file"] == "a.png"
