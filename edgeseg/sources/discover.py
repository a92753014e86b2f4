"""From the paths, folders and patterns that a user gives to a sorted list of images."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.system.files import LOCK_NAME

# The last four are not read, but a user who has them in a folder must learn it: they get a row.
IMAGE_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".gif", ".webp", ".dcm", ".dicom")
)
ANNOTATION_SUFFIX = "_Annotation.png"
"""What ends the name of a label that lies beside its image, as in HC18."""


class Item(NamedTuple):
    """One image to measure.

    Attributes
    ----------
    file
        Path below its input, with forward slashes; what results name it by.
    location
        Where it lies: a text, a tenth of a path's memory in folders of many thousand images.
    """

    file: str
    location: str

    @property
    def path(self) -> Path:
        """Where it lies."""
        return Path(self.location)


class Found(NamedTuple):
    """Images found, sorted by ``file``, and sentences about what was left out."""

    items: list[Item]
    notices: list[str]


def discover(inputs: Sequence[str], out: Path | None = None) -> Found:
    """Find the images of files, folders (recursively) and glob patterns.

    ``file`` is the path relative to the input: below a folder, below the last part of a pattern
    without wildcards, or the bare name of a file. Where two inputs give the same, their parent
    folders' names are put in front until they differ. Left out, with a notice: HC18 annotations
    beside their image, and results of earlier runs.

    Parameters
    ----------
    inputs
        Paths and patterns.
    out
        The run's own output folder; its pictures are not inputs.

    Raises
    ------
    InputNotFoundError
        If an input does not exist, or there is no image in any.
    DataError
        If two files cannot be told apart by name.
    """
    rooted: dict[str, tuple[Path, Path]] = {}
    links: list[Path] = []
    for given in inputs:
        root, paths = _expand(given, links)
        for path in paths:
            rooted.setdefault(os.path.abspath(path), (root, path))  # noqa: PTH100 (keeps symlinks)
    notices = []
    if links:
        notices.append(
            f"did not follow {len(links)} links to folders, such as {links[0]}; name them as inputs"
        )
    scans = [pair for pair in rooted.values() if not _is_result(pair[1], out)]
    if left_out := len(rooted) - len(scans):
        notices.append(f"left out {left_out} masks and overlays of earlier runs")
    kept = [pair for pair in scans if not _is_annotation(pair[1])]
    if left_out := len(scans) - len(kept):
        notices.append(f"left out {left_out} annotation files (*{ANNOTATION_SUFFIX})")
    if not kept:
        raise InputNotFoundError(
            f"no image in {', '.join(map(str, inputs))}; expected files ending in "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}"
        )
    items = [Item(file, str(path)) for file, (_, path) in zip(_names(kept), kept, strict=True)]
    return Found(sorted(items, key=lambda item: item.file), notices)


def _expand(given: str, links: list[Path]) -> tuple[Path, list[Path]]:
    """Return the root that names are relative to, and the files of one input.

    Links to folders, which are not followed, since they may lead back, are added to ``links``.
    """
    path = Path(given)
    if path.is_dir():
        return path, list(_walk(path, links))
    if path.exists():
        return path.parent, [path]
    if glob.has_magic(given):
        plain = path.parts[: _first_magic(path)]
        root = Path(*plain) if plain else Path()
        found: list[Path] = []
        for match in sorted(glob.glob(given, recursive=True)):  # noqa: PTH207 (absolute patterns)
            matched = Path(match)
            found += _walk(matched, links) if matched.is_dir() else [matched]
        if found:
            return root, [p for p in found if p.suffix.lower() in IMAGE_SUFFIXES]
        raise InputNotFoundError(f"{given}: nothing matches this pattern")
    raise InputNotFoundError(f"{given}: no such file or folder")


def _first_magic(path: Path) -> int:
    return next(i for i, part in enumerate(path.parts) if glob.has_magic(part))


def _walk(folder: Path, links: list[Path]) -> Iterator[Path]:
    """Yield the image files below a folder, without hidden ones."""
    for here, folders, names in os.walk(folder, onerror=_not_readable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links += [Path(here, name) for name in folders if Path(here, name).is_symlink()]
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in IMAGE_SUFFIXES:
                yield Path(here) / name


def _not_readable(error: OSError) -> None:
    raise InputNotFoundError(f"{error.filename}: cannot be read ({error.strerror})") from error


def _is_result(path: Path, out: Path | None) -> bool:
    """Tell whether a picture lies in ``masks`` or ``overlays`` of this or another run's folder."""
    for parent in path.absolute().parents:
        if parent.name in ("masks", "overlays"):
            run = parent.parent
            if (run / LOCK_NAME).exists() or (out is not None and run.resolve() == out.resolve()):
                return True
    return False


def _is_annotation(path: Path) -> bool:
    if not path.name.endswith(ANNOTATION_SUFFIX):
        return False
    return path.with_name(path.name.removesuffix(ANNOTATION_SUFFIX) + ".png").is_file()


def _names(rooted: Sequence[tuple[Path, Path]]) -> list[str]:
    """Name each path relative to its root, with as many of the root's parents as make it unique."""
    parents = [0] * len(rooted)
    while True:
        names = [
            _relative(root, path, count)
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


def _relative(root: Path, path: Path, parents: int) -> str:
    below = path.relative_to(root)
    above = Path(os.path.abspath(root)).parts[1:]  # noqa: PTH100 (keeps symlinks)
    name = Path(*above[max(0, len(above) - parents) :] if parents else (), below).as_posix()
    # A name that is not UTF-8, as old disks have, must not end the run when it is written.
    return os.fsencode(name).decode("utf-8", "backslashreplace")
