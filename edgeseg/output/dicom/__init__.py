"""What goes back to a DICOM archive: a structured report of the figures, and a segmentation."""
