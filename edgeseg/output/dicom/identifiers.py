"""What is reported on, and the identifiers that follow from it."""

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


class Source(NamedTuple):
    """The instance that was measured.

    Attributes
    ----------
    study, series, instance, sop_class
        Its UIDs; the last is that of its SOP class.
    frame
        The measured frame's number, from 1; 0 where the instance has no other.
    number
        What the report gets as its number in its series.
    """

    study: str
    series: str
    instance: str
    sop_class: str
    frame: int
    number: int


def read_source(header: Any, frame: int) -> Source:
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
        return Source(study, series, instance, kind, 0, number)
    in_series = number * _FRAMES_OF_INSTANCE + frame
    return Source(study, series, instance, kind, frame, min(in_series, _LARGEST_NUMBER))


def check_size(header: Any, prediction: Prediction) -> None:
    """Refuse a prediction that is of other pixels than those of the source.

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


def uid(*parts: object) -> str:
    """Return the UID that stands for some values, always the same (PS3.5 B.2, of a UUID)."""
    name = "\n".join(map(str, parts))
    return f"2.25.{uuid.uuid5(_NAMESPACE, name).int}"


def identity(source: Source, prediction: Prediction, model_file: ModelFile) -> tuple[object, ...]:
    """Return what makes a report one and the same: all that its content follows from.

    A pixel size or a calibration that is given anew makes other figures, so another object.
    """
    size = prediction.pixel_size
    return (
        source.instance, source.frame, model_file.sha256, __version__,
        size and (float(size.x_mm), float(size.y_mm)), prediction.frame.calibration,
    )  # fmt: skip


def series(
    kind: str, source: Source, model_file: ModelFile, identity: tuple[object, ...]
) -> dict[str, Any]:
    """Return what the objects of one kind, study, model and version share, and what is one's own.

    As highdicom's classes take it; a series says what equipment made it, so another model or
    version has another.
    """
    return {
        "series_instance_uid": uid(kind, source.study, model_file.sha256, __version__),
        "series_number": _SERIES_NUMBERS[kind],
        "sop_instance_uid": uid(kind, *identity),
        "instance_number": source.number,
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
