r"""What changes to an image do to its head circumference: the changed image against the plain one.

    PYTHONPATH=benchmarks python benchmarks/studies/sensitivity.py \
        --data HC18 [--model benchmarks/folds/hc18-nano-fold0.onnx]

Each change keeps the head, and the pixel size is the changed image's own, but where the name says
otherwise. Prints a Markdown table; a silent error is a circumference more than 5 mm off that stands
in a row without a flag.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from against_plain import Changed, cells, describe, say, spread_cases

from edgeseg import Segmenter
from edgeseg.images.frame import GrayImage
from edgeseg.images.image_file import decode_frame, read_gray
from edgeseg.system.files import write_json


def padded(gray: GrayImage, factor: float) -> Changed:
    """In the middle of a black image that many times as large."""
    height, width = gray.shape
    canvas = np.zeros((round(height * factor), round(width * factor)), np.uint8)
    top, left = (canvas.shape[0] - height) // 2, (canvas.shape[1] - width) // 2
    canvas[top : top + height, left : left + width] = gray
    return Changed(canvas)


def letterboxed(gray: GrayImage) -> Changed:
    """As wide as high, with bars."""
    side = max(gray.shape)
    canvas = np.zeros((side, side), np.uint8)
    top, left = (side - gray.shape[0]) // 2, (side - gray.shape[1]) // 2
    canvas[top : top + gray.shape[0], left : left + gray.shape[1]] = gray
    return Changed(canvas)


def screen(gray: GrayImage) -> Changed:
    """Capture a whole screen, 1920 x 1080, with a bar, buttons and text around the scan."""
    canvas = np.full((1080, 1920), 24, np.uint8)
    canvas[:60] = 60
    cv2.putText(canvas, "GENERAL HOSPITAL  OB 2/3  MI 1.1", (30, 42), 0, 1.0, 220, 2)
    for i in range(14):
        cv2.rectangle(canvas, (20, 120 + 64 * i), (280, 170 + 64 * i), 90, 2)
        cv2.putText(canvas, f"Preset {i + 1}", (40, 155 + 64 * i), 0, 0.8, 180, 2)
        cv2.putText(canvas, f"BPD {40 + i} mm", (1580, 155 + 64 * i), 0, 0.8, 200, 2)
    top, left = (1080 - gray.shape[0]) // 2, (1920 - gray.shape[1]) // 2
    canvas[top : top + gray.shape[0], left : left + gray.shape[1]] = gray
    return Changed(canvas)


def portrait(gray: GrayImage) -> Changed:
    """Photograph a monitor with a phone held upright: the scan in the middle of 3 : 4."""
    height = round(gray.shape[1] * 4 / 3)
    canvas = np.full((height, gray.shape[1]), 40, np.uint8)
    top = (height - gray.shape[0]) // 2
    canvas[top : top + gray.shape[0]] = gray
    return Changed(cv2.GaussianBlur(canvas, (0, 0), 0.8))


def beside(gray: GrayImage, other: GrayImage) -> Changed:
    """Two scans side by side, as a dual view; the left one's head is asked for."""
    right = cv2.resize(other, (gray.shape[1], gray.shape[0]), interpolation=cv2.INTER_AREA)
    return Changed(np.concatenate([gray, right], axis=1))


def rotated(gray: GrayImage, angle_deg: float) -> Changed:
    """Turn about the middle, into a frame that holds all of it."""
    height, width = gray.shape
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle_deg, 1.0)
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    new = round(width * cos + height * sin), round(width * sin + height * cos)
    matrix[:, 2] += np.array(new) / 2 - np.array([width, height]) / 2
    return Changed(np.asarray(cv2.warpAffine(gray, matrix, new), np.uint8))


def resized(gray: GrayImage, factor: float) -> Changed:
    """Smaller or larger."""
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    small = np.asarray(cv2.resize(gray, None, fx=factor, fy=factor, interpolation=how), np.uint8)
    return Changed(small, (gray.shape[1] / small.shape[1], gray.shape[0] / small.shape[0]))


def stretched(gray: GrayImage, width: int, height: int, *, told: bool) -> Changed:
    """Stretched to a network's input; ``told``: with the pixel size that it then has."""
    new = np.asarray(cv2.resize(gray, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    return Changed(new, (gray.shape[1] / width, gray.shape[0] / height) if told else 1.0)


def gamma(gray: GrayImage, exponent: float) -> Changed:
    """Brighter or darker, as by the monitor's setting."""
    return Changed(np.round(255 * (gray / 255.0) ** exponent).astype(np.uint8))


def compressed(gray: GrayImage, quality: int) -> Changed:
    """Save as JPEG."""
    return Changed(decode_frame(cv2.imencode(".jpg", gray, [1, quality])[1].tobytes()).pixels)


def calipers(gray: GrayImage) -> Changed:
    """With calipers, a dotted line and text burned in."""
    picture = gray.copy()
    height, width = gray.shape
    for x, y in ((0.3, 0.45), (0.7, 0.55), (0.5, 0.25), (0.52, 0.75)):
        cv2.drawMarker(picture, (int(x * width), int(y * height)), 255, cv2.MARKER_CROSS, 22, 2)
    for i in range(40):
        at = (0.3 + 0.01 * i) * width, (0.45 + 0.0025 * i) * height
        cv2.circle(picture, (int(at[0]), int(at[1])), 1, 255, -1)
    cv2.putText(picture, "1 HC 17.2cm GA 19w6d", (20, height - 30), 0, 0.8, 255, 2)
    return Changed(picture)


def speckled(gray: GrayImage, generator: np.random.Generator) -> Changed:
    """With a quarter more speckle."""
    noise = generator.normal(1.0, 0.25, gray.shape)
    return Changed(np.clip(gray * noise, 0, 255).astype(np.uint8))


def changes(other: GrayImage) -> dict[str, Callable[[GrayImage], Changed]]:
    """Return every change by its name; ``other`` is a second scan."""
    generator = np.random.default_rng(0)
    turns = {f"rotated by {angle}°": angle for angle in (10, 20, 30, 45, 60, 90, 180)}
    return {
        "letterboxed to a square": letterboxed,
        "padded to twice its size": lambda gray: padded(gray, 2),
        "padded to three times its size": lambda gray: padded(gray, 3),
        "screen capture": screen,
        "portrait photo": portrait,
        "two side by side": lambda gray: beside(gray, other),
        "black on white": lambda gray: Changed(255 - gray),
        "black on white, letterboxed": lambda gray: Changed(255 - letterboxed(gray).gray),
        **{name: (lambda gray, a=a: rotated(gray, a)) for name, a in turns.items()},
        "mirrored": lambda gray: Changed(np.ascontiguousarray(gray[:, ::-1])),
        "half its size": lambda gray: resized(gray, 0.5),
        "a quarter of its size": lambda gray: resized(gray, 0.25),
        "twice its size": lambda gray: resized(gray, 2),
        "stretched to 512x512, size told": lambda gray: stretched(gray, 512, 512, told=True),
        "stretched to 640x480, size told": lambda gray: stretched(gray, 640, 480, told=True),
        "stretched to 512x512, size not told": lambda gray: stretched(gray, 512, 512, told=False),
        "brighter (gamma 0.6)": lambda gray: gamma(gray, 0.6),
        "darker (gamma 1.6)": lambda gray: gamma(gray, 1.6),
        "blurred": lambda gray: Changed(np.asarray(cv2.GaussianBlur(gray, (0, 0), 2), np.uint8)),
        "speckled": lambda gray: speckled(gray, generator),
        "JPEG of quality 30": lambda gray: compressed(gray, 30),
        "calipers and text": calipers,
    }


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="benchmarks/folds/hc18-nano-fold0.onnx")
    parser.add_argument("--fold", type=int, default=0, help="whose images")
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    cases = spread_cases(asked.data, asked.fold, asked.images)
    segmenter = Segmenter(asked.model, device="cpu", threads=1)
    scans = [read_gray(case.image_path) for case in cases]
    sizes_mm = [case.pixel_size_mm for case in cases]
    plain = [segmenter.predict(*pair).hc_mm for pair in zip(scans, sizes_mm, strict=True)]
    kept = [i for i, hc_mm in enumerate(plain) if hc_mm is not None]
    table = {}
    say("| change | ok | doubtful | empty | median (mm) | p95 (mm) | silent > 5 mm |")
    say("|---|--:|--:|--:|--:|--:|--:|")
    for name in changes(scans[0]):
        rows = []
        for i in kept:
            gray, scale = changes(scans[i - 1])[name](scans[i])
            size_mm = tuple(sizes_mm[i] * np.broadcast_to(scale, 2))
            rows.append(segmenter.predict(gray, size_mm))
        table[name] = describe([plain[i] or 0.0 for i in kept], rows)
        say(f"| {' | '.join([name, *cells(table[name])])} |")
    if asked.json:
        write_json(asked.json, table)


if __name__ == "__main__":
    main()
