"""Any labelled data that edgeseg trains on and scores: HC18's shape, or images and masks."""

from __future__ import annotations

from pathlib import Path

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.network.task import Task
from edgeseg.score import hc18
from edgeseg.score.classes import check_classes_agree
from edgeseg.score.folds import LabelledData
from edgeseg.score.pairs import load_pairs
from edgeseg.segmenter import Segmenter


def load_labelled(root: Path, kind: str = "auto", group_pattern: str = "") -> LabelledData:
    """Load a folder's labelled images.

    Parameters
    ----------
    root
        HC18-shaped (see `edgeseg.score.hc18`), or with ``images/`` and ``masks/`` (see
        `edgeseg.score.pairs`).
    kind
        ``head`` needs HC18's shape; ``regions`` takes both, HC18's heads as filled ellipses;
        ``auto`` is the first where it can be.
    group_pattern
        See `edgeseg.score.names.find_groups`.

    Raises
    ------
    InputNotFoundError, DataError
        If there is no such data, or it does not fit the kind.
    """
    if not root.is_dir():
        raise InputNotFoundError(
            f"{root}: no such folder; expected an HC18 folder with '{hc18.FOLDER_NAME}/' and "
            f"'{hc18.CSV_NAME}', or one with images/ and masks/"
        )
    if (root / hc18.FOLDER_NAME).is_dir() or (root / hc18.CSV_NAME).is_file():
        data = hc18.load_data(root, group_pattern)
        return data._replace(task=Task("regions", Task().classes)) if kind == "regions" else data
    if kind == "head":
        raise DataError(
            f"{root}: a head is learnt from outlines and circumferences; expected an HC18 folder "
            f"with '{hc18.FOLDER_NAME}/' and '{hc18.CSV_NAME}', or task = regions"
        )
    return load_pairs(root, group_pattern)


def load_for(segmenter: Segmenter, root: Path) -> LabelledData:
    """Load a folder's labelled images to score a model on.

    Raises
    ------
    InputNotFoundError, DataError
        If there is no such data, or its classes are not the model's.
    """
    data = load_labelled(root, "auto" if segmenter.metadata.task.kind == "head" else "regions")
    check_classes_agree(segmenter, data.task)
    return data
