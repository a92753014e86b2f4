"""A folder that files come into: which of them are images, and when they are complete."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from edgeseg.inputs.discover import name_below
from edgeseg.inputs.left_out import Tally
from edgeseg.inputs.source import Stamp
from edgeseg.inputs.walk import FoundFile, is_image, walk_files

# as programs call what they are still writing: browsers, rsync, editors, this package
_UNFINISHED = re.compile(r"(\.(part|partial|tmp|temp|crdownload|download|filepart|swp)|~)$", re.I)


class CompleteFile(NamedTuple):
    """A file that is complete: what results call it, where it lies, and what it is now."""

    file: str
    path: str
    stamp: Stamp


class _NoTally(Tally):
    """Counts nothing: what is left out would be counted again by each look."""

    def add(self, *_: object) -> None:
        pass

    def add_below(self, *_: object) -> None:
        pass


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
        self._root, self._out = root, out
        self._seen: dict[str, Stamp] = {}
        self._returned: dict[str, Stamp] = {}
        self._not_images: dict[str, Stamp] = {}
        self._n_changed = 0

    @property
    def n_changed(self) -> int:
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
        for file in self._find_files():
            path, _, stamp = file
            if self._returned.get(path) == stamp:
                seen[path] = stamp
            elif self._is_image(file):
                seen[path] = stamp
                if self._seen.get(path) == stamp and stamp.size_bytes:
                    complete.append(CompleteFile(name_below(self._root, Path(path)), path, stamp))
        self._n_changed = sum(self._seen.get(path) != stamp for path, stamp in seen.items())
        self._seen = seen
        for each in complete:
            self._returned[each.path] = each.stamp
        return sorted(complete)

    def return_again(self, path: str | None = None) -> None:
        """Have a file, or all, returned once more by a later look."""
        if path is None:
            self._returned.clear()
        else:
            self._returned.pop(path, None)

    def _find_files(self) -> Iterator[FoundFile]:
        with os.scandir(self._root):
            pass  # it raises, where those below are passed over until the next look
        for file in walk_files(str(self._root), _NoTally(), self._out):
            if not _UNFINISHED.search(file.name):
                yield file

    def _is_image(self, file: FoundFile) -> bool:
        """Return whether a file is an image, looking into it at most once as it is."""
        if self._not_images.get(file.path) == file.stamp:
            return False
        if is_image(file, _NoTally()):
            return True
        self._not_images[file.path] = file.stamp
        return False
