"""What the tests of the page's modules give to a browser and take from it."""

from __future__ import annotations

import base64
from dataclasses import astuple
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeseg.images.frame import PixelSize
from edgeseg.measure.ellipse import Ellipse

INPUT = (128, 192)
"""(height, width) of the model's input."""
MODULES = ("resize", "view", "outline", "flags", "measure", "network", "decode")
PREPARE = """(names) => {
  const bytes = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const text = (pixels) => btoa(Array.from(pixels, (v) => String.fromCharCode(v)).join(""));
  const floats = (text) => new Float32Array(bytes(text).buffer);
  const prepare = async () => {
    const loaded = await Promise.all(names.map((name) => import(`./${name}.js`)));
    const t = Object.assign({ bytes, text, floats }, ...loaded);
    t.model = await (await fetch("model.json")).json();
    const onnx = new Uint8Array(await (await fetch("model.onnx")).arrayBuffer());
    const wasm = await t.fetchPacked("vendor/ort-wasm-simd-threaded.wasm.gz");
    t.session = await t.openNetwork(onnx, wasm, t.model);
    window.t = t;
  };
  window.failure = "";
  prepare().catch((error) => { window.failure = String(error); });
}"""
"""Imports all modules of the page as ``t``."""


def packed(data: bytes | npt.NDArray[Any]) -> str:
    """Return bytes, or the values of an array, as ``t.bytes`` and ``t.floats`` unpack them."""
    raw = data if isinstance(data, bytes) else np.ascontiguousarray(data).tobytes()
    return base64.b64encode(raw).decode("ascii")


def unpacked(text: str, *shape: int) -> npt.NDArray[np.uint8]:
    """Return what ``t.text`` packed, in a shape."""
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(shape)


def ellipse_fields(ellipse: Ellipse) -> dict[str, float]:
    """Return an ellipse as the page has it."""
    names = ("centerX", "centerY", "semiMajor", "semiMinor", "angle")
    return dict(zip(names, astuple(ellipse), strict=True))


def size_fields(size: PixelSize | None) -> dict[str, Any] | None:
    """Return a pixel size as the page has it."""
    return size and {"xMm": size.x_mm, "yMm": size.y_mm, "source": size.source}
