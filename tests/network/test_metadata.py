from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeseg.errors import ModelError
from edgeseg.network.adapter import Adapter
from edgeseg.network.interval import Interval
from edgeseg.network.limits import Limits, read_limits
from edgeseg.network.metadata import (
    ADAPTER_SCHEMA_VERSION,
    INTENDED_USE,
    SCHEMA_VERSION,
    ModelMetadata,
    TrainData,
)
from edgeseg.network.task import Task

METADATA = ModelMetadata(
    name="tiny",
    architecture="unet-mobilenet_v2",
    strategy="full",
    precision="fp32",
    input_height=192,
    input_width=288,
    train_data=TrainData("HC18", 799, "ab" * 32),
    train_pixel_size_mm_range=(0.05, 0.35),
    edgeseg_version="0.1.0",
    metrics={"data": "fold 0", "figures": {"dice": 0.97}},
    parameters=1234,
    gmac=0.5,
)


def changed(**changes: object) -> str:
    return json.dumps(json.loads(METADATA.to_json()) | changes)


def without(key: str) -> str:
    values = json.loads(METADATA.to_json())
    del values[key]
    return json.dumps(values)


def test_there_and_back() -> None:
    assert ModelMetadata.from_json(METADATA.to_json()) == METADATA


def test_every_field_of_the_schema_is_written() -> None:
    written = json.loads(METADATA.to_json())
    assert set(written) == {f.name for f in dataclasses.fields(ModelMetadata)} - {"adapter"}
    assert written["schema_version"] == SCHEMA_VERSION
    assert written["intended_use"] == INTENDED_USE
    assert "Not a medical device" in INTENDED_USE


def test_unknown_keys_are_ignored_and_lacking_ones_unknown() -> None:
    assert ModelMetadata.from_json(changed(added_later=[1, 2])) == METADATA
    unknown = {"train_data": None, "train_pixel_size_mm_range": None}
    expected = dataclasses.replace(METADATA, **unknown)  # type: ignore[arg-type]
    assert ModelMetadata.from_json(changed(**unknown)) == expected
    assert ModelMetadata.from_json(without("gmac")).gmac is None
    assert ModelMetadata.from_json(without("threshold")).threshold == 0.5
    assert ModelMetadata.from_json(without("interval")).interval is None


@pytest.mark.parametrize(
    "text",
    [
        *["", "{", "[]", "null", "3", '"text"', "{}"],
        *[without("name"), without("train_data"), without("train_pixel_size_mm_range")],
        *[changed(train_pixel_size_mm_range=[1]), changed(train_pixel_size_mm_range="x")],
        *[changed(train_data={"name": "x"}), changed(train_data="HC18")],
    ],
)
def test_damaged_text_is_refused_with_advice(text: str) -> None:
    with pytest.raises(ModelError, match=r"'edgeseg' metadata is damaged \(.*\); export it again"):
        ModelMetadata.from_json(text)


@pytest.mark.parametrize("version", [0, 4, "1", None, True, 1.0])
def test_another_schema_is_refused_with_advice(version: object) -> None:
    with pytest.raises(ModelError, match=f"schema {version!r}, this edgeseg reads 1 to 3; install"):
        ModelMetadata.from_json(changed(schema_version=version))


def test_infinite_figures_are_not_written() -> None:
    broken = dataclasses.replace(METADATA, metrics={"dice": float("nan")})
    with pytest.raises(ValueError, match="JSON"):
        broken.to_json()


def test_files_of_schema_1_are_of_heads() -> None:
    old = json.loads(METADATA.to_json()) | {"schema_version": 1}
    del old["task"]
    read = ModelMetadata.from_json(json.dumps(old))
    assert read == dataclasses.replace(METADATA, schema_version=1)
    assert read.task == Task()
    # what such a file says of a task was never its task
    assert ModelMetadata.from_json(json.dumps(old | {"task": {"kind": "x"}})).task == Task()


def test_files_of_schema_2_say_their_task() -> None:
    lesions = dataclasses.replace(METADATA, task=Task("regions", ("background", "lesion")))
    assert json.loads(lesions.to_json())["task"] == {
        "kind": "regions",
        "classes": ["background", "lesion"],
        "exclusive": True,
    }
    assert ModelMetadata.from_json(lesions.to_json()) == lesions
    with pytest.raises(ModelError, match=r"metadata is damaged \('task'\)"):
        ModelMetadata.from_json(without("task"))


INTERVAL = {
    "level": 0.9, "offset_mm": 0.0, "cubic_mm": 0.2, "doubt_mm": 230.0, "floor_mm": 2.2,
}  # fmt: skip


def test_an_interval_goes_there_and_back() -> None:
    with_interval = dataclasses.replace(METADATA, interval=Interval(**INTERVAL))
    assert json.loads(with_interval.to_json())["interval"] == INTERVAL
    assert ModelMetadata.from_json(with_interval.to_json()) == with_interval
    whole = INTERVAL | {"added_later": 1, "doubt_mm": 230}
    assert ModelMetadata.from_json(changed(interval=whole)) == with_interval


ADAPTED = dataclasses.replace(
    METADATA,
    adapter=Adapter("logits", "float32", "nhwc", 3, mean=(0.1, 0.2, 0.3), sd=(1.0,), batch=2),
    schema_version=ADAPTER_SCHEMA_VERSION,
)


def test_an_adapter_goes_there_and_back() -> None:
    """Only from schema 3 on: a version that does not know it must refuse the file."""
    written = json.loads(ADAPTED.to_json())
    assert ModelMetadata.from_json(ADAPTED.to_json()) == ADAPTED
    assert ModelMetadata.from_json(changed(adapter=written["adapter"])).adapter is None
    assert ModelMetadata.from_json(changed(adapter=written["adapter"], schema_version=3)).adapter
    del written["adapter"]
    with pytest.raises(ModelError, match="damaged"):
        ModelMetadata.from_json(json.dumps(written))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("type", value) for value in ("int64", None, 3)],
        *[("layout", "hwc"), ("output_layout", 4), ("activation", "relu"), ("per_image", "mean")],
        *[("channels", value) for value in (2, True, 1.0, "3")],
        *[("scale", value) for value in (0, -1, "255", math.nan, math.inf, 10**400)],
        *[("mean", value) for value in ([0.1, 0.2], [], 0.1, ["a"], None)],
        *[("sd", value) for value in ([0.0], [1.0, -1.0, 1.0], [True])],
        *[("has_background", 1), ("output", None), ("enlarge", 0), ("batch", 0), ("batch", 10**6)],
    ],
)
def test_what_is_no_adapter_is_refused(name: str, value: object) -> None:
    adapter = json.loads(ADAPTED.to_json())["adapter"]
    lacking = {key: each for key, each in adapter.items() if key != name}
    for wrong in (adapter | {name: value}, lacking, [adapter], None):
        with pytest.raises(ModelError, match="as its adapter"):
            ModelMetadata.from_json(changed(adapter=wrong, schema_version=3))


def nested(depth: int) -> dict[str, object]:
    value: dict[str, object] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


NUMBERS = [10**400, math.inf, math.nan, -1, True, "5"]
DATA = {"name": "x", "count": 1, "sha256": ""}
WRONG: dict[str, list[Any]] = {
    "input_height": [0, -192, 19.5, "192", None, True, 10**6, 10**400],
    "input_width": [0, "192"],
    "threshold": [0.0, 1.0, 2, None, [0.5], *NUMBERS],
    "train_pixel_size_mm_range": [[0.0, 0.3], [0.3, 0.1], [-1, 1], [0.1, 1e400]],
    **{name: [None, 3, ["a"], {"a": 1}] for name in ("name", "precision", "licence")},
    "parameters": NUMBERS,
    "gmac": NUMBERS,
    "train_data": [DATA | {"name": ["x"]}, DATA | {"count": "many"}, DATA | {"sha256": 5}],
    "metrics": ["x", [1], {"a": {"dice": math.nan}}, {"a": [{"dice": math.inf}]}, nested(20)],
    "interval": [
        *[3, "wide", [], {}, {"level": 0.9}, INTERVAL | {"cubic_mm": [0.2]}],
        *[INTERVAL | {"level": level} for level in (0, 1, 1.5, -0.9, "0.9", None, True)],
        *[INTERVAL | {"floor_mm": value} for value in (0, -1, 1e400, None)],
        *[INTERVAL | {name: -0.1} for name in ("offset_mm", "cubic_mm", "doubt_mm")],
    ],
}


SHOWN = {
    **{"input_height": "input side", "input_width": "input side", "train_data": "training data"},
    **{"parameters": "cost", "gmac": "cost", "train_pixel_size_mm_range": "pixel sizes"},
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_field_cannot_hold_is_refused(name: str) -> None:
    for value in WRONG[name]:
        with pytest.raises(ModelError, match="model's metadata gives") as caught:
            ModelMetadata.from_json(changed(**{name: value}))
        assert SHOWN.get(name, name) in str(caught.value)


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000 + "]" * 100_000, changed(metrics=0)[:-1] + ', "metrics": ' + '{"a":' * 100_000,
     changed(licence="x" * 3_000_000), changed(threshold=0)[:-1] + ', "threshold": ' + "9" * 9000,
     *(changed(**{name: value}) for name, value in (
         ("train_pixel_size_mm_range", ["x" * 9000, 1]), ("interval", {"level": "x" * 9000}),
         ("limits", {"hc_mm": "x" * 9000}), ("limits", {"agreement": ["x"] * 9000}),
     ))],
    ids=["lists", "objects", "long", "digits", "range", "interval", "texts", "lists of texts"],
)  # fmt: skip
def test_whatever_a_text_is_it_is_refused_in_a_short_sentence(text: str) -> None:
    with pytest.raises(ModelError) as refused:
        ModelMetadata.from_json(text)
    assert len(str(refused.value)) < 1500


@given(st.text(max_size=200) | st.recursive(st.none() | st.booleans() | st.floats() | st.text(),
       lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_any_value_of_any_field_is_metadata_or_a_model_error(value: object) -> None:
    written = json.loads(ADAPTED.to_json())
    for name in written:
        try:
            metadata = ModelMetadata.from_json(json.dumps(written | {name: value}))
        except ModelError:
            continue
        assert ModelMetadata.from_json(metadata.to_json()) == metadata


def test_limits_go_there_and_back() -> None:
    limits = Limits(presence_refused=0.05, view_shares=(0.5, 1.0), hc_mm=(50.0, 300.0))
    assert read_limits(dataclasses.asdict(limits) | {"added_later": 1}) == limits
    assert read_limits({}) == Limits()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[("view_shares", value) for value in ([0, 0.7], [0.58, 0], [0.58, 1.1], [1e-300, 0.7])],
        *[("hc_mm", value) for value in ([400, 40], [40], 40, ["40", 400], [40, float("nan")])],
        *[("confidence", value) for value in (-0.1, True, "0.9", 1e400, 10**400, None)],
    ],
)
def test_what_is_no_limit_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ModelError, match=f"as its {name}"):
        read_limits({name: value})
