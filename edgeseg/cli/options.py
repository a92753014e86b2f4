"""Options that several commands share; `edgeseg.cli.parser.expand_options` takes the dataclasses.

Help lists them in sections: what is measured, with which model, and what is written.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.cli import console
from edgeseg.errors import DataError, ModelError

if TYPE_CHECKING:
    from edgeseg.run.worker import Options

_MODEL, _SCALE, _OUTPUT = "Model", "Scale and age", "Output"
RESUME_OR_OVERWRITE = "--resume keeps and --overwrite replaces an earlier run; give one"


def check_device(value: str) -> str:
    """Refuse a device without a provider, as wrong usage."""
    from edgeseg.network.session import PROVIDERS

    if value != "auto" and value not in PROVIDERS:
        raise typer.BadParameter(f"{value!r}; expected auto, {', '.join(PROVIDERS)}")
    return value


def check_age(value: str | None) -> str | None:
    """Refuse what is neither a gestational age nor a file with a table, as wrong usage."""
    if value is not None and not Path(value).is_file():
        from edgeseg.inputs.ages import read_age

        try:
            read_age(value)
        except DataError as error:
            raise typer.BadParameter(str(error)) from None
    return value


def complete_model(incomplete: str) -> list[str]:
    """Return the bundled models that a shell may complete."""
    from edgeseg.network import zoo

    return [name for name in zoo.manifest() if name.startswith(incomplete)]


def complete_device(incomplete: str) -> list[str]:
    """Return the devices that a shell may complete."""
    from edgeseg.network.session import PROVIDERS

    return [name for name in ("auto", *PROVIDERS) if name.startswith(incomplete)]


def option(text: str, *names: str, panel: str | None = None, **more: Any) -> Any:
    """Return an option with a help text, listed in a section of the help."""
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


ModelOption = Annotated[
    str, option("Bundled model or ONNX file.", panel=_MODEL, autocompletion=complete_model)
]
DeviceOption = Annotated[
    str,
    option(
        "auto, cpu, cuda, tensorrt, coreml, openvino or directml.",
        panel=_MODEL,
        callback=check_device,
        autocompletion=complete_device,
    ),
]
ThreadsOption = Annotated[
    int | None,
    option("Images measured at once; default: all cores.", panel=_MODEL, min=1, metavar="N"),
]
CalibrationOption = Annotated[
    Path | None, option("File that 'edgeseg calibrate' wrote.", panel=_SCALE, metavar="FILE")
]
AgeOption = Annotated[
    str | None,
    option(
        "Gestational age of all images, such as 21w3d, or a table of ages; for centiles.",
        panel=_SCALE,
        metavar="AGE",
        callback=check_age,
    ),
]
JsonOption = Annotated[
    Path | None, option("Write the figures here; - is standard output.", "--json", panel=_OUTPUT)
]
JsonlOption = Annotated[
    Path | None,
    option("Write each row here at once, as a line of JSON; - as above.", "--jsonl", panel=_OUTPUT),
]
SrOption = Annotated[
    bool, option("Write a structured report for each DICOM file.", "--sr/--no-sr", panel=_OUTPUT)
]
HostOption = Annotated[str, option("Address to listen on; 0.0.0.0 listens on all.")]
OverwriteOption = Annotated[bool, option("Replace what exists at the output.", "--overwrite")]
DataOption = Annotated[
    Path, option("Labelled images: HC18's layout, or a folder with images/ and masks/.")
]


@dataclass(frozen=True)
class ScaleOptions:
    """How large the pixels of the images are."""

    pixel_size: Annotated[
        str | None,
        option(
            "Millimetres per pixel of all images: 0.12, or 0.12x0.11 for x and y.",
            panel=_SCALE,
            metavar="MM",
        ),
    ] = None
    pixel_sizes: Annotated[
        Path | None,
        option(
            "Table: filename and pixel size (mm), or pixel size x and y.",
            panel=_SCALE,
            metavar="CSV",
        ),
    ] = None

    def read_size(self) -> float | tuple[float, float] | None:
        """Return the size of all pixels in mm, one number or (x, y); refuse nonsense as usage."""
        from edgeseg.images.frame import parse_pixel_size

        try:
            return None if self.pixel_size is None else parse_pixel_size(self.pixel_size)
        except DataError as error:
            raise typer.BadParameter(str(error), param_hint="--pixel-size") from None

    def print_notices(self, is_given: bool) -> None:
        """Print that sizes are missing, or that both options were given."""
        if not is_given:
            console.notice(
                "no pixel size given: files without a pixel size of their own are measured in "
                "pixels, and their mm columns stay empty"
            )
        if self.pixel_size is not None and self.pixel_sizes is not None:
            console.notice(f"--pixel-size applies to all images: {self.pixel_sizes} is not used")


@dataclass(frozen=True)
class ModelOptions:
    """The model of a command that measures files, and how it is run."""

    model: ModelOption = "hc18-nano"
    device: DeviceOption = "auto"
    threads: ThreadsOption = None
    calibration: CalibrationOption = None

    def open(self, inference_threads: int = 1, *, needs_head: bool = False) -> Any:
        """Open the model; a calibration needs one of heads."""
        task = "head" if needs_head or self.calibration else None
        return open_model(self.model, self.device, inference_threads, task)

    def count_workers(self, inference_threads: int = 1) -> int:
        """Return how many images are measured at once: by default one for each core."""
        from edgeseg.system.parallel import usable_cores

        return self.threads or max(1, usable_cores() // inference_threads)

    def read_calibration(self) -> Any:
        """Return the site's calibration, None if none was given."""
        from edgeseg.images.calibration import read_calibration

        return read_calibration(self.calibration) if self.calibration else None


@dataclass(frozen=True)
class OutputOptions:
    """What `infer`, `watch` and `listen` write besides the table."""

    overlays: Annotated[
        bool, option("Write overlays.", "--overlays/--no-overlays", panel=_OUTPUT)
    ] = True
    masks: Annotated[bool, option("Write masks.", "--masks/--no-masks", panel=_OUTPUT)] = True
    seg: Annotated[
        bool, option("Write a DICOM segmentation for each DICOM file.", "--seg", panel=_OUTPUT)
    ] = False
    keep_ids: Annotated[
        bool,
        option("Keep patient identifiers of DICOM files in results.", "--keep-ids", panel=_OUTPUT),
    ] = False

    def collect(self, workers: int, *, sr: bool, **more: bool) -> Options:
        """Return the options of a run."""
        from edgeseg.run.worker import Options

        return Options(**vars(self), workers=workers, sr=sr, **more)


def open_model(model: str, device: str, threads: int = 1, task: str | None = None) -> Any:
    """Open a model; ``threads`` is per image, since the cores are shared out over images.

    Raises
    ------
    ModelError
        If the model is not of the task that the command needs.
    """
    from edgeseg.segmenter import Segmenter

    segmenter = Segmenter(model, device=device, threads=threads)
    kind = segmenter.metadata.task.kind
    if task not in (None, kind):
        raise ModelError(f"{model}: its task is {kind!r}; this command needs a model of a {task}")
    if device == "auto":
        console.notice(f"device auto: running on {segmenter.provider}")
    return segmenter


def arguments_of(context: typer.Context) -> dict[str, Any]:
    """Return a command's arguments as JSON can hold them, for the record of a run."""
    return {name: plain(value) for name, value in context.params.items()}


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    return str(value) if isinstance(value, Path) else value
