"""The report of a study: those of its images in one."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from io import BytesIO
from typing import Any

from edgeseg.errors import DataError
from edgeseg.images.dicom.library import read_elements, translate_errors
from edgeseg.output.dicom.origin import make_uid
from edgeseg.system.version import __version__

_GROUPS = ("126010", "125002")  # sections that hold groups, after TID 1500 and TID 5000


def merge_reports(reports: Iterable[bytes], previous: bytes | None = None) -> bytes | None:
    """Return the report of a study, as a file's bytes, with the groups of its images' reports.

    Its UIDs follow from those of the reports, so it is the same for the same images. The reports
    are those of `edgeseg.output.dicom.objects.make_structured_report`, of one model and template.

    Parameters
    ----------
    previous
        The study's last report, whose series it joins and which it names as its predecessor; None
        is returned where they are the same.

    Raises DataError if they are of several templates, ImageDecodeError if one is damaged.
    """
    with translate_errors("an image's report"):
        parts = sorted((read_elements(BytesIO(each)) for each in reports), key=_place)
        return _merge(parts, None if previous is None else read_elements(BytesIO(previous)))


def _merge(parts: list[Any], before: Any) -> bytes | None:
    made, now, requests = parts[0], datetime.now(), list[Any]()
    groups, evidence = _groups(made), _evidence(made)
    study, code = made.StudyInstanceUID, made.ConceptNameCodeSequence[0].CodeValue
    uid = make_uid("SR of a study", code, *sorted(part.SOPInstanceUID for part in parts))
    if before is not None and before.SOPInstanceUID == uid:
        return None
    for part in parts:
        orders = part.get("ReferencedRequestSequence", ())
        requests += [order for order in orders if order not in requests]
    for part in parts[1:]:
        if part.ConceptNameCodeSequence[0].CodeValue != code:
            raise DataError(
                "its images' reports are of several templates; begin anew (--overwrite)"
            )
        groups.extend(item for item in _groups(part) if item.ValueType == "CONTAINER")
        (series,) = _evidence(part)
        same = [each for each in evidence if each.SeriesInstanceUID == series.SeriesInstanceUID]
        if not same:
            evidence.append(series)
        elif series.ReferencedSOPSequence[0] not in same[0].ReferencedSOPSequence:
            same[0].ReferencedSOPSequence.extend(series.ReferencedSOPSequence)
    if any(part.CompletionFlag == "PARTIAL" for part in parts):
        made.CompletionFlag = "PARTIAL"
    if requests:
        made.ReferencedRequestSequence = requests
    own = make_uid("SR of a study", study, code, made.DeviceSerialNumber, __version__)
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = uid
    made.SeriesInstanceUID, made.InstanceNumber = own, 1
    for kind in ("Content", "InstanceCreation", "Series"):
        setattr(made, f"{kind}Date", now.date())
        setattr(made, f"{kind}Time", now.time())
    if before is not None:
        made.InstanceNumber = before.InstanceNumber + 1
        made.SeriesDate, made.SeriesTime = before.SeriesDate, before.SeriesTime
        made.PredecessorDocumentsSequence = [_refer_to(made, before)]
    file = BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


def _place(report: Any) -> tuple[str, int, str]:
    (series,) = _evidence(report)
    return series.SeriesInstanceUID, report.InstanceNumber, report.SOPInstanceUID


def _groups(report: Any) -> Any:
    """Return the items of the section that holds a report's groups."""
    codes = ((item.ConceptNameCodeSequence[0].CodeValue, item) for item in report.ContentSequence)
    return next(item.ContentSequence for code, item in codes if code in _GROUPS)


def _evidence(report: Any) -> Any:
    """Return the series of the images that a report is of."""
    return report.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence


def _refer_to(made: Any, report: Any) -> Any:
    """Return a reference to a report of the same study."""
    study, series, instance = (made[0x00080000:0x00080000] for _ in range(3))
    instance.ReferencedSOPClassUID = report.SOPClassUID
    instance.ReferencedSOPInstanceUID = report.SOPInstanceUID
    series.SeriesInstanceUID, series.ReferencedSOPSequence = report.SeriesInstanceUID, [instance]
    study.StudyInstanceUID, study.ReferencedSeriesSequence = report.StudyInstanceUID, [series]
    return study
