"""The images in files, folders and patterns, of this machine or of a store."""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO, NamedTuple

from edgeseg.archive.place import Place, is_url, place_of
from edgeseg.archive.stores import failure_of
from edgeseg.errors import DataError, ImageDecodeError, InputNotFoundError
from edgeseg.images.kinds import DICOM, N_START_BYTES
from edgeseg.inputs import discover, left_out
from edgeseg.inputs.left_out import Tally
from edgeseg.system.parallel import ordered_map
from edgeseg.system.text import first_line

_GROUP = 512  # files looked at together
# A name that ends in letters says what a file is; names of DICOM may end in a number.
_NAMES_KIND = re.compile(r"\.[^.]*[^.\d][^.]*$")
_NEIGHBOURS = 50  # of a file that cannot be read, one of which may be
_THREADS = 16  # for groups of files, most of which wait for a disk or a store


class ListedFile(NamedTuple):
    """A file of images.

    Attributes
    ----------
    place
        Where it lies.
    root
        Path of the input that it was found by, as `place` has its own.
    size_bytes, modified_us
        Of the file; None of a link to nothing.
    n_frames
        1 of one image.
    """

    place: Place
    root: str
    size_bytes: int | None
    modified_us: int | None
    n_frames: int


class _LeftOut(NamedTuple):
    """A file of a store that is no image, as `Tally.add` takes it."""

    why: str
    place: Place
    kind: str = ""


def list_images(text: str, tally: Tally) -> Iterator[ListedFile]:
    """Yield the images of a path, folder or pattern, or of a URL that is one, as they are found.

    What is an image and what is left out is as `edgeseg.inputs.discover.discover` has it. At most
    the names of one folder of a store are in memory at once, and none of a folder here.

    Raises
    ------
    InputNotFoundError
        If it does not exist or cannot be read.
    MissingExtraError
        If pydicom is not installed and there is a DICOM file.
    """
    if is_url(text):
        files, inspect = _find_in_store(place_of(text), tally), _inspect_store_files
    else:
        files, inspect = _find_local(text, tally), _inspect_local_files
    groups = iter(lambda: list(itertools.islice(files, _GROUP)), [])
    for group in ordered_map(inspect, groups, _THREADS):
        for file in group:
            if isinstance(file, _LeftOut):
                tally.add(file.why, file.place.text, file.kind)
            else:
                yield file


def _find_local(text: str, tally: Tally) -> Iterator[ListedFile]:
    path = str(place_of(text).local) if text.lower().startswith("file://") else text
    root, files = discover.find_images(path, tally)
    above = os.path.abspath(root)  # noqa: PTH100 (keeps symlinks)
    for path, stamp in files:
        place = Place("", os.path.abspath(path))  # noqa: PTH100
        is_there = stamp.modified_ns > 0
        size_bytes = stamp.size_bytes if is_there else None
        yield ListedFile(
            place, above, size_bytes, stamp.modified_ns // 1000 if is_there else None, 1
        )


def _inspect_local_files(files: list[ListedFile]) -> list[ListedFile | _LeftOut]:
    """Return files with their numbers of frames."""
    found: list[ListedFile | _LeftOut] = []
    for file in files:
        n_frames = 1
        if left_out.may_be_dicom(file.place.path):
            from edgeseg.images.dicom import frames  # imports pydicom, which only these need

            # why it cannot be read, its row says
            with contextlib.suppress(ImageDecodeError, DataError):
                n_frames = frames.count_frames(file.place.local)
        found.append(file._replace(n_frames=n_frames))
    return found


def _find_in_store(given: Place, tally: Tally) -> Iterator[ListedFile]:
    """Yield what is found in a store, folder by folder."""
    entry = given.info()
    if entry is not None and not entry.is_folder:
        root = given.path.rpartition("/")[0]
        yield ListedFile(given, f"/{root}", entry.size_bytes, entry.modified_us, 1)
        return
    pattern = None
    if entry is None:
        if not glob.has_magic(given.path):
            raise InputNotFoundError(f"{given.text}: no such file or folder")
        given, pattern = _split_pattern(given)
    n_found = 0
    for file in _walk_store(given, given, tally):
        below = file.place.path.removeprefix(f"{given.path.rstrip('/')}/").lstrip("/")
        if pattern is None or pattern.fullmatch(below):
            n_found += 1
            yield file
    if pattern is not None and not n_found:
        raise InputNotFoundError(f"{given.text}: nothing below it matches the pattern")


def _split_pattern(place: Place) -> tuple[Place, re.Pattern[str]]:
    """Return the folder that a pattern begins with, and what matches the rest of it."""
    parts = place.path.split("/")
    n_plain = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    pattern = ""
    for part in parts[n_plain:]:
        one = fnmatch.translate(part).removeprefix("(?s:").removesuffix(r")\Z").removesuffix(r")\z")
        pattern += r"(?:[^/]+/)*" if part == "**" else one.replace(".*", "[^/]*") + "/"
    # a folder that matches is meant with all that is below it
    whole = re.compile(pattern.removesuffix("/") + r"(?:/.*)?")
    return Place(place.start, "/".join(parts[:n_plain]), place.query), whole


def _walk_store(folder: Place, root: Place, tally: Tally) -> Iterator[ListedFile]:
    """Yield the files in a folder of a store and below that may be images by their names."""
    folders, files = [], {}
    for place, entry in folder.list_folder():
        name = place.path.rpartition("/")[2]
        if entry.is_folder and place.path.rstrip("/") == folder.path.rstrip("/"):
            # of keys with two slashes, which pyarrow cannot name
            odd = Place(folder.start, f"{folder.path.rstrip('/')}//", folder.query)
            tally.add(left_out.UNREADABLE, odd.text)
        elif entry.is_folder:
            folders.append((name, place))
        elif name:  # some programs mark folders by a file without a name
            files[name] = place, entry
    is_run = left_out.has_run_files(files)
    for name, (place, entry) in files.items():
        if not _may_be_image(place, name, tally):
            continue
        if left_out.image_of_annotation(name) in files:
            tally.add(left_out.ANNOTATIONS, place.text)
        else:
            yield ListedFile(place, f"/{root.path}", entry.size_bytes, entry.modified_us, 1)
    del files
    for name, place in folders:
        if is_run and name in left_out.PICTURES:
            tally.add(left_out.RESULTS, place.text)
        elif left_out.is_system_folder(name):
            tally.add(left_out.HIDDEN if name.startswith(".") else left_out.SYSTEM, place.text)
        else:
            yield from _walk_store(place, root, tally)


def _may_be_image(place: Place, name: str, tally: Tally) -> bool:
    """Return whether a store's file may be an image by its name, or count it."""
    if left_out.is_system_file(name):
        tally.add(left_out.SYSTEM, place.text)
    elif name.startswith("."):
        if left_out.has_image_suffix(name):
            tally.add(left_out.HIDDEN, place.text)
    elif left_out.has_image_suffix(name) or not _NAMES_KIND.search(name):
        return True
    else:
        tally.add(left_out.NOT_IMAGES, place.text, name.rpartition(".")[2].lower())
    return False


def _inspect_store_files(files: list[ListedFile]) -> list[ListedFile | _LeftOut]:
    """Return those of a store's files that are images, with their numbers of frames."""
    return [found for file in files if (found := _inspect_store_file(file, files)) is not None]


def _inspect_store_file(
    file: ListedFile, beside: Sequence[ListedFile]
) -> ListedFile | _LeftOut | None:
    place = file.place
    has_image_suffix = left_out.has_image_suffix(place.path)
    if has_image_suffix and not left_out.has_dicom_suffix(place.path):
        return file
    try:
        with place.open(file.size_bytes) as stream:
            found = _inspect_content(stream, file)
            if (failure := failure_of(stream)) is not None:  # then a film is not damaged
                raise OSError(first_line(failure))
        return found
    except OSError as error:
        others = beside[:: max(1, len(beside) // _NEIGHBOURS)]
        if not any(other.place.can_be_read() for other in others if other is not file):
            if isinstance(error, InputNotFoundError):
                raise
            text = f"{place.text}: cannot be read ({first_line(error)})"
            raise InputNotFoundError(text) from error
        # why it cannot be read, or that it has more frames than one, its row says
        return file if has_image_suffix else _LeftOut(left_out.UNREADABLE, place)


def _inspect_content(stream: BinaryIO, file: ListedFile) -> ListedFile | _LeftOut | None:
    """Return what an open file is; None if it is no image, nor named like one."""
    name = file.place.path.rpartition("/")[2]
    start = stream.read(N_START_BYTES)
    kind = left_out.kind_of_start(start, name, lambda: _holds_image(stream))
    if kind is not None and not kind.is_picture:
        return _LeftOut(left_out.NOT_IMAGES, file.place, kind.name)
    if left_out.has_dicom_suffix(name) or kind is DICOM:
        return file._replace(n_frames=_count_frames(stream))
    return file if kind is not None else None


def _holds_image(stream: BinaryIO) -> bool:
    from edgeseg.images.dicom import frames  # imports pydicom, which only these need

    stream.seek(0)
    return frames.holds_image(stream)


def _count_frames(stream: BinaryIO) -> int:
    from edgeseg.images.dicom import frames

    stream.seek(0)
    with contextlib.suppress(ImageDecodeError, DataError):
        return frames.count_frames_in(stream)
    return 1  # why it cannot be decoded, its row says
