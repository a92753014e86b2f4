"""The images in the files, folders and patterns that a user gives, found one by one.

In memory are the folders that are still to be looked at, however many files there are.
"""

from __future__ import annotations

import contextlib
import glob
import itertools
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from edgeseg.errors import DataError, EdgesegError, InputNotFoundError
from edgeseg.images.kinds import DICOM, FILMS
from edgeseg.inputs import labels, left_out
from edgeseg.inputs.left_out import Tally
from edgeseg.inputs.source import ALL_FRAMES, Source, Stamp, stamp_of

_NOTHING = Stamp(0, 0)


class Found(NamedTuple):
    """Images found, sorted by ``file`` and frame, and sentences about what was left out."""

    items: list[Source]
    notices: list[str]


class FoundFile(NamedTuple):
    """A file that was found, and what it is now; size and time are 0 of a link to nothing."""

    path: str
    stamp: Stamp


def discover(inputs: Sequence[str], out: Path | None = None) -> Found:
    """Find the images of files, folders (recursively) and glob patterns.

    ``file`` is the path relative to the input: below a folder, below the last part of a pattern
    without wildcards, or the bare name of a file. Where two inputs give the same, their parent
    folders' names are put in front until they differ. A file in a folder is an image by its suffix,
    or by its first bytes if it has another or none. Left out, with a notice: labels (see
    `edgeseg.inputs.labels`), results of earlier runs, what systems keep beside images, hidden
    images, kinds that are no single picture, what cannot be read, and the pictures in ``out``, the
    run's own folder. An input that exists is taken as it stands, brackets in its name too.

    Raises InputNotFoundError if an input does not exist or cannot be read, or there is no image in
    any; DataError if two files cannot be told apart by name.
    """
    rooted: dict[str, tuple[Path, Path]] = {}
    tally = Tally()
    for given in inputs:
        root, files = find_images(given, tally, out)
        for file in files:
            whole = os.path.abspath(file.path)  # noqa: PTH100 (keeps symlinks)
            rooted.setdefault(whole, (root, Path(file.path)))
    notices = tally.sentences()
    if not rooted:
        raise left_out.nothing_found(inputs, notices)
    named = _name_files([*rooted.values()])
    items = [item for name, path in named for item in items_of(name, str(path))]
    return Found(sorted(items, key=lambda item: item.key), notices)


def items_of(file: str, location: str) -> Iterator[Source]:
    """Yield a file as an image, each frame of a film, or one that is read in order as a whole."""
    n_frames, kind = 1, left_out.kind_with_frames(location)
    if kind in FILMS:
        return iter([Source(file, location, ALL_FRAMES)])
    if kind is DICOM:
        from edgeseg.images.dicom import frames  # imports pydicom, which only these need

        with contextlib.suppress(EdgesegError):  # why it cannot be read, its row says
            n_frames = frames.count_frames(Path(location))
    return (Source(file, location, number) for number in frame_numbers(n_frames))


def frame_numbers(n_frames: int) -> Sequence[int]:
    """Return the numbers of a file's frames; a file that is one image has 0 alone."""
    return range(1, n_frames + 1) if n_frames > 1 else (0,)


def name_below(root: Path, path: Path, parents: int = 0) -> str:
    """Return a file's name in results: its path below root, with some ``parents`` of that."""
    above = Path(os.path.abspath(root)).parts[1:] if parents else ()  # noqa: PTH100 (keeps links)
    name = Path(*above[-parents:], path.relative_to(root)).as_posix()
    # A name that is not UTF-8, as old disks have, must not end the run when it is written.
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _name_files(rooted: Sequence[tuple[Path, Path]]) -> Iterator[tuple[str, Path]]:
    """Name each path below its root, with as many of the root's parents as make it unique."""
    parents, names = [0] * len(rooted), [""]
    while True:
        earlier = names
        names = [name_below(*each, n) for each, n in zip(rooted, parents, strict=True)]
        counts = Counter(names)
        if len(counts) == len(names):
            return ((name, path) for name, (_, path) in zip(names, rooted, strict=True))
        if names == earlier:
            raise DataError(
                f"two files are called {counts.most_common(1)[0][0]!r} where a name that is not "
                "UTF-8 is written with backslashes; rename one"
            )
        parents = [n + (counts[name] > 1) for n, name in zip(parents, names, strict=True)]


def find_images(
    given: str, tally: Tally, out: Path | None = None
) -> tuple[Path, Iterator[FoundFile]]:
    """Return the root that names are relative to, and the images of one input as they are found.

    What exists is taken as it stands, brackets in its name too; see `walk_files` for the others.

    Raises InputNotFoundError if it does not exist or cannot be read.
    """
    path, shown = Path(given), left_out.show_name(given)
    if path.name.lower() == left_out.INDEX and path.is_file():
        from edgeseg.images.dicom.frames import list_images  # imports pydicom

        return path.parent, _find_named(list_images(path), tally, out)
    try:
        if stat.S_ISDIR(path.stat().st_mode):
            os.scandir(path).close()
            return path, _find_below(str(path), tally, out)
        return path.parent, _find_named([path], tally, out)
    except (FileNotFoundError, NotADirectoryError):
        is_pattern = glob.has_magic(given)
    except OSError as error:
        raise InputNotFoundError(f"{shown}: cannot be read ({error.strerror})") from error
    except ValueError:  # a zero byte in it
        is_pattern = False
    if not is_pattern:
        raise InputNotFoundError(f"{shown}: no such file or folder")
    root, parts = Path(), list(path.parts)
    while len(parts) > 1 and (not glob.has_magic(parts[0]) or Path(root, parts[0]).is_dir()):
        root = Path(root, parts.pop(0))
    pattern = str(Path(*parts))
    # the second time brackets stand for themselves, as in ``[2024] study``
    for rest in dict.fromkeys((pattern, pattern.replace("[", "[[]"))):
        whole = str(Path(glob.escape(str(root)), rest))
        matches = glob.iglob(whole, recursive=True)  # noqa: PTH207 (absolute patterns)
        if (first := next(matches, None)) is not None:
            found = map(Path, itertools.chain((first,), matches))
            return root, (
                f for match in found for f in _find_matched(match, root, parts, tally, out)
            )
    raise InputNotFoundError(f"{shown}: nothing matches this pattern")


def walk_files(top: str, tally: Tally, out: Path | None = None) -> Iterator[FoundFile]:
    """Yield the files in a folder and below that may be images by their names; see `is_image`.

    Folders of systems and of results are left out, those of this run's ``out`` too, links to
    folders are not followed, and what cannot be read is passed over: ``tally`` counts them.
    """
    folders = [top]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    path, is_link = entry.path, entry.is_symlink()
                    if os.path.isdir(path) if is_link else entry.is_dir():  # noqa: PTH112
                        if not _is_left_out(path, entry.name, tally, out):
                            if is_link:  # it may lead back
                                tally.add(left_out.LINKS, path)
                            else:
                                folders.append(path)
                    elif found := _find_file(path, entry.name, tally):
                        yield found
        except OSError:
            tally.add(left_out.UNREADABLE, folder)


def is_image(file: FoundFile, tally: Tally) -> bool:
    """Return whether a file is to be measured, by its name or first bytes, or count it."""
    path = file.path
    if _is_label(Path(path), tally):
        return False
    has_image_suffix = left_out.has_image_suffix(path)
    if has_image_suffix and not left_out.has_dicom_suffix(path):
        return True
    try:
        kind = left_out.read_kind(path)
    except OSError:
        if file.stamp == _NOTHING:  # a link to nothing: its row says so
            return has_image_suffix
        tally.add(left_out.UNREADABLE, path)
        return False
    if kind is None:
        return has_image_suffix
    if not (is_measured := kind.is_picture or kind in FILMS):
        tally.add(left_out.NOT_IMAGES, path, kind.name)
    return is_measured


def _find_below(top: str, tally: Tally, out: Path | None) -> Iterator[FoundFile]:
    if left_out.is_result(Path(top, "any"), out):
        tally.add_below(left_out.RESULTS, top)
        return
    yield from (file for file in walk_files(top, tally, out) if is_image(file, tally))


def _find_named(paths: Iterable[Path], tally: Tally, out: Path | None) -> Iterator[FoundFile]:
    """Yield files that a user named: images whatever they are, but for results and labels."""
    for path in paths:
        if not _is_label(path, tally) and not _is_result(path, tally, out):
            yield FoundFile(str(path), stamp_of(str(path)) or _NOTHING)


def _find_matched(
    match: Path, root: Path, wanted: Sequence[str], tally: Tally, out: Path | None
) -> Iterator[FoundFile]:
    """Yield the images that a match of a pattern is, or has below it; ``wanted`` are its parts."""
    for part in match.relative_to(root).parts[:-1]:
        if part not in wanted and left_out.is_system_folder(part):
            if left_out.has_image_suffix(match.name):
                tally.add(left_out.SYSTEM, match)
            return
    if match.is_dir():
        if match.name in wanted or not _is_left_out(str(match), match.name, tally, out):
            yield from _find_below(str(match), tally, out)
    elif match.name in wanted:
        yield from _find_named([match], tally, out)
    elif not _is_result(match, tally, out):
        found = _find_file(str(match), match.name, tally)
        if found is not None and is_image(found, tally):
            yield found


def _find_file(path: str, name: str, tally: Tally) -> FoundFile | None:
    """Return a file that nobody named, if it may be an image by its name; count it if not."""
    if left_out.is_system_file(name):
        tally.add(left_out.SYSTEM, path)
        return None
    if name.startswith("."):
        reason = left_out.HIDDEN
    else:
        try:
            status = os.stat(path)  # noqa: PTH116 (many files)
        except OSError:  # a link to nothing
            return FoundFile(path, _NOTHING)
        if stat.S_ISREG(status.st_mode):
            return FoundFile(path, Stamp(status.st_size, status.st_mtime_ns))
        reason = left_out.SPECIAL
    if left_out.has_image_suffix(name):
        tally.add(reason, path)
    return None


def _is_label(path: Path, tally: Tally) -> bool:
    """Return whether a file is the label of an image beside it, and count it then."""
    images = labels.images_of(path.name, left_out.READ_SUFFIXES)
    if not any(path.with_name(image).is_file() for image in images):
        return False
    tally.add(left_out.LABELS, path)
    return True


def _folders_beside(folder: str) -> Iterator[str]:
    with os.scandir(os.path.dirname(folder)) as entries:  # noqa: PTH120
        yield from (entry.name for entry in entries if entry.is_dir())


def _is_result(path: Path, tally: Tally, out: Path | None) -> bool:
    if not left_out.is_result(path, out):
        return False
    tally.add(left_out.RESULTS, path)
    return True


def _is_left_out(folder: str, name: str, tally: Tally, out: Path | None) -> bool:
    """Return whether a folder is not to be looked through, and count the images below then.

    It is hidden, a system's own, or of results, or holds the labels of images beside it.
    """
    if left_out.is_results_folder(folder, out):
        reason = left_out.RESULTS
    elif left_out.is_system_folder(name):
        reason = left_out.HIDDEN if name.startswith(".") else left_out.SYSTEM
    elif labels.holds_labels(name, _folders_beside(folder)):
        reason = left_out.LABELS
    else:
        return False
    tally.add_below(reason, folder)
    return True
