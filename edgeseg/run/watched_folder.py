"""A folder that files come into: which of them are images, and when they are complete."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from edgeseg.inputs import left_out
from edgeseg.inputs.discover import is_image, name_below
from edgeseg.inputs.source import Stamp

# as programs call what they are still writing: browsers, rsync, editors, this package
_UNFINISHED = re.compile(r"(\.(part|partial|tmp|temp|crdownload|download|filepart|swp)|~)$", re.I)


class CompleteFile(NamedTuple):
    """A file that is complete: what results call it, where it lies, and what it is now."""

    file: str
    path: str
    stamp: Stamp


class WatchedFolder:
    """Looks at a folder again and again.

    A file is complete when two looks find it the same. Its time is not compared with the clock of
    this machine: that of a network drive is another.

    Parameters
    ----------
    root
        The folder; those below it are looked at too.
    out
        Folder of the results, which may lie in it.
    """

    def __init__(self, root: Path, out: Path) -> None:
        self._root, self._out = root, os.path.realpath(out)
        self._seen: dict[str, Stamp] = {}
        self._handed: dict[str, Stamp] = {}
        self._not_images: dict[str, Stamp] = {}
        self._n_changed = 0

    @property
    def unsettled(self) -> int:
        """Images that the last look found other than the look before."""
        return self._n_changed

    def look(self) -> list[CompleteFile]:
        """Return images that are complete and were not returned as they are now; sorted by name.

        Raises
        ------
        OSError
            If the folder itself cannot be looked at; what is known of its files is kept.
        """
        complete, seen = [], {}
        for path, name, stamp in self._files():
            if self._handed.get(path) == stamp:
                seen[path] = stamp
            elif self._is_image(path, name, stamp):
                seen[path] = stamp
                if self._seen.get(path) == stamp and stamp.size_bytes:
                    complete.append(CompleteFile(name_below(self._root, Path(path)), path, stamp))
        self._n_changed = sum(self._seen.get(path) != stamp for path, stamp in seen.items())
        self._seen = seen
        for each in complete:
            self._handed[each.path] = each.stamp
        return sorted(complete)

    def again(self, path: str) -> None:
        """Have a file returned once more by a later look."""
        self._handed.pop(path, None)

    def again_all(self) -> None:
        """Have all files returned once more by a later look."""
        self._handed.clear()

    def _files(self) -> Iterator[tuple[str, str, Stamp]]:
        """Yield path, name and stamp of each file that may be an image."""
        folders = [str(self._root)]
        with os.scandir(self._root):
            pass  # it raises, where those below are passed over until the next look
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(folder) as entries:
                    found = list(entries)
                for entry in found:
                    if entry.is_dir(follow_symlinks=False):
                        if self._is_watched(entry):
                            folders.append(entry.path)
                    elif not _is_unfinished(entry.name) and entry.is_file():
                        status = entry.stat()
                        stamp = Stamp(status.st_size, status.st_mtime_ns)
                        yield entry.path, entry.name, stamp
            except OSError:  # gone, or not to be read now
                continue

    def _is_watched(self, entry: os.DirEntry[str]) -> bool:
        if left_out.is_system_folder(entry.name) or os.path.realpath(entry.path) == self._out:
            return False
        return not left_out.is_result(Path(entry.path, "a.png"), None)

    def _is_image(self, path: str, name: str, stamp: Stamp) -> bool:
        """Tell whether a file is an image, looking into it at most once as it is."""
        if self._not_images.get(path) == stamp:
            return False
        if is_image(path, name) and not left_out.is_annotation(Path(path)):
            return True
        self._not_images[path] = stamp
        return False


def _is_unfinished(name: str) -> bool:
    return name.startswith(".") or _UNFINISHED.search(name) is not None
