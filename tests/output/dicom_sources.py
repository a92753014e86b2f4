"""Headers to report on, predictions of them, and the tools that judge what comes out."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from edgeseg.images.calibration import Calibration
from edgeseg.images.frame import Frame, PixelSize
from edgeseg.measure import figures, regions
from edgeseg.measure.ellipse import Ellipse
from edgeseg.measure.framing import View
from edgeseg.measure.measurement import Look, Measurement
from edgeseg.network.task import Interval
from edgeseg.network.zoo import ModelFile
from edgeseg.prediction import Prediction, StageTimes
from tests.fakes import HEIGHT, LESIONS, METADATA, WIDTH, head_image, measure_frame

SINGLE, CINE = "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.3.1"
SIZE = (120, 161)  # of no whole bytes a row
HEAD = Ellipse(83.25, 58.5, 52.0, 40.0, 2.6)
HALF_MM = PixelSize(0.5, 0.5, "dicom")
MODEL = ModelFile("hc18-nano", Path("hc18-nano.onnx"), "1f" * 32, 1, True)
SURE = replace(METADATA, interval=Interval(0.9, 1.0, 2.0, 3.0, 0.5))
# Ultrasound that pydicom and pydicom-data carry: palette, RGB and YBR, one frame and several, big
# endian and implicit VR, and attributes left out or written in the old way.
PACKAGED = (
    "examples_palette.dcm", "examples_rgb_color.dcm", "examples_ybr_color.dcm",
    "examples_jpeg2k.dcm", "ExplVR_BigEnd.dcm", "OBXXXX1A_expb_2frame.dcm",
    "color3d_jpeg_baseline.dcm", "gdcm-US-ALOKA-16.dcm", "JPGLosslessP14SV1_1s_1f_8b.dcm",
    "color-pl.dcm",
)  # fmt: skip


def header(**attributes: Any) -> Dataset:
    """Return the header of an image as a reader gives it; None takes an attribute away."""
    dataset = Dataset()
    values = {
        "SOPClassUID": SINGLE, "SOPInstanceUID": "1.2.3.4", "StudyInstanceUID": "1.2.3",
        "SeriesInstanceUID": "1.2.3.1", "PatientName": "Doe^Jane", "PatientID": "J-1",
        "PatientBirthDate": "19900102", "PatientSex": "F", "AccessionNumber": "A7",
        "StudyID": "S5", "StudyDate": "20240229", "StudyTime": "101112",
        "ReferringPhysicianName": "Roe^Richard", "Modality": "US", "InstanceNumber": 7,
        "Manufacturer": "Maker", "Rows": SIZE[0], "Columns": SIZE[1],
    } | attributes  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that are wrong on purpose
        for keyword, value in values.items():
            if value is not None:
                setattr(dataset, keyword, value)
        return as_read(dataset)


def cine(frames: int = 5, **attributes: Any) -> Dataset:
    """Return the header of an image of several frames."""
    return header(SOPClassUID=CINE, NumberOfFrames=frames, **attributes)


def as_read(dataset: Dataset) -> Dataset:
    """Write a data set and read it again: its values then are bytes not yet looked at."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = BytesIO()
    dataset.save_as(file)  # not as a proper file: some lack what that needs
    return pydicom.dcmread(BytesIO(file.getvalue()), stop_before_pixels=True, force=True)


def head(
    size: tuple[int, int] = SIZE,
    ellipse: Ellipse = HEAD,
    pixel_size: PixelSize | None = HALF_MM,
    flags: tuple[str, ...] = (),
    calibration: Calibration | None = None,
    **figures_mm: float,
) -> Prediction:
    """Return the prediction of a head, of which the network saw all; some figures may be given."""
    frame = Frame(head_image(ellipse, size), pixel_size, calibration=calibration)
    shrunk = cv2.resize(frame.pixels, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    look = Look((shrunk[None] / 255).astype(np.float32), View.whole(size))
    found = figures.measure(ellipse, 0.98, frame, SURE) | figures_mm
    measured = Measurement(found, 0.98, flags, ellipse=ellipse, look=look)
    return Prediction(frame, measured, SURE, StageTimes(0, 0, 0))


def nothing() -> Prediction:
    """Return the prediction of an image without a head."""
    frame = Frame(np.zeros(SIZE, dtype=np.uint8), HALF_MM)
    dark = Look(np.zeros((1, *SIZE), np.float32), View.whole(SIZE))
    reason = "no head found: it is dark"
    measured = Measurement(figures.empty_figures(frame), reason=reason, look=dark)
    return Prediction(frame, measured, SURE, StageTimes(0, 0, 0))


def lesions(classes: tuple[str, ...] = LESIONS.task.classes) -> Prediction:
    """Return the prediction of 30 by 40 pixels of one class and 20 by 20 of another."""
    metadata = replace(LESIONS, task=replace(LESIONS.task, classes=classes))
    maps = np.zeros((2, *SIZE), dtype=np.float32)
    maps[0, 10:40, 20:60] = 1
    maps[1, 70:90, 100:120] = 1
    frame = Frame(np.zeros(SIZE, dtype=np.uint8), PixelSize(0.5, 0.25, "dicom"))
    measured = measure_frame(regions, lambda _: maps, frame, metadata)
    return Prediction(frame, measured, metadata, StageTimes(0, 0, 0))


def read(data: bytes) -> Dataset:
    """Read a file whole."""
    return pydicom.dcmread(BytesIO(data))


def items(dataset: Dataset, meaning: str) -> list[Dataset]:
    """Return the content items of a report that have a name, wherever they are."""
    return [item for item in content(dataset) if meaning_of(item) == meaning]


def content(dataset: Dataset) -> Iterator[Dataset]:
    """Yield all content items below one."""
    for item in dataset.get("ContentSequence", ()):
        yield item
        yield from content(item)


def meaning_of(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence", ())
    return str(names[0].CodeMeaning) if names else ""


def predecessor(dataset: Dataset) -> str:
    """Return the UID of the report that one takes the place of."""
    (study,) = dataset.PredecessorDocumentsSequence
    (series,) = study.ReferencedSeriesSequence
    assert study.StudyInstanceUID == dataset.StudyInstanceUID
    assert series.SeriesInstanceUID == dataset.SeriesInstanceUID
    return str(series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)


def complaints(data: bytes, folder: Path) -> list[str]:
    """Return the errors that David Clunie's dciodvfy finds in a file."""
    done = judged("dciodvfy", data, folder)
    lines = (done.stdout + done.stderr).splitlines()
    assert {"ComprehensiveSR", "Segmentation"} & set(lines), lines  # it knew what to look for
    return [line for line in lines if line.startswith("Error")]


def judged(tool: str, data: bytes, folder: Path) -> subprocess.CompletedProcess[str]:
    """Return what Debian's dciodvfy, of dicom3tools, or dsrdump, of dcmtk, says of a file."""
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not there: it comes with Debian's dicom3tools or dcmtk")
    path = folder / "judged.dcm"
    path.write_bytes(data)
    return subprocess.run(
        [tool, str(path)], capture_output=True, text=True, errors="replace", check=False, timeout=60
    )
