"""Texts of reports, in ASCII, which every character set of DICOM holds."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeseg.network.zoo import ModelFile
    from edgeseg.prediction import Prediction

LONGEST_NAME = 64  # of what DICOM calls a long string


def describe_doubt(prediction: Prediction) -> str:
    """Return why not to rely on it; empty if nothing speaks against it."""
    return (
        f"Doubtful, not to be relied on: {to_ascii(prediction.reason)}" if prediction.flags else ""
    )


def algorithm_name(model_file: ModelFile) -> str:
    """Return the name of what measured it."""
    return to_ascii(f"edgeseg {model_file.name}", LONGEST_NAME)


def list_parameters(prediction: Prediction, model_file: ModelFile) -> dict[str, str]:
    """Return what the figures follow from besides the image."""
    found = {"model SHA-256": model_file.sha256}
    if (size := prediction.pixel_size) is not None:
        found["pixel size"] = f"{float(size.x_mm)} x {float(size.y_mm)} mm ({size.source})"
    if (interval := prediction.metadata.interval) is not None:
        found["range of uncertainty"] = f"holds {100 * interval.level:g} % of heads"
    if (site := prediction.frame.calibration) is not None:
        found["calibration"] = f"{site.factor!r} * circumference + {site.shift_mm!r} mm"
    return found


def to_ascii(text: str, longest: int = 1024) -> str:
    """Return a text that every character set of DICOM holds, and no rule for short texts refuses.

    The report is written in its source's character set, of which ASCII is all that is sure.
    """
    ascii_text = text.encode("ascii", "xmlcharrefreplace").decode()
    return re.sub(r"[\\\x00-\x1f\x7f]", "?", ascii_text)[:longest].strip() or "?"
