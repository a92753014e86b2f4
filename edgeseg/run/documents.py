"""The DICOM documents of a run: a report and a segmentation of each DICOM file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgeseg.errors import EdgesegError
from edgeseg.inputs.source import Source
from edgeseg.network.zoo import ModelFile
from edgeseg.output.cines import best_frame
from edgeseg.output.pictures import picture_names, picture_paths
from edgeseg.output.table import key
from edgeseg.prediction import Prediction
from edgeseg.system.files import write_atomic


@dataclass(slots=True)
class Documents:
    """Writes what is sent back to an archive: of a film, what its best frame shows.

    Parameters
    ----------
    out
        Folder of the run.
    model
        What measured.
    kinds
        Of ``sr`` and ``seg`` those that are wanted.

    Raises
    ------
    MissingExtraError
        If some are, and the package that makes them is not installed.
    """

    out: Path
    model: ModelFile
    kinds: Sequence[str]
    _notices: list[str] = field(default_factory=list)
    _adding: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        if self.kinds:
            from edgeseg.output.dicom import require

            require()

    def measured(self, item: Source, prediction: Prediction) -> None:
        """Write the documents of a single image; of a film there are those of its best frame."""
        if self.kinds and not item.frame:
            self._write(item, prediction)

    def finish(
        self,
        items: Sequence[Source],
        rows: Iterable[Mapping[str, str]],
        again: Callable[[Source], Prediction | str],
    ) -> None:
        """Write the documents of a file where they are missing.

        Parameters
        ----------
        items, rows
            The file's, all of them.
        again
            Measures an image once more, which costs less than to remember it.
        """
        best = best_frame(rows)
        if not self.kinds or best is None or self.are_there(items[0]):
            return
        item = next(item for item in items if item.key == key(best))
        prediction = again(item)
        if isinstance(prediction, Prediction):
            self._write(item, prediction)

    def take_notices(self) -> list[str]:
        """Return sentences on documents that could not be made, each once."""
        with self._adding:
            taken, self._notices = self._notices, []
            return taken

    def names(self, item: Source) -> list[str]:
        """Return what the documents of an image's file are called, below the run's folder."""
        names = picture_names(*item.key)
        return [names[kind] for kind in self.kinds]

    def are_there(self, item: Source) -> bool:
        """Tell whether the documents of an image's file are written."""
        paths = picture_paths(self.out, *item.key)
        return all(paths[kind].is_file() and paths[kind].stat().st_size > 0 for kind in self.kinds)

    def _write(self, item: Source, prediction: Prediction) -> None:
        if prediction.frame.screen is None or prediction.status == "empty":
            return  # no DICOM image, or nothing to tell
        from edgeseg.images.dicom.library import read_elements
        from edgeseg.output import dicom

        paths = picture_paths(self.out, *item.key)
        make = {"sr": dicom.structured_report, "seg": dicom.segmentation}
        for kind in self.kinds:
            try:
                document = make[kind](read_elements(item.path), item.frame, prediction, self.model)
            except EdgesegError as error:
                with self._adding:
                    self._notices.append(f"{item.file}: no {kind.upper()} was made of it: {error}")
            else:
                write_atomic(paths[kind], document)
