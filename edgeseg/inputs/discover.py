"""From the paths, folders and patterns that a user gives to a sorted list of images."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from edgeseg.errors import DataError, EdgesegError, InputNotFoundError
from edgeseg.inputs import left_out, walk
from edgeseg.inputs.left_out import ANNOTATION_SUFFIX, IMAGE_SUFFIXES, READ_SUFFIXES, Tally
from edgeseg.inputs.source import Source

__all__ = [
    "ANNOTATION_SUFFIX", "IMAGE_SUFFIXES", "Found", "discover", "frame_numbers",
    "items_of", "name_below", "nothing_found",
]  # fmt: skip


class Found(NamedTuple):
    """Images found, sorted by ``file`` and frame, and sentences about what was left out."""

    items: list[Source]
    notices: list[str]


def discover(inputs: Sequence[str], out: Path | None = None) -> Found:
    """Find the images of files, folders (recursively) and glob patterns.

    ``file`` is the path relative to the input: below a folder, below the last part of a pattern
    without wildcards, or the bare name of a file. Where two inputs give the same, their parent
    folders' names are put in front until they differ. A file in a folder is an image by its suffix,
    or by its first bytes if it has another or none. Left out, with a notice: HC18 annotations
    beside their image, results of earlier runs, what systems keep beside images, hidden images,
    kinds that are no single picture, and what cannot be read.

    Parameters
    ----------
    inputs
        Paths and patterns; what exists is taken as it stands, brackets in its name too.
    out
        The run's own output folder; its pictures are not inputs.

    Raises
    ------
    InputNotFoundError
        If an input does not exist or cannot be read, or there is no image in any.
    DataError
        If two files cannot be told apart by name.
    """
    rooted: dict[str, tuple[Path, Path]] = {}
    tally = Tally()
    for given in inputs:
        root, files = walk.find_images(given, tally, out)
        for file in files:
            whole = os.path.abspath(file.path)  # noqa: PTH100 (keeps symlinks)
            rooted.setdefault(whole, (root, Path(file.path)))
    kept = [*rooted.values()]
    notices = tally.sentences()
    if not kept:
        raise nothing_found(inputs, notices)
    items = [
        item
        for file, (_, path) in zip(_names(kept), kept, strict=True)
        for item in items_of(file, str(path))
    ]
    return Found(sorted(items, key=lambda item: (item.file, item.frame)), notices)


def nothing_found(inputs: Sequence[str], notices: Sequence[str]) -> InputNotFoundError:
    """Return the error that there is no image in any input; ``notices``: what was left out."""
    return InputNotFoundError(
        f"no image in {', '.join(map(left_out.show_name, inputs))}"
        f"{' (' + '; '.join(notices) + ')' if notices else ''}; expected files ending in "
        f"{', '.join(sorted(READ_SUFFIXES))}"
    )


def items_of(file: str, location: str) -> Iterator[Source]:
    """Yield a file as an image, or as each frame of a film."""
    n_frames = 1
    if left_out.may_be_dicom(location):
        from edgeseg.images.dicom import frames  # imports pydicom, which only these need

        with contextlib.suppress(EdgesegError):  # why it cannot be read, its row says
            n_frames = frames.count_frames(Path(location))
    return (Source(file, location, number) for number in frame_numbers(n_frames))


def frame_numbers(n_frames: int) -> Sequence[int]:
    """Return the numbers of a file's frames; a file that is one image has 0 alone."""
    return range(1, n_frames + 1) if n_frames > 1 else (0,)


def _names(rooted: Sequence[tuple[Path, Path]]) -> list[str]:
    """Name each path relative to its root, with as many of the root's parents as make it unique."""
    parents = [0] * len(rooted)
    while True:
        names = [
            name_below(root, path, count)
            for (root, path), count in zip(rooted, parents, strict=True)
        ]
        counts = Counter(names)
        repeated = [i for i, name in enumerate(names) if counts[name] > 1]
        if not repeated:
            return names
        for i in repeated:
            if parents[i] > len(Path(os.path.abspath(rooted[i][0])).parts):  # noqa: PTH100
                raise DataError(
                    f"two files are called {names[i]!r} where a name that is not UTF-8 is written "
                    "with backslashes; rename one"
                )
            parents[i] += 1


def name_below(root: Path, path: Path, parents: int = 0) -> str:
    """Return what results call a file below a folder: its path there, with forward slashes.

    ``parents``: how many folders above it are named too.
    """
    below = path.relative_to(root)
    above = Path(os.path.abspath(root)).parts[1:]  # noqa: PTH100 (keeps symlinks)
    name = Path(*above[max(0, len(above) - parents) :] if parents else (), below).as_posix()
    # A name that is not UTF-8, as old disks have, must not end the run when it is written.
    return os.fsencode(name).decode("utf-8", "backslashreplace")
