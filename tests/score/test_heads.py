from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeseg.drawing.encode import encode
from edgeseg.errors import DataError
from edgeseg.measure.ellipse import Ellipse
from edgeseg.score import hc18
from edgeseg.score.heads import score_head
from edgeseg.score.metrics import hausdorff_px
from tests.fakes import FakeSession, head_image, open_fake


def test_a_case_s_score_is_of_what_the_network_saw(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It saw a head that is too large, with a piece out of it; the annotation is right."""
    size, size_mm = (384, 576), 0.25
    true, seen = Ellipse(280.0, 200.0, 140.0, 108.0, 0.3), Ellipse(286.0, 200.0, 150.0, 118.0, 0.3)
    image = head_image(seen, size)
    image[:140, 270:300] = 0
    rows, columns = np.ogrid[: size[0], : size[1]]
    ring = np.where(np.abs(true.signed_distance(columns, rows)) < 1.5, 255, 0).astype(np.uint8)
    (tmp_path / "a.png").write_bytes(encode(".png", image))
    (tmp_path / "a_Annotation.png").write_bytes(encode(".png", ring))
    paths = tmp_path / "a.png", tmp_path / "a_Annotation.png"
    case = hc18.Case("a.png", *paths, "a", size_mm, true.circumference_px * size_mm)
    segmenter = open_fake(monkeypatch, FakeSession())
    with pytest.raises(DataError, match="bring them to one size"):
        score_head(case, segmenter.predict(np.pad(image, 8), size_mm))
    prediction = segmenter.predict(image, size_mm)
    score = score_head(case, prediction)
    mask, reference = image > 127, true.mask(*size) > 0
    dice = 2 * np.sum(mask & reference) / (mask.sum() + reference.sum())
    assert score.overlap.dice == pytest.approx(dice, abs=0.003)
    whole = seen.mask(*size) > 0
    dice_ellipse = 2 * np.sum(whole & reference) / (whole.sum() + reference.sum())
    assert score.dice_ellipse == pytest.approx(dice_ellipse, abs=0.003)
    assert score.dice_ellipse > score.overlap.dice + 0.005
    distance_mm = hausdorff_px(seen, true) * size_mm
    assert score.hausdorff_mm == pytest.approx(distance_mm, abs=0.2)
    assert score.hc_mm == pytest.approx(seen.circumference_px * size_mm, rel=0.005)
    assert score.hc_reference_mm == case.hc_reference_mm
    assert score.hc_error_mm == pytest.approx(score.hc_mm - case.hc_reference_mm)
    assert score.hc_error_mm > 0
