from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from edgeseg.errors import DeviceError, ModelError
from edgeseg.network import session, zoo
from edgeseg.network.adapter import Adapter, preprocess
from edgeseg.network.port import Port
from edgeseg.network.session import CUDA_OPTIONS, PROVIDERS, open_session
from edgeseg.phantom.head import Phantom
from tests.fakes import HEIGHT, LESIONS, METADATA, WIDTH, FakeSession, bright

MODEL = zoo.find("hc18-nano").path
BOTH = [PROVIDERS["cuda"], PROVIDERS["cpu"]]


def start_card(monkeypatch: pytest.MonkeyPatch, starts_on: list[str], fails: str = "") -> list[Any]:
    """Let onnxruntime have a card; return what it is then asked for."""
    asked: list[Any] = []

    def start(model: bytes, options: Any, *, providers: list[Any], enable_fallback: int) -> Any:
        assert model == MODEL.read_bytes()
        try:
            alone = options.get_session_config_entry("session.disable_cpu_ep_fallback")
        except RuntimeError:
            alone = "0"
        asked.append((providers, alone, enable_fallback))
        is_card = PROVIDERS["cuda"] in providers[0]
        if fails and is_card:
            raise RuntimeError(fails)
        on = starts_on if is_card else providers
        disable = lambda: asked.append("no fallback when a run fails")  # noqa: E731
        return SimpleNamespace(get_providers=lambda: on, disable_fallback=disable)

    monkeypatch.setattr(onnxruntime, "InferenceSession", start)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: BOTH)
    return asked


def test_the_card_is_taken_where_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    for device, others, alone in (("cuda", [], "1"), ("auto", [PROVIDERS["cpu"]], "0")):
        asked = start_card(monkeypatch, BOTH)
        assert open_session(MODEL, device, 1).get_providers()[0] == PROVIDERS["cuda"]
        providers = [(PROVIDERS["cuda"], CUDA_OPTIONS), *others]  # asked for, it gets no other
        assert asked == [(providers, alone, 0), "no fallback when a run fails"]


def test_without_a_card_cuda_is_refused_and_auto_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for starts_on, fails, reason in (
        # as onnxruntime does where a driver is missing, with a warning only
        ([PROVIDERS["cpu"]], "", "would run on CPUExecutionProvider; .*--device cpu"),
        ([], "no card\nand more", "does not start on cuda, or not all of it: no card; "),
    ):
        start_card(monkeypatch, starts_on, fails)
        with pytest.raises(DeviceError, match=reason):
            open_session(MODEL, "cuda", 1)
        assert open_session(MODEL, "auto", 1).get_providers()[0] == PROVIDERS["cpu"]


def test_no_part_of_a_model_runs_on_the_cpu_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that takes no node is listed first all the same, and the CPU would do the work."""
    idle = "AzureExecutionProvider"
    if idle not in onnxruntime.get_available_providers():
        pytest.skip(f"this onnxruntime has no {idle}")
    monkeypatch.setitem(PROVIDERS, "coreml", idle)
    with pytest.raises(DeviceError, match=r"not all of it: .*fallback to CPU EP has been expl"):
        open_session(MODEL, "coreml", 1)


def test_threads_are_those_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def threads(asked: int | None, cores: int) -> int:
        monkeypatch.setattr(os, "cpu_count", lambda: 4)
        monkeypatch.setattr(session, "usable_cores", lambda: cores)
        options = session.session_options(asked, spin=False)
        assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
        assert options.inter_op_num_threads == 1
        return int(options.intra_op_num_threads)

    # onnxruntime's own choice, except in a container with a quota
    assert [threads(3, 4), threads(None, 4), threads(None, 2), threads(3, 2)] == [3, 0, 2, 3]


GRAYS = np.random.default_rng(0).integers(0, 256, (5, 1, HEIGHT, WIDTH), dtype=np.uint8)
PATH = Path("m.onnx")


def test_a_fixed_batch_is_run_in_parts_that_come_back_in_order() -> None:
    for batch, count, runs in ((None, 5, [5]), (1, 3, [1] * 3), (2, 1, [2]), (2, 5, [2] * 3)):
        fake = FakeSession(batch=batch)
        port = Port(fake, PATH)
        maps, presence = port.run(GRAYS[:count])
        assert (port.adapter, port.batch, presence) == (Adapter(), batch, None)
        assert [len(fed) for fed in fake.fed] == runs
        np.testing.assert_array_equal(maps, bright(GRAYS[:count]))


def test_a_float_input_gets_gray_over_255_in_every_channel_or_its_error_is_said() -> None:
    for channels in (1, 3):
        fake = FakeSession(channels=channels)
        maps, _ = Port(fake, PATH).run(GRAYS)
        assert fake.fed[0].dtype == np.float32
        expected = np.repeat(GRAYS.astype(np.float32) / 255, channels, axis=1)
        np.testing.assert_array_equal(fake.fed, [expected])
        np.testing.assert_array_equal(maps, bright(GRAYS))

    def fail(_: np.ndarray) -> np.ndarray:
        raise RuntimeError("out of memory\nat some line")

    with pytest.raises(ModelError, match=r"the network failed on this image: out of memory$"):
        Port(FakeSession(fail), PATH).run(GRAYS)


def port(name: str, kind: str, *shape: int | str | None) -> Any:
    return SimpleNamespace(name=name, type=kind, shape=list(shape))


U8, F32 = "tensor(uint8)", "tensor(float)"
IMAGE = port("image", U8, "N", 1, HEIGHT, WIDTH)
MAPS = port("probability", F32, "N", 1, HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("inputs", "outputs", "fits"),
    [
        ([IMAGE], [MAPS, port("features", F32, 3)], True),
        ([port("image", F32, 1, 3, HEIGHT, WIDTH)], [MAPS], True),
        ([IMAGE], [port("p", F32, "N", "C", "h", None)], True),
        ([IMAGE, port("size", "tensor(int64)", 2)], [MAPS], False),
        ([port("image", "tensor(int8)", "N", 1, HEIGHT, WIDTH)], [MAPS], False),
        *(
            ([port("image", U8, *shape, HEIGHT, WIDTH)], [MAPS], False)
            for shape in (("N", 3), (1,), (0, 1), (10**6, 1))
        ),
        *(([port("image", U8, "N", 1, *s)], [MAPS], False) for s in ((WIDTH, HEIGHT), ("h", "w"))),
        ([IMAGE], [port("p", "tensor(float16)", "N", 1, HEIGHT, WIDTH)], False),
        *(([IMAGE], [port("p", F32, "N", *s, HEIGHT, WIDTH)], False) for s in ((2,), ())),
    ],
)
def test_the_graph_is_held_to_its_metadata(
    monkeypatch: pytest.MonkeyPatch, inputs: list[Any], outputs: list[Any], fits: bool
) -> None:
    fake = FakeSession()
    monkeypatch.setattr(fake, "get_inputs", lambda: inputs)
    monkeypatch.setattr(fake, "get_outputs", lambda: outputs)
    if fits:
        assert Port(fake, PATH).metadata == METADATA
    else:
        with pytest.raises(ModelError, match=r"^m\.onnx: expected one input"):
            Port(fake, PATH)
    lesions = FakeSession(metadata=LESIONS)  # which has a map for each structure
    assert Port(lesions, PATH).metadata == LESIONS
    monkeypatch.setattr(lesions, "get_outputs", lambda: [MAPS])
    with pytest.raises(ModelError, match=r"\(N, 2, h, w\)"):
        Port(lesions, PATH)


def test_it_averages_areas_and_draws_lines_between_pixels() -> None:
    gray = np.zeros((384, 576), dtype=np.uint8)
    gray[::2, ::2] = 200
    tensor = preprocess(gray, 192, 288)
    assert (tensor.shape, tensor.dtype) == ((1, 1, 192, 288), np.uint8)
    assert tensor.flags.c_contiguous
    assert np.all(tensor == 50)
    ramp = np.repeat(np.arange(0, 240, 5, dtype=np.uint8)[None], 40, axis=0)
    steps = np.diff(preprocess(ramp, 192, 288)[0, 0].astype(int), axis=1)
    assert (steps.min(), steps.max()) == (0, 1)


def test_it_does_not_shift_the_picture(phantoms: list[Phantom]) -> None:
    """A head's coverage stretched as an image is the stretched head's coverage."""
    phantom = phantoms[1]
    native = np.round(255 * phantom.ellipse.coverage(*phantom.image.shape)).astype(np.uint8)
    for size in ((192, 288), (100, 100), (540, 800)):
        tensor = preprocess(native, *size)[0, 0]
        expected = phantom.ellipse.resized(native.shape, size).coverage(*size)
        assert np.abs(tensor / 255 - expected).mean() < 0.003
        center = np.mean(np.nonzero(tensor > 127), axis=1)
        assert center == pytest.approx(np.mean(np.nonzero(expected > 0.5), axis=1), abs=0.1)
