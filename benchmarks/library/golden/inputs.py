"""The inputs of the golden set, the same files for both versions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .trees import Tree

_MAKER = Path(__file__).parent / "make_inputs.py"
_N_INSTANCES = 60


@dataclass(frozen=True, slots=True)
class Inputs:
    """Folders of images, made when they are first asked for.

    Attributes
    ----------
    folder
        Where they are.
    hc18
        The folder of HC18.
    n_images
        How many of its images are taken.
    maker
        The tree whose modules draw phantoms and write DICOM: version 0.2.
    """

    folder: Path
    hc18: Path
    n_images: int
    maker: Tree

    @property
    def pixel_sizes(self) -> Path:
        """HC18's table."""
        return (self.hc18 / "training_set_pixel_size_and_HC.csv").resolve()

    def scans(self) -> Path:
        """Return a folder of links to images of HC18, evenly chosen."""
        folder = self.folder / "hc18"
        if not folder.is_dir():
            for path in self.scan_files(self.n_images):
                folder.mkdir(parents=True, exist_ok=True)
                (folder / path.name).symlink_to(path)
        return folder

    def scan_files(self, count: int) -> list[Path]:
        """Return so many images of HC18, evenly chosen from all."""
        found = sorted((self.hc18 / "training_set").resolve().glob("*.png"))
        scans = [path for path in found if not path.stem.endswith("_Annotation")]
        count = min(count, self.n_images, len(scans))
        return [scans[i * len(scans) // count] for i in range(count)]

    def phantoms(self) -> Path:
        """Return a folder of phantoms, in several formats and framings, and damaged files."""
        return self._made("phantoms")

    def films(self) -> Path:
        """Return a folder of DICOM images and films in all encodings."""
        return self._made("films")

    def instances(self) -> Path:
        """Return a folder of DICOM instances, each another: images of HC18 and two films."""
        return self._made("instances", self.pixel_sizes, *self.scan_files(_N_INSTANCES))

    def _made(self, kind: str, *arguments: Path) -> Path:
        folder = self.folder / kind
        if not folder.is_dir():
            folder.mkdir(parents=True)
            self.maker.run_python(_MAKER, kind, folder, *arguments)
        return folder
