r"""What each flag catches, and when it is wrong: on damaged heads, on other things, on heads.

    PYTHONPATH=benchmarks python benchmarks/studies/doubt.py \
        --data HC18 --planes PLANES --models MODELS/hc18-nano-fold{fold}.onnx

Each model measures the heads of its fold, the same heads damaged, and the other scans of its fold's
patients. Damage has a known truth: the circumference in the image before. Prints Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from library.planes import FOLDS, HEAD, UNUSED, read_planes

from edgeseg import Segmenter
from edgeseg.images.frame import GrayImage
from edgeseg.images.image_file import read_gray
from edgeseg.measure.ellipse import Ellipse
from edgeseg.measure.quality import FLAGS
from edgeseg.prediction import Prediction
from edgeseg.score.folds import read_folds
from edgeseg.score.hc18 import load_cases
from edgeseg.score.metrics import auroc
from edgeseg.system.files import write_json

LIMIT_MM = 5.0
Generator = np.random.Generator


class Row(NamedTuple):
    """One image measured.

    Attributes
    ----------
    kind
        ``head``, a damage, or what else the image shows.
    error_mm
        Against the label, or of damage against the image before; None of what is no labelled head.
    """

    kind: str
    status: str
    flags: tuple[str, ...]
    confidence: float
    hc_mm: float | None
    error_mm: float | None


def without_bone(gray: GrayImage, head: Ellipse, generator: Generator) -> GrayImage:
    """Erase an arc of 60 to 150 degrees of the skull: what is outside is drawn over it."""
    start, arc = generator.uniform(0, 360), generator.uniform(60, 150)
    band = np.zeros(gray.shape, np.uint8)
    axes = round(head.semi_major_px), round(head.semi_minor_px)
    center = round(head.center_x_px), round(head.center_y_px)
    width = max(3, round(0.22 * head.semi_minor_px))
    angle = np.degrees(head.angle_rad)
    cv2.ellipse(band, center, axes, angle, start, start + arc, 255, width)
    small = cv2.resize(gray, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    hole = cv2.resize(band, (small.shape[1], small.shape[0]))
    painted = cv2.inpaint(small, (hole > 0).astype(np.uint8), 4, cv2.INPAINT_TELEA)
    smooth = cv2.resize(painted, (gray.shape[1], gray.shape[0]))
    share = cv2.GaussianBlur(band, (0, 0), 3) / 255
    dark = np.minimum(smooth, gray) * generator.rayleigh(0.6, gray.shape)
    return np.clip(gray * (1 - share) + np.clip(dark, 0, 255) * share, 0, 255).astype(np.uint8)


def shadowed(gray: GrayImage, head: Ellipse, generator: Generator) -> GrayImage:
    """Darken a wedge from the top, as behind a rib, 20 to 45 % of the head wide."""
    x = head.center_x_px + generator.uniform(-0.8, 0.8) * head.semi_major_px
    half = generator.uniform(0.2, 0.45) * head.semi_major_px
    top = head.center_y_px - 1.2 * head.semi_major_px
    height = gray.shape[0]
    corners = [
        (x - half / 2, top),
        (x + half / 2, top),
        (x + 1.5 * half, height),
        (x - 1.5 * half, height),
    ]
    wedge = np.zeros(gray.shape, np.float32)
    cv2.fillPoly(wedge, [np.round(corners).astype(np.int32)], 1.0)
    shade = 1 - 0.95 * cv2.GaussianBlur(wedge, (0, 0), 6)
    return (gray * shade).astype(np.uint8)


def cropped(gray: GrayImage, head: Ellipse, generator: Generator) -> GrayImage:
    """Cut 5 to 35 % of the outline off, at any side."""
    points, side = head.points(720), int(generator.integers(4))
    along, share = points[:, side % 2], generator.uniform(0.05, 0.35)
    at = int(np.quantile(along, share if side < 2 else 1 - share))
    parts = (np.s_[:, at:], np.s_[at:, :], np.s_[:, :at], np.s_[:at, :])
    return np.ascontiguousarray(gray[parts[side]])


DAMAGES: dict[str, Callable[[GrayImage, Ellipse, Generator], GrayImage]] = {
    "bone erased": without_bone, "shadow": shadowed, "cropped": cropped,
}  # fmt: skip


def row(kind: str, found: Prediction, truth_mm: float | None) -> Row:
    """Return what a prediction comes to; where nothing was found there is no error."""
    error_mm = None if truth_mm is None or found.hc_mm is None else found.hc_mm - truth_mm
    return Row(kind, found.status, found.flags, found.confidence, found.hc_mm, error_mm)


def measured(asked: argparse.Namespace) -> Iterator[Row]:
    """Yield every image of every fold."""
    planes, generator = read_planes(asked.planes), np.random.default_rng(0)
    cases = {case.file: case for case in load_cases(asked.data)}
    for fold, files in enumerate(read_folds(Path("benchmarks/folds.json"))):
        segmenter = Segmenter(asked.models.format(fold=fold), device="cpu", threads=1)
        for case in (cases[file] for file in files):
            gray = read_gray(case.image_path)
            plain = segmenter.predict(gray, case.pixel_size_mm)
            yield row("head", plain, case.hc_reference_mm)
            if plain.ellipse is None:
                continue
            for kind, damage in DAMAGES.items():
                damaged = damage(gray, plain.ellipse, generator)
                yield row(kind, segmenter.predict(damaged, case.pixel_size_mm), plain.hc_mm)
        for each in planes:
            if each.fold == fold or (each.plane == UNUSED and fold == 0):
                kind = {HEAD: "other heads", UNUSED: UNUSED}.get(each.plane, "other planes")
                yield row(kind, segmenter.predict(each.path), None)


def summary(rows: list[Row]) -> dict[str, Any]:
    """Return figures of one kind."""
    found = [each for each in rows if each.status != "empty"]
    figures: dict[str, Any] = {
        "n": len(rows),
        "measured": len(found),
        "unflagged": sum(each.status == "ok" for each in rows),
        "flags": {name: sum(name in each.flags for each in found) for name in FLAGS},
    }
    known = [each for each in found if each.error_mm is not None]
    if known:
        bad = np.array([abs(each.error_mm or 0.0) > LIMIT_MM for each in known])
        flagged = np.array([bool(each.flags) for each in known])
        figures |= {"bad": int(bad.sum()), "bad_silent": int((bad & ~flagged).sum())}
        figures["bad_flags"] = {
            name: int((bad & np.array([name in each.flags for each in known])).sum())
            for name in FLAGS
        }
        if bad.any():
            doubt = np.array([1 - each.confidence for each in known])
            hc_mm = np.array([each.hc_mm or 0.0 for each in known])
            scores = {"confidence": doubt, "hc": hc_mm, "both": doubt * hc_mm}
            figures["auroc"] = {k: auroc(v.tolist(), bad.tolist()) for k, v in scores.items()}
    return figures


def table(kinds: dict[str, dict[str, Any]]) -> str:
    """Return the figures as Markdown: a row a flag, bad of all that raise it."""
    lines = ["| | " + " | ".join(kinds) + " |", "|---|" + "--:|" * len(kinds)]
    for key in ("n", "measured", "unflagged", "bad", "bad_silent"):
        lines.append(
            f"| {key} | " + " | ".join(str(k.get(key, "-")) for k in kinds.values()) + " |"
        )
    for name in FLAGS:
        cells = [
            f"{k['bad_flags'][name]} of {k['flags'][name]}"
            if "bad_flags" in k
            else str(k["flags"][name])
            for k in kinds.values()
        ]
        lines.append(f"| `{name}` | " + " | ".join(cells) + " |")
    for key in ("confidence", "hc", "both"):
        cells = [f"{k['auroc'][key]:.2f}" if "auroc" in k else "-" for k in kinds.values()]
        lines.append(f"| AUROC of > {LIMIT_MM:g} mm by {key} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--planes", type=Path, required=True)
    parser.add_argument("--models", required=True, help=f"pattern with {{fold}}, 0 to {FOLDS - 1}")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    rows = list(measured(asked))
    kinds = {
        kind: summary([r for r in rows if r.kind == kind])
        for kind in dict.fromkeys(r.kind for r in rows)
    }
    print(table(kinds))  # noqa: T201
    if asked.json:
        write_json(asked.json, kinds)


if __name__ == "__main__":
    main()
