"""Films in video files, decoded in order by the FFmpeg that OpenCV brings."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from edgeseg.errors import ImageDecodeError
from edgeseg.images.frame import Frame, check_sides
from edgeseg.images.live import open_capture
from edgeseg.images.ruler import RulerOption, read_ruler

_MOST_FRAMES, _MOST_PIXELS = 100_000, 200_000_000_000  # of a film
_WITH_RULER = 5  # frames at most in which it is looked for
_END_BYTES = 1 << 20  # at a file's start and end, in which it names its codec
_CODEC = re.compile(
    rb"vids.{52}strf.{20}(\w{4})|vmhd.{1,200}?stsd.{12}(\w{4})|(V_[\w/]+)", re.DOTALL
)
_FACTS = (
    cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FPS,
    cv2.CAP_PROP_SAR_NUM, cv2.CAP_PROP_SAR_DEN,
)  # fmt: skip
_SQUARE = 0.02  # how far a pixel's sides may differ, relative; encoders round


def read_film(
    path: Path, fps: float | None = None, ruler: RulerOption = None
) -> Iterator[tuple[int, Frame | ImageDecodeError]]:
    """Yield a film's frames one after the other, gray and upright, with their numbers from 1.

    ``fps``: at most so many of each second. If a ruler is to be read, the first that is understood
    is that of all frames from there on. Where the film cannot be read, or ends before its header
    says, the last item is the error, numbered as the frame that is missing; 0 if all are.
    """
    number, n_given, time_s, last_slot, found = 0, 0, 0.0, -1, None
    try:
        with path.open("rb") as stream:
            capture = _open(stream)
            width, height, n_said, rate, wide, high = map(capture.get, _FACTS)
            check_sides(int(width), int(height))
            if wide and high and abs(wide / high - 1) > _SQUARE:
                raise ImageDecodeError(
                    f"its pixels are {wide:.0f}:{high:.0f}, not square; convert it to square ones"
                )
            most = min(_MOST_FRAMES, int(_MOST_PIXELS // (width * height)))
            while capture.grab():
                number += 1
                if number > most:
                    raise ImageDecodeError(f"only the first {most} frames are read; cut the film")
                time_s = max(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, 0.0)
                slot = number if fps is None else math.floor(time_s * fps + 1e-3)
                if slot <= last_slot:
                    continue
                last_slot, n_given = slot, n_given + 1
                gray = cv2.cvtColor(capture.retrieve()[1], cv2.COLOR_BGR2GRAY)
                frame = Frame(np.asarray(gray, np.uint8), time_s=time_s)
                if ruler and n_given <= _WITH_RULER and not (found and found.pixel_size_mm):
                    found = read_ruler(frame, ruler)
                yield number, replace(frame, ruler=found)
            if not number:
                raise ImageDecodeError(_explain(stream))
        number += 1
        # a container that does not count its frames says how long it lasts, sound included
        spare = max(1, n_said // 50)
        if number == 1 or min(n_said - number, n_said - time_s * rate - 2) > spare - 1:
            counts = f"{number - 1} of {max(n_said, 0):.0f} frames can be read"
            raise ImageDecodeError(f"the film ends early: {counts}; copy it again")
    except (ImageDecodeError, OSError, cv2.error) as error:
        if not isinstance(error, ImageDecodeError):
            error = ImageDecodeError(f"cannot be read ({getattr(error, 'strerror', 'damaged')})")
        yield number if number > 1 else 0, error


def _open(stream: BinaryIO) -> cv2.VideoCapture:
    """Open a video, or raise an ImageDecodeError."""
    # OpenCV crashes on names that are not UTF-8
    name = f"/dev/fd/{stream.fileno()}" if os.name == "posix" else stream.name
    capture = open_capture(name, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    if not capture.isOpened():
        raise ImageDecodeError(_explain(stream))
    return capture


def _explain(stream: BinaryIO) -> str:
    """Return why no frame of a video can be read, with its codec if the file names it."""
    stream.seek(0)
    start = stream.read(_END_BYTES)
    stream.seek(max(len(start), stream.seek(0, os.SEEK_END) - _END_BYTES))
    if found := _CODEC.search(start + stream.read()):
        codec = next(filter(None, found.groups())).decode()
        return f"damaged, or this OpenCV does not have its codec, {codec}; convert it"
    return "no pictures are found in the video: it was cut short, or is sound alone; copy it again"
