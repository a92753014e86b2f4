"""The images that a path, folder or pattern names: files that nobody named are looked at."""

from __future__ import annotations

import glob
import itertools
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from edgeseg.errors import InputNotFoundError
from edgeseg.inputs import left_out
from edgeseg.inputs.left_out import Tally


def is_image(path: str, name: str) -> bool:
    """Tell whether a file in a folder is an image to measure, by its name or its first bytes."""
    return _is_image(path, name, Tally())


def images(given: str, tally: Tally, out: Path | None) -> tuple[Path, Iterator[Path]]:
    """Return the root that names are relative to, and the images of one input as they are found.

    Parameters
    ----------
    given
        A path, folder or pattern; what exists is taken as it stands, brackets in its name too.
    tally
        What is left out is counted in it.
    out
        The output folder; its pictures are not inputs.

    Raises
    ------
    InputNotFoundError
        If it does not exist or cannot be read.
    """
    root, paths = _expand(given, tally)
    return root, (path for path in paths if not _is_ours(path, out, tally))


def _is_ours(path: Path, out: Path | None, tally: Tally) -> bool:
    """Tell whether a file is a result or a label, and count it."""
    if left_out.is_result(path, out):
        tally.add(left_out.RESULTS, path)
    elif left_out.is_annotation(path):
        tally.add(left_out.ANNOTATIONS, path)
    else:
        return False
    return True


def _expand(given: str, tally: Tally) -> tuple[Path, Iterator[Path]]:
    """Return the root that names are relative to, and the files of one input."""
    path = Path(given)
    if left_out.is_index(path.name) and path.is_file():
        from edgeseg.images.dicom.directory import listed_images  # imports pydicom

        return path.parent, iter(listed_images(path))
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            with os.scandir(path):
                pass
            return path, _walk(str(path), tally)
        return path.parent, iter([path])
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
        matches = glob.iglob(whole, recursive=True)  # noqa: PTH207 (absolute patterns)
        first = next(matches, None)
        if first is not None:
            found = map(Path, itertools.chain((first,), matches))
            return root, (path for match in found for path in _matched(match, root, pattern, tally))
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
        for entry in _entries(folder, tally):
            if _is_folder(entry):
                if _is_left_out(entry.path, entry.name, tally):
                    continue
                if entry.is_symlink():  # it may lead back
                    tally.add(left_out.LINKS, entry.path)
                else:
                    folders.append(entry.path)
            elif _is_image(entry.path, entry.name, tally, entry.is_file(follow_symlinks=False)):
                yield Path(entry.path)


def _entries(folder: str, tally: Tally) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError:
        tally.add(left_out.UNREADABLE, folder)


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
