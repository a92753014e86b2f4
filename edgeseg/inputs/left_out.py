"""What lies beside images and is not to be measured: known by name or first bytes, and counted."""

from __future__ import annotations

import os
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Sequence
from pathlib import Path

from edgeseg.errors import InputNotFoundError, MissingExtraError
from edgeseg.images.kinds import DICOM, FILMS, N_START_BYTES, Kind, kind_of
from edgeseg.system.files import LOCK_NAME
from edgeseg.system.text import visible

READ_SUFFIXES = frozenset({
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff",
    ".pgm", ".ppm", ".pnm",
})  # fmt: skip
"""Of the kinds that are read."""
_DICOM_SUFFIXES = frozenset((".dcm", ".dicom", ".dic", ".ima"))
_FILM_SUFFIXES = frozenset((".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm"))
# The others are not read, but a user who has them in a folder must learn it: they get a row.
IMAGE_SUFFIXES = READ_SUFFIXES | _DICOM_SUFFIXES | _FILM_SUFFIXES | {
    ".gif", ".webp", ".avif", ".heic", ".heif", ".jp2", ".j2k", ".jxl", ".tga",
}  # fmt: skip
PICTURES = ("masks", "overlays", "annotated", "sr", "seg", "findings")
"""Folders of pictures and documents in a run's results."""

INDEX = "dicomdir"  # lists the DICOM files of its medium

# Of network drives, recycle bins, file systems and archives, lower case; hidden ones besides.
_SYSTEM_FOLDERS = frozenset({
    "@eadir", "@tmp", "@recycle", "#recycle", "#snapshot", "@recently-snapshot", "__macosx",
    "$recycle.bin", "recycler", "recycled", "system volume information", "lost+found",
})  # fmt: skip
_SYSTEM_FILES = frozenset(("thumbs.db", "ehthumbs.db", "ehthumbs_vista.db"))
_RUN_FILES = ("run.json", "results.csv", "report.html")
_ARCHIVE_FILE = "archive.json"
_MAX_SEEN = 1_000_000  # about 100 MB; what comes later counts as often as it is given

LINKS = "did not follow {n} link{s} to folders, such as {example}; name them as inputs"
UNREADABLE = "passed over {n} file{s} or folder{s} that cannot be read, such as {example}"
SYSTEM = "left out {n} file{s} that a system keeps beside images, such as {example}"
HIDDEN = "left out {n} hidden image{s}, such as {example}"
SPECIAL = "left out {n} pipe{s}, socket{s} or device{s} with names of images, such as {example}"
NOT_IMAGES = "left out {n} file{s} of kinds that are not read ({kinds}), such as {example}"
RESULTS = "left out {n} picture{s} of earlier runs"
LABELS = "left out {n} label{s} of images to train on, such as {example}"


class Tally:
    """What was left out, by reason, with one example each; may be counted from several threads."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._examples: dict[str, str] = {}
        self._kinds: dict[str, Counter[str]] = defaultdict(Counter)
        self._seen: set[int] = set()  # two inputs may name one file
        self._counting = threading.Lock()

    def add(self, why: str, path: str | os.PathLike[str], kind: str = "") -> None:
        """Count a file or folder; ``why`` is one of the sentences of this module."""
        key = hash((why, os.path.abspath(path)))  # noqa: PTH100 (keeps symlinks)
        with self._counting:
            if key in self._seen:
                return
            if len(self._seen) < _MAX_SEEN:
                self._seen.add(key)
            self._counts[why] += 1
            self._examples.setdefault(why, os.fspath(path))
            if kind:
                self._kinds[why][kind] += 1

    def add_below(self, why: str, folder: str) -> None:
        """Count the files with names of images in a folder and below, and the system's own."""
        for here, _, names in os.walk(folder):
            for name in names:
                if has_image_suffix(name) or is_system_file(name):
                    self.add(why, os.path.join(here, name))  # noqa: PTH118 (many names)

    def sentences(self) -> list[str]:
        """Return a notice for each reason."""
        return [
            why.format(
                n=n,
                s="" if n == 1 else "s",
                example=show_name(self._examples[why]),
                kinds=", ".join(f"{m} {kind}" for kind, m in sorted(self._kinds[why].items())),
            )
            for why, n in self._counts.items()
        ]


def show_name(name: str) -> str:
    """Return a name as it can be shown: marks that steer a terminal or turn text are escaped."""
    return visible(os.fsencode(name).decode("utf-8", "backslashreplace"))


def nothing_found(inputs: Sequence[str], notices: Sequence[str]) -> InputNotFoundError:
    """Return the error that there is no image in any input; ``notices``: what was left out."""
    return InputNotFoundError(
        f"no image in {', '.join(map(show_name, inputs))}"
        f"{' (' + '; '.join(notices) + ')' if notices else ''}; expected files ending in "
        f"{', '.join(sorted(READ_SUFFIXES))}"
    )


def is_system_folder(name: str) -> bool:
    """Return whether a folder of this name is a system's own, or hidden."""
    return name.startswith(".") or name.lower() in _SYSTEM_FOLDERS


def is_system_file(name: str) -> bool:
    """Return whether a file of this name is macOS's, such as ``._a.png``, or Windows' own."""
    return name.lower() in _SYSTEM_FILES or name.startswith("._")


def has_image_suffix(name: str) -> bool:
    """Return whether a file's name is that of an image."""
    return _suffix(name) in IMAGE_SUFFIXES


def may_be_single_image(name: str) -> bool:
    """Return whether a file's name is that of an image, and of no video."""
    return has_image_suffix(name) and _suffix(name) not in _FILM_SUFFIXES


def has_dicom_suffix(name: str) -> bool:
    """Return whether a file's name is that of DICOM, in which there need not be an image."""
    return _suffix(name) in _DICOM_SUFFIXES


def kind_with_frames(path: str) -> Kind | None:
    """Return DICOM or a kind of video, by a file's name or else its first bytes; None of others."""
    if has_dicom_suffix(path):
        return DICOM
    if may_be_single_image(path):
        return None
    try:
        kind = kind_of(_read_start(path))
    except (OSError, ValueError):
        return None
    return kind if kind in (DICOM, *FILMS) else None


def read_kind(path: str) -> Kind | None:
    """Return what `kind_of_start` does of a file, or raise an `OSError`."""
    return kind_of_start(_read_start(path), Path(path).name, lambda: _holds_image(path))


def kind_of_start(start: bytes, name: str, holds_image: Callable[[], bool]) -> Kind | None:
    """Return a file's kind, or None; ``holds_image`` is asked of DICOM, which may be a document."""
    if name.lower() == INDEX:
        return Kind("DICOM index")
    kind = kind_of(start)
    if kind is None and _suffix(name) == ".raw":  # whose first bytes say nothing
        return Kind("raw samples")
    return Kind("DICOM document") if kind is DICOM and not holds_image() else kind


def is_results_folder(path: str, out: Path | None) -> bool:
    """Return whether a folder holds pictures or documents of a run, or of that into ``out``."""
    run, name = os.path.split(path)
    if name not in PICTURES:
        return False
    names = (LOCK_NAME, _ARCHIVE_FILE, *_RUN_FILES)
    return has_run_files([name for name in names if Path(run, name).is_file()]) or (
        out is not None and os.path.realpath(run) == os.path.realpath(out)
    )


def is_result(path: Path, out: Path | None) -> bool:
    """Return whether a file lies in such a folder, or below it; see `is_results_folder`."""
    return any(is_results_folder(str(parent), out) for parent in path.absolute().parents)


def has_run_files(names: Container[str]) -> bool:
    """Return whether files of these names in a folder say that a run wrote them.

    A folder that was copied or packed without its hidden files has no lock; two of the files that
    every run writes tell it too.
    """
    if LOCK_NAME in names or _ARCHIVE_FILE in names:
        return True
    return sum(name in names for name in _RUN_FILES) >= 2


def _holds_image(path: str) -> bool:
    from edgeseg.images.dicom.frames import read_kind  # imports pydicom

    try:
        return read_kind(Path(path))[0] != "document"
    except MissingExtraError:  # its row says so
        return True


def _read_start(path: str) -> bytes:
    with open(path, "rb", buffering=0) as stream:  # noqa: PTH123 (many files)
        return stream.read(N_START_BYTES)


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()  # noqa: PTH122 (many names)
