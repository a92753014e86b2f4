"""From the paths, folders and patterns that a user gives to a sorted list of images."""

from __future__ import annotations

import contextlib
import glob
import os
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from edgeseg.errors import DataError, EdgesegError, InputNotFoundError
from edgeseg.sources import left_out
from edgeseg.sources.left_out import ANNOTATION_SUFFIX, IMAGE_SUFFIXES, READ_SUFFIXES, Tally

__all__ = [
    "ANNOTATION_SUFFIX", "IMAGE_SUFFIXES", "Found", "Item", "discover", "is_image", "items_of",
    "name_below",
]  # fmt: skip


class Item(NamedTuple):
    """One image to measure.

    Attributes
    ----------
    file
        Path below its input, with forward slashes; what results name it by.
    location
        Where it lies: a text, a tenth of a path's memory in folders of many thousand images.
    frame
        Which frame of its file it is, from 1; 0 of a file that is one image.
    """

    file: str
    location: str
    frame: int = 0

    @property
    def key(self) -> tuple[str, int]:
        """What tells it from all others of a run: its file and frame."""
        return self.file, self.frame

    @property
    def path(self) -> Path:
        """Where it lies."""
        return Path(self.location)


class Found(NamedTuple):
    """Images found, sorted by ``file`` and frame, and sentences about what was left out."""

    items: list[Item]
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
        root, paths = _expand(given, tally)
        for path in paths:
            rooted.setdefault(os.path.abspath(path), (root, path))  # noqa: PTH100 (keeps symlinks)
    kept = []
    for root, path in rooted.values():
        if left_out.is_result(path, out):
            tally.add(left_out.RESULTS, path)
        elif left_out.is_annotation(path):
            tally.add(left_out.ANNOTATIONS, path)
        else:
            kept.append((root, path))
    notices = tally.sentences()
    if not kept:
        raise InputNotFoundError(
            f"no image in {', '.join(map(left_out.shown, inputs))}"
            f"{' (' + '; '.join(notices) + ')' if notices else ''}; expected files ending in "
            f"{', '.join(sorted(READ_SUFFIXES))}"
        )
    items = [
        item
        for file, (_, path) in zip(_names(kept), kept, strict=True)
        for item in items_of(file, str(path))
    ]
    return Found(sorted(items, key=lambda item: (item.file, item.frame)), notices)


def items_of(file: str, location: str) -> Iterator[Item]:
    """Yield a file as an image, or as each frame of a film."""
    n_frames = 1
    if left_out.may_be_dicom(location):
        from edgeseg.sources.dicom import frames  # imports pydicom, which only these need

        with contextlib.suppress(EdgesegError):  # why it cannot be read, its row says
            n_frames = frames.count_frames(Path(location))
    if n_frames == 1:
        yield Item(file, location)
    else:
        yield from (Item(file, location, number) for number in range(1, n_frames + 1))


def is_image(path: str, name: str) -> bool:
    """Tell whether a file in a folder is an image to measure, by its name or its first bytes."""
    return _is_image(path, name, Tally())


def name_below(root: Path, path: Path) -> str:
    """Return what results call a file below a folder: its path there, with forward slashes."""
    return _relative(root, path, 0)


def _expand(given: str, tally: Tally) -> tuple[Path, list[Path]]:
    """Return the root that names are relative to, and the files of one input."""
    path = Path(given)
    if left_out.is_index(path.name) and path.is_file():
        from edgeseg.sources.dicom.directory import listed_images  # imports pydicom

        return path.parent, listed_images(path)
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            with os.scandir(path):
                pass
            return path, list(_walk(str(path), tally))
        return path.parent, [path]
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise InputNotFoundError(
            f"{left_out.shown(given)}: cannot be read ({error.strerror})"
        ) from error
    except ValueError:  # a zero byte in it
        raise InputNotFoundError(f"{left_out.shown(given)}: no such file or folder") from None
    if not glob.has_magic(given):
        raise InputNotFoundError(f"{left_out.shown(given)}: no such file or folder")
    root, pattern = _plain_part(path)
    for rest in dict.fromkeys((pattern, _without_sets(pattern))):
        whole = str(Path(glob.escape(str(root)), rest))
        found: list[Path] = []
        matched = False
        for match in sorted(glob.glob(whole, recursive=True)):  # noqa: PTH207 (absolute patterns)
            matched = True
            found += _matched(Path(match), root, pattern, tally)
        if matched:
            return root, found
    raise InputNotFoundError(f"{left_out.shown(given)}: nothing matches this pattern")


def _plain_part(path: Path) -> tuple[Path, str]:
    """Return the folders of a pattern that exist as they stand, and the pattern below them."""
    root, parts = Path(), list(path.parts)
    while len(parts) > 1 and (not glob.has_magic(parts[0]) or Path(root, parts[0]).is_dir()):
        root = Path(root, parts.pop(0))
    return root, str(Path(*parts))


def _without_sets(pattern: str) -> str:
    """Return a pattern in which brackets stand for themselves, as in ``[2024] study``."""
    return pattern.replace("[", "[[]")


def _matched(match: Path, root: Path, pattern: str, tally: Tally) -> Iterator[Path]:
    """Yield the images that a match of a pattern is, or has below it."""
    wanted = Path(pattern).parts  # what the pattern names is meant
    for part in match.relative_to(root).parts[:-1]:
        if part not in wanted and left_out.is_system_folder(part):
            if left_out.has_image_suffix(match.name):
                tally.add(left_out.SYSTEM, match)
            return
    if match.is_dir():
        if match.name in wanted or not _is_left_out(str(match), match.name, tally):
            yield from _walk(str(match), tally)
    elif match.name in wanted or _is_image(str(match), match.name, tally):
        yield match


def _walk(top: str, tally: Tally) -> Iterator[Path]:
    """Yield the image files below a folder; what is left out is counted."""
    folders = [top]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                found = list(entries)
        except OSError:
            tally.add(left_out.UNREADABLE, folder)
            continue
        for entry in found:
            if _is_folder(entry):
                if _is_left_out(entry.path, entry.name, tally):
                    continue
                if entry.is_symlink():  # it may lead back
                    tally.add(left_out.LINKS, entry.path)
                else:
                    folders.append(entry.path)
            elif _is_image(entry.path, entry.name, tally, entry.is_file(follow_symlinks=False)):
                yield Path(entry.path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _is_left_out(folder: str, name: str, tally: Tally) -> bool:
    """Tell whether a folder is hidden or a system's own, and count the images below it."""
    if not left_out.is_system_folder(name):
        return False
    reason = left_out.HIDDEN if name.startswith(".") else left_out.SYSTEM
    for path in left_out.images_below(folder):
        tally.add(reason, path)
    return True


def _is_image(path: str, name: str, tally: Tally, is_plain: bool = False) -> bool:
    """Tell whether a file that nobody named on purpose is an image to measure, or count it."""
    called_so = left_out.has_image_suffix(name)
    if left_out.is_system_file(name):
        tally.add(left_out.SYSTEM, path)
        return False
    if name.startswith("."):
        if called_so:
            tally.add(left_out.HIDDEN, path)
        return False
    try:
        if not is_plain and not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 (many files)
            if called_so:
                tally.add(left_out.SPECIAL, path)
            return False
    except OSError:  # a link to nothing: its row says so
        return called_so
    if called_so and not left_out.is_called_dicom(name):
        return True
    try:
        is_readable, kind = left_out.look(path, name)
    except OSError:
        tally.add(left_out.UNREADABLE, path)
        return False
    if kind is not None and not kind.is_picture:
        tally.add(left_out.NOT_IMAGES, path, kind.name)
        return False
    return called_so or is_readable or kind is not None


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
