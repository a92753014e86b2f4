"""DICOM objects as files: a report of an image, or a segmentation, by highdicom as ``hd``.

highdicom (extra ``dicom-report``) sees no patient.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from functools import partial
from io import BytesIO
from types import ModuleType
from typing import Any

from edgeseg.errors import DataError, MissingExtraError
from edgeseg.images.dicom.library import load_codes, quiet
from edgeseg.network.zoo import ModelFile
from edgeseg.output.dicom.origin import Origin, list_structures, read_origin
from edgeseg.output.dicom.report import build_report
from edgeseg.prediction import Prediction
from edgeseg.system.version import __version__

_LONGEST_DESCRIPTION = 64
_OLDEST = (0, 28)
_Build = Callable[[ModuleType, Any, Origin], Any]


def make_structured_report(
    source: Any, frame: int, prediction: Prediction, model_file: ModelFile, template: str = "1500"
) -> bytes:
    """Return the structured report of a prediction, as a file's bytes, in a series of its own.

    A Comprehensive SR in explicit VR little endian, UNVERIFIED. Of a head: its ellipse on the
    source frame, HC, BPD and OFD in mm, HC with its interval as ranges of uncertainty, and the
    gestational age in days with its equation; of regions each class's area in mm2. It is COMPLETE,
    or, where a flag tells against it, PARTIAL: each figure then has the qualifier "Value
    indeterminate", and a comment says why.

    The same arguments make the same object but for dates and times: its UIDs follow from source,
    frame, pixel size, calibration, model and edgeseg's version. Patient and study are the source's,
    in its character set; all other text is ASCII.

    Parameters
    ----------
    source
        The measured instance's header, a pydicom ``Dataset``; it is not changed.
    frame
        Number of the measured frame, from 1; 0 for a single image.
    template
        ``1500``: a measurement report after TID 1500; ``ob``: of heads, an OB-GYN ultrasound
        procedure report after TID 5000, as machines send it.

    Raises `DataError` if nothing was found; if the pixel size is unknown, as a receiver that does
    not look at units would take pixels for mm; if the source lacks one of its UIDs or that frame,
    or makes no DICOM object. The text holds no value of the patient. Raises `MissingExtraError` if
    highdicom is not installed.
    """
    build = partial(build_report, template)
    return _make_object(build, source, frame, prediction, model_file)


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


def _build_segmentation(hd: ModuleType, like: Any, origin: Origin) -> Any:
    """Return the segmentation of an image that has the header ``like``.

    Raises DataError if nothing was found.
    """
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
    mask = origin.prediction.mask()
    if len(origin.prediction.task.structures) == 1:
        mask = (mask > 0).astype(mask.dtype)
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
