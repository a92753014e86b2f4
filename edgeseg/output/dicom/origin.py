"""What an object is made of: the measured instance, what was measured of it, and the model."""

from __future__ import annotations

import re
import uuid
from types import ModuleType
from typing import Any, NamedTuple

from edgeseg.errors import DataError
from edgeseg.images.dicom.library import load_codes
from edgeseg.network.zoo import ModelFile
from edgeseg.prediction import Prediction
from edgeseg.system.version import __version__

_NAMESPACE = uuid.UUID("6a3d5c5e-6c0b-5b0f-9a53-0f3d3c1f8f0e")  # drawn once
# Leading zeros break the standard's rule, but machines write them, and archives know the object so.
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_LONGEST_UID = _LONGEST_NAME = 64
_LONGEST_TEXT = 1024
_FRAMES_OF_INSTANCE = 10_000  # instance numbers that the frames of one film may take
_SERIES_NUMBERS = {"SR": 9001, "SEG": 9002}  # behind a machine's own
_LARGEST_NUMBER = 2**31 - 1
OWN_SCHEME = "99EDGESEG"
"""Of codes that no standard has, such as those of a model's classes."""
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
# Of an order (PS3.3 C.4.20, C.17.2), as the image has it, and as a report refers to it.
_REQUESTS = "RequestAttributesSequence"
_REQUEST = (
    "StudyInstanceUID", "ReferencedStudySequence", "AccessionNumber",
    "PlacerOrderNumberImagingServiceRequest", "FillerOrderNumberImagingServiceRequest",
    "RequestedProcedureID", "RequestedProcedureDescription", "RequestedProcedureCodeSequence",
)  # fmt: skip
# How much the pixels were squeezed before (C.7.6.1.1.5), which holds for a mask of them too.
_LOSSY = ("LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod")
# For highdicom every source is a single image of ultrasound: it refuses classes that are retired or
# a maker's own, and a frame of a cine without coordinates. `Origin.complete` says which it is.
_STAND_IN = "1.2.840.10008.5.1.4.1.1.6.1"


class Origin(NamedTuple):
    """The instance that was measured, what was measured of it, and the model."""

    study_uid: str
    series_uid: str
    uid: str
    sop_class_uid: str
    frame: int  # From 1; 0 where the instance has no other.
    number: int  # What an object gets as its number in its series.
    prediction: Prediction
    model_file: ModelFile

    @property
    def algorithm(self) -> str:
        """The name of what measured it."""
        return to_ascii(f"edgeseg {self.model_file.name}", _LONGEST_NAME)

    @property
    def doubt(self) -> str:
        """Why not to rely on the measurement; empty if nothing speaks against it."""
        reason = to_ascii(self.prediction.reason)
        return f"Doubtful, not to be relied on: {reason}" if self.prediction.flags else ""

    @property
    def parameters(self) -> dict[str, str]:
        """What the figures follow from besides the image."""
        found = {"model SHA-256": self.model_file.sha256}
        if (size := self.prediction.pixel_size) is not None:
            found["pixel size"] = f"{float(size.x_mm)} x {float(size.y_mm)} mm ({size.source})"
        if (interval := self.prediction.metadata.interval) is not None:
            found["range of uncertainty"] = f"holds {100 * interval.level:g} % of heads"
        if (site := self.prediction.frame.calibration) is not None:
            found["calibration"] = f"{site.factor!r} * circumference + {site.shift_mm!r} mm"
        return found

    def make_uid(self, *parts: object) -> str:
        """Return a UID of a part of an object, the same for the same content.

        A pixel size or a calibration that is given anew makes other figures, so another object.
        """
        size = self.prediction.pixel_size
        return make_uid(
            *parts, self.uid, self.frame, self.model_file.sha256, __version__,
            size and (float(size.x_mm), float(size.y_mm)), self.prediction.frame.calibration,
        )  # fmt: skip

    def series_attributes(self, kind: str) -> dict[str, Any]:
        """Return the attributes of an object and its series, as highdicom's classes take them.

        A series says what equipment made it, so each kind, study, model and version has its own;
        viewers show only the newest report of one, so each report has.
        """
        sha256 = self.model_file.sha256
        own = [self.make_uid("series")] if kind == "SR" else []
        return {
            "series_instance_uid": make_uid(kind, self.study_uid, sha256, __version__, *own),
            "series_number": _SERIES_NUMBERS[kind],
            "sop_instance_uid": self.make_uid(kind),
            "instance_number": self.number,
            "series_description": "edgeseg, unverified",
            "manufacturer": "edgeseg",
            "manufacturer_model_name": self.algorithm,
            "software_versions": __version__,
            "device_serial_number": sha256,
        }

    def stand_in_header(self, header: Any) -> Any:
        """Return a header for highdicom to work with, without anything of the patient.

        It would check such values, refuse some, and warn with their text.
        """
        like = header[0x00080000:0x00080000]  # none of its elements: a way to a new data set
        for keyword in _EMPTY:
            setattr(like, keyword, "")
        like.StudyInstanceUID, like.SeriesInstanceUID = self.study_uid, self.series_uid
        like.SOPInstanceUID, like.SOPClassUID = self.uid, _STAND_IN
        like.Modality = "US"
        like.Rows, like.Columns = self.prediction.size
        return like

    def complete(self, made: Any, header: Any) -> None:
        """Give an object that was made of the stand-in what it has of the source's header."""
        _correct_references(made, self)
        # as they are, right or wrong: an archive knows the patient by them
        for keyword in (*_COPIED, *(_LOSSY if "PixelData" in made else ())):
            if keyword in header:
                made.add(header[keyword])
        if made.Modality == "SR" and header.get(_REQUESTS):
            requests = [
                self._refer_to_request(made, header, item) for item in header.get(_REQUESTS)
            ]
            made.ReferencedRequestSequence = requests

    def _refer_to_request(self, made: Any, header: Any, item: Any) -> Any:
        """Return an order that the image belongs to as its report refers to it."""
        request = made[0x00080000:0x00080000]
        for keyword in _REQUEST:
            holder = header if keyword == "AccessionNumber" and not item.get(keyword) else item
            if keyword in holder:
                request.add(holder[keyword])
            else:
                setattr(request, keyword, [] if keyword.endswith("Sequence") else "")
        request.StudyInstanceUID = request.StudyInstanceUID or self.study_uid
        return request


class Structure(NamedTuple):
    """What figures or a segment are of."""

    name: str
    category: Any  # codes
    code: Any
    figures: dict[str, Any]  # by column: the code of what was measured
    uid: str


def read_origin(header: Any, frame: int, prediction: Prediction, model_file: ModelFile) -> Origin:
    """Read what an object must know of the instance that was measured.

    Raises DataError if it lacks what it is found by in an archive, has no such frame, or is of
    another size than what was measured.
    """
    study, series, instance, kind = (
        _uid(header, keyword)
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
    )
    count = _whole(header, "NumberOfFrames")
    if frame > count or (frame < 1 and count > 1) or frame < 0:
        raise DataError(
            f"frame {frame} was measured of an image of {count}; expected a number from 1 to "
            f"{count}, or 0 for the only frame"
        )
    height, width = _whole(header, "Rows"), _whole(header, "Columns")
    if (height, width) != prediction.size:
        raise DataError(
            f"{prediction.size[1]}x{prediction.size[0]} pixels were measured of an image of "
            f"{width}x{height}; expected all of its pixels"
        )
    number, frame = _whole(header, "InstanceNumber"), frame if count > 1 else 0
    if frame:
        number = number * _FRAMES_OF_INSTANCE + frame
    number = min(number, _LARGEST_NUMBER)
    return Origin(study, series, instance, kind, frame, number, prediction, model_file)


def list_structures(hd: ModuleType, origin: Origin) -> list[Structure]:
    """Return what there is to report, a head or each class, in the order of the mask's numbers.

    Raises DataError if nothing was found.
    """
    prediction, codes = origin.prediction, load_codes()
    if prediction.status == "empty":
        raise DataError(f"there is nothing to report: {prediction.reason}")
    if prediction.task.kind == "head":
        figures = {
            "hc_mm": codes.LN.HeadCircumference,
            "bpd_mm": codes.LN.BiparietalDiameter,
            "ofd_mm": codes.LN.OccipitalFrontalDiameter,
        }
        kinds = [("head", codes.SCT.AnatomicalStructure, codes.SCT.Head, figures)]
    else:  # of a model's own class nothing more is known
        category = codes.SCT.SpatialAndRelationalConcept
        kinds = []
        for number, name in enumerate(prediction.task.structures, start=1):
            label = to_ascii(name, _LONGEST_NAME)
            code = hd.sr.CodedConcept(f"class {number}", OWN_SCHEME, label)
            kinds.append((label, category, code, {f"{name}_area_mm2": codes.SCT.Area}))
    return [Structure(*kind, uid=origin.make_uid("structure", kind[2].value)) for kind in kinds]


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


def make_uid(*parts: object) -> str:
    """Return a UID made of values, the same of the same values (PS3.5 B.2, of a UUID)."""
    name = "\n".join(map(str, parts))
    return f"2.25.{uuid.uuid5(_NAMESPACE, name).int}"


def to_ascii(text: str, longest: int = _LONGEST_TEXT) -> str:
    """Return a text that every character set of DICOM holds, and no rule for short texts refuses.

    An object is written in its source's character set, of which ASCII is all that is sure.
    """
    ascii_text = text.encode("ascii", "xmlcharrefreplace").decode()
    return re.sub(r"[\\\x00-\x1f\x7f]", "?", ascii_text)[:longest].strip() or "?"


def _uid(header: Any, keyword: str) -> str:
    value = str(header.get(keyword) or "")
    if len(value) > _LONGEST_UID or not _UID.fullmatch(value):
        state = "is none" if value else "is missing"
        raise DataError(
            f"the image's {keyword} {state}: without it an archive cannot tell what a report is of"
        )
    return value


def _whole(header: Any, keyword: str) -> int:
    """Return a number of the header, at least 1; 1 if there is none."""
    try:
        return max(int(header.get(keyword) or 1), 1)
    except (TypeError, ValueError, OverflowError):
        return 1
