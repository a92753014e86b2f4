"""Calls that the documentation shows; `mypy --strict` checks them, nobody runs them."""

import cv2
from PIL import Image

import edgeseg


def measure_images() -> list[float | None]:
    segmenter = edgeseg.load("hc18-edge")
    prediction = segmenter.predict("scan.png", pixel_size_mm=0.12)
    others = segmenter.predict_batch([Image.open("a.png"), b"bytes", cv2.imread("b.png")])
    return [prediction.hc_mm, *(each.hc_mm for each in others)]


def measure_a_camera() -> None:
    segmenter = edgeseg.Segmenter("hc18-nano", threads=4, spin=False)
    for frame, prediction in segmenter.stream(cv2.VideoCapture(0), drop_late=True):
        cv2.imshow(str(prediction.flags), frame)
