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
from edgeseg.network.metadata import ModelMetadata, TrainData
from edgeseg.network.task import Interval, Limits, Task, check_classes

FACTS = {"metrics": {"data": "fold 0", "figures": {"dice": 0.97}}, "parameters": 1234, "gmac": 0.5}
DATA = TrainData("HC18", 799, "ab" * 32), (0.05, 0.35)
METADATA = ModelMetadata("tiny", "unet", "full", "fp32", 192, 288, *DATA, "0.1.0", **FACTS)
INTERVAL = Interval(0.9, 0.0, 0.2, 230.0, 2.2)
LIMITS = Limits(presence_refused=0.05, view_shares=(0.5, 1.0), hc_mm=(50.0, 300.0))
ADAPTER = Adapter("logits", "float32", "nhwc", 3, mean=(0.1, 0.2, 0.3), sd=(1.0,), batch=2)
ADAPTED = dataclasses.replace(METADATA, adapter=ADAPTER, schema_version=3)


def changed(metadata: ModelMetadata = METADATA, **changes: object) -> str:
    return json.dumps(json.loads(metadata.to_json()) | changes)


def without(key: str) -> str:
    values = json.loads(METADATA.to_json())
    return json.dumps({name: value for name, value in values.items() if name != key})


@pytest.mark.parametrize(
    "metadata",
    [
        METADATA,
        dataclasses.replace(METADATA, interval=INTERVAL, limits=LIMITS),
        dataclasses.replace(METADATA, train_data=None, train_pixel_size_mm_range=None),
        dataclasses.replace(METADATA, task=Task("regions", ("background", "lesion"), False)),
        ADAPTED,
    ],
)
def test_there_and_back(metadata: ModelMetadata) -> None:
    written = json.loads(metadata.to_json())
    known = {f.name for f in dataclasses.fields(ModelMetadata)}
    assert set(written) <= known and "Not a medical device" in written["intended_use"]
    assert ModelMetadata.from_json(metadata.to_json()) == metadata
    for name, value in written.items():  # what later versions add is ignored
        if name in ("interval", "limits", "task", "adapter") and value is not None:
            written[name] = value | {"added_later": 1}
    assert ModelMetadata.from_json(json.dumps(written | {"added_later": [1]})) == metadata


def test_what_is_lacking_has_its_default() -> None:
    assert ModelMetadata.from_json(without("gmac")).gmac is None
    assert ModelMetadata.from_json(without("threshold")).threshold == 0.5
    assert ModelMetadata.from_json(without("limits")).limits == Limits()
    old = json.loads(without("task")) | {"schema_version": 1}  # which knows no task but the head
    for values in (old, old | {"task": {"kind": "x"}}):
        assert ModelMetadata.from_json(json.dumps(values)).task == Task()
    regions = ModelMetadata.from_json(changed(task={"kind": "x", "classes": ["a", "b", "c"]})).task
    assert regions == Task("x", ("a", "b", "c"), exclusive=True)
    assert regions.structures == ("b", "c")


@pytest.mark.parametrize(
    "text",
    [
        *["", "{", "[]", '"text"', "{}", without("name"), without("train_data"), without("task")],
        *[changed(train_pixel_size_mm_range=[1]), changed(train_data={"name": "x"})],
        changed(schema_version=3),  # which says how its network is fed
    ],
)
def test_damaged_text_is_refused_with_advice(text: str) -> None:
    with pytest.raises(ModelError, match=r"'edgeseg' metadata is damaged \(.*\); export it again"):
        ModelMetadata.from_json(text)


def test_another_schema_is_refused_with_advice_and_infinite_figures_are_not_written() -> None:
    for version in (0, 4, "1", True):
        with pytest.raises(ModelError, match=f"schema {version!r}, this edgeseg reads 1 to 3; ins"):
            ModelMetadata.from_json(changed(schema_version=version))
    with pytest.raises(ValueError, match="JSON"):
        dataclasses.replace(METADATA, metrics={"dice": math.nan}).to_json()


def nested(depth: int) -> dict[str, object]:
    return {"a": nested(depth - 1)} if depth else {}


NUMBERS = [10**400, math.inf, math.nan, -1, True, "5"]
DATA_SET = {"name": "x", "count": 1, "sha256": ""}
# what a field cannot hold, and how a refusal names it
WRONG: dict[str, tuple[str, list[Any]]] = {
    "input_height": ("input side", [0, 19.5, "192", None, True, 10**6, 10**400]),
    "input_width": ("input side", [0]),
    "threshold": ("threshold", [0.0, 1.0, None, [0.5], *NUMBERS]),
    "train_pixel_size_mm_range": ("pixel sizes", [[0.0, 0.3], [0.3, 0.1], [0.1, 1e400]]),
    "name": ("name", [None, 3]),
    "licence": ("licence", [["a"]]),
    "parameters": ("cost", NUMBERS),
    "gmac": ("cost", NUMBERS),
    "train_data": ("training data", [DATA_SET | {key: [5]} for key in DATA_SET]),
    "metrics": ("metrics", ["x", [1], {"a": [{"dice": math.inf}]}, nested(20)]),
    "task": ("task", [None, "head", {}, {"kind": 3}]),
    "task.kind": ("classes", ["regions"]),  # which has none
    "interval": ("interval", [3, {}, {"level": 0.9}]),
    "limits": ("limits", [3]),
    "adapter": ("adapter", [None, {}, {"type": "uint8"}]),
}
# the same within fields
WITHIN: dict[str, dict[str, list[Any]]] = {
    "interval": {"level": [0, 1, "0.9", True], "floor_mm": [0], "doubt_mm": [-0.1, [0.2]]},
    "limits": {
        "view_shares": [[0, 0.7], [0.58, 1.1]],
        "hc_mm": [[400, 40], [40], 40, ["40", 400], [40, math.nan]],
        "confidence": [-0.1, True, "0.9", 10**400, None],
    },
    "adapter": {
        **{"type": ["int64", None], "layout": ["hwc"], "output_layout": [4], "output": [None]},
        **{"activation": ["relu"], "normalise": ["mean"], "has_background": [1]},
        **{"channels": [2, True, 1.0], "enlarge": [0], "batch": [0, 10**6]},
        "scale": [0, -1, "255", math.nan, math.inf, 10**400],
        "mean": [[0.1, 0.2], [], 0.1, ["a"], None],
        "sd": [[0.0], [1.0, -1.0, 1.0], [True]],
    },
}
WRONG |= {
    f"{name}.{key}": ("interval" if name == "interval" else key, values)
    for name, parts in WITHIN.items()
    for key, values in parts.items()
}


@pytest.mark.parametrize("name", WRONG)
def test_what_a_field_cannot_hold_is_refused(name: str) -> None:
    whole = dataclasses.replace(ADAPTED, interval=INTERVAL)
    shown, values = WRONG[name]
    field, _, part = name.partition(".")
    for value in values:
        wrong = json.loads(whole.to_json())[field] | {part: value} if part else value
        with pytest.raises(ModelError, match=f"model's metadata gives.* as its .*{shown}"):
            ModelMetadata.from_json(changed(whole, **{field: wrong}))


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000 + "]" * 100_000, changed(licence="x" * 3_000_000),
     changed(threshold=0)[:-1] + ', "threshold": ' + "9" * 9000,
     changed(interval={"level": "x" * 9000}), changed(limits={"agreement": ["x"] * 9000})],
    ids=["deep", "long", "digits", "text", "texts"],
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


def test_classes_have_2_to_256_different_names_that_can_title_columns() -> None:
    odd: list[Any] = ["", "  ", 3, None, "a" * 201]
    for name in odd + [f"a{character}b" for character in '",;\n\t\ud800\x1b\u202e']:
        with pytest.raises(ModelError, match="is no class name"):
            check_classes(["background", name])
    many = [f"class {i}" for i in range(257)]
    for names in ([], ["a"], ["a", "b", "b"], many):
        with pytest.raises(ModelError, match="expected 2 to 256 different names"):
            check_classes(names)
    assert len(check_classes(many[:256])) == 256
