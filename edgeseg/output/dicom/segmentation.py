"""Builds the segmentation of one frame, with highdicom as ``hd``."""

from __future__ import annotations

import copy
from types import ModuleType
from typing import Any

from edgeseg.network.zoo import ModelFile
from edgeseg.output.dicom import codes, identifiers, texts, values
from edgeseg.output.dicom.identifiers import Instance
from edgeseg.prediction import Prediction
from edgeseg.system.version import __version__

_LONGEST_DESCRIPTION = 64


def build(
    hd: ModuleType, like: Any, instance: Instance, prediction: Prediction, model_file: ModelFile
) -> Any:
    """Return the segmentation of an image that has the header ``like``.

    Raises
    ------
    DataError
        If there is nothing to report.
    """
    found = values.list_structures(prediction, measured=False)
    identity = identifiers.identity_of(instance, prediction, model_file)
    mask = prediction.mask()
    if prediction.task.kind == "head":
        mask = (mask > 0).astype(mask.dtype)
    algorithm = hd.AlgorithmIdentificationSequence(
        name=texts.algorithm_name(model_file),
        family=codes.ARTIFICIAL_INTELLIGENCE.to_concept(hd),
        version=__version__,
        source="edgeseg",
        parameters=texts.list_parameters(prediction, model_file),
    )
    made = hd.seg.Segmentation(
        source_images=[like],
        pixel_array=mask,
        segmentation_type="BINARY",
        segment_descriptions=[
            hd.seg.SegmentDescription(
                segment_number=number,
                segment_label=each.name,
                segmented_property_category=each.category.to_concept(hd),
                segmented_property_type=each.code.to_concept(hd),
                algorithm_type="AUTOMATIC",
                algorithm_identification=algorithm,
                tracking_id=each.name,
                tracking_uid=each.tracking_uid(identity),
            )
            for number, each in enumerate(found, start=1)
        ],
        content_label="EDGESEG",
        content_description=texts.describe_doubt(prediction)[:_LONGEST_DESCRIPTION],
        **identifiers.series_attributes("SEG", instance, model_file, identity),
    )
    made.PatientOrientation = ""  # which way the body lies in an image of ultrasound is unknown
    # highdicom's own is another one each time
    organization = identifiers.make_uid("dimensions", *identity)
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization
    # The items are listed among the instances referred to as well, and only here have a frame.
    made.SourceImageSequence = [copy.deepcopy(item) for item in made.SourceImageSequence]
    return made
