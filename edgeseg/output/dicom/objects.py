"""DICOM objects as files, made by highdicom (extra ``dicom-report``), which sees no patient."""

from __future__ import annotations

import re
from collections.abc import Callable
from io import BytesIO
from types import ModuleType
from typing import Any

from edgeseg.errors import DataError, MissingExtraError
from edgeseg.images.dicom.library import quiet
from edgeseg.network.zoo import ModelFile
from edgeseg.output.dicom.documents import build_report, build_segmentation
from edgeseg.output.dicom.origin import Origin, read_origin
from edgeseg.prediction import Prediction

_OLDEST = (0, 28)
# Of the patient and the study (PS3.3 C.7.1.1, C.7.2.1, C.7.2.2), as the source has them.
_COPIED = (
    "SpecificCharacterSet",
    "PatientName", "PatientID", "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence",
    "TypeOfPatientID", "PatientBirthDate", "PatientBirthTime", "PatientSex",
    "OtherPatientIDsSequence", "OtherPatientNames", "EthnicGroup", "PatientComments",
    "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
    "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber",
    "IssuerOfAccessionNumberSequence", "StudyDescription", "PhysiciansOfRecord",
    "NameOfPhysiciansReadingStudy", "ProcedureCodeSequence", "AdmittingDiagnosesDescription",
    "PatientAge", "PatientSize", "PatientWeight", "Occupation", "AdditionalPatientHistory",
)  # fmt: skip
# What highdicom asks a source for, and writes empty where it is.
_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID",
    "StudyDate", "StudyTime", "ReferringPhysicianName",
)  # fmt: skip
# How much the pixels were squeezed before (C.7.6.1.1.5), which holds for a mask of them too.
_LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
# For highdicom every source is a single image of ultrasound: it refuses classes that are retired or
# a maker's own, and a frame of a cine without coordinates. `_correct_references` says which it is.
_STAND_IN = "1.2.840.10008.5.1.4.1.1.6.1"
_Build = Callable[[ModuleType, Any, Origin], Any]


def make_structured_report(
    source: Any, frame: int, prediction: Prediction, model_file: ModelFile
) -> bytes:
    """Return the structured report of a prediction, as a file's bytes.

    A Comprehensive SR after TID 1500, in explicit VR little endian, UNVERIFIED. Of a head: its
    ellipse on the source frame, and HC, BPD and OFD in mm, HC with its interval as ranges of
    uncertainty; of regions each class's area in mm2. It is COMPLETE, or, where a flag tells against
    it, PARTIAL: each figure then has the qualifier "Value indeterminate", and a comment says why.

    The same arguments make the same object but for dates and times: its UIDs follow from source,
    frame, pixel size, calibration, model and edgeseg's version. Patient and study are the source's,
    in its character set; all other text is ASCII.

    Parameters
    ----------
    source
        The measured instance's header, a pydicom ``Dataset``; it is not changed.
    frame
        Number of the measured frame, from 1; 0 for a single image.

    Raises `DataError` if nothing was found; if the pixel size is unknown, as a receiver that does
    not look at units would take pixels for mm; if the source lacks one of its UIDs or that frame,
    or makes no DICOM object. The text holds no value of the patient. Raises `MissingExtraError` if
    highdicom is not installed.
    """
    return _make_object(build_report, source, frame, prediction, model_file)


def make_segmentation(
    source: Any, frame: int, prediction: Prediction, model_file: ModelFile
) -> bytes:
    """Return a prediction's mask as a DICOM segmentation, as a file's bytes.

    BINARY, a segment for the head or each class, on the source frame alone; no pixel size is
    needed. All else is as in `make_structured_report`.
    """
    return _make_object(build_segmentation, source, frame, prediction, model_file)


def _make_object(
    build: _Build, header: Any, frame: int, prediction: Prediction, model_file: ModelFile
) -> bytes:
    """Build an object and write it, quietly; whatever the packages raise is a `DataError`."""
    hd = require_highdicom()
    with quiet():
        try:
            origin = read_origin(header, frame, prediction, model_file)
            made = build(hd, _stand_in_header(header, origin), origin)
            _correct_references(made, origin)
            # as they are, right or wrong: an archive knows the patient by them
            for keyword in (*_COPIED, *(_LOSSY if "PixelData" in made else ())):
                if keyword in header:
                    made.add(header[keyword])
            file = BytesIO()
            made.save_as(file, enforce_file_format=True)
        except DataError:
            raise
        except Exception as error:  # of any kind, and with values of the patient in its text
            raise DataError(
                f"the image's header makes no DICOM object ({type(error).__name__} in highdicom); "
                "dciodvfy may tell what is wrong with it"
            ) from None
    return file.getvalue()


def _stand_in_header(header: Any, origin: Origin) -> Any:
    """Return a header for highdicom to work with, without anything of the patient.

    It would check such values, refuse some, and warn with their text.
    """
    like = header[0x00080000:0x00080000]  # none of its elements: a way to a new data set
    for keyword in _EMPTY:
        setattr(like, keyword, "")
    like.StudyInstanceUID, like.SeriesInstanceUID = origin.study_uid, origin.series_uid
    like.SOPInstanceUID, like.SOPClassUID = origin.uid, _STAND_IN
    like.Modality = "US"
    like.Rows, like.Columns = origin.prediction.size
    return like


def _correct_references(dataset: Any, origin: Origin) -> None:
    """Give every reference to the source its class, and those to its pixels its frame."""
    for element in dataset:
        for item in element.value if element.VR == "SQ" else ():
            if item.get("ReferencedSOPInstanceUID") == origin.uid:
                item.ReferencedSOPClassUID = origin.sop_class_uid
                # evidence is whole instances
                of_pixels = (
                    dataset.get("ValueType") == "IMAGE" or element.keyword == "SourceImageSequence"
                )
                if origin.frame and of_pixels:
                    item.ReferencedFrameNumber = origin.frame
            _correct_references(item, origin)


def require_highdicom() -> ModuleType:
    """Return highdicom; called before a run, so that nothing is measured in vain.

    Raises MissingExtraError if it is not installed, or older than what this is written for.
    """
    try:
        import highdicom
    except ImportError as error:
        found = str(error)
    else:
        version = str(highdicom.__version__)
        if tuple(map(int, re.findall(r"\d+", version)[:2])) >= _OLDEST:
            return highdicom
        found = f"found {version}"
    raise MissingExtraError(
        f"DICOM reports need the package highdicom, {'.'.join(map(str, _OLDEST))} or newer "
        f"({found}); install it with pip install 'edgeseg[dicom-report]'"
    )
