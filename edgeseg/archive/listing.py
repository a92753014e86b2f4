"""From what a user gives, folders of this machine or of a store, to the images in them."""

from __future__ import annotations

import contextlib
import fnmatch
import glob
import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from edgeseg.archive.arrow.stores import failure_of
from edgeseg.archive.place import Place, is_url, place_of
from edgeseg.errors import DataError, ImageDecodeError, InputNotFoundError
from edgeseg.images.kinds import N_START_BYTES, is_dicom
from edgeseg.inputs import left_out, walk
from edgeseg.inputs.left_out import Tally
from edgeseg.system.parallel import ordered_map
from edgeseg.system.text import first_line

_AT_ONCE = 512  # files looked at together
# A name that ends in letters says what a file is; those of DICOM may end in a number of their own.
_SAYS_A_KIND = re.compile(r"\.[^.]*[^.\d][^.]*$")
_NEIGHBOURS = 50  # of a file that cannot be read, of which another may be
_LOOKS = 16  # groups of them at once, most of which wait for a disk or a store


class ListedFile(NamedTuple):
    """A file of images.

    Attributes
    ----------
    place
        Where it lies.
    root
        Path of the input that it was found by, as `place` has its own.
    size_bytes, modified_us
        Of the file; None where nothing can be looked at.
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


def list_images(given: str, tally: Tally) -> Iterator[ListedFile]:
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
    found = _in_store(place_of(given), tally) if is_url(given) else _here(given, tally)
    for group in ordered_map(_looked_at, _grouped(found), _LOOKS):
        for listed in group:
            if isinstance(listed, _LeftOut):
                tally.add(listed.why, listed.place.text, listed.kind)
            else:
                yield listed


def _here(given: str, tally: Tally) -> Iterator[ListedFile]:
    """Yield what is found on this machine; of how many frames is told later."""
    path = str(place_of(given).local) if given.lower().startswith("file://") else given
    root, paths = walk.find_images(path, tally)
    above = os.path.abspath(root)  # noqa: PTH100 (keeps symlinks)
    for each in paths:
        size_bytes, modified_ns = each.stamp  # both are 0 of a link to nothing
        facts = (size_bytes, modified_ns // 1000) if any(each.stamp) else (None, None)
        place = Place("", os.path.abspath(each.path))  # noqa: PTH100
        yield ListedFile(place, above, facts[0], facts[1], 1)


def _in_store(given: Place, tally: Tally) -> Iterator[ListedFile]:
    """Yield what is found in a store, folder by folder."""
    entry = given.info()
    if entry is not None and not entry.is_folder:
        root = given.path.rpartition("/")[0]
        yield ListedFile(given, f"/{root}", entry.size_bytes, entry.modified_us, 1)
        return
    wanted = None
    if entry is None:
        if not glob.has_magic(given.path):
            raise InputNotFoundError(f"{given.text}: no such file or folder")
        given, wanted = _plain_part(given)
    n_found = 0
    for listed in _below(given, given, tally):
        below = listed.place.path.removeprefix(f"{given.path.rstrip('/')}/").lstrip("/")
        if wanted is None or wanted.fullmatch(below):
            n_found += 1
            yield listed
    if wanted is not None and not n_found:
        raise InputNotFoundError(f"{given.text}: nothing below it matches the pattern")


def _plain_part(given: Place) -> tuple[Place, re.Pattern[str]]:
    """Return the folder that a pattern begins with, and what matches the rest of it."""
    parts = given.path.split("/")
    n_plain = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    pattern = ""
    for part in parts[n_plain:]:
        one = fnmatch.translate(part).removeprefix("(?s:").removesuffix(r")\Z").removesuffix(r")\z")
        pattern += r"(?:[^/]+/)*" if part == "**" else one.replace(".*", "[^/]*") + "/"
    # a folder that matches is meant with all that is below it
    whole = re.compile(pattern.removesuffix("/") + r"(?:/.*)?")
    return Place(given.start, "/".join(parts[:n_plain]), given.query), whole


def _below(folder: Place, root: Place, tally: Tally) -> Iterator[ListedFile]:
    """Yield the images in a folder of a store and below."""
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
    for name in files:
        place, entry = files[name]
        if not _may_be_image(place, name, tally):
            continue
        if left_out.is_annotation_beside(name, files):
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
            yield from _below(place, root, tally)


def _may_be_image(place: Place, name: str, tally: Tally) -> bool:
    """Tell whether a store's file may be an image by its name."""
    if left_out.is_system_file(name):
        tally.add(left_out.SYSTEM, place.text)
        return False
    if name.startswith("."):
        if left_out.has_image_suffix(name):
            tally.add(left_out.HIDDEN, place.text)
        return False
    if left_out.has_image_suffix(name) or not _SAYS_A_KIND.search(name):
        return True
    tally.add(left_out.NOT_IMAGES, place.text, name.rpartition(".")[2].lower())
    return False


def _grouped(found: Iterable[ListedFile]) -> Iterator[list[ListedFile]]:
    found = iter(found)
    while group := list(itertools.islice(found, _AT_ONCE)):
        yield group


def _looked_at(group: list[ListedFile]) -> list[ListedFile | _LeftOut]:
    """Return those of some files that are images, with all that is told of them."""
    return [
        looked
        for listed in group
        for looked in (_of_disk(listed) if listed.place.is_local else _of_store(listed, group))
    ]


def _of_store(listed: ListedFile, group: Sequence[ListedFile]) -> Iterator[ListedFile | _LeftOut]:
    """Yield a store's file with how many frames it has, if it is an image."""
    place = listed.place
    is_called_image = left_out.has_image_suffix(place.path)
    if is_called_image and not left_out.has_dicom_suffix(place.path):
        yield listed
        return
    try:
        found = _looked_into(listed)
    except InputNotFoundError:
        others = group[:: max(1, len(group) // _NEIGHBOURS)]
        if not any(other.place.can_be_read() for other in others if other is not listed):
            raise  # the store is away
        # why it cannot be read, or that it has more frames than one, its row says
        found = listed if is_called_image else _LeftOut(left_out.UNREADABLE, place)
    if found is not None:
        yield found


def _looked_into(listed: ListedFile) -> ListedFile | _LeftOut | None:
    place = listed.place
    with place.open(listed.size_bytes) as stream:
        try:
            found = _told_by(stream, listed)
        except OSError as error:
            raise InputNotFoundError(
                f"{place.text}: cannot be read ({first_line(error)})"
            ) from error
        failure = failure_of(stream)  # a film that could not be read is not damaged
    if failure is not None:
        raise InputNotFoundError(f"{place.text}: cannot be read ({first_line(failure)})")
    return found


def _told_by(stream: BinaryIO, listed: ListedFile) -> ListedFile | _LeftOut | None:
    """Return what an open file is; None of one that nobody called an image and that is none."""
    name = listed.place.path.rpartition("/")[2]
    start = stream.read(N_START_BYTES)
    is_readable, kind = left_out.kind_of_start(start, name, lambda: _holds_image(stream))
    if kind is not None and not kind.is_picture:
        return _LeftOut(left_out.NOT_IMAGES, listed.place, kind.name)
    if left_out.has_dicom_suffix(name) or is_dicom(start):
        return listed._replace(n_frames=_count_frames(stream))
    return listed if is_readable or kind is not None else None


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


def _of_disk(listed: ListedFile) -> Iterator[ListedFile]:
    """Yield a file of this machine with how many frames it has."""
    place, n_frames = listed.place, 1
    if left_out.may_be_dicom(place.path):
        from edgeseg.images.dicom import frames  # imports pydicom, which only these need

        # why it cannot be read, its row says
        with contextlib.suppress(ImageDecodeError, DataError):
            n_frames = frames.count_frames(Path(place.path))
    yield listed._replace(n_frames=n_frames)
