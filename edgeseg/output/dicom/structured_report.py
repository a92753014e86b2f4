"""Builds a structured report after TID 1500, with highdicom as ``hd``."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from edgeseg.network.zoo import ModelFile
from edgeseg.output.dicom import codes, identifiers, texts, values
from edgeseg.output.dicom.identifiers import Instance
from edgeseg.output.dicom.values import Figure, Structure
from edgeseg.prediction import Prediction
from edgeseg.system.version import __version__


def build(
    hd: ModuleType, like: Any, instance: Instance, prediction: Prediction, model_file: ModelFile
) -> Any:
    """Return the report of a prediction on an image that has the header ``like``.

    Raises
    ------
    DataError
        If there is nothing to report.
    """
    identity = identifiers.identity_of(instance, prediction, model_file)
    is_head = prediction.task.kind == "head"
    content = hd.sr.MeasurementReport(
        observation_context=_context(hd, model_file, is_head),
        procedure_reported=codes.PROCEDURE.to_concept(hd),
        imaging_measurements=[
            _group(hd, like, structure, prediction, model_file, identity)
            for structure in values.list_structures(prediction, measured=True)
        ],
        language_of_content_item_and_descendants=hd.sr.LanguageOfContentItemAndDescendants(
            codes.ENGLISH.to_concept(hd)
        ),
    )
    return hd.sr.ComprehensiveSR(
        evidence=[like],
        content=content[0],
        is_complete=not prediction.flags,
        **identifiers.series_attributes("SR", instance, model_file, identity),
    )


def _context(hd: ModuleType, model_file: ModelFile, is_head: bool) -> Any:
    """Return who observes, and whom: a head is a fetus's, of whom nothing else is known."""
    device = hd.sr.DeviceObserverIdentifyingAttributes(
        uid=identifiers.make_uid("device", model_file.sha256, __version__),
        name="edgeseg",
        manufacturer_name="edgeseg",
        model_name=texts.algorithm_name(model_file),
    )
    fetus = hd.sr.SubjectContext(
        codes.FETUS.to_concept(hd), hd.sr.SubjectContextFetus(subject_id="not identified")
    )
    return hd.sr.ObservationContext(
        observer_device_context=hd.sr.ObserverContext(codes.DEVICE.to_concept(hd), device),
        subject_context=fetus if is_head else None,
    )


def _group(
    hd: ModuleType,
    like: Any,
    structure: Structure,
    prediction: Prediction,
    model_file: ModelFile,
    identity: tuple[object, ...],
) -> Any:
    """Return a structure's figures: TID 1410 where it has an outline, else TID 1501."""
    parameters = texts.list_parameters(prediction, model_file)
    kept = {
        "tracking_identifier": hd.sr.TrackingIdentifier(
            identifier=structure.name, uid=structure.tracking_uid(identity)
        ),
        "finding_category": structure.category.to_concept(hd),
        "finding_type": structure.code.to_concept(hd),
        "algorithm_id": hd.sr.AlgorithmIdentification(
            name=texts.algorithm_name(model_file),
            version=__version__,
            parameters=[f"{name}: {value}" for name, value in parameters.items()],
        ),
        "measurements": [_measurement(hd, f, bool(prediction.flags)) for f in structure.figures],
    }
    image = (like.SOPClassUID, like.SOPInstanceUID)
    if prediction.ellipse is not None:
        kind, points = values.draw_outline(prediction.ellipse, prediction.size)
        region = hd.sr.ImageRegion(kind, points, hd.sr.SourceImageForRegion(*image))
        group = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            referenced_region=region, **kept
        )
    else:
        group = hd.sr.MeasurementsAndQualitativeEvaluations(
            source_images=[hd.sr.SourceImageForMeasurementGroup(*image)], **kept
        )
    if doubt := texts.describe_doubt(prediction):
        comment = hd.sr.TextContentItem(
            codes.COMMENT.to_concept(hd), doubt, hd.sr.RelationshipTypeValues.CONTAINS
        )
        group[0].ContentSequence.append(comment)
    return group


def _measurement(hd: ModuleType, figure: Figure, is_doubtful: bool) -> Any:
    """Return a figure after TID 300, with the ends of its interval after TID 310."""
    # not by the arguments that highdicom has for these: it would write them without a unit
    ends = [
        hd.sr.NumContentItem(
            name.to_concept(hd),
            value,
            figure.unit.to_concept(hd),
            relationship_type=hd.sr.RelationshipTypeValues.HAS_PROPERTIES,
        )
        for name, value in ((codes.ABOVE, figure.above), (codes.BELOW, figure.below))
        if value is not None
    ]
    properties = hd.sr.MeasurementProperties()
    properties.extend(ends)
    return hd.sr.Measurement(
        figure.name.to_concept(hd),
        figure.value,
        figure.unit.to_concept(hd),
        qualifier=codes.INDETERMINATE.to_concept(hd) if is_doubtful else None,
        properties=properties if ends else None,
    )
