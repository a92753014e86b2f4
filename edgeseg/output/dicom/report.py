"""What the structured report of an image says, by highdicom as ``hd``: TID 1500, or TID 5000."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from edgeseg.errors import DataError
from edgeseg.images.dicom.library import load_codes
from edgeseg.measure.ellipse import FloatArray
from edgeseg.measure.tasks import measure_of
from edgeseg.output.dicom.origin import OWN_SCHEME, Origin, Structure, list_structures, make_uid
from edgeseg.system.version import __version__

_OUTLINE_POINTS = 180
_DAYS, _DAY_DECIMALS = 7, 1  # of a week, and of a number of days


def build_report(template: str, hd: ModuleType, like: Any, origin: Origin) -> Any:
    """Return the report of a prediction on an image that has the header ``like``.

    Raises DataError if nothing was found, there are no figures in millimetres, or the template has
    no place for them.
    """
    build = _build_obstetric if template == "ob" else _build_measurements
    made = hd.sr.ComprehensiveSR(
        evidence=[like],
        content=build(hd, like, origin),
        is_complete=not origin.prediction.flags,
        **origin.series_attributes("SR"),
    )
    made.SeriesDate, made.SeriesTime = made.ContentDate, made.ContentTime
    return made


def _build_measurements(hd: ModuleType, like: Any, origin: Origin) -> Any:
    """Return the content after TID 1500."""
    is_head = origin.prediction.task.kind == "head"
    subject = hd.sr.SubjectContext(load_codes().DCM.Fetus, _fetus(hd)) if is_head else None
    groups = [_group(hd, like, origin, structure) for structure in list_structures(hd, origin)]
    return hd.sr.MeasurementReport(
        observation_context=_context(hd, origin, subject),
        procedure_reported=load_codes().SCT.ImagingProcedure,  # CID 100 has no ultrasound
        imaging_measurements=groups,
        language_of_content_item_and_descendants=_language(hd),
    )[0]


def _build_obstetric(hd: ModuleType, like: Any, origin: Origin) -> Any:
    """Return the content after TID 5000, with a group for each figure of a head."""
    codes, contains = load_codes(), hd.sr.RelationshipTypeValues.CONTAINS
    (structure, *_) = list_structures(hd, origin)
    if "hc_mm" not in structure.figures:
        raise DataError("the OB-GYN report has a place for heads only: use --sr-template 1500")
    image, groups = (like.SOPClassUID, like.SOPInstanceUID), []
    for column, name in structure.figures.items():
        where = {"referenced_images": [hd.sr.SourceImageForMeasurement(*image)]}
        if column == "hc_mm":
            outline = *_draw_outline(origin), hd.sr.SourceImageForRegion(*image)
            where = {"referenced_coordinates": [hd.sr.CoordinatesForMeasurement(*outline)]}
        own = _measurement(hd, origin, column, name, algorithm_id=_algorithm(hd, origin), **where)
        ages = [age[0] for age in _ages(hd, origin)] if column == "hc_mm" else []
        group = hd.sr.ContainerContentItem(codes.DCM.BiometryGroup, relationship_type=contains)
        group.ContentSequence = hd.sr.ContentSequence([*own, *ages, *_comment(hd, origin)])
        groups.append(group)
    biometry = hd.sr.ContainerContentItem(codes.DCM.FetalBiometry, relationship_type=contains)
    biometry.ContentSequence = hd.sr.ContentSequence([*_fetus(hd), *groups])
    root = hd.sr.ContainerContentItem(codes.DCM.OBGYNUltrasoundProcedureReport, template_id="5000")
    first = *_language(hd), *_context(hd, origin)
    root.ContentSequence = hd.sr.ContentSequence([*first, biometry])
    return root


def _language(hd: ModuleType) -> Any:
    english = hd.sr.CodedConcept("en-US", "RFC5646", "English (United States)")
    return hd.sr.LanguageOfContentItemAndDescendants(english)


def _fetus(hd: ModuleType) -> Any:
    """Return whose a head is: a fetus's, of whom nothing else is known."""
    return hd.sr.SubjectContextFetus(subject_id="not identified")


def _context(hd: ModuleType, origin: Origin, subject: Any = None) -> Any:
    """Return who observes, and whom."""
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=make_uid("device", origin.model_file.sha256, __version__),
        name="edgeseg",
        manufacturer_name="edgeseg",
        model_name=origin.algorithm,
    )
    return hd.sr.ObservationContext(
        observer_device_context=hd.sr.ObserverContext(load_codes().DCM.Device, device),
        subject_context=subject,
    )


def _group(hd: ModuleType, like: Any, origin: Origin, structure: Structure) -> Any:
    """Return a structure's figures: TID 1410 where it has an outline, else TID 1501."""
    figures = [_measurement(hd, origin, *figure) for figure in structure.figures.items()]
    kept = {
        "tracking_identifier": hd.sr.TrackingIdentifier(
            identifier=structure.name, uid=structure.uid
        ),
        "finding_category": structure.category,
        "finding_type": structure.code,
        "algorithm_id": _algorithm(hd, origin),
        "measurements": [*figures, *_ages(hd, origin)],
    }
    image = like.SOPClassUID, like.SOPInstanceUID
    if origin.prediction.ellipse is not None:
        region = hd.sr.ImageRegion(*_draw_outline(origin), hd.sr.SourceImageForRegion(*image))
        group = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            referenced_region=region, **kept
        )
    else:
        group = hd.sr.MeasurementsAndQualitativeEvaluations(
            source_images=[hd.sr.SourceImageForMeasurementGroup(*image)], **kept
        )
    group[0].ContentSequence.extend(_comment(hd, origin))
    return group


def _algorithm(hd: ModuleType, origin: Origin) -> Any:
    return hd.sr.AlgorithmIdentification(
        name=origin.algorithm,
        version=__version__,
        parameters=[f"{name}: {value}" for name, value in origin.parameters.items()],
    )


def _comment(hd: ModuleType, origin: Origin) -> list[Any]:
    """Return why not to rely on a group's figures, if there is a reason."""
    given = load_codes().DCM.Comment, origin.doubt, hd.sr.RelationshipTypeValues.CONTAINS
    return [hd.sr.TextContentItem(*given)] if origin.doubt else []


def _measurement(hd: ModuleType, origin: Origin, column: str, name: Any, **more: Any) -> Any:
    """Return a figure as the table has it, after TID 300; HC with its interval after TID 310."""
    codes, task = load_codes(), origin.prediction.task
    if (value := origin.prediction.figures.get(column)) is None:
        raise DataError(
            "there is nothing to report in mm, as the size of a pixel is unknown; give the pixel "
            "size"
        )
    columns = measure_of(task).columns(task)
    decimals = next(each.decimals for each in columns if each.name == column)
    unit = codes.UCUM.SquareMillimeter if column.endswith("_mm2") else codes.UCUM.Millimeter
    ends = ("hc_low_mm", "hc_high_mm") if column == "hc_mm" else ()
    return hd.sr.Measurement(
        name,
        round(float(value), decimals),
        unit,
        qualifier=codes.DCM.ValueIndeterminate if origin.prediction.flags else None,
        properties=_range(hd, origin, [column, *ends], unit, decimals),
        **more,
    )


def _ages(hd: ModuleType, origin: Origin) -> list[Any]:
    """Return the gestational ages by HC that there are, in days, each with its equation."""
    codes, found, figures = load_codes(), [], origin.prediction.figures
    chart = hd.sr.CodedConcept("HC IG-21", OWN_SCHEME, "HC, INTERGROWTH-21st 2016")
    for name, equation in (("hadlock", codes.cid12013.HCHadlock1984), ("intergrowth", chart)):
        columns = [f"ga{end}_weeks_{name}" for end in ("", "_low", "_high")]
        if (weeks := figures.get(columns[0])) is not None:
            unit, inferred = codes.UCUM.Day, hd.sr.RelationshipTypeValues.INFERRED_FROM
            properties = _range(hd, origin, columns, unit, _DAY_DECIMALS, _DAYS)
            days = round(_DAYS * float(weeks), _DAY_DECIMALS)
            age = hd.sr.Measurement(codes.LN.GestationalAge, days, unit, properties=properties)
            code = hd.sr.CodeContentItem(codes.DCM.Equation, equation, inferred)
            age[0].ContentSequence = hd.sr.ContentSequence([*(properties or ()), code])
            found.append(age)
    return found


def _range(
    hd: ModuleType, origin: Origin, columns: list[str], unit: Any, decimals: int, factor: int = 1
) -> Any:
    """Return how far a figure's interval reaches, after TID 310; None if it has none.

    The columns are those of the figure and of the interval's ends.
    """
    value, *ends = [origin.prediction.figures.get(column) for column in columns]
    if value is None or not ends or None in ends:
        return None
    codes, properties = load_codes(), hd.sr.MeasurementProperties()
    of_figure = hd.sr.RelationshipTypeValues.HAS_PROPERTIES
    for side, end in (("Upper", ends[1]), ("Lower", ends[0])):
        # by highdicom's own arguments for these they would have no unit
        kind = getattr(codes.SCT, f"RangeOf{side}MeasurementUncertainty")
        off = float(round(factor * abs((end or 0) - value), decimals))
        properties.append(hd.sr.NumContentItem(kind, off, unit, relationship_type=of_figure))
    return properties


def _draw_outline(origin: Origin) -> tuple[str, FloatArray]:
    """Return a head's ellipse as DICOM draws it: the kind of graphic and its points, shape (n, 2).

    Counted from the corner of the first pixel, whose centre is (0.5, 0.5), and nowhere outside the
    image (PS3.3 C.18.6). The ends of the major axis, then of the minor axis; where one of them lies
    outside, the outline as a closed line that keeps to the image's border there.
    """
    ellipse, bounds = origin.prediction.ellipse, origin.prediction.size[::-1]
    assert ellipse is not None, "a head has an outline"
    axes = ellipse.shape_matrix().T  # a row each
    ends = ellipse.center + 0.5 + np.stack([axes[0], -axes[0], axes[1], -axes[1]])
    if ((ends >= 0) & (ends <= bounds)).all():
        return "ELLIPSE", ends
    points = np.clip(ellipse.points(_OUTLINE_POINTS) + 0.5, 0, bounds)
    return "POLYLINE", np.concatenate([points, points[:1]])
