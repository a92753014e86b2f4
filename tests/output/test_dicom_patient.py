"""Whose a DICOM report is, where it lies in an archive, and what nobody else gets to see."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pydicom", reason="DICOM reports need the extra dicom-report")
pytest.importorskip("highdicom", reason="DICOM reports need the extra dicom-report")

import highdicom

from edgeseg.errors import DataError, MissingExtraError
from edgeseg.images.calibration import Calibration
from edgeseg.images.frame import PixelSize
from edgeseg.output.dicom.objects import make_segmentation, make_structured_report
from tests.output.dicom_sources import MODEL, cine, complaints, head, header, read

Make = Callable[..., bytes]
BOTH = pytest.mark.parametrize("make", [make_structured_report, make_segmentation])
IDENTIFYING = (
    "StudyInstanceUID", "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "AccessionNumber", "StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
SPELLINGS = [
    {"SpecificCharacterSet": "ISO_IR 100", "PatientName": "Müller^Jürgen", "StudyDescription": "ß"},
    {"SpecificCharacterSet": "ISO_IR 192", "PatientName": "山田^太郎"},
    {"SpecificCharacterSet": ["", "ISO 2022 IR 87"], "PatientName": "Yamada^Tarou=山田^太郎"},
]
WRONG = {
    "StudyInstanceUID": "1.2.003", "PatientName": "Jane Doe", "PatientID": "9" * 90,
    "PatientSex": "woman", "PatientAge": "34", "PatientBirthDate": "1990.01.02",
    "StudyTime": "25:61", "SpecificCharacterSet": "ISO_IR 4711", "PatientWeight": "61.5",
    "StudyID": "a study of more than sixteen letters", "NumberOfFrames": 1, "InstanceNumber": 3,
}  # fmt: skip


def raw(dataset: Any, keyword: str) -> Any:
    """Return a value that nobody has looked at; character sets are read at once."""
    value = dataset.get_item(keyword).value
    return value.rstrip() if isinstance(value, bytes) else value


def timeless(data: bytes) -> bytes:
    """Return an object without its dates and times of making, encoded again."""
    dataset = read(data)
    for keyword in ("Content", "InstanceCreation", "Series"):
        for kind in ("Date", "Time"):
            dataset.pop(f"{keyword}{kind}", None)
    for item in dataset.ContributingEquipmentSequence:
        item.pop("ContributionDateTime", None)
    return dataset.to_json().encode()


@BOTH
def test_an_object_is_another_only_where_its_content_is(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {"source": cine(), "frame": 2, "prediction": head(), "model": MODEL}
    made = make(*given.values())
    assert timeless(made) == timeless(make(*given.values()))
    only = make(cine(1), 0, head(), MODEL)  # whose number may be left out
    assert timeless(only) == timeless(make(cine(1), 1, head(), MODEL))
    first = read(made)
    for change in (
        {"frame": 3},
        {"source": cine(SOPInstanceUID="1.2.3.5")},
        {"model": MODEL._replace(sha256="2e" * 32)},
        {"prediction": head(pixel_size=PixelSize(0.5, 0.51, "option"))},
        {"prediction": head(calibration=Calibration(1.01))},
    ):
        other = read(make(*(given | change).values()))
        assert first.SOPInstanceUID != other.SOPInstanceUID, change
    monkeypatch.setattr("edgeseg.output.dicom.origin.__version__", "99.0")
    later = read(make(*given.values()))
    assert first.SOPInstanceUID != later.SOPInstanceUID
    assert first.SeriesInstanceUID != later.SeriesInstanceUID


def test_reports_have_a_series_and_numbers_of_their_own() -> None:
    first, second = header(), header(SOPInstanceUID="1.2.3.9", SeriesInstanceUID="1.2.3.2")
    elsewhere = header(StudyInstanceUID="1.2.9", SOPInstanceUID="1.2.9.1")
    reports, masks = (
        [read(make(source, 0, head(), MODEL)) for source in (first, second, elsewhere)]
        for make in (make_structured_report, make_segmentation)
    )
    for each, modality in ((reports, "SR"), (masks, "SEG")):
        assert {dataset.Modality for dataset in each} == {modality}
    assert masks[0].SeriesInstanceUID == masks[1].SeriesInstanceUID
    assert len({dataset.SeriesInstanceUID for dataset in (*reports, *masks)}) == 5
    assert len({dataset.SOPInstanceUID for dataset in (*reports, *masks)}) == 6
    for source, frame, number in (
        (header(), 0, 7),
        (cine(), 3, 70003),
        (header(InstanceNumber=None), 0, 1),
        (cine(InstanceNumber=2**31 - 1), 3, 2**31 - 1),
    ):
        made = read(make_structured_report(source, frame, head(), MODEL))
        assert made.InstanceNumber == number


@BOTH
def test_what_a_source_lacks_is_empty_and_its_own_stays_there(make: Make, tmp_path: Path) -> None:
    lacking = (*IDENTIFYING[1:], "InstanceNumber", "Manufacturer", "Modality")
    model = MODEL._replace(name="kopf\\größe^" + 80 * "x")  # any letters fit
    source = header(InstitutionName="Hospital", **dict.fromkeys(lacking))
    data = make(source, 0, head(), model)
    made = read(data)
    assert "InstitutionName" not in made
    assert made.SeriesInstanceUID != source.SeriesInstanceUID
    assert made.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert made.Manufacturer == "edgeseg"
    assert {made[keyword].value or "" for keyword in IDENTIFYING[1:]} == {""}
    assert complaints(data, tmp_path) == []


@BOTH
@pytest.mark.parametrize("attributes", [*SPELLINGS, WRONG])
def test_values_arrive_as_they_were_right_or_wrong_and_nobody_hears_of_them(
    make: Make,
    attributes: dict[str, Any],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    source = header(**attributes)
    if attributes is WRONG:  # numbers that are none
        for keyword in ("PatientWeight", "NumberOfFrames", "InstanceNumber"):
            source[keyword] = source.get_item(keyword)._replace(value=b"??", length=2)
    kept = (*IDENTIFYING, *attributes.keys() - {"NumberOfFrames", "InstanceNumber"})
    before = [raw(source, keyword) for keyword in kept]
    caplog.clear()
    caplog.set_level(logging.WARNING)
    data = make(source, 0, head(flags=("looks_differ",)), MODEL)  # a warning would be an error
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = read(data)
        assert [raw(made, keyword) for keyword in kept] == before
    if attributes is not WRONG:
        assert complaints(data, tmp_path) == []


@pytest.mark.parametrize(
    "keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"]
)
@pytest.mark.parametrize("value", [None, "Doe.Jane", "1." * 40 + "1"])
@BOTH
def test_without_its_identifiers_an_image_is_refused(make: Make, keyword: str, value: Any) -> None:
    with pytest.raises(DataError, match=f"the image's {keyword} is") as caught:
        make(header(**{keyword: value}), 0, head(), MODEL)
    assert "Doe" not in str(caught.value)


def test_threads_make_reports_at_once_and_warnings_go_on_after() -> None:
    filters = list(warnings.filters)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what `header` itself warns of in this thread
        sources = [header(SOPInstanceUID=f"1.2.3.{i}", **WRONG) for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        made = [*pool.map(lambda source: make_structured_report(source, 0, head(), MODEL), sources)]
    assert len({*made}) == 8
    assert list(warnings.filters) == filters
    assert not logging.getLogger("pydicom").filters


@BOTH
def test_a_package_that_fails_or_is_missing_or_too_old_is_named_and_no_patient(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(highdicom, "__version__", "1.0")
    make(header(), 0, head(), MODEL)

    def fail(*_: object, **__: object) -> None:
        raise ValueError("Doe^Jane is no name")

    monkeypatch.setattr(highdicom.sr, "ComprehensiveSR", fail)
    monkeypatch.setattr(highdicom.seg, "Segmentation", fail)
    with pytest.raises(DataError, match=r"no DICOM object \(ValueError in highdicom\)") as caught:
        make(header(), 0, head(), MODEL)
    assert "Doe" not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__
    monkeypatch.setattr(highdicom, "__version__", "0.27.1")
    with pytest.raises(MissingExtraError, match=r"found 0\.27\.1"):
        make(header(), 0, head(), MODEL)
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'edgeseg\[dicom-report\]'"):
        make(header(), 0, head(), MODEL)
