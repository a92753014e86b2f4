"""The instance that was measured, and the identifiers of what is made of it."""

from __future__ import annotations

import re
import uuid
from typing import Any, NamedTuple

from edgeseg.errors import DataError
from edgeseg.network.zoo import ModelFile
from edgeseg.output.dicom.texts import algorithm_name
from edgeseg.prediction import Prediction
from edgeseg.system.version import __version__

_NAMESPACE = uuid.UUID("6a3d5c5e-6c0b-5b0f-9a53-0f3d3c1f8f0e")  # drawn once
# Leading zeros break the standard's rule, but machines write them, and archives know the object so.
_UID = re.compile(r"[0-9]+(\.[0-9]+)+")
_LONGEST_UID = 64
_FRAMES_OF_INSTANCE = 10_000  # instance numbers that the frames of one cine may take
_SERIES_NUMBERS = {"SR": 9001, "SEG": 9002}  # behind a machine's own
_LARGEST_NUMBER = 2**31 - 1


class Instance(NamedTuple):
    """The instance that was measured.

    Attributes
    ----------
    study_uid, series_uid, uid, sop_class_uid
        UIDs of its study, its series, itself, and its SOP class.
    frame
        The measured frame's number, from 1; 0 where the instance has no other.
    number
        What the report gets as its number in its series.
    """

    study_uid: str
    series_uid: str
    uid: str
    sop_class_uid: str
    frame: int
    number: int


def read_instance(header: Any, frame: int) -> Instance:
    """Read what a report must know of the instance that was measured.

    Raises
    ------
    DataError
        If it lacks what it is found by in an archive, or has no such frame.
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
    number = min(_whole(header, "InstanceNumber"), _LARGEST_NUMBER)
    if count == 1:
        return Instance(study, series, instance, kind, 0, number)
    in_series = number * _FRAMES_OF_INSTANCE + frame
    return Instance(study, series, instance, kind, frame, min(in_series, _LARGEST_NUMBER))


def check_size(header: Any, prediction: Prediction) -> None:
    """Refuse a prediction of an image of another size.

    Raises
    ------
    DataError
        If the sizes differ.
    """
    height, width = _whole(header, "Rows"), _whole(header, "Columns")
    if (height, width) != prediction.size:
        raise DataError(
            f"{prediction.size[1]}x{prediction.size[0]} pixels were measured of an image of "
            f"{width}x{height}; expected all of its pixels"
        )


def make_uid(*parts: object) -> str:
    """Return a UID made of values, the same of the same values (PS3.5 B.2, of a UUID)."""
    name = "\n".join(map(str, parts))
    return f"2.25.{uuid.uuid5(_NAMESPACE, name).int}"


def identity_of(
    instance: Instance, prediction: Prediction, model_file: ModelFile
) -> tuple[object, ...]:
    """Return all that the content of a report follows from: equal for equal reports.

    A pixel size or a calibration that is given anew makes other figures, so another object.
    """
    size = prediction.pixel_size
    return (
        instance.uid, instance.frame, model_file.sha256, __version__,
        size and (float(size.x_mm), float(size.y_mm)), prediction.frame.calibration,
    )  # fmt: skip


def series_attributes(
    kind: str, instance: Instance, model_file: ModelFile, identity: tuple[object, ...]
) -> dict[str, Any]:
    """Return the attributes of an object and its series, as highdicom's classes take them.

    A series says what equipment made it, so each kind, study, model and version has its own.
    """
    return {
        "series_instance_uid": make_uid(kind, instance.study_uid, model_file.sha256, __version__),
        "series_number": _SERIES_NUMBERS[kind],
        "sop_instance_uid": make_uid(kind, *identity),
        "instance_number": instance.number,
        "series_description": "edgeseg, unverified",
        "manufacturer": "edgeseg",
        "manufacturer_model_name": algorithm_name(model_file),
        "software_versions": __version__,
        "device_serial_number": model_file.sha256,
    }


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
