"""One round structure, from a folder of images and masks to its circumference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeseg.drawing.encode import encode
from edgeseg.errors import DataError
from edgeseg.phantom.head import Phantom, make_phantom
from edgeseg.phantom.shapes import write_pairs
from edgeseg.score.labelled import load_labelled
from edgeseg.system.files import csv_text
from tests.cli.calls import call, rows
from tests.training.tiny import TINY

VALUES = TINY | {
    **{"input_height": 128, "input_width": 192, "decoder_channels": "16,16,8", "epochs": 60},
    **{"encoder_stages": 4, "encoder_expansion": 2, "batch_size": 8, "learning_rate": 5e-3},
    **{"validate_every": 60, "task": "ellipse", "classes": "skull"},
}


def draw(seed: int) -> Phantom:
    return make_phantom(seed, height=180, width=270)


def write_images(folder: Path, phantoms: list[Phantom], *, masks: bool) -> Path:
    for each in phantoms:
        (folder / "images").mkdir(parents=True, exist_ok=True)
        (folder / "images" / each.name).write_bytes(encode(".png", each.image))
        if masks:
            (folder / "masks").mkdir(exist_ok=True)
            mask = each.ellipse.mask(*each.image.shape)
            (folder / "masks" / each.name).write_bytes(encode(".png", mask))
    sizes = [("filename", "pixel size(mm)"), *((p.name, repr(p.pixel_size_mm)) for p in phantoms)]
    (folder / "pixel_sizes.csv").write_text(csv_text(sizes))
    return folder


def test_it_is_one_and_has_the_name_that_is_given(tmp_path: Path) -> None:
    write_pairs(tmp_path / "two", 4, height=64, width=96)
    with pytest.raises(DataError, match=r"cyst, crescent; expected one"):
        load_labelled(tmp_path / "two", "ellipse")
    one = write_images(tmp_path / "one", [draw(1), draw(2)], masks=True)
    assert load_labelled(one, "ellipse", "", ["skull"]).task.structures == ("skull",)
    with pytest.raises(DataError, match="expected 2: skull, brain"):
        load_labelled(one, "regions", "", ["skull", "brain"])


@pytest.mark.nightly
@pytest.mark.slow
def test_its_circumference_is_learnt(tmp_path: Path) -> None:
    """30 held-out phantoms: the median error is below 1 %."""
    data = write_images(tmp_path / "data", [draw(seed) for seed in range(80)], masks=True)
    unseen = [draw(1000 + seed) for seed in range(30)]
    values = [f"--{name.replace('_', '-')}={value}" for name, value in VALUES.items()]
    for arguments in (
        ("train", "--data", data, "--out", tmp_path / "run", *values),
        ("export", tmp_path / "run", "--out", tmp_path / "skull.onnx"),
    ):
        result = call(*arguments)
        assert result.exit_code == 0, result.output
    new = write_images(tmp_path / "new", unseen, masks=False)
    sizes = ("--pixel-sizes", new / "pixel_sizes.csv", "--out", tmp_path / "out")
    result = call("infer", new / "images", "--model", tmp_path / "skull.onnx", *sizes)
    assert result.exit_code == 0, result.output
    measured = {row["file"]: row["skull_circumference_mm"] for row in rows(tmp_path / "out")}
    errors = [abs(float(measured[p.name] or 0) / p.hc_mm - 1) for p in unseen]
    assert np.median(errors) < 0.01, sorted(errors)
