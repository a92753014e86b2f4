"""What goes back to a DICOM archive: a structured report of the figures, and a segmentation."""

from __future__ import annotations

from edgeseg.output.dicom.objects import (
    make_segmentation,
    make_structured_report,
    require_highdicom,
)

__all__ = ["make_segmentation", "make_structured_report", "require_highdicom"]
