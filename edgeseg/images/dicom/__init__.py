"""DICOM files of ultrasound machines: images and films, and what a pixel in them measures."""
