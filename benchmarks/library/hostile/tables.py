"""Tables of pixel sizes as any program may save them, and worse."""

from __future__ import annotations

import random
from pathlib import Path

from edgeseg.errors import DataError
from edgeseg.inputs.facts import PixelSizes
from edgeseg.inputs.size_table import read_table
from edgeseg.inputs.source import Source
from library.hostile import mutations

_FILES = ("000_HC.png", "001_HC.png", "s2/b.png", "é.tif", "scan 4.jpg", "=1+1.png")
ITEMS = [Source(file, f"/study/{file}") for file in _FILES]
_NAMES = ("filename", "file", "Image", "Dateiname", "path", "", "name", "id")
_SIZES = (
    *("pixel size(mm)", "pixel size (mm)", "PixelSpacing", "pixel_size_um", "mm/px", "Spacing"),
    *("pixel size x (mm)", "pixel size y (mm)", "Pixelgröße [mm]", "taille du pixel (cm)", "dx"),
    *("Physical Delta X", "resolution", "pixel size (cm)", "px/mm", "spacing x", "μm/pixel"),
)
_OTHERS = (
    *("head circumference (mm)", "HC (cm)", "image width", "image height", "rows", "columns"),
    *("image size", "unit", "slice", "comment", "original dimensions (px)", "GA weeks", "shape"),
)
_CELLS = (
    *("0.12", "0,12", "0.12 mm", "120 µm", "0.2\\0.1", "0.12x0.11", "[0.2, 0.1]", "1e-1", "0"),
    *("-1", "inf", "nan", "1e999", "1e999x1e999", "540x800", "800", "mm", "", "n/a", "-", "#REF!"),
    *("=1+1", "@SUM(A1)", "0.1'2", "\u0661\u0662", "1,234.5", "\x1b[31m", "\u202e", '"', "a\nb"),
    *(
        "\ud7ff",
        "1/0",
        "0.12/px",
        "x",
        "\0",
        "0" * 400 + "1",
        "²",
        "1e-400",
        "99999999999999999999",
    ),
)
_ENCODINGS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1")


def make(rng: random.Random) -> bytes:
    """Return a file that may be a table."""
    titles = [rng.choice(_NAMES), rng.choice(_SIZES)]
    titles += [rng.choice(_SIZES) for _ in range(rng.randint(0, 1))]
    titles += [rng.choice(_OTHERS) for _ in range(rng.randint(0, 3))]
    rng.shuffle(titles)
    comma = rng.random() < 0.3
    rows = [titles]
    for file in rng.sample(_FILES, rng.randint(0, len(_FILES))):
        row = [file if t in _NAMES else _number(rng, comma=comma) for t in titles]
        rows.append(row)
    for _ in range(rng.choice((0, 0, 1, 3))):
        row = rng.choice(rows)
        row[rng.randrange(len(row))] = _hostile(rng)
        if rng.random() < 0.2:
            row.append(_hostile(rng))
    for _ in range(rng.choice((0, 0, 0, 1))):
        rows.insert(rng.randrange(len(rows) + 1), rng.choice((["# a"], [], rng.choice(rows))))
    data = _text(rng, rows).encode(rng.choice(_ENCODINGS), errors="replace")
    return mutations.mutated(rng, data) if rng.random() < 0.3 else data


def read(data: bytes, folder: Path) -> None:
    """Read it and ask for the size of every image."""
    path = folder / "table.csv"
    path.write_bytes(data)
    sizes = PixelSizes(ITEMS, None, read_table(path))
    refused = 0
    for item in ITEMS:
        try:
            size = sizes.size_of(item, (540, 800))
        except DataError:
            refused += 1
        else:
            if size and not (0.001 <= size.x_mm <= 10 and 0.001 <= size.y_mm <= 10):
                raise AssertionError(f"{item.file} has the size {size}")
    if refused == len(ITEMS):
        raise DataError("no image has a row that can be used")


def _number(rng: random.Random, *, comma: bool) -> str:
    text = f"{rng.uniform(0.05, 0.4):.{rng.randint(1, 12)}g}"
    return text.replace(".", ",") if comma else text


def _hostile(rng: random.Random) -> str:
    if rng.random() < 0.85:
        return rng.choice(_CELLS)
    # one sign many times over, as patterns that look for numbers, paths and quotes dislike
    many = rng.choice((100, 5000, 100_000))
    start, sign, end = (
        rng.choice(("", "1", "0.")),
        rng.choice("0 1'\"/\\a;[(.\u0660"),
        rng.choice("z1!"),
    )
    return start + (sign * many) + end


def _text(rng: random.Random, rows: list[list[str]]) -> str:
    separator, end = rng.choice(",,;\t|"), rng.choice(("\n", "\r\n", "\r"))
    quoted = rng.random() < 0.3
    lines = []
    for row in rows:
        cells = [
            '"' + c.replace('"', '""') + '"' if quoted or separator in c or "\n" in c else c
            for c in row
        ]
        lines.append(separator.join(cells))
    if rng.random() < 0.1:
        lines.insert(0, "sep=" + rng.choice((separator, '"', " ", "\r", "\\", "é", ",")))
    return end.join(lines) + rng.choice((end, ""))
