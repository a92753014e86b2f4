"""A gray image as a network's input."""

from __future__ import annotations

import cv2
import numpy as np

from edgeseg.images.frame import GrayImage


def preprocess(gray: GrayImage, height: int, width: int) -> GrayImage:
    """Stretch a gray image to a network's input.

    Area averaging where the image shrinks, linear interpolation where it grows; the aspect ratio
    is not kept, so that every pixel of the input carries image. Takes shape (H, W), uint8, and
    returns shape (1, 1, height, width), uint8.
    """
    shrinks = gray.shape[0] >= height and gray.shape[1] >= width
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(gray, (width, height), interpolation=how)
    tensor: GrayImage = np.ascontiguousarray(resized, dtype=np.uint8)[None, None]
    return tensor
