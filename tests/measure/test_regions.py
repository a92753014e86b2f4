from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeseg.errors import ModelError
from edgeseg.images.frame import Frame, PixelSize
from edgeseg.measure import regions
from edgeseg.measure.measurement import Measurement
from edgeseg.measure.tasks import measure_of
from edgeseg.network.metadata import ModelMetadata
from edgeseg.network.task import Task
from edgeseg.output.table import known_columns
from tests.fakes import HEIGHT, LESIONS, METADATA, WIDTH, measure_frame

MAP = (HEIGHT, WIDTH)
TASK = LESIONS.task
ONE = replace(METADATA, task=Task("regions", ("background", "lesion")))
SOFTMAX = replace(METADATA, task=Task("regions", ("background", "artery", "vein")))


def measured(
    maps: np.ndarray,
    metadata: ModelMetadata = LESIONS,
    pixel_size: PixelSize | None = None,
    size: tuple[int, int] = MAP,
) -> Measurement:
    frame = Frame(np.zeros(size, np.uint8), pixel_size)
    return measure_frame(regions, lambda _: maps.astype(np.float32), frame, metadata)


def two_lesions_and_a_cyst() -> np.ndarray:
    maps = np.zeros((2, *MAP))
    maps[0, 10:30, 10:50] = 0.9
    maps[0, 50:60, 10:20] = 0.8
    maps[1, 40:50, 100:120] = 0.7
    return maps


def test_each_class_has_its_area_and_count() -> None:
    found = measured(two_lesions_and_a_cyst(), pixel_size=PixelSize(0.2, 0.5, "dicom"))
    assert found.figures == {
        "lesion_area_px": 900,
        "lesion_area_mm2": pytest.approx(900 * 0.1),
        "lesion_count": 2,
        "lesion_length_mm": pytest.approx(10),  # of the larger: 40 x 0.2 wide, 20 x 0.5 high
        "lesion_width_mm": pytest.approx(8),
        "cyst_area_px": 200,
        "cyst_area_mm2": pytest.approx(200 * 0.1),
        "cyst_count": 1,
        "cyst_length_mm": pytest.approx(5),
        "cyst_width_mm": pytest.approx(4),
    }
    assert {*found.figures} == {column.name for column in known_columns(TASK)}
    assert (found.status, found.flags) == ("ok", ())
    # of the class that was seen least surely
    assert found.confidence == pytest.approx(2 * 0.7 / 1.7)
    assert (found.mask[20, 20], found.mask[45, 110], found.mask[0, 0]) == (1, 2, 0)
    assert regions.caption(found, TASK) == "lesion 90 mm2, cyst 20 mm2"
    assert regions.title(TASK) == "Areas: lesion, cyst"
    maps = two_lesions_and_a_cyst()
    maps[1] = 0
    foreign = replace(LESIONS, task=replace(TASK, classes=("background", "lésion", "cyst")))
    assert regions.caption(measured(maps, foreign), foreign.task) == "lésion 900 px"


def test_areas_are_of_the_image_s_own_pixels() -> None:
    maps = np.zeros((1, *MAP))
    maps[0, 24:72, 36:108] = 1.0
    size = (3 * HEIGHT, 2 * WIDTH)
    found = measured(maps, ONE, PixelSize(0.1, 0.1, "option"), size)
    assert found.figures["lesion_area_px"] == pytest.approx(48 * 72 * 6, rel=0.02)
    assert found.figures["lesion_area_mm2"] == pytest.approx(48 * 72 * 6 * 0.01, rel=0.02)
    assert regions.mask(found, size, ONE).shape == size
    assert not regions.mask(Measurement(), size, ONE).any()


def test_which_class_a_pixel_belongs_to() -> None:
    for artery, vein, metadata, expected in (
        (0.3, 0.2, LESIONS, 0),
        (0.5, 0.2, LESIONS, 1),  # at the threshold it counts
        (0.6, 0.7, LESIONS, 2),
        (0.3, 0.2, SOFTMAX, 0),  # the background has the other half
        (0.45, 0.2, SOFTMAX, 1),  # more than the background's 0.35, whatever the threshold
    ):
        maps = np.full((2, *MAP), np.float32(artery))
        assert not regions.label(maps[:1], ONE.task, artery + 0.01).any()
        assert regions.label(maps[:1], ONE.task, artery).all()
        maps[1] = vein
        assert set(np.unique(regions.label(maps, metadata.task, metadata.threshold))) == {expected}


def test_a_femur_that_lies_askew_has_its_length() -> None:
    """A rectangle of 60 by 8 mm, turned by 0.5 rad, where pixels are twice as high as wide."""
    y_mm, x_mm = np.mgrid[:HEIGHT, :WIDTH] * np.array([0.6, 0.3])[:, None, None]
    along = (x_mm - 43) * np.cos(0.5) + (y_mm - 57) * np.sin(0.5)
    across = (y_mm - 57) * np.cos(0.5) - (x_mm - 43) * np.sin(0.5)
    bone = (np.abs(along) <= 30) & (np.abs(across) <= 4)
    figures = measured(bone[None], ONE, PixelSize(0.3, 0.6, "dicom")).figures
    assert figures["lesion_length_mm"] == pytest.approx(60, abs=0.8)
    assert figures["lesion_width_mm"] == pytest.approx(8, abs=0.8)


def test_speckle_has_area_but_is_no_piece_and_corners_do_not_join() -> None:
    maps = two_lesions_and_a_cyst()
    maps[0, 80, 80] = 1.0
    maps[1, 50:60, 120:130] = 1.0
    figures = measured(maps).figures
    assert [figures[f"{n}_count"] for n in ("lesion", "cyst")] == [2, 2]
    assert figures["lesion_area_px"] == 901
    assert figures["lesion_area_mm2"] is figures["cyst_area_mm2"] is None  # no pixel size


def test_where_nothing_is_found_the_highest_probabilities_are_named() -> None:
    maps = np.zeros((2, *MAP))
    maps[0, 5, 5], maps[1, 6, 6] = 0.41, 0.3
    found = measured(maps)
    assert (found.status, found.confidence, found.figures["lesion_area_px"]) == ("empty", 0, 0)
    assert found.reason == "nothing found: highest probability lesion 0.41, cyst 0.30"
    assert regions.caption(found, TASK) == "nothing found"
    assert regions.strokes(found) == []


def test_strokes_run_along_each_piece_and_hole_and_the_border_is_flagged() -> None:
    maps = two_lesions_and_a_cyst()
    maps[0, 15:20, 20:30] = 0  # a hole
    strokes = regions.strokes(measured(maps))
    assert [stroke.structure for stroke in strokes] == [1, 1, 1, 2]
    assert strokes[-1].points.min(axis=0).tolist() == [100, 40]  # (x, y)
    assert strokes[-1].points.max(axis=0).tolist() == [119, 49]
    for rows, columns in ((0, 50), (-1, 50), (50, 0), (50, -1)):
        maps = np.zeros((1, *MAP))
        maps[0, rows, columns] = 1.0
        assert measured(maps, ONE).flags == ("touches_border",)


def test_a_task_of_a_newer_edgeseg_is_refused_with_advice() -> None:
    with pytest.raises(ModelError, match=r"'spine'; this edgeseg knows head.*: install a"):
        measure_of(Task("spine"))
