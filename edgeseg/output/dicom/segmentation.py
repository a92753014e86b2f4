"""Builds the segmentation of one frame, with highdicom as ``hd``."""

from __future__ import annotations

import copy
from types import ModuleType
from typing import Any

from edgeseg.images.dicom.library import load_codes
from edgeseg.output.dicom.origin import Origin, list_structures
from edgeseg.system.version import __version__

_LONGEST_DESCRIPTION = 64


def build(hd: ModuleType, like: Any, origin: Origin) -> Any:
    """Return the segmentation of an image that has the header ``like``.

    Raises
    ------
    DataError
        If nothing was found.
    """
    mask = origin.prediction.mask()
    if origin.prediction.task.kind == "head":
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
