from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.errors import OutputExistsError
from edgeseg.measure.ellipse import Ellipse
from edgeseg.score import hc18
from edgeseg.score.evaluate import score_all
from edgeseg.score.report import EvaluationReport
from edgeseg.segmenter import Segmenter


def test_every_image_is_on_the_page_with_its_label_and_error(
    segmenter: Segmenter, phantom_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = Ellipse(150.0, 120.0, 60.0, 40.0, 0.3)  # far from what is measured
    monkeypatch.setattr(hc18.Case, "reference_ellipse", lambda *_: label)
    cases = hc18.load_cases(phantom_data)[:3]
    page = EvaluationReport(tmp_path / "out", segmenter)
    scores = score_all(segmenter, cases, 2, on_prediction=page.add)
    path = page.write(cases, {"data": "phantoms"}, 1.0)
    assert path == tmp_path / "out" / "report.html"
    text = path.read_text(encoding="utf-8")
    assert "Pink: the label" in text
    for case, score in zip(cases, scores, strict=True):
        assert case.file in text
        assert f"{case.hc_reference_mm:.3f}" in text
        assert f"{score.hc_error_mm:.3f}" in text
        picture = cv2.imread(str(tmp_path / "out" / "overlays" / f"{Path(case.file).stem}.jpg"))
        assert picture is not None
        blue, green, red = (picture[..., i].astype(int) for i in range(3))
        pink = (blue > green + 60) & (red > green + 60)
        rows, columns = np.nonzero(pink)
        assert len(rows) > 100
        assert np.abs(label.signed_distance(columns, rows)).max() < 4
    with pytest.raises(OutputExistsError):
        EvaluationReport(tmp_path / "out", segmenter)
