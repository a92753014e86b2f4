from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.images import image_file
from edgeseg.images.formats.tiff import read_pixel_size
from edgeseg.images.frame import PixelSize
from edgeseg.segmenter import Segmenter
from tests.images.image_files import encoded, tiff
from tests.run.folders import run

OME = (
    '<?xml version="1.0"?><OME xmlns="x"><Image ID="Image:0"><Pixels ID="Pixels:0" {} SizeX="400" '
    'Type="uint8"><Channel/></Pixels></Image></OME>'
)


def imagej(unit: str, extra: str = "") -> str:
    return f"ImageJ=1.54f\nunit={unit}\n{extra}min=0.0\nmax=255.0\n"


def calibrated(scan: np.ndarray, x_mm: float, y_mm: float, **page: Any) -> bytes:
    how = {"description": imagej("mm"), "metadata": None, "resolution": (1 / x_mm, 1 / y_mm)}
    return tiff((scan, how | page))


@pytest.mark.parametrize(
    ("unit", "per_unit"),
    [
        *(("cm", 80.0), ("millimetres", 8.0)),
        *((unit, 0.008) for unit in ("micron", "\\u00B5m", "\u00b5m", "\u03bcm")),
    ],
)
def test_the_units_of_imagej(unit: str, per_unit: float) -> None:
    assert read_pixel_size(imagej(unit), per_unit, per_unit) == PixelSize(0.125, 0.125, "tiff")


@pytest.mark.parametrize(
    ("description", "per_unit"),
    [
        *(("a scan", 80.0), ("ImageJ=1.54f\nimages=1\n", 8.0), (imagej("inch"), 200.0)),
        (imagej("mm"), 0.0),
        (imagej("m"), 8.0),  # 125 mm a pixel
        *((imagej("cm"), dpi / 2.54) for dpi in (72, 96, 150, 300, 600)),  # a printer's
        (imagej("cm"), 28.35),
        (OME.format(""), 0.0),
        (OME.format('PhysicalSizeX="125"'), 0.0),
        (OME.format('PhysicalSizeX="1" PhysicalSizeXUnit="pixel" PhysicalSizeY="1"'), 0.0),
    ],
)
def test_what_is_no_calibration(description: str, per_unit: float) -> None:
    assert read_pixel_size(description, per_unit, per_unit) is None


def test_sizes_of_ome_and_of_an_image_that_is_turned(scan: np.ndarray) -> None:
    for said in (
        'PhysicalSizeX="125.0" PhysicalSizeY="250"',  # micrometres where nothing else is said
        "PhysicalSizeX='125' PhysicalSizeXUnit='&#181;m' "
        "PhysicalSizeY='0.025' PhysicalSizeYUnit='cm'",
    ):
        assert read_pixel_size(OME.format(said), 0, 0) == PixelSize(0.125, 0.25, "tiff")
    assert read_pixel_size(imagej("mm", "yunit=cm\n"), 8, 40) == PixelSize(0.125, 0.25, "tiff")
    turned = calibrated(scan, 0.125, 0.25, extratags=[(274, "H", 1, 6, True)])
    assert image_file.decode_frame(turned).pixel_size == PixelSize(0.25, 0.125, "tiff")


def test_a_files_size_is_in_the_row(segmenter: Segmenter, scan: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "scans" / "a.tif"
    path.parent.mkdir()
    path.write_bytes(calibrated(scan, 0.125, 0.25))
    own = segmenter.predict(path)
    assert own.pixel_size == PixelSize(0.125, 0.25, "tiff")
    assert segmenter.predict(str(path), 0.2).pixel_size == PixelSize(0.2, 0.2, "option")
    summary = run(segmenter, path.parent, tmp_path / "own", size_mm=None)
    row = summary.rows[0]
    assert (row["pixel_size_x_mm"], row["pixel_size_y_mm"]) == (0.125, 0.25)
    assert row["pixel_size_source"] == "tiff"
    assert float(row["hc_mm"]) == pytest.approx(own.hc_mm, abs=1e-3)
    given = run(segmenter, path.parent, tmp_path / "own", size_mm=0.2, resume=True)
    assert (given.n_kept, given.rows[0]["pixel_size_source"]) == (0, "option")


def test_pillow_is_not_imported_for_png_and_jpeg(scan: np.ndarray, tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg"):
        (tmp_path / name).write_bytes(encoded(name[1:], scan))
    code = (
        "import sys; from pathlib import Path; from edgeseg.images.image_file import read_frame\n"
        "for path in Path(sys.argv[1]).iterdir(): read_frame(path)\n"
        "assert 'PIL' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
