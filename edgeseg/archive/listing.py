"""The images in files, folders and patterns, of this machine or of a store."""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import itertools
import os
import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import BinaryIO, NamedTuple

from edgeseg.archive.place import Place, is_url, place_of
from edgeseg.archive.stores import failure_of
from edgeseg.errors import DataError, ImageDecodeError, InputNotFoundError
from edgeseg.images.kinds import DICOM, FILMS, N_START_BYTES
from edgeseg.inputs import discover, labels, left_out
from edgeseg.inputs.left_out import Tally
from edgeseg.system.parallel import ordered_map
from edgeseg.system.text import first_line

_GROUP = 512  # files looked at together
# A name that ends in letters says what a file is; names of DICOM may end in a number.
_NAMES_KIND = re.compile(r"\.[^.]*[^.\d][^.]*$")
_NEIGHBOURS = 50  # of a file that cannot be read, one of which may be
_THREADS = 16  # for groups of files, most of which wait for a disk or a store


class ListedFile(NamedTuple):
    """A file of images: where it lies, and the path of the input that it was found by.

    Size and time are None of a link to nothing.
    """

    place: Place
    root: str
    size_bytes: int | None
    modified_us: int | None
    n_frames: int = 1


def list_images(text: str, tally: Tally) -> Iterator[ListedFile]:
    """Yield the images of a path, folder or pattern, or of a URL that is one, as they are found.

    What is an image and what is left out is as `edgeseg.inputs.discover.discover` has it. At most
    the names of one folder of a store are in memory at once, and none of a folder here. Raises
    `InputNotFoundError` if it does not exist or cannot be read, `MissingExtraError` if there is
    DICOM and pydicom is not installed.
    """
    files = _find_in_store(place_of(text), tally) if is_url(text) else _find_local(text, tally)
    groups = iter(lambda: list(itertools.islice(files, _GROUP)), [])
    for group in ordered_map(partial(_inspect, tally), groups, _THREADS):
        yield from group


def _find_local(text: str, tally: Tally) -> Iterator[ListedFile]:
    path = str(place_of(text).local) if text.lower().startswith("file://") else text
    root, files = discover.find_images(path, tally)
    above = os.path.abspath(root)  # noqa: PTH100 (keeps symlinks)
    for path, stamp in files:
        place = Place("", os.path.abspath(path))  # noqa: PTH100
        is_there = stamp.modified_ns > 0
        known = (stamp.size_bytes, stamp.modified_ns // 1000) if is_there else (None, None)
        yield ListedFile(place, above, *known)


def _find_in_store(given: Place, tally: Tally) -> Iterator[ListedFile]:
    entry = given.info()
    if entry is not None and not entry.is_folder:
        root = given.path.rpartition("/")[0]
        yield ListedFile(given, f"/{root}", *entry[2:])
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
        if entry.is_folder and place.path.rstrip("/") == folder.path.rstrip("/"):
            # of keys with two slashes, which pyarrow cannot name
            odd = Place(folder.start, f"{folder.path.rstrip('/')}//", folder.query)
            tally.add(left_out.UNREADABLE, odd.text)
        elif entry.is_folder:
            folders.append(place)
        elif place.name:  # some programs mark folders by a file without a name
            files[place.name] = place, entry
    is_run = left_out.has_run_files(files)
    for name, (place, entry) in files.items():
        if not _may_be_image(place, tally):
            continue
        if any(image in files for image in labels.images_of(name, left_out.READ_SUFFIXES)):
            tally.add(left_out.LABELS, place.text)
        else:
            yield ListedFile(place, f"/{root.path}", *entry[2:])
    del files
    for place in folders:
        if is_run and place.name in left_out.PICTURES:
            tally.add(left_out.RESULTS, place.text)
        elif left_out.is_system_folder(place.name):
            is_hidden = place.name.startswith(".")
            tally.add(left_out.HIDDEN if is_hidden else left_out.SYSTEM, place.text)
        elif labels.holds_labels(place.name, (each.name for each in folders)):
            tally.add(left_out.LABELS, place.text)
        else:
            yield from _walk_store(place, root, tally)


def _may_be_image(place: Place, tally: Tally) -> bool:
    """Return whether a store's file may be an image by its name, or count it."""
    name = place.name
    if left_out.is_system_file(name):
        tally.add(left_out.SYSTEM, place.text)
    elif name.startswith("."):
        if left_out.has_image_suffix(name):
            tally.add(left_out.HIDDEN, place.text)
    elif left_out.may_be_single_image(name) or not _NAMES_KIND.search(name):
        return True
    else:
        tally.add(left_out.NOT_IMAGES, place.text, name.rpartition(".")[2].lower())
    return False


def _inspect(tally: Tally, files: Sequence[ListedFile]) -> list[ListedFile]:
    """Return those files that are images, with their numbers of frames; count the others."""
    found = (_inspect_file(file, files, tally) for file in files)
    return [file for file in found if file is not None]


def _inspect_file(
    file: ListedFile, beside: Sequence[ListedFile], tally: Tally
) -> ListedFile | None:
    place = file.place
    if place.is_local:
        kind = left_out.kind_with_frames(place.path)
        if kind is not None and kind in FILMS:
            tally.add(left_out.NOT_IMAGES, place.text, kind.name)
            return None
        return file if kind is None else _count_frames(file)
    has_image_suffix = left_out.has_image_suffix(place.path)
    if has_image_suffix and not left_out.has_dicom_suffix(place.path):
        return file
    try:
        with place.open(file.size_bytes) as stream:
            found = _inspect_content(stream, file, tally)
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
        if has_image_suffix:  # why it cannot be read, or that it has more frames, its row says
            return file
        tally.add(left_out.UNREADABLE, place.text)
        return None


def _inspect_content(stream: BinaryIO, file: ListedFile, tally: Tally) -> ListedFile | None:
    """Return an open file if it is an image; count it if it is of another kind."""
    name, start = file.place.name, stream.read(N_START_BYTES)
    kind = left_out.kind_of_start(start, name, lambda: _holds_image(stream))
    if kind is not None and not kind.is_picture:
        tally.add(left_out.NOT_IMAGES, file.place.text, kind.name)
        return None
    if left_out.has_dicom_suffix(name) or kind is DICOM:
        return _count_frames(file, stream)
    return None if kind is None else file


def _holds_image(stream: BinaryIO) -> bool:
    from edgeseg.images.dicom import frames  # imports pydicom, which only these need

    stream.seek(0)
    return frames.read_kind(stream)[0] != "document"


def _count_frames(file: ListedFile, stream: BinaryIO | None = None) -> ListedFile:
    from edgeseg.images.dicom import frames

    with contextlib.suppress(ImageDecodeError, DataError):  # why it cannot be read, its row says
        if stream is None:
            return file._replace(n_frames=frames.count_frames(file.place.local))
        stream.seek(0)
        return file._replace(n_frames=frames.count_frames_in(stream))
    return file
