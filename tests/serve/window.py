"""The site in a window, with all its modules at hand."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.browser import opened, wait_until

MODULES = (
    "resize", "view", "region", "outline", "agreement", "flags", "measure", "network", "decode",
    "rounding",
)  # fmt: skip
_PREPARE = """(names) => {
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


@pytest.fixture(scope="module")
def page(chromium: Any, address: str) -> Iterator[Any]:
    """The site with all modules at hand as ``t``."""
    with opened(chromium, address) as page:
        page.evaluate(_PREPARE, list(MODULES))
        wait_until(page, "window.failure || window.t")
        assert page.evaluate("window.failure") == ""
        wait_until(page, "document.body.dataset.ready === 'true'")
        yield page


def packed(pixels: np.ndarray) -> str:
    return base64.b64encode(np.ascontiguousarray(pixels).tobytes()).decode("ascii")
