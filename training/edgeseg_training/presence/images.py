"""What a network sees besides heads: changed copies of images, heads taken out, and no scans."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg.images.frame import GrayImage
from edgeseg.measure.ellipse import Ellipse

Generator = np.random.Generator
Picture = npt.NDArray[Any]
_WORD = list("ABCDEFGHxyz0123")


def shrunk(gray: GrayImage, longest_px: int) -> GrayImage:
    """Return an image no longer than that, by area averaging."""
    factor = longest_px / max(gray.shape)
    if factor >= 1:
        return gray
    return np.asarray(
        cv2.resize(gray, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8
    )


def changed(gray: GrayImage, generator: Generator, turn_deg: float) -> GrayImage:
    """Return a copy as another device or hand might have made it.

    Parameters
    ----------
    turn_deg
        Largest angle by which it is turned.
    """
    height, width = gray.shape
    angle = math.radians(generator.uniform(-turn_deg, turn_deg))
    scale, aspect = math.exp(generator.uniform(-0.35, 0.35)), math.exp(generator.normal(0, 0.08))
    cos, sin = math.cos(angle), math.sin(angle)
    flips = np.diag(generator.choice([-1.0, 1.0], 2))
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.diag([scale * aspect, scale / aspect]) @ flips
    middle = np.array([width, height]) / 2
    shift = middle - matrix @ middle + generator.uniform(-0.08, 0.08, 2) * [width, height]
    moved = cv2.warpAffine(gray, np.c_[matrix, shift], (width, height), flags=cv2.INTER_LINEAR)
    values = np.asarray(moved, np.float32) / 255
    values = values ** np.float32(math.exp(generator.uniform(-0.4, 0.4)))
    values *= math.exp(generator.uniform(-0.25, 0.25))
    if generator.random() < 0.25:
        values = np.asarray(
            cv2.GaussianBlur(values, (0, 0), generator.uniform(0.4, 1.8)), np.float32
        )
    if generator.random() < 0.3:
        noise = generator.standard_normal(values.shape, np.float32) * generator.uniform(0.01, 0.06)
        values = values * (1 + noise) + 0.3 * noise
    return _gray(values)


def without_head(gray: GrayImage, head: Ellipse, generator: Generator) -> GrayImage:
    """Return an image whose head is gone: painted over from around, or by another part of it."""
    wider = Ellipse(
        head.center_x_px,
        head.center_y_px,
        1.12 * head.semi_major_px,
        1.12 * head.semi_minor_px,
        head.angle_rad,
    )
    inside = np.zeros(gray.shape, np.uint8)
    cv2.fillPoly(inside, [np.round(wider.points(90)).astype(np.int32)], 255)
    if generator.random() < 0.5:
        size = (max(8, gray.shape[1] // 4), max(8, gray.shape[0] // 4))
        small, hole = cv2.resize(gray, size), cv2.resize(inside, size)
        painted = cv2.inpaint(small, (hole > 0).astype(np.uint8), 5, cv2.INPAINT_TELEA)
        smooth = cv2.resize(painted, (gray.shape[1], gray.shape[0]))
        speckle = cv2.GaussianBlur(generator.rayleigh(0.8, gray.shape), (0, 0), 1.5)
        filling = np.clip(smooth * (0.4 + 0.5 * speckle), 0, 255)
    else:
        rows, columns = (int(generator.integers(n // 5, n // 2)) for n in gray.shape)
        filling = np.roll(gray, (rows, columns), (0, 1)).astype(np.float64)
    share = cv2.GaussianBlur(inside, (0, 0), 4) / 255
    return np.asarray(gray * (1 - share) + filling * share, np.uint8)


def no_scan(generator: Generator) -> GrayImage:
    """Return a picture of no ultrasound at all: clouds, waves, discs, boxes, rings or text."""
    height, width = int(generator.integers(150, 350)), int(generator.integers(200, 450))
    draw = (_clouds, _waves, _discs, _boxes, _rings, _text)[int(generator.integers(6))]
    return _gray(draw(height, width, generator))


def _clouds(height: int, width: int, generator: Generator) -> Picture:
    noise = generator.random((height, width), np.float32)
    clouds = cv2.GaussianBlur(noise, (0, 0), generator.uniform(0.8, 20))
    return np.asarray((clouds - clouds.min()) / max(float(np.ptp(clouds)), 1e-6))


def _waves(height: int, width: int, generator: Generator) -> Picture:
    y, x = np.mgrid[0:height, 0:width]
    wave = np.sin(x / generator.uniform(2, 40) + y / generator.uniform(2, 40))
    return np.asarray(0.5 + 0.5 * wave)


def _discs(height: int, width: int, generator: Generator) -> Picture:
    picture = np.zeros((height, width), np.float32)
    for _ in range(int(generator.integers(1, 9))):
        place = int(generator.integers(width)), int(generator.integers(height))
        line = int(generator.choice([-1, 2, 6, 12]))
        cv2.circle(
            picture, place, int(generator.integers(10, 100)), float(generator.random()), line
        )
    speckle = 1 - 0.3 * generator.random((height, width), np.float32)
    return np.asarray(cv2.GaussianBlur(picture, (0, 0), generator.uniform(0.5, 4)) * speckle)


def _boxes(height: int, width: int, generator: Generator) -> Picture:
    picture = np.zeros((height, width), np.float32)
    for _ in range(int(generator.integers(1, 9))):
        left, top = int(generator.integers(width)), int(generator.integers(height))
        far = left + int(generator.integers(15, 200)), top + int(generator.integers(15, 150))
        line = int(generator.choice([-1, 3]))
        cv2.rectangle(picture, (left, top), far, float(generator.random()), line)
    return picture


def _rings(height: int, width: int, generator: Generator) -> Picture:
    y, x = np.mgrid[0:height, 0:width]
    distance = np.hypot(x - width * generator.random(), y - height * generator.random())
    return np.asarray((distance / generator.uniform(15, 200)) % 1)


def _text(height: int, width: int, generator: Generator) -> Picture:
    picture = np.zeros((height, width), np.uint8)
    for _ in range(30):
        word = "".join(generator.choice(_WORD, 8))
        place = int(generator.integers(width)), int(generator.integers(height))
        size, tint = float(generator.uniform(0.3, 2)), int(generator.integers(256))
        cv2.putText(picture, word, place, cv2.FONT_HERSHEY_SIMPLEX, size, tint, 1)
    return picture / np.float32(255)


def _gray(values: Picture) -> GrayImage:
    return np.asarray(np.clip(values, 0, 1) * 255, np.uint8)
