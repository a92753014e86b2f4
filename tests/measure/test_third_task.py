"""A third task is a module like this one and an entry in the table of tasks, nothing else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from edgeseg.drawing.encode import encode
from edgeseg.images.frame import Frame
from edgeseg.images.image_file import read_gray
from edgeseg.measure import screen, tasks
from edgeseg.measure.ellipse import Ellipse, Mask
from edgeseg.measure.framing import View
from edgeseg.measure.measurement import Column, LookAt, Measurement, Stroke
from edgeseg.network.metadata import ModelMetadata
from edgeseg.network.task import Task
from tests.cli.calls import call, rows
from tests.fakes import METADATA, FakeSession, head_image

FLAGS = {"thin": "the spot is thin enough to be a line", **screen.FLAGS}
COLUMNS = (Column("spot_width_mm", 2, "width (mm)"), Column("spot_width_px", 1, "width (px)"))


def measure(frame: Frame, look: LookAt, metadata: ModelMetadata, /) -> Measurement:
    """Measure how wide the bright pixels are."""
    seen = look(View.whole(frame.size))
    across = (seen.maps[0] >= metadata.threshold).any(axis=0)
    if not across.any():
        return Measurement(dict.fromkeys(each.name for each in COLUMNS), reason="dark", look=seen)
    width_px = float(np.ptp(np.flatnonzero(across)) + 1) * frame.size[1] / len(across)
    size = frame.pixel_size
    figures = {"spot_width_px": width_px, "spot_width_mm": size and width_px * size.x_mm}
    center = Ellipse(frame.size[1] / 2, frame.size[0] / 2, width_px / 2, width_px / 4, 0.0)
    flags = ("thin",) if width_px < 20 else ()
    return Measurement(figures, 0.9, flags, ellipse=center, look=seen)


def mask(found: Measurement, size: tuple[int, int], _: ModelMetadata, /) -> Mask:
    return found.ellipse.mask(*size) if found.ellipse else np.zeros(size, np.uint8)


SPOT = SimpleNamespace(
    FLAGS=FLAGS,
    TERMS={},
    NOTHING="no spot",
    title=lambda task: "Spots",
    columns=lambda task: COLUMNS,
    main_columns=lambda task: COLUMNS,
    given_columns=lambda task, ages, calibrated: (),
    measure=measure,
    compare_with_second_scan=lambda found, other: found,
    mask=mask,
    strokes=lambda found: [Stroke(found.ellipse.points(20))] if found.ellipse else [],
    caption=lambda found, task: found.reason or f"spot of {found.figures['spot_width_px']:.0f} px",
)


def test_it_is_measured_tabled_drawn_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spots = '{"kind": "spot", "classes": ["no", "spot"]}'
    metadata = ModelMetadata.from_json(METADATA.to_json().replace('{"kind": "head"}', spots))
    monkeypatch.setattr(tasks, "TASKS", {**tasks.TASKS, "spot": SPOT})
    session = FakeSession(metadata=metadata)
    monkeypatch.setattr("edgeseg.segmenter.open_session", lambda *_, **__: session)
    assert metadata.task == Task("spot", ("no", "spot"))
    scans, out = tmp_path / "scans", tmp_path / "out"
    scans.mkdir()
    for name, half_px in (("wide", 60.0), ("thin", 4.0), ("dark", 0.1)):
        image = head_image(Ellipse(150.2, 100.2, half_px, half_px / 2, 0.0), (200, 300))
        (scans / f"{name}.png").write_bytes(encode(".png", image))
    result = call("infer", scans, "--pixel-size", 0.5, "--out", out)
    assert result.exit_code == 0, result.output
    assert "3 images: 1 ok, 1 doubtful, 1 no spot, 0 failed" in result.stdout
    assert "wide.png: spot of 120 px" in result.stdout
    dark, thin, wide = rows(out)
    assert [row["status"] for row in (dark, thin, wide)] == ["empty", "doubtful", "ok"]
    assert (dark["reason"], thin["reason"]) == ("dark", FLAGS["thin"])
    assert float(wide["spot_width_mm"]) == pytest.approx(60, abs=1)
    assert read_gray(out / "masks" / "wide.png").any()
    assert len(list((out / "overlays").iterdir())) == 3
    page = (out / "report.html").read_text("utf-8")
    assert "<h1>Spots</h1>" in page and "width (mm)" in page and FLAGS["thin"] in page
