"""Flags, figures and captions of the page, held to Python's on the same facts."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from edgeseg.images.frame import Frame, GrayImage, PixelSize
from edgeseg.measure import figures, quality, screen
from edgeseg.measure.ellipse import Ellipse
from edgeseg.measure.framing import View
from edgeseg.measure.measurement import Look
from edgeseg.measure.outline import EllipseFit, Facts, Outline, Region
from edgeseg.network.task import Limits
from edgeseg.segmenter import Segmenter
from tests.serve.conftest import INPUT, ellipse_fields, packed, size_fields

pytestmark = pytest.mark.browser
SQUARE = PixelSize(0.2, 0.2, "option")
FLAT = PixelSize(0.2, 0.3, "option")


def noise(height: int, width: int) -> GrayImage:
    return np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)


PLAIN = Facts(
    Outline(
        Region(np.zeros(INPUT, np.uint8), 3330, 0),
        EllipseFit(Ellipse(200.0, 150.0, 100.0, 80.0, 0.3), 0.5, 1.0),
        Ellipse(200.0, 150.0, 100.0, 80.0, 0.3),
        0.98,
    ),
    Look(np.zeros((1, *INPUT), np.float32), View(0, 0, 450, 300), 0.99),
    0.0,
    0.0,
    Frame(noise(300, 450), SQUARE),
    Limits(presence_doubted=0.9),
)


def fitted(**changes: Any) -> Facts:
    """Return facts of another fit."""
    outline = PLAIN.outline
    return PLAIN._replace(outline=outline._replace(fit=outline.fit._replace(**changes)))


def framed(gray: GrayImage, x_mm: float = 0.2, y_mm: float = 0.2) -> Facts:
    """Return facts of another image."""
    return PLAIN._replace(frame=Frame(gray, PixelSize(x_mm, y_mm, "option")))


def shaped(**changes: Any) -> Facts:
    """Return facts of another ellipse in the image."""
    outline = PLAIN.outline
    ellipse = replace(outline.ellipse, **changes)
    return PLAIN._replace(outline=outline._replace(ellipse=ellipse))


def barred(down: bool) -> GrayImage:
    """Return a square image with bars."""
    gray = noise(400, 400)
    gray[:20], gray[-20:] = 10, 20
    return gray if down else gray.T


FACTS = {
    "nothing": PLAIN,
    "beyond the border": shaped(center_x_px=30.0),
    "far from an ellipse": fitted(residual_px=2.5),
    "full of dents": PLAIN._replace(
        outline=PLAIN.outline._replace(region=PLAIN.outline.region._replace(area_px=2900))
    ),
    "an open outline": fitted(arc_fraction=0.74),
    "two of them": PLAIN._replace(other_share=0.06),
    "another circumference": PLAIN._replace(change=0.04),
    "too flat": shaped(semi_minor_px=61.0),
    "too round": shaped(semi_minor_px=98.0),
    "too flat in mm": framed(noise(300, 450), 0.3),
    "without mm": PLAIN._replace(frame=Frame(noise(400, 400), None)),
    "too small": framed(noise(300, 450), 0.05, 0.05),
    "too large": framed(noise(300, 450), 0.8, 0.8),
    "square": framed(noise(400, 400)),
    "square, of other pixels": framed(noise(400, 400), 0.2, 0.21),
    "square, with bars above": framed(barred(down=True)),
    "square, with bars beside": framed(barred(down=False)),
    "unsure": PLAIN._replace(outline=PLAIN.outline._replace(confidence=0.95)),
    "something else": PLAIN._replace(look=PLAIN.look._replace(presence=0.89)),
    "a model that does not say": PLAIN._replace(look=PLAIN.look._replace(presence=None)),
}


@pytest.mark.parametrize("name", FACTS)
def test_flags(page: Any, name: str) -> None:
    facts = FACTS[name]
    outline, view = facts.outline, facts.look.view
    areas = {"area": outline.region.area_px, "otherArea": outline.region.other_area_px}
    fit = {
        "ellipse": ellipse_fields(outline.fit.ellipse),
        "residual": outline.fit.residual_px,
        "arc": outline.fit.arc_fraction,
    }
    look = {
        "outline": {
            "fit": fit,
            "region": areas | {"height": INPUT[0], "width": INPUT[1]},
            "confidence": outline.confidence,
        },
        "ellipse": ellipse_fields(outline.ellipse),
        "view": {"height": view.height_px, "width": view.width_px},
        "presence": facts.look.presence,
    }
    looked = {"change": facts.change, "otherShare": facts.other_share}
    height, width = facts.frame.size
    raised = page.evaluate(
        """([look, looked, pixels, width, height, size, limits]) => {
          const gray = { pixels: t.bytes(pixels), width, height };
          return t.raisedFlags(look, looked, gray, size, { ...t.model, limits });
        }""",
        [
            *(look, looked, packed(facts.frame.pixels), width, height),
            *(size_fields(facts.frame.pixel_size), json.loads(json.dumps(asdict(facts.limits)))),
        ],
    )
    assert raised == list(quality.flags(facts))


def test_those_facts_raise_every_flag() -> None:
    every = {flag for facts in FACTS.values() for flag in quality.flags(facts)}
    assert every == set(quality.FLAGS) - set(screen.FLAGS)


@pytest.mark.parametrize("size", [None, SQUARE, FLAT])
@pytest.mark.parametrize("hc_mm", [30, 67.9, 68, 98.3, 144.1, 200, 280.1, 318, 335, 346.5, 361])
@pytest.mark.parametrize("measures", [True, False], ids=["interval", "no interval"])
def test_figures_and_captions(
    page: Any, nano: Segmenter, size: PixelSize | None, hc_mm: float, measures: bool
) -> None:
    semi_major = hc_mm / 0.2 / (2 * math.pi * 0.9)
    ellipse = Ellipse(200.0, 150.0, semi_major, 0.8 * semi_major, 0.3)
    interval = nano.metadata.interval if measures else None
    metadata = replace(nano.metadata, interval=interval)
    expected = figures.measure(ellipse, 0.97, Frame(noise(32, 32), size), metadata)
    said = (expected, figures.drop_ages(expected))
    found = page.evaluate(
        """([ellipse, size, interval]) => {
          const { measure, dropAges, captionLines } = headFigures;
          const found = measure(ellipse, { pixelSize: size, confidence: 0.97, interval });
          return [found, dropAges(found)].map((each) => [each, captionLines(each)]);
        }""",
        [ellipse_fields(ellipse), size_fields(size), interval and asdict(interval)],
    )
    for (values, lines), there in zip(found, said, strict=True):
        assert list(values) == list(there)
        numbers = {name: value for name, value in there.items() if value is not None}
        assert {n: v for n, v in values.items() if v is not None} == pytest.approx(
            numbers, rel=1e-12
        )
        assert lines == figures.caption_lines(there)


def test_halves_are_rounded_as_in_python(page: Any) -> None:
    values = [*np.arange(-20, 20, 0.125).tolist(), 1e9 + 0.5]
    assert page.evaluate("(values) => values.map(t.roundEven)", values) == [*map(round, values)]


def test_answers_that_are_no_probabilities_are_refused(page: Any) -> None:
    said = page.evaluate(
        """async () => {
          const { InferenceSession } = await import("./vendor/ort.wasm.bundle.min.mjs");
          const bytes = new Uint8Array(await (await fetch("model.onnx")).arrayBuffer());
          const { prototype } = (await InferenceSession.create(bytes)).constructor;
          const wasm = await t.fetchPacked("vendor/ort-wasm-simd-threaded.wasm.gz");
          const model = { input_width: 2, input_height: 1, structures: [{ name: "head" }] };
          const network = await t.openNetwork(bytes, wasm, model);
          const own = prototype.run, texts = [];
          for (const values of [[0.5, 1.1], [NaN, 0], [-1, 0], [0.1], [0, 1]]) {
            prototype.run = async () => ({ probability: { data: Float32Array.from(values) } });
            await network.run(new Uint8Array(2)).then(
              ({ presence }) => texts.push(presence), (error) => texts.push(error.message));
          }
          prototype.run = own;
          return texts;
        }"""
    )
    assert all("not probabilities" in text for text in said[:3])
    assert "answers with 1 values" in said[3]
    assert said[4] is None
