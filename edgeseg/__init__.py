"""Fetal head segmentation and head circumference from ultrasound, without torch."""

__version__ = "0.1.0"
