"""What belongs to which image, and how many of them are in the network at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from edgeseg import segmenter as segmenting
from edgeseg.errors import ModelError
from edgeseg.images.calibration import Calibration
from edgeseg.images.frame import Frame, PixelSize
from edgeseg.measure import head as heads
from edgeseg.measure.ellipse import Ellipse
from edgeseg.measure.framing import View
from edgeseg.measure.tasks import TASKS
from tests.fakes import LESIONS, Clock, FakeSession, bright, bright_and_gray, head_image, open_fake

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


@pytest.mark.parametrize("batch", [None, 1, 4])
def test_every_image_keeps_what_is_its_own(
    monkeypatch: pytest.MonkeyPatch, batch: int | None
) -> None:
    segmenter = open_fake(monkeypatch, FakeSession(batch=batch))
    predictions = segmenter.predict_batch(IMAGES, SIZES)
    assert len(predictions) == len(IMAGES)
    assert len({p.hc_px for p in predictions}) == len(IMAGES)
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
            assert found.pixel_size is None and found.hc_mm is None
            continue
        x_mm, y_mm = (given, given) if isinstance(given, float) else given[:2]
        assert found.pixel_size is not None
        assert found.pixel_size[:2] == (x_mm, y_mm)
        expected = head.scaled(x_mm, y_mm).circumference_px
        assert found.hc_mm == pytest.approx(expected, rel=0.005)


def test_a_frame_keeps_its_own_pixel_size_unless_another_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    segmenter = open_fake(monkeypatch, FakeSession())
    frame = Frame(IMAGES[0], PixelSize(0.1, 0.2, "dicom"), "a.dcm")
    own, other = segmenter.predict_batch([frame, frame], [None, 0.3])
    assert own.pixel_size == PixelSize(0.1, 0.2, "dicom")
    assert other.pixel_size == PixelSize(0.3, 0.3, "option")
    assert own.frame.name == other.frame.name == "a.dcm"
    assert own.pixel_size_mm == 0.1
    aged = replace(frame, ga_weeks=20.0, calibration=Calibration(0.98))
    kept = segmenter.predict(aged, 0.3).frame
    assert (kept.ga_weeks, kept.calibration) == (20.0, Calibration(0.98))


def test_regions_of_any_classes_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    segmenter = open_fake(monkeypatch, FakeSession(bright_and_gray, LESIONS))
    image = np.zeros((384, 576), np.uint8)
    image[40:80, 60:120] = 255
    image[200:300, 300:400] = 128
    found = segmenter.predict(image, (0.1, 0.2))
    assert found.figures["lesion_area_px"] == pytest.approx(40 * 60, rel=0.05)
    assert found.figures["cyst_area_mm2"] == pytest.approx(100 * 100 * 0.02, rel=0.05)
    assert set(np.unique(found.mask())) == {0, 1, 2}
    assert found.probability.shape == (2, 192, 288)
    assert found.view == View.whole((384, 576))
    assert found.ellipse is None and found.hc_mm is None


@pytest.mark.parametrize("answer", [np.nan, np.inf, -0.01, 1.01, 30.0])
def test_answers_that_are_no_probabilities_are_refused(
    monkeypatch: pytest.MonkeyPatch, answer: float
) -> None:
    def one_is_off(gray: np.ndarray) -> np.ndarray:
        maps = bright(gray)
        maps[-1, 0, 5, 7] = answer
        return maps

    segmenter = open_fake(monkeypatch, FakeSession(one_is_off))
    with pytest.raises(ModelError, match="expected probabilities from 0 to 1"):
        segmenter.predict_batch(IMAGES)
    for rounded in (-0.0005, 1.0005):
        fake = FakeSession(lambda gray, value=rounded: np.full(gray.shape, value, np.float32))
        open_fake(monkeypatch, fake).predict(IMAGES[0])


def test_a_task_that_is_not_known_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(TASKS, "regions")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="the model's task is 'regions'; this edgeseg knows head"):
        open_fake(monkeypatch, FakeSession(metadata=LESIONS))


@pytest.mark.parametrize(
    ("cores", "threads", "at_once"), [(4, 1, 4), (4, 2, 2), (2, 1, 2), (2, 4, 1), (3, None, 3)]
)
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
    for _ in range(3):  # the second would wait for ever
        with pytest.raises(ModelError, match="out of memory"):
            segmenter.predict(IMAGES[0])


def test_times_are_each_stage_s(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    segmenter = open_fake(monkeypatch, FakeSession(clock.takes(20, bright)))
    monkeypatch.setattr(segmenting, "time", clock)
    monkeypatch.setattr(segmenting, "preprocess", clock.takes(1, segmenting.preprocess))
    lasts_ms = iter([3, 5, 7, 9, 11, 1, 1, 1, 1, 2])  # of two looks
    see = heads.see

    def seen(*args: object) -> object:
        clock.now_s += next(lasts_ms) / 1000
        return see(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(heads, "see", seen)
    found = [p.times_ms for p in segmenter.predict_batch(IMAGES)]
    assert [t.preprocess for t in found] == pytest.approx([2] * 5)
    assert [t.inference for t in found] == pytest.approx([40] * 5)
    assert [t.postprocess for t in found] == pytest.approx([8, 16, 12, 2, 3])
