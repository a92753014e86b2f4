"""DICOM objects as files: a report after TID 1500, or a segmentation, by highdicom as ``hd``.

highdicom (extra ``dicom-report``) sees no patient.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from io import BytesIO
from types import ModuleType
from typing import Any

import numpy as np

from edgeseg.errors import DataError, MissingExtraError
from edgeseg.images.dicom.library import load_codes, quiet
from edgeseg.measure.ellipse import Ellipse, FloatArray
from edgeseg.measure.tasks import measure_of
from edgeseg.network.zoo import ModelFile
from edgeseg.output.dicom.origin import Origin, Structure, list_structures, make_uid, read_origin
from edgeseg.prediction import Prediction
from edgeseg.system.version import __version__

_OUTLINE_POINTS = 180
_LONGEST_DESCRIPTION = 64
_OLDEST = (0, 28)
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
    return _make_object(_build_report, source, frame, prediction, model_file)


def make_segmentation(
    source: Any, frame: int, prediction: Prediction, model_file: ModelFile
) -> bytes:
    """Return a prediction's mask as a DICOM segmentation, as a file's bytes.

    BINARY, a segment for the head or each class, on the source frame alone; no pixel size is
    needed. All else is as in `make_structured_report`.
    """
    return _make_object(_build_segmentation, source, frame, prediction, model_file)


def _make_object(
    build: _Build, header: Any, frame: int, prediction: Prediction, model_file: ModelFile
) -> bytes:
    """Build an object and write it, quietly; whatever the packages raise is a `DataError`."""
    hd = require_highdicom()
    with quiet():
        try:
            origin = read_origin(header, frame, prediction, model_file)
            made = build(hd, origin.stand_in_header(header), origin)
            origin.complete(made, header)
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


def _build_report(hd: ModuleType, like: Any, origin: Origin) -> Any:
    """Return the report of a prediction on an image that has the header ``like``.

    Raises DataError if nothing was found, or there are no figures in millimetres.
    """
    english = hd.sr.CodedConcept("en-US", "RFC5646", "English (United States)")
    content = hd.sr.MeasurementReport(
        observation_context=_context(hd, origin),
        procedure_reported=load_codes().SCT.ImagingProcedure,  # CID 100 has no ultrasound
        imaging_measurements=[
            _group(hd, like, origin, structure) for structure in list_structures(hd, origin)
        ],
        language_of_content_item_and_descendants=hd.sr.LanguageOfContentItemAndDescendants(english),
    )
    return hd.sr.ComprehensiveSR(
        evidence=[like],
        content=content[0],
        is_complete=not origin.prediction.flags,
        **origin.series_attributes("SR"),
    )


def _context(hd: ModuleType, origin: Origin) -> Any:
    """Return who observes, and whom: a head is a fetus's, of whom nothing else is known."""
    codes, subject = load_codes(), None
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=make_uid("device", origin.model_file.sha256, __version__),
        name="edgeseg",
        manufacturer_name="edgeseg",
        model_name=origin.algorithm,
    )
    if origin.prediction.task.kind == "head":
        fetus = hd.sr.SubjectContextFetus(subject_id="not identified")
        subject = hd.sr.SubjectContext(codes.DCM.Fetus, fetus)
    return hd.sr.ObservationContext(
        observer_device_context=hd.sr.ObserverContext(codes.DCM.Device, device),
        subject_context=subject,
    )


def _group(hd: ModuleType, like: Any, origin: Origin, structure: Structure) -> Any:
    """Return a structure's figures: TID 1410 where it has an outline, else TID 1501."""
    kept = {
        "tracking_identifier": hd.sr.TrackingIdentifier(
            identifier=structure.name, uid=structure.uid
        ),
        "finding_category": structure.category,
        "finding_type": structure.code,
        "algorithm_id": hd.sr.AlgorithmIdentification(
            name=origin.algorithm,
            version=__version__,
            parameters=[f"{name}: {value}" for name, value in origin.parameters.items()],
        ),
        "measurements": [_measurement(hd, origin, *figure) for figure in structure.figures.items()],
    }
    image, prediction = (like.SOPClassUID, like.SOPInstanceUID), origin.prediction
    if prediction.ellipse is not None:
        kind, points = _draw_outline(prediction.ellipse, prediction.size)
        region = hd.sr.ImageRegion(kind, points, hd.sr.SourceImageForRegion(*image))
        group = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            referenced_region=region, **kept
        )
    else:
        group = hd.sr.MeasurementsAndQualitativeEvaluations(
            source_images=[hd.sr.SourceImageForMeasurementGroup(*image)], **kept
        )
    if origin.doubt:
        contains = hd.sr.RelationshipTypeValues.CONTAINS
        comment = hd.sr.TextContentItem(load_codes().DCM.Comment, origin.doubt, contains)
        group[0].ContentSequence.append(comment)
    return group


def _measurement(hd: ModuleType, origin: Origin, column: str, name: Any) -> Any:
    """Return a figure as the table has it, after TID 300; HC with its interval after TID 310."""
    codes, task, figures = load_codes(), origin.prediction.task, origin.prediction.figures
    if (value := figures.get(column)) is None:
        raise DataError(
            "there is nothing to report in mm, as the size of a pixel is unknown; give the pixel "
            "size"
        )
    columns = measure_of(task).columns(task)
    decimals = next(each.decimals for each in columns if each.name == column)
    unit = codes.UCUM.SquareMillimeter if column.endswith("_mm2") else codes.UCUM.Millimeter
    low, high = figures.get("hc_low_mm"), figures.get("hc_high_mm")
    properties = None
    if column == "hc_mm" and low is not None and high is not None:
        properties = hd.sr.MeasurementProperties()
        for end, off in (
            (codes.SCT.RangeOfUpperMeasurementUncertainty, high - value),
            (codes.SCT.RangeOfLowerMeasurementUncertainty, value - low),
        ):
            # by highdicom's own arguments for these they would have no unit
            properties.append(
                hd.sr.NumContentItem(
                    end, float(round(off, decimals)), unit,
                    relationship_type=hd.sr.RelationshipTypeValues.HAS_PROPERTIES,
                )
            )  # fmt: skip
    return hd.sr.Measurement(
        name,
        round(float(value), decimals),
        unit,
        qualifier=codes.DCM.ValueIndeterminate if origin.prediction.flags else None,
        properties=properties,
    )


def _draw_outline(ellipse: Ellipse, size: tuple[int, int]) -> tuple[str, FloatArray]:
    """Return an ellipse as DICOM draws it: the kind of graphic and its points, shape (n, 2).

    Counted from the corner of the first pixel, whose centre is (0.5, 0.5), and nowhere outside the
    image (PS3.3 C.18.6). The ends of the major axis, then of the minor axis; where one of them lies
    outside, the outline as a closed line that keeps to the image's border there.
    """
    bounds = (size[1], size[0])
    axes = ellipse.shape_matrix().T  # a row each
    ends = ellipse.center + 0.5 + np.stack([axes[0], -axes[0], axes[1], -axes[1]])
    if ((ends >= 0) & (ends <= bounds)).all():
        return "ELLIPSE", ends
    points = np.clip(ellipse.points(_OUTLINE_POINTS) + 0.5, 0, bounds)
    return "POLYLINE", np.concatenate([points, points[:1]])


def _build_segmentation(hd: ModuleType, like: Any, origin: Origin) -> Any:
    """Return the segmentation of an image that has the header ``like``.

    Raises DataError if nothing was found.
    """
    mask = origin.prediction.mask()
    if len(origin.prediction.task.structures) == 1:
        mask = (mask > 0).astype(mask.dtype)
    algorithm = hd.AlgorithmIdentificationSequence(
        name=origin.algorithm,
        family=load_codes().DCM.ArtificialIntelligence,
        version=__version__,
        source="edgeseg",
        parameters=origin.parameters,
    )
    segments = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=each.name,
            segmented_property_category=each.category,
            segmented_property_type=each.code,
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
            tracking_id=each.name,
            tracking_uid=each.uid,
        )
        for number, each in enumerate(list_structures(hd, origin), start=1)
    ]
    made = hd.seg.Segmentation(
        source_images=[like],
        pixel_array=mask,
        segmentation_type="BINARY",
        segment_descriptions=segments,
        content_label="EDGESEG",
        content_description=origin.doubt[:_LONGEST_DESCRIPTION],
        **origin.series_attributes("SEG"),
    )
    made.PatientOrientation = ""  # which way the body lies in an image of ultrasound is unknown
    organization = origin.make_uid("dimensions")  # highdicom's own is another one each time
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization
    # The items are listed among the instances referred to as well, and only here have a frame.
    made.SourceImageSequence = [copy.deepcopy(item) for item in made.SourceImageSequence]
    return made
