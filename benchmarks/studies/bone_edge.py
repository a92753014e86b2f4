r"""Where the outline lies on the skull: a model's and the labels', against the outer edge.

    PYTHONPATH=benchmarks python benchmarks/studies/bone_edge.py \
        --data HC18 --model MODEL-OF-FOLD-0.onnx --fold 0

Along rays through the outline, smoothed gray values rise to the bone's brightest point and fall
outside; the edge is where they have fallen halfway to the darkest beyond. An ellipse through the
edges gives a circumference that neither the model nor the observer drew. Heads of which less than
half of the rays show an edge are left out. Prints Markdown.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from edgeseg import Segmenter
from edgeseg.images.frame import GrayImage
from edgeseg.images.image_file import read_gray
from edgeseg.measure.ellipse import Ellipse, fit_ellipse
from edgeseg.score.folds import read_folds
from edgeseg.score.hc18 import load_cases

RAYS, STEPS = 180, 121
REACH = 0.12  # of the radius, to either side of the outline
CONTRAST = 25.0  # gray values between the bone and what is darker outside
SEEN = 0.5

FloatArray = npt.NDArray[np.float64]


def edge_circumference_px(gray: GrayImage, outline: Ellipse) -> float | None:
    """Return the circumference of the ellipse through the bone's outer edge; None if not seen."""
    shares = np.linspace(1 - REACH, 1 + REACH, STEPS)
    offsets = outline.points(RAYS) - outline.center
    points = outline.center + shares[:, None, None] * offsets  # (STEPS, RAYS, 2)
    smooth = cv2.GaussianBlur(gray, (0, 0), 1.0)
    x, y = (np.asarray(points[..., i], np.float32) for i in (0, 1))
    profiles = cv2.remap(smooth, x, y, cv2.INTER_LINEAR).astype(np.float64).T
    edges = []
    for ray, profile in enumerate(profiles):
        peak = int(profile.argmax())
        after = profile[peak:]
        low = float(after.min())
        if peak in (0, STEPS - 1) or profile[peak] - low < CONTRAST:
            continue
        half = int((after < (profile[peak] + low) / 2).argmax())
        edges.append(points[peak + half, ray])
    if len(edges) < SEEN * RAYS:
        return None
    found = fit_ellipse(np.array(edges))
    return found.circumference_px if found else None


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--fold", type=int, required=True)
    asked = parser.parse_args()
    segmenter = Segmenter(asked.model, device="cpu", threads=1)
    files = set(read_folds(Path("benchmarks/folds.json"))[asked.fold])
    cases = [case for case in load_cases(asked.data) if case.file in files]
    off_mm = []
    for case in cases:
        gray = read_gray(case.image_path)
        found = segmenter.predict(gray, case.pixel_size_mm)
        edge_px = edge_circumference_px(gray, found.ellipse) if found.ellipse else None
        if edge_px is not None and found.hc_mm is not None:
            edge_mm = edge_px * case.pixel_size_mm
            off_mm.append((found.hc_mm - edge_mm, case.hc_reference_mm - edge_mm))
    count = f"{len(off_mm)} of {len(cases)} heads"
    print(f"| HC against the outer edge, {count} | bias mm | SD mm |")  # noqa: T201
    print("|---|--:|--:|")  # noqa: T201
    for name, column in zip(("measured", "labelled"), np.array(off_mm).T, strict=True):
        spread = 1.4826 * np.median(np.abs(column - np.median(column)))
        print(f"| {name} | {np.median(column):+.2f} | {spread:.2f} |")  # noqa: T201


if __name__ == "__main__":
    main()
