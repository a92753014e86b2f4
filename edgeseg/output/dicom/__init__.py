"""What goes back to a DICOM archive: a structured report of the figures, and a segmentation."""

from __future__ import annotations

from edgeseg.output.dicom.objects import require, segmentation, structured_report

__all__ = ["require", "segmentation", "structured_report"]
