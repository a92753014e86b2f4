"""The files of a folder, path or pattern that may be images, found one by one.

In memory are the folders that are still to be looked at, however many files there are.
"""

from __future__ import annotations

import glob
import itertools
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from edgeseg.errors import InputNotFoundError
from edgeseg.inputs import left_out
from edgeseg.inputs.left_out import Tally
from edgeseg.inputs.source import Stamp, stamp_of

_NOTHING = Stamp(0, 0)


class FoundFile(NamedTuple):
    """A file that was found, and what it is now; size and time are 0 of a link to nothing."""

    path: str
    name: str
    stamp: Stamp = _NOTHING


def walk_files(top: str, tally: Tally, out: Path | None = None) -> Iterator[FoundFile]:
    """Yield the files in a folder and below that may be images by their names.

    Whether they are, `is_image` tells, which looks into those whose name does not say it. Folders
    of systems and of results are left out, links to folders are not followed, a folder that cannot
    be read is passed over.

    Parameters
    ----------
    tally
        What is left out is counted in it.
    out
        The folder of results of this run.
    """
    folders = [top]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if _is_folder(entry):
                        if not _is_left_out(entry.path, entry.name, tally, out):
                            if entry.is_symlink():  # it may lead back
                                tally.add(left_out.LINKS, entry.path)
                            else:
                                folders.append(entry.path)
                    elif found := find_file(entry.path, entry.name, tally):
                        yield found
        except OSError:
            tally.add(left_out.UNREADABLE, folder)


def is_image(file: FoundFile, tally: Tally) -> bool:
    """Return whether a file is an image to measure, by its name or first bytes, or count it."""
    path, name, _ = file
    if left_out.is_annotation(Path(path)):
        tally.add(left_out.ANNOTATIONS, path)
        return False
    has_image_suffix = left_out.has_image_suffix(name)
    if has_image_suffix and not left_out.has_dicom_suffix(name):
        return True
    try:
        is_readable, kind = left_out.read_kind(path, name)
    except OSError:
        if file.stamp == _NOTHING:  # a link to nothing: its row says so
            return has_image_suffix
        tally.add(left_out.UNREADABLE, path)
        return False
    if kind is not None and not kind.is_picture:
        tally.add(left_out.NOT_IMAGES, path, kind.name)
        return False
    return has_image_suffix or is_readable or kind is not None


def find_images(
    given: str, tally: Tally, out: Path | None = None
) -> tuple[Path, Iterator[FoundFile]]:
    """Return the root that names are relative to, and the images of one input as they are found.

    Parameters
    ----------
    given
        A path, folder or pattern; what exists is taken as it stands, brackets in its name too.
    tally, out
        See `walk_files`.

    Raises
    ------
    InputNotFoundError
        If it does not exist or cannot be read.
    """
    path = Path(given)
    if left_out.is_index(path.name) and path.is_file():
        from edgeseg.images.dicom.directory import list_images  # imports pydicom

        return path.parent, _named_files(map(str, list_images(path)), tally, out)
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            with os.scandir(path):
                pass
            return path, _images_below(str(path), tally, out)
        return path.parent, _named_files([str(path)], tally, out)
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
        raise InputNotFoundError(f"{left_out.show_name(given)}: {reason}") from error
    except ValueError:  # a zero byte in it
        raise InputNotFoundError(f"{left_out.show_name(given)}: no such file or folder") from None
    if not glob.has_magic(given):
        raise InputNotFoundError(f"{left_out.show_name(given)}: no such file or folder")
    root, pattern = _split_pattern(path)
    # the second time brackets stand for themselves, as in ``[2024] study``
    for rest in dict.fromkeys((pattern, pattern.replace("[", "[[]"))):
        whole = str(Path(glob.escape(str(root)), rest))
        matches = glob.iglob(whole, recursive=True)  # noqa: PTH207 (absolute patterns)
        first = next(matches, None)
        if first is not None:
            found = map(Path, itertools.chain((first,), matches))
            wanted = Path(pattern).parts  # what the pattern names is meant
            return root, (
                file for match in found for file in _matched(match, root, wanted, tally, out)
            )
    raise InputNotFoundError(f"{left_out.show_name(given)}: nothing matches this pattern")


def _split_pattern(path: Path) -> tuple[Path, str]:
    """Return the folders of a pattern that exist as they stand, and the pattern below them."""
    root, parts = Path(), list(path.parts)
    while len(parts) > 1 and (not glob.has_magic(parts[0]) or Path(root, parts[0]).is_dir()):
        root = Path(root, parts.pop(0))
    return root, str(Path(*parts))


def _matched(
    match: Path, root: Path, wanted: tuple[str, ...], tally: Tally, out: Path | None
) -> Iterator[FoundFile]:
    """Yield the images that a match of a pattern is, or has below it."""
    for part in match.relative_to(root).parts[:-1]:
        if part not in wanted and left_out.is_system_folder(part):
            if left_out.has_image_suffix(match.name):
                tally.add(left_out.SYSTEM, match)
            return
    if match.is_dir():
        if match.name in wanted or not _is_left_out(str(match), match.name, tally, out):
            yield from _images_below(str(match), tally, out)
    elif match.name in wanted:
        yield from _named_files([str(match)], tally, out)
    elif not _is_result(match, tally, out):
        found = find_file(str(match), match.name, tally)
        if found is not None and is_image(found, tally):
            yield found


def _images_below(top: str, tally: Tally, out: Path | None) -> Iterator[FoundFile]:
    if left_out.is_result(Path(top, "any"), out):
        tally.add_below(left_out.RESULTS, top)
        return
    yield from (file for file in walk_files(top, tally, out) if is_image(file, tally))


def _named_files(paths: Iterable[str], tally: Tally, out: Path | None) -> Iterator[FoundFile]:
    """Yield files that a user named: images whatever they are, but for results and labels."""
    for path in map(Path, paths):
        if left_out.is_annotation(path):
            tally.add(left_out.ANNOTATIONS, path)
        elif not _is_result(path, tally, out):
            yield FoundFile(str(path), path.name, stamp_of(str(path)) or _NOTHING)


def _is_result(path: Path, tally: Tally, out: Path | None) -> bool:
    if not left_out.is_result(path, out):
        return False
    tally.add(left_out.RESULTS, path)
    return True


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _is_left_out(folder: str, name: str, tally: Tally, out: Path | None) -> bool:
    """Return whether a folder is hidden, a system's own or of results; count the images below."""
    if left_out.is_results_folder(folder, out):
        reason = left_out.RESULTS
    elif left_out.is_system_folder(name):
        reason = left_out.HIDDEN if name.startswith(".") else left_out.SYSTEM
    else:
        return False
    tally.add_below(reason, folder)
    return True


def find_file(path: str, name: str, tally: Tally) -> FoundFile | None:
    """Return a file that nobody named, if it may be an image by its name; count it if not."""
    has_image_suffix = left_out.has_image_suffix(name)
    if left_out.is_system_file(name):
        tally.add(left_out.SYSTEM, path)
        return None
    if name.startswith("."):
        if has_image_suffix:
            tally.add(left_out.HIDDEN, path)
        return None
    try:
        status = os.stat(path)  # noqa: PTH116 (many files)
    except OSError:  # a link to nothing
        return FoundFile(path, name)
    if not stat.S_ISREG(status.st_mode):
        if has_image_suffix:
            tally.add(left_out.SPECIAL, path)
        return None
    return FoundFile(path, name, Stamp(status.st_size, status.st_mtime_ns))
