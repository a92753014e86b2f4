"""Structured reports, read back by others: pydicom, dsrdump and dciodvfy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="DICOM reports need the extra dicom-report")
pytest.importorskip("highdicom", reason="DICOM reports need the extra dicom-report")

from pydicom.sr.codedict import codes as known

from edgeseg.errors import DataError
from edgeseg.images.calibration import Calibration
from edgeseg.images.frame import PixelSize
from edgeseg.measure.ellipse import Ellipse
from edgeseg.output.dicom import codes, structured_report
from edgeseg.prediction import Prediction
from edgeseg.system.version import __version__
from tests.output.dicom_sources import (
    CINE,
    HEAD,
    MODEL,
    PACKAGED,
    SINGLE,
    SIZE,
    cine,
    complaints,
    content,
    dumped,
    head,
    header,
    items,
    lesions,
    meaning_of,
    nothing,
    packaged,
    read,
)

# What dciodvfy finds is the source's own: its dates, its UIDs, and that it has frames at all.
OWN_FAULTS = {
    "ExplVR_BigEnd.dcm": ("Study Date", "Study Time", "invalid data values"),
    "color-pl.dcm": ("Study Date", "Study Time", "invalid data values", "Illegal root for UID"),
    "OBXXXX1A_2frame.dcm": ("not multi-frame - attribute <ReferencedFrameNumber>",),
    "OBXXXX1A_expb_2frame.dcm": ("not multi-frame - attribute <ReferencedFrameNumber>",),
}


def report(source: Any = None, frame: int = 0, prediction: Prediction | None = None) -> Any:
    """Return a report, read back."""
    source = header() if source is None else source
    return read(structured_report(source, frame, prediction or head(), MODEL))


def number(item: Any) -> tuple[float, str]:
    """Return a figure's value and unit."""
    (value,) = item.MeasuredValueSequence
    return float(value.NumericValue), value.MeasurementUnitsCodeSequence[0].CodeValue


def coded(item: Any) -> tuple[str, str]:
    return item.ConceptNameCodeSequence[0].CodeValue, (
        item.ConceptNameCodeSequence[0].CodingSchemeDesignator
    )


def value_of(dataset: Any, meaning: str) -> str:
    """Return the text, or the coded value's meaning, of the one item of a name."""
    (item,) = items(dataset, meaning)
    return str(item.TextValue if "TextValue" in item else item.ConceptCodeSequence[0].CodeMeaning)


def test_the_figures_have_their_codes_and_are_in_mm() -> None:
    prediction = head()
    made = report(prediction=prediction)
    for meaning, code, figure in (
        ("Head Circumference", "11984-2", prediction.hc_mm),
        ("Biparietal Diameter", "11820-8", prediction.figures["bpd_mm"]),
        ("Occipital-Frontal Diameter", "11851-3", prediction.figures["ofd_mm"]),
    ):
        (item,) = items(made, meaning)
        assert coded(item) == (code, "LN")
        assert number(item) == (pytest.approx(figure, abs=0.005), "mm")
    assert prediction.hc_mm == pytest.approx(145.13, abs=0.01)
    assert number(items(made, "Occipital-Frontal Diameter")[0])[0] == 52.0


def test_the_interval_is_there_as_ranges_of_uncertainty_and_its_level_is_said() -> None:
    prediction = head(hc_low_mm=140.0)  # longer below than above
    made = report(prediction=prediction)
    (hc,) = items(made, "Head Circumference")
    ranges = {meaning_of(item): item for item in hc.ContentSequence}
    high, low = prediction.figures["hc_high_mm"], prediction.figures["hc_low_mm"]
    assert high is not None and low == 140.0 and prediction.hc_mm is not None
    for meaning, off in (
        ("+, range of upper measurement uncertainty", high - prediction.hc_mm),
        ("-, range of lower measurement uncertainty", prediction.hc_mm - low),
    ):
        assert number(ranges[meaning]) == (pytest.approx(off, abs=0.001), "mm")
        assert ranges[meaning].RelationshipType == "HAS PROPERTIES"
    said = [item.TextValue for item in items(made, "Algorithm Parameters")]
    assert "range of uncertainty: holds 90 % of heads" in said


@pytest.mark.parametrize(
    ("code", "name"),
    [
        (codes.HEAD_CIRCUMFERENCE, known.LN.HeadCircumference),
        (codes.BIPARIETAL_DIAMETER, known.LN.BiparietalDiameter),
        (codes.OCCIPITAL_FRONTAL_DIAMETER, known.LN.OccipitalFrontalDiameter),
        (codes.AREA, known.SCT.Area),
        (codes.MM, known.UCUM.Millimeter),
        (codes.MM2, known.UCUM.SquareMillimeter),
        (codes.ABOVE, known.SCT.RangeOfUpperMeasurementUncertainty),
        (codes.BELOW, known.SCT.RangeOfLowerMeasurementUncertainty),
        (codes.INDETERMINATE, known.DCM.ValueIndeterminate),
        (codes.COMMENT, known.DCM.Comment),
        (codes.HEAD, known.SCT.Head),
        (codes.STRUCTURE, known.SCT.AnatomicalStructure),
        (codes.REGION, known.SCT.SpatialAndRelationalConcept),
        (codes.FETUS, known.DCM.Fetus),
        (codes.DEVICE, known.DCM.Device),
        (codes.PROCEDURE, known.SCT.ImagingProcedure),
        (codes.ARTIFICIAL_INTELLIGENCE, known.DCM.ArtificialIntelligence),
    ],
)
def test_codes_mean_what_the_standard_says(code: codes.Code, name: Any) -> None:
    assert code == (name.value, name.scheme_designator, name.meaning)


@pytest.mark.parametrize(
    "ellipse",
    [HEAD, Ellipse(80.0, 60.0, 70.0, 30.0, 0.0), Ellipse(79.6, 59.4, 50.5, 50.25, 1.5)],
)
def test_the_ellipse_is_where_it_was_measured(ellipse: Ellipse) -> None:
    (region,) = items(report(prediction=head(ellipse=ellipse)), "Image Region")
    assert (region.ValueType, region.GraphicType) == ("SCOORD", "ELLIPSE")
    # from the first pixel's corner, where edgeseg counts from its centre
    ends = np.reshape(region.GraphicData, (4, 2)) - 0.5
    middles = ends.reshape(2, 2, 2).mean(axis=1)
    lengths = np.linalg.norm(ends[::2] - ends[1::2], axis=1)
    assert middles == pytest.approx(np.tile(ellipse.center, (2, 1)), abs=1e-3)
    assert lengths == pytest.approx([2 * ellipse.semi_major_px, 2 * ellipse.semi_minor_px])
    assert ellipse.signed_distance(*ends.T) == pytest.approx(np.zeros(4), abs=1e-3)


def test_a_head_that_is_cut_is_drawn_within_the_image() -> None:
    """What DICOM allows; its figures are of the whole head."""
    ellipse = Ellipse(140.0, 60.0, 52.0, 40.0, 0.1)
    made = report(prediction=head(ellipse=ellipse))
    (region,) = items(made, "Image Region")
    points = np.reshape(region.GraphicData, (-1, 2))
    assert region.GraphicType == "POLYLINE"
    assert (points >= 0).all() and (points <= (SIZE[1], SIZE[0])).all()
    assert (points[0] == points[-1]).all()
    on_border = points[:, 0] == SIZE[1]
    assert on_border.any()
    off = ellipse.signed_distance(*(points[~on_border] - 0.5).T)
    assert off == pytest.approx(np.zeros(len(off)), abs=1e-3)
    assert number(items(made, "Occipital-Frontal Diameter")[0])[0] == 52.0


@pytest.mark.parametrize(("source", "frame"), [(header(), None), (cine(), 3), (cine(1), None)])
def test_the_frame_is_the_one_that_was_measured(source: Any, frame: int | None) -> None:
    made = report(source, frame or 0)
    (region,) = items(made, "Image Region")
    (image,) = region.ContentSequence
    (referred,) = image.ReferencedSOPSequence
    assert referred.get("ReferencedFrameNumber") == frame
    assert referred.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert referred.ReferencedSOPClassUID == source.SOPClassUID
    (study,) = made.CurrentRequestedProcedureEvidenceSequence
    (series,) = study.ReferencedSeriesSequence
    (evidence,) = series.ReferencedSOPSequence
    assert (study.StudyInstanceUID, series.SeriesInstanceUID) == ("1.2.3", "1.2.3.1")
    assert evidence.ReferencedSOPClassUID == source.SOPClassUID
    assert "ReferencedFrameNumber" not in evidence


@pytest.mark.parametrize(
    ("source", "frame"), [(cine(5), 6), (cine(5), 0), (header(), 2), (header(), -1)]
)
def test_a_frame_that_is_not_there_is_refused(source: Any, frame: int) -> None:
    with pytest.raises(DataError, match=rf"frame {frame} was measured of an image of"):
        structured_report(source, frame, head(), MODEL)


def test_a_class_of_images_that_highdicom_does_not_know_is_reported_on() -> None:
    retired = "1.2.840.10008.5.1.4.1.1.3"
    made = report(header(SOPClassUID=retired, NumberOfFrames=9), 4)
    (image,) = [item for item in content(made) if item.ValueType == "IMAGE"]
    assert image.ReferencedSOPSequence[0].ReferencedSOPClassUID == retired
    assert image.ReferencedSOPSequence[0].ReferencedFrameNumber == 4


def test_who_observed_whom_with_what() -> None:
    made = report()
    assert made.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.33"
    assert made.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert (made.VerificationFlag, made.CompletionFlag) == ("UNVERIFIED", "COMPLETE")
    assert made.PreliminaryFlag == "PRELIMINARY"
    assert value_of(made, "Observer Type") == "Device"
    assert value_of(made, "Device Observer Name") == "edgeseg"
    assert value_of(made, "Subject Class") == "Fetus"
    assert value_of(made, "Language of Content Item and Descendants") == "English (United States)"
    assert value_of(made, "Finding") == "Head"
    assert value_of(made, "Algorithm Name") == "edgeseg hc18-nano"
    assert value_of(made, "Algorithm Version") == __version__
    said = [item.TextValue for item in items(made, "Algorithm Parameters")]
    assert f"model SHA-256: {MODEL.sha256}" in said
    assert "pixel size: 0.5 x 0.5 mm (dicom)" in said


def test_a_sites_calibration_is_said() -> None:
    made = report(prediction=head(calibration=Calibration(1.02, -0.5)))
    said = [item.TextValue for item in items(made, "Algorithm Parameters")]
    assert "calibration: 1.02 * circumference + -0.5 mm" in said


def test_an_even_interval_stays_even() -> None:
    made = report(prediction=head(hc_mm=145.0006, hc_low_mm=140.0003, hc_high_mm=150.0009))
    (hc,) = items(made, "Head Circumference")
    assert [number(item)[0] for item in hc.ContentSequence] == [5.0, 5.0]


def test_a_doubtful_measurement_says_so_at_every_figure_and_why() -> None:
    prediction = head(flags=("looks_differ", "low_confidence"))
    made = report(prediction=prediction)
    assert made.CompletionFlag == "PARTIAL"
    assert made.VerificationFlag == "UNVERIFIED"
    comment = value_of(made, "Comment")
    assert comment.startswith("Doubtful")
    assert comment.endswith(prediction.reason)
    for meaning in ("Head Circumference", "Biparietal Diameter", "Occipital-Frontal Diameter"):
        (item,) = items(made, meaning)
        (qualifier,) = item.NumericValueQualifierCodeSequence
        assert (qualifier.CodeValue, qualifier.CodeMeaning) == ("114011", "Value indeterminate")


def test_a_measurement_without_doubt_has_none() -> None:
    made = report()
    assert not items(made, "Comment")
    assert not [i for i in content(made) if "NumericValueQualifierCodeSequence" in i]


def test_of_regions_the_area_of_each_class_is_reported() -> None:
    made = report(prediction=lesions(("background", "lésion", "cyst")))
    areas = items(made, "Area")
    assert [number(item) for item in areas] == [(150.0, "mm2"), (50.0, "mm2")]
    assert [coded(item) for item in areas] == [("42798000", "SCT")] * 2
    found = [item.ConceptCodeSequence[0] for item in items(made, "Finding")]
    assert [(code.CodeValue, code.CodeMeaning) for code in found] == [
        ("class 1", "l&#233;sion"),
        ("class 2", "cyst"),
    ]
    assert not [item for item in content(made) if item.ValueType == "SCOORD"]
    assert len([item for item in content(made) if item.ValueType == "IMAGE"]) == 2
    assert not items(made, "Subject Class")


def test_nothing_found_is_nothing_to_report() -> None:
    with pytest.raises(DataError, match="nothing to report: no head found: it is dark"):
        structured_report(header(), 0, nothing(), MODEL)


def test_pixels_of_unknown_size_are_not_reported_as_figures() -> None:
    with pytest.raises(DataError, match=r"nothing to report in mm.*give the pixel size"):
        structured_report(header(), 0, head(pixel_size=None), MODEL)


def test_another_images_prediction_is_refused() -> None:
    with pytest.raises(DataError, match="161x120 pixels were measured of an image of 161x121"):
        structured_report(header(Rows=121), 0, head(), MODEL)


def test_oblong_pixels() -> None:
    prediction = head(pixel_size=PixelSize(0.5, 0.25, "dicom"))
    (item,) = items(report(prediction=prediction), "Head Circumference")
    assert number(item)[0] == pytest.approx(prediction.hc_mm, abs=0.005)


@pytest.mark.parametrize("prediction", [head(), head(flags=("looks_differ",)), lesions()])
@pytest.mark.parametrize("sop_class", [SINGLE, CINE])
def test_validators_find_no_error(prediction: Prediction, sop_class: str, tmp_path: Path) -> None:
    source, frame = (header(), 0) if sop_class == SINGLE else (cine(), 2)
    made = structured_report(source, frame, prediction, MODEL)
    assert complaints(made, tmp_path) == []
    assert "UNVERIFIED" in dumped(made, tmp_path)


@pytest.mark.parametrize("name", PACKAGED)
def test_files_of_real_machines_can_be_reported_on(name: str, tmp_path: Path) -> None:
    source = packaged(name)
    size = (source.Rows, source.Columns)
    prediction = head(size, HEAD.resized(SIZE, size))
    frame = 2 if int(source.get("NumberOfFrames") or 1) > 1 else 0
    data = structured_report(source, frame, prediction, MODEL)
    made = read(data)
    assert number(items(made, "Head Circumference")[0])[0] == pytest.approx(
        prediction.hc_mm, abs=5e-3
    )
    assert made.StudyInstanceUID == source.StudyInstanceUID
    assert made.PatientName == source.PatientName
    faults = OWN_FAULTS.get(name, ())
    new = [line for line in complaints(data, tmp_path) if not any(f in line for f in faults)]
    assert new == []
    if "Study Time" not in faults:
        assert "Head Circumference" in dumped(data, tmp_path)
