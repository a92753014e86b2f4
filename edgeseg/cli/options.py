"""Options that several commands share; `expand_options` takes the dataclasses."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.cli import console
from edgeseg.errors import ConfigError, DataError, ModelError, OutputExistsError

if TYPE_CHECKING:
    import ssl

    from edgeseg.images.calibration import Calibration
    from edgeseg.run.worker import Options

RESUME_OR_OVERWRITE = "--resume keeps and --overwrite replaces an earlier run; give one"


@contextlib.contextmanager
def wrong_usage(hint: str | None = None) -> Iterator[None]:
    """Have values that are refused in the context be wrong usage of an option."""
    try:
        yield
    except (ConfigError, DataError) as error:
        raise typer.BadParameter(str(error), param_hint=hint) from None


def complete_device(incomplete: str) -> list[str]:
    """Return the devices that a shell may complete."""
    from edgeseg.network.session import PROVIDERS

    return [name for name in ("auto", *PROVIDERS) if name.startswith(incomplete)]


def check_device(value: str) -> str:
    """Refuse a device without a provider, as wrong usage."""
    if value not in (devices := complete_device("")):
        raise typer.BadParameter(f"{value!r}; expected {', '.join(devices)}")
    return value


def check_template(value: str) -> str:
    """Refuse what is no template of reports, as wrong usage."""
    if value not in ("1500", "ob"):
        raise typer.BadParameter(f"{value!r}; expected 1500 or ob")
    return value


def check_age(value: str | None) -> str | None:
    """Refuse what is neither a gestational age nor a file with a table, as wrong usage."""
    if value is not None and not Path(value).is_file():
        from edgeseg.inputs.facts import read_age

        with wrong_usage():
            read_age(value)
    return value


def read_ruler_option(value: str | None) -> float | str | None:
    """Return how rulers are read; refuse what is neither auto nor mm, as wrong usage."""
    if value is None:  # the rest takes long to import
        return None
    from edgeseg.images.ruler import parse_ruler

    with wrong_usage():
        return parse_ruler(value)


def read_pixel_size(text: str | None) -> float | tuple[float, float] | None:
    """Return a size of pixels in mm, one number or (x, y); refuse nonsense as wrong usage."""
    from edgeseg.images.frame import parse_pixel_size

    with wrong_usage("--pixel-size"):
        return None if text is None else parse_pixel_size(text)


def check_report(path: Path | None) -> Path | None:
    """Refuse a report that cannot be written, or would replace anything but a text.

    Raises OutputWriteError, or OutputExistsError of an image, a model or the like.
    """
    if path is None or path == console.STANDARD_OUTPUT:
        return path
    from edgeseg.images.kinds import N_START_BYTES, kind_of
    from edgeseg.system.files import check_targets

    check_targets(path)
    if path.is_file():
        with path.open("rb") as stream:
            start = stream.read(N_START_BYTES)
        if (kind := kind_of(start)) or b"\0" in start:
            found = kind.name if kind else "a file of bytes"
            raise OutputExistsError(
                f"{path} holds {found} and is no report to replace; give the name of another file"
            )
    return path


def complete_model(incomplete: str) -> list[str]:
    """Return the bundled models that a shell may complete."""
    from edgeseg.network import zoo

    return [name for name in zoo.manifest() if name.startswith(incomplete)]


def option(text: str, *names: str, panel: str | None = None, **more: Any) -> Any:
    """Return an option with a help text, listed in a section of the help."""
    return typer.Option(*names, help=text, rich_help_panel=panel, **more)


count = partial(option, min=1, metavar="N")
_model = partial(option, panel="Model")
_scale = partial(option, panel="Scale and age")
_output = partial(option, panel="Output")
report_file = partial(option, callback=check_report)
_report = partial(report_file, panel="Output")

Model = Annotated[str, _model("Bundled model or ONNX file.", autocompletion=complete_model)]
Device = Annotated[
    str,
    _model(
        "auto, cpu, cuda, tensorrt, coreml, openvino or directml.",
        callback=check_device,
        autocompletion=complete_device,
    ),
]
Threads = Annotated[
    int | None, count("Images measured at once; default: all cores.", panel="Model")
]
Age = Annotated[
    str | None,
    _scale(
        "Gestational age, such as 21w3d, or a table of ages; for centiles.",
        metavar="AGE",
        callback=check_age,
    ),
]
PixelSize = Annotated[
    str | None, _scale("Millimetres per pixel: 0.12, or 0.12x0.11 for x and y.", metavar="MM")
]
Ruler = Annotated[
    str | None,
    _scale(
        "Read the ruler in pictures: auto, or the mm between neighbouring ticks.",
        metavar="auto|MM",
        callback=read_ruler_option,
    ),
]
Fps = Annotated[float | None, count("Measure N frames a second of videos, at most.", min=0.001)]
Json = Annotated[Path | None, _report("Write the figures here; - is standard output.", "--json")]
Jsonl = Annotated[
    Path | None, _report("Write each row here at once, as JSON; - is standard output.", "--jsonl")
]
Sr = Annotated[bool, _output("Write a structured report of each DICOM study.", "--sr/--no-sr")]
ExamEndsAfter = Annotated[
    float, _output("Seconds from an exam's last image to its report.", min=0.0, metavar="S")
]
Host = Annotated[str, option("Address to listen on; 0.0.0.0 listens on all.")]
Overwrite = Annotated[bool, option("Replace what exists at the output.", "--overwrite")]
Data = Annotated[Path, option("Labelled images: HC18, or images/ and masks/.")]


@dataclass(frozen=True)
class ScaleOptions:
    """How large the pixels of the images are."""

    pixel_size: PixelSize = None
    pixel_sizes: Annotated[
        Path | None, _scale("CSV of filename and pixel size (mm), or x and y.")
    ] = None

    def read_size(self) -> float | tuple[float, float] | None:
        """Return the size of all pixels in mm, one number or (x, y); refuse nonsense as usage."""
        return read_pixel_size(self.pixel_size)

    def print_notices(self, is_given: bool) -> None:
        """Print that sizes are missing, or that both options were given."""
        if not is_given:
            console.notice("no pixel size given: files that have none are measured in pixels alone")
        if self.pixel_size is not None and self.pixel_sizes is not None:
            console.notice(f"--pixel-size applies to all images: {self.pixel_sizes} is not used")


@dataclass(frozen=True)
class ModelOptions:
    """The model of a command that measures files, and how it is run."""

    model: Model = "hc18-nano"
    device: Device = "auto"
    threads: Threads = None
    calibration: Annotated[Path | None, _scale("File of 'edgeseg calibrate'.")] = None

    def open(self, inference_threads: int = 1, *, needs_head: bool = False) -> Any:
        """Open the model; a calibration needs one of heads."""
        task = "head" if needs_head or self.calibration else None
        return open_model(self.model, self.device, inference_threads, task)

    def count_workers(self, inference_threads: int = 1) -> int:
        """Return how many images are measured at once: by default one for each core."""
        from edgeseg.system.parallel import usable_cores

        return self.threads or max(1, usable_cores() // inference_threads)

    def read_calibration(self) -> Calibration | None:
        """Return the site's calibration, None if none was given."""
        from edgeseg.images.calibration import read_calibration

        return read_calibration(self.calibration) if self.calibration else None


@dataclass(frozen=True)
class OutputOptions:
    """What `infer`, `watch` and `listen` write besides the table."""

    overlays: Annotated[bool, _output("Write overlays.", "--overlays/--no-overlays")] = True
    masks: Annotated[bool, _output("Write masks.", "--masks/--no-masks")] = True
    report_each: Annotated[
        bool, _output("Write a report of each file instead.", "--report-each")
    ] = False
    sr_template: Annotated[
        str,
        _output(
            "1500, or ob: TID 5000, as ultrasound machines send it.",
            metavar="1500|ob",
            callback=check_template,
        ),
    ] = "1500"
    seg: Annotated[bool, _output("Write a segmentation for each DICOM file.", "--seg")] = False
    annotated: Annotated[bool, _output("Write films' overlays as videos.", "--annotate")] = False
    keep_ids: Annotated[
        bool, _output("Keep identifiers of DICOM files in results.", "--keep-ids")
    ] = False

    def collect(self, workers: int, *, sr: bool, **more: Any) -> Options:
        """Return the options of a run."""
        from edgeseg.run.worker import Options

        if self.annotated and not self.overlays:
            raise typer.BadParameter("--annotate makes a video of overlays: omit --no-overlays")
        return Options(**vars(self), workers=workers, sr=sr, **more)


def open_model(model: str, device: str, threads: int = 1, task: str | None = None) -> Any:
    """Open a model, for ``threads`` an image; ModelError if it is of another task than asked."""
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
    return {name: console.plain(value) for name, value in context.params.items()}


def open_tls(
    certificate: Path | None, key: Path | None, authority: Path | None, *, return_tls: bool
) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    """Return the TLS contexts of connections to this node, and from it; None without TLS."""
    from edgeseg.node.addresses import make_tls

    if (certificate is None) != (key is None):
        raise ConfigError("--tls-cert and --tls-key belong together: give both, or neither")
    if certificate is None and authority is not None and not return_tls:
        raise ConfigError("--tls-ca checks certificates of TLS, which needs --tls-cert")
    files = authority, certificate, key
    inward = make_tls(*files, is_node=True) if certificate else None
    return inward, make_tls(*files) if return_tls else None
