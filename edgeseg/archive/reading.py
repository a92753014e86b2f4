"""Files of an archive, read before they are wanted, so that no core waits for a store."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from edgeseg.archive.manifest import Listing
from edgeseg.archive.place import Place, is_url, place_of
from edgeseg.errors import (
    DataError,
    EdgesegError,
    ImageDecodeError,
    InputNotFoundError,
    MissingExtraError,
    OutputWriteError,
)
from edgeseg.images import image_file
from edgeseg.images.frame import Frame
from edgeseg.images.image_file import MAX_BYTES
from edgeseg.system.text import first_line

_TRIES_AFTER_S = (0.5, 2.0, 8.0, 20.0)
_FEW = 5  # files of a root: fewer may all be gone
_RECENT, _MOST_ROOTS = 200, 1000
_ROOT_PARTS = 4  # of the paths that a disk or share may be mounted at


class RunEnds(Exception):
    """What is no fault of the images that were asked for, such as a store that does not answer.

    Parameters
    ----------
    error
        What is raised instead of it once it is out of the way of what becomes a row.
    """

    def __init__(self, error: EdgesegError) -> None:
        super().__init__(str(error))
        self.error = error


class Files:
    """Reads files in threads of its own; safe to use from several threads; a context.

    Parameters
    ----------
    n_threads
        Files read at once.
    others
        Returns places all over the manifest.
    """

    def __init__(self, n_threads: int, others: Callable[[], list[Place]]) -> None:
        self._others = others
        self._pool = ThreadPoolExecutor(max(1, n_threads), "edgeseg-read")
        self._readable: dict[str, Place] = {}  # of each root, a file that was read
        self._asked: deque[Place] = deque(maxlen=_RECENT)  # of stores, those wanted last
        self._films = _Films()

    def __enter__(self) -> Files:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._films.clear()

    def start(self, listing: Listing) -> Future[bytes] | None:
        """Begin to read a file; None of a frame of a film, whose file is fetched if it is far."""
        item = listing.item
        is_far = is_url(item.location)
        if is_far:
            with contextlib.suppress(DataError):  # a URL of no store, as its row says
                self._asked.append(place_of(item.location))
        if not item.frame:
            return self._pool.submit(self._read, listing)
        if is_far and self._films.expect(item.location):
            self._films.expect(item.location)  # by who fetches it
            self._pool.submit(self._fetch, listing)
        return None

    def decoded(self, listing: Listing, data: Future[bytes] | None) -> Frame:
        """Return an image that was begun to be read.

        Raises
        ------
        EdgesegError
            If it cannot be read; an `InputNotFoundError` if it is not there.
        RunEnds
            If its store does not answer, or this machine cannot read such images.
        """
        try:
            if data is None:
                return self._frame(listing)
            return image_file.decode_frame(data.result())
        except MissingExtraError as error:
            raise RunEnds(error) from error

    def _frame(self, listing: Listing) -> Frame:
        from edgeseg.images.dicom.frames import read_frame  # imports pydicom

        location, frame = listing.item.location, listing.item.frame
        if not is_url(location):
            place = place_of(location)
            with self._blaming(place):
                place.read(1)
            self._note(place)
            _check_size(listing, place.local.stat().st_size)
            return read_frame(place.local, frame)
        with self._films.lent(location, lambda: self._read(listing)) as path:
            return read_frame(path, frame)

    def _fetch(self, listing: Listing) -> None:
        """Fetch a film; what that fails with is told where its frames are wanted."""
        lent = self._films.lent(listing.item.location, lambda: self._read(listing))
        with contextlib.suppress(EdgesegError, RunEnds), lent:
            pass

    def _read(self, listing: Listing) -> bytes:
        place = place_of(listing.item.location)
        data = self._from_disk(place) if place.is_local else self._from_store(place, listing)
        self._note(place)
        _check_size(listing, len(data))
        return data

    def _from_disk(self, place: Place) -> bytes:
        with self._blaming(place):
            return image_file.read_bytes(place.local)

    def _from_store(self, place: Place, listing: Listing) -> bytes:
        """Read a file of a store, which may be short of breath now and then."""
        if (listing.size_bytes or 0) > MAX_BYTES:
            raise ImageDecodeError(
                f"{place.text}: {listing.size_bytes} bytes are more than the {MAX_BYTES >> 30} GB "
                "allowed; crop or shrink the image"
            )
        with self._blaming(place):
            for wait_s in _TRIES_AFTER_S:
                try:
                    return place.read()
                except InputNotFoundError as error:
                    if isinstance(error.__cause__, FileNotFoundError):
                        raise
                time.sleep(wait_s)
            return place.read()

    def _note(self, place: Place) -> None:
        """Note that a file was read."""
        if len(self._readable) > _MOST_ROOTS:
            self._readable.clear()
        self._readable[_root(place)] = place

    @contextlib.contextmanager
    def _blaming(self, place: Place) -> Iterator[None]:
        """Let what a file cannot be read for pass, unless its store is silent."""
        try:
            yield
        except EdgesegError as error:
            self._refuse_silence(place, error)
            raise

    def _refuse_silence(self, place: Place, error: EdgesegError) -> None:
        """Raise if nothing near a file that cannot be read can be: then it is not to blame."""
        root = _root(place)
        known = self._readable.get(root)
        if known is not None and known.can_be_read():
            return
        try:
            others = self._others()
        except EdgesegError as away:  # the manifest's own store
            raise RunEnds(away) from error
        near = {other for other in (*self._asked.copy(), *others) if _root(other) == root}
        for other in near - {place}:
            if other.can_be_read():
                self._note(other)
                return
        # of a few nothing can be told, unless one was read before
        are_few = len(near) < _FEW and known in (None, place)
        if are_few and any(other.can_be_read() for other in others if _root(other) != root):
            return
        text = (
            f"{error}, and no other of the manifest can be read there; is the disk or store that "
            "they lie on connected?"
        )
        raise RunEnds(InputNotFoundError(text)) from error


def _root(place: Place) -> str:
    """Return what places have in common that fail together: a store, or near a disk's root."""
    return place.start or "/".join(place.path.split("/")[:-1][:_ROOT_PARTS])


def _check_size(listing: Listing, size_bytes: int) -> None:
    """Refuse a file that is another than was listed: its pixels may be of another size too."""
    if listing.size_bytes not in (None, size_bytes):
        raise ImageDecodeError(
            f"the file has {size_bytes} bytes, the manifest says {listing.size_bytes}: it was "
            "changed since; make a new manifest"
        )


class _Film:
    """A film of a store on this machine's disk, while frames of it are wanted."""

    def __init__(self) -> None:
        self.pending = 0
        self.fetching = threading.Lock()
        self.path: Path | None = None
        self.failure: EdgesegError | None = None

    def fetch(self, read: Callable[[], bytes]) -> Path:
        with self.fetching:
            if self.failure is not None:
                raise self.failure
            if self.path is None:
                try:
                    data = read()
                except EdgesegError as error:
                    self.failure = error
                    raise
                self.path = _on_disk(data)
            return self.path

    def remove(self) -> None:
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def _on_disk(data: bytes) -> Path:
    """Write a film where temporary files lie, whole or not at all."""
    try:
        descriptor, name = tempfile.mkstemp(prefix="edgeseg-", suffix=".dcm")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
        except BaseException:
            Path(name).unlink()
            raise
    except OSError as error:
        text = (
            f"a film of {len(data)} bytes cannot be kept among temporary files "
            f"({first_line(error)}); set TMPDIR to a folder with more space"
        )
        raise RunEnds(OutputWriteError(text)) from error
    return Path(name)


class _Films:
    """The films of stores that are on this machine's disk."""

    def __init__(self) -> None:
        self._films: dict[str, _Film] = {}
        self._counting = threading.Lock()

    def expect(self, location: str) -> bool:
        """Note that a film will be wanted; returns whether for the first time."""
        with self._counting:
            film = self._films.setdefault(location, _Film())
            film.pending += 1
            return film.pending == 1

    @contextlib.contextmanager
    def lent(self, location: str, read: Callable[[], bytes]) -> Iterator[Path]:
        """Yield a film's file, read if it is the first time; after the last it is removed."""
        film = self._films[location]
        try:
            yield film.fetch(read)
        finally:
            with self._counting:
                film.pending -= 1
                if not film.pending:
                    self._films.pop(location).remove()

    def clear(self) -> None:
        """Remove all."""
        for film in self._films.values():
            film.remove()
        self._films.clear()
