"""The files of an archive's images, read ahead so that no core waits for a store."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from edgeseg.archive.manifest import ManifestRow
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

_FEW = 5  # files of a root: fewer may all be gone
_RECENT, _MOST_ROOTS = 200, 1000
_ROOT_PARTS = 4  # of the paths that a disk or share may be mounted at


class RunEnds(Exception):
    """No fault of the image that was asked for, such as a store that does not answer.

    ``error`` is to be raised instead, where it cannot become a row.
    """

    def __init__(self, error: EdgesegError) -> None:
        super().__init__(str(error))
        self.error = error


class FileReader:
    """Reads the files of manifest rows in threads; safe to use from several threads.

    ``n_threads`` are read at once; ``sample_places`` returns places from all over the manifest, to
    find out whether a store answers.
    """

    def __init__(self, n_threads: int, sample_places: Callable[[], list[Place]]) -> None:
        self._sample_places = sample_places
        self._pool = ThreadPoolExecutor(max(1, n_threads), "edgeseg-read")
        self._readable: dict[str, Place] = {}  # of each root, a file that was read
        self._recent: deque[Place] = deque(maxlen=_RECENT)  # of stores
        self._films: dict[str, Future[Path]] = {}  # of stores, copied to this machine's disk
        self._n_wanted: Counter[str] = Counter()  # frames of each
        self._counting = threading.Lock()

    def close(self) -> None:
        """Read no more, and remove the films that were copied."""
        self._pool.shutdown(cancel_futures=True)
        for film in self._films.values():
            _remove_film(film)

    def start(self, row: ManifestRow) -> Future[bytes] | None:
        """Begin to read the file of a row; None for a frame of a film."""
        source = row.source
        is_remote = is_url(source.location)
        if is_remote:
            with contextlib.suppress(DataError):  # a URL of no store, as its row says
                self._recent.append(place_of(source.location))
        if not source.frame:
            return self._pool.submit(self._read, row)
        if is_remote:
            with self._counting:
                if source.location not in self._films:
                    film = self._pool.submit(lambda: _write_film(self._read(row)))
                    self._films[source.location] = film
                self._n_wanted[source.location] += 1
        return None

    def read_frame(self, row: ManifestRow, data: Future[bytes] | None) -> Frame:
        """Return the image of a row that `start` was called with, and returned ``data`` for.

        Raises an `EdgesegError` if it cannot be read, and `RunEnds` if its store does not answer or
        this machine cannot read such images.
        """
        try:
            if data is not None:
                return image_file.decode_frame(data.result())
            return self._read_film_frame(row)
        except MissingExtraError as error:
            raise RunEnds(error) from error

    def _read_film_frame(self, row: ManifestRow) -> Frame:
        from edgeseg.images.dicom.frames import read_frame  # imports pydicom

        location, frame = row.source.location, row.source.frame
        if is_url(location):
            with self._open_film(location) as path:
                return read_frame(path, frame)
        place = place_of(location)
        with self._check_store(place):
            place.read(1)
        _check_size(row, place.local.stat().st_size)
        return read_frame(place.local, frame)

    @contextlib.contextmanager
    def _open_film(self, location: str) -> Iterator[Path]:
        """Yield a film's copy on this machine's disk, which is removed after its last frame."""
        try:
            yield self._films[location].result()
        finally:
            with self._counting:
                self._n_wanted[location] -= 1
                if not self._n_wanted[location]:
                    _remove_film(self._films.pop(location))

    def _read(self, row: ManifestRow) -> bytes:
        place = place_of(row.source.location)
        with self._check_store(place):
            if place.is_local:
                data = image_file.read_bytes(place.local)
            else:
                data = _read_from_store(place, row.size_bytes)
        _check_size(row, len(data))
        return data

    def _note_readable(self, place: Place) -> None:
        if len(self._readable) > _MOST_ROOTS:
            self._readable.clear()
        self._readable[_root_of(place)] = place

    @contextlib.contextmanager
    def _check_store(self, place: Place) -> Iterator[None]:
        """Raise `RunEnds` for a file that cannot be read if no other near it can be either."""
        try:
            yield
        except EdgesegError as error:
            self._refuse_silence(place, error)
            raise
        self._note_readable(place)

    def _refuse_silence(self, place: Place, error: EdgesegError) -> None:
        root = _root_of(place)
        known = self._readable.get(root)
        if known is not None and known.can_be_read():
            return
        try:
            others = self._sample_places()
        except EdgesegError as unreadable:  # the manifest's own store
            raise RunEnds(unreadable) from error
        near = {other for other in (*self._recent.copy(), *others) if _root_of(other) == root}
        for other in near - {place}:
            if other.can_be_read():
                self._note_readable(other)
                return
        # a few files may all be gone, unless one was read before
        are_few = len(near) < _FEW and known in (None, place)
        if are_few and any(other.can_be_read() for other in others if _root_of(other) != root):
            return
        text = (
            f"{error}, and no other of the manifest can be read there; is the disk or store that "
            "they lie on connected?"
        )
        raise RunEnds(InputNotFoundError(text)) from error


def _read_from_store(place: Place, size_bytes: int | None) -> bytes:
    """Read a file of a store, which may answer wrongly now and then."""
    if size_bytes is None and (entry := place.info()) is not None:
        size_bytes = entry.size_bytes
    if (size_bytes or 0) > MAX_BYTES:
        raise ImageDecodeError(
            f"{place.text}: {size_bytes} bytes are more than the {MAX_BYTES >> 30} GB allowed; "
            "crop or shrink the image"
        )
    data = place.read_whole(lambda data: len(data) == size_bytes)
    if size_bytes and not data:
        raise InputNotFoundError(f"{place.text}: cannot be read (the store gives no bytes of it)")
    return data


def _root_of(place: Place) -> str:
    """Return what places have in common that fail together: a store, or near a disk's root."""
    return place.start or "/".join(place.path.split("/")[:-1][:_ROOT_PARTS])


def _check_size(row: ManifestRow, size_bytes: int) -> None:
    """Refuse a file that is another than was listed: its pixels may be of another size too."""
    if row.size_bytes not in (None, size_bytes):
        raise ImageDecodeError(
            f"the file has {size_bytes} bytes, the manifest says {row.size_bytes}: it was "
            "changed since; make a new manifest"
        )


def _write_film(data: bytes) -> Path:
    """Write a film to a temporary file, whole or not at all."""
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


def _remove_film(film: Future[Path]) -> None:
    if not film.cancelled() and film.exception() is None:
        film.result().unlink(missing_ok=True)
