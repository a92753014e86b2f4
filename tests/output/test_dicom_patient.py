"""Whose a DICOM report is, where it lies in an archive, and what nobody else gets to see."""

from __future__ import annotations

import contextlib
import copy
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
    ("ISO_IR 100", "Müller^Jürgen", "straße"),
    ("ISO_IR 192", "山田^太郎", "山"),
    (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", "妊婦"),
    (None, "Doe^Jane", "left"),
]


def timeless(data: bytes) -> bytes:
    """Return an object without its dates and times of making, encoded again."""
    dataset = read(data)
    for keyword in ("Content", "InstanceCreation"):
        for kind in ("Date", "Time"):
            dataset[f"{keyword}{kind}"].value = ""
    for item in dataset.ContributingEquipmentSequence:
        item.pop("ContributionDateTime", None)
    return dataset.to_json().encode()


@BOTH
def test_what_is_made_twice_is_the_same_object(make: Make) -> None:
    first = make(cine(), 2, head(), MODEL)
    again = make(cine(), 2, head(), MODEL)
    assert timeless(first) == timeless(again)
    only = make(cine(1), 0, head(), MODEL)  # whose number may be left out
    assert timeless(only) == timeless(make(cine(1), 1, head(), MODEL))


@BOTH
@pytest.mark.parametrize(
    ("source", "frame", "prediction", "model"),
    [
        (cine(), 3, head(), MODEL),
        (cine(SOPInstanceUID="1.2.3.5"), 2, head(), MODEL),
        (cine(), 2, head(), MODEL._replace(sha256="2e" * 32)),
        (cine(), 2, head(pixel_size=PixelSize(0.5, 0.51, "option")), MODEL),
        (cine(), 2, head(calibration=Calibration(1.01)), MODEL),
    ],
)
def test_whatever_changes_the_content_makes_another_object(
    make: Make, source: Any, frame: int, prediction: Any, model: Any
) -> None:
    first = read(make(cine(), 2, head(), MODEL))
    other = read(make(source, frame, prediction, model))
    assert first.SOPInstanceUID != other.SOPInstanceUID


@BOTH
def test_another_version_makes_another_object(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    first = read(make(cine(), 2, head(), MODEL))
    monkeypatch.setattr("edgeseg.output.dicom.origin.__version__", "99.0")
    later = read(make(cine(), 2, head(), MODEL))
    assert first.SOPInstanceUID != later.SOPInstanceUID
    assert first.SeriesInstanceUID != later.SeriesInstanceUID


def test_the_reports_of_a_study_are_a_series_of_their_own() -> None:
    first, second = header(), header(SOPInstanceUID="1.2.3.9", SeriesInstanceUID="1.2.3.2")
    elsewhere = header(StudyInstanceUID="1.2.9", SOPInstanceUID="1.2.9.1")
    reports, masks = (
        [read(make(source, 0, head(), MODEL)) for source in (first, second, elsewhere)]
        for make in (make_structured_report, make_segmentation)
    )
    for made, modality in ((reports, "SR"), (masks, "SEG")):
        assert {dataset.Modality for dataset in made} == {modality}
        assert made[0].SeriesInstanceUID == made[1].SeriesInstanceUID
    assert len({dataset.SeriesInstanceUID for dataset in (*reports, *masks)}) == 4
    assert len({dataset.SOPInstanceUID for dataset in (*reports, *masks)}) == 6


@pytest.mark.parametrize(
    ("source", "frame", "number"),
    [
        (header(), 0, 7),
        (cine(), 3, 70003),
        (header(InstanceNumber=None), 0, 1),
        (cine(InstanceNumber=2**31 - 1), 3, 2**31 - 1),
    ],
)
def test_frames_and_instances_have_numbers_of_their_own(
    source: Any, frame: int, number: int
) -> None:
    assert read(make_structured_report(source, frame, head(), MODEL)).InstanceNumber == number


@BOTH
def test_patient_and_study_are_the_sources(make: Make) -> None:
    source = header(
        StudyDescription="second trimester", PatientAge="034Y", IssuerOfPatientID="clinic",
        PatientWeight="61.5", EthnicGroup="", InstitutionName="Hospital",
    )  # fmt: skip
    made = read(make(source, 0, head(), MODEL))
    more = ("StudyDescription", "PatientAge", "IssuerOfPatientID", "PatientWeight")
    for keyword in (*IDENTIFYING, *more):
        assert made[keyword] == source[keyword]
    assert made.SeriesInstanceUID != source.SeriesInstanceUID
    assert "InstitutionName" not in made
    assert made.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert made.Manufacturer == "edgeseg"


@BOTH
def test_what_a_source_lacks_is_empty(make: Make, tmp_path: Path) -> None:
    lacking = IDENTIFYING[1:]
    source = header(**dict.fromkeys((*lacking, "InstanceNumber", "Manufacturer", "Modality"), None))
    data = make(source, 0, head(), MODEL)
    made = read(data)
    assert {keyword: made[keyword].value or "" for keyword in lacking} == dict.fromkeys(lacking, "")
    assert complaints(data, tmp_path) == []


@BOTH
@pytest.mark.parametrize(("characters", "name", "remark"), SPELLINGS)
def test_names_arrive_as_they_were(
    make: Make, characters: Any, name: str, remark: str, tmp_path: Path
) -> None:
    source = header(
        SpecificCharacterSet=characters, PatientName=name, PatientComments=remark,
        StudyDescription=remark,
    )  # fmt: skip
    before = source.get_item("PatientName").value
    data = make(source, 0, head(flags=("looks_differ",)), MODEL)
    made = read(data)
    assert made.get_item("PatientName").value.rstrip() == before.rstrip()
    assert made.PatientName == name
    assert (made.PatientComments, made.StudyDescription) == (remark, remark)
    assert made.get("SpecificCharacterSet") == source.get("SpecificCharacterSet")
    assert complaints(data, tmp_path) == []


WRONG = {
    "PatientName": "Jane Doe", "PatientID": "9" * 90, "PatientSex": "woman", "PatientAge": "34",
    "PatientBirthDate": "1990.01.02", "StudyTime": "25:61", "SpecificCharacterSet": "ISO_IR 4711",
    "StudyID": "a study of more than sixteen letters",
}  # fmt: skip


@BOTH
def test_wrong_values_arrive_as_they_were_and_nobody_hears_of_them(
    make: Make, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    source = header(StudyInstanceUID="1.2.003", **WRONG)
    caplog.clear()
    caplog.set_level(logging.WARNING)
    data = make(source, 0, head(), MODEL)  # a warning would be an error here
    assert caplog.records == []
    assert capfd.readouterr() == ("", "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = read(data)
        assert {keyword: str(made[keyword].value) for keyword in WRONG} == WRONG
        assert made.StudyInstanceUID == "1.2.003"


@BOTH
def test_numbers_that_are_none_arrive_and_do_no_harm(make: Make) -> None:
    source = header(PatientWeight="61.5", NumberOfFrames=1, InstanceNumber=3)
    for keyword in ("PatientWeight", "NumberOfFrames", "InstanceNumber"):
        source[keyword] = source.get_item(keyword)._replace(value=b"??", length=2)
    made = read(make(source, 0, head(), MODEL))
    assert made.get_item("PatientWeight").value == b"??"
    assert made.InstanceNumber == 1


@pytest.mark.parametrize(
    "keyword", ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"]
)
@pytest.mark.parametrize("value", [None, "Doe.Jane", "1." * 40 + "1"])
@BOTH
def test_without_its_identifiers_an_image_is_refused(make: Make, keyword: str, value: Any) -> None:
    with pytest.raises(DataError, match=f"the image's {keyword} is") as caught:
        make(header(**{keyword: value}), 0, head(), MODEL)
    assert "Doe" not in str(caught.value)


@BOTH
def test_what_a_package_raises_holds_nothing_of_the_patient(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ValueError("Doe^Jane is no name")

    monkeypatch.setattr(highdicom.sr, "ComprehensiveSR", fail)
    monkeypatch.setattr(highdicom.seg, "Segmentation", fail)
    with pytest.raises(DataError, match=r"no DICOM object \(ValueError in highdicom\)") as caught:
        make(header(), 0, head(), MODEL)
    assert "Doe" not in str(caught.value)
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


@BOTH
def test_the_source_stays_as_it_is(make: Make) -> None:
    source = cine()
    before = copy.deepcopy(source)
    make(source, 2, head(), MODEL)
    assert source == before


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
def test_a_package_that_is_missing_or_too_old_is_named(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version, is_usable in (("0.27.1", False), ("1.0", True)):
        monkeypatch.setattr(highdicom, "__version__", version)
        expected = contextlib.nullcontext() if is_usable else pytest.raises(MissingExtraError)
        with expected as caught:
            make(header(), 0, head(), MODEL)
        assert is_usable or "0.27.1" in str(caught)
    monkeypatch.setitem(sys.modules, "highdicom", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'edgeseg\[dicom-report\]'"):
        make(header(), 0, head(), MODEL)


@BOTH
def test_a_models_name_of_any_letters_fits(make: Make, tmp_path: Path) -> None:
    model = MODEL._replace(name="kopf\\größe^" + 80 * "x")
    assert complaints(make(header(), 0, head(), model), tmp_path) == []
