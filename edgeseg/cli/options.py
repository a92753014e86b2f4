"""Options and steps that several commands share."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from edgeseg.cli import console
from edgeseg.errors import (
    DataError,
    EdgesegError,
    MissingExtraError,
    ModelError,
    OutputWriteError,
)
from edgeseg.system.text import printable

if TYPE_CHECKING:
    from edgeseg.output.table import Row


def known_device(value: str) -> str:
    """Refuse a device that no provider has, as wrong usage."""
    from edgeseg.network.session import PROVIDERS

    if value != "auto" and value not in PROVIDERS:
        raise typer.BadParameter(f"{value!r}; expected auto, {', '.join(PROVIDERS)}")
    return value


def read_pixel_size(value: str | None) -> float | tuple[float, float] | None:
    """Read a pixel size, one number or (x, y), and refuse what is none as wrong usage."""
    from edgeseg.images.frame import parse_pixel_size

    try:
        return None if value is None else parse_pixel_size(value)
    except DataError as error:
        raise typer.BadParameter(str(error), param_hint="--pixel-size") from None


def refuse_age(value: str | None) -> str | None:
    """Refuse what is neither a gestational age nor a table of them, as wrong usage."""
    if value is not None and not Path(value).is_file():
        from edgeseg.inputs.ages import read_age

        try:
            read_age(value)
        except DataError as error:
            raise typer.BadParameter(str(error)) from None
    return value


def _models_like(incomplete: str) -> list[str]:
    """Return bundled models for a shell to complete."""
    from edgeseg.network import zoo

    return [name for name in zoo.manifest() if name.startswith(incomplete)]


def _devices_like(incomplete: str) -> list[str]:
    """Return devices for a shell to complete."""
    from edgeseg.network.session import PROVIDERS

    return [name for name in ("auto", *PROVIDERS) if name.startswith(incomplete)]


ModelOption = Annotated[
    str,
    typer.Option(help="Bundled model or path of an ONNX file.", autocompletion=_models_like),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        help="auto, cpu, cuda, tensorrt, coreml, openvino or directml.",
        callback=known_device,
        autocompletion=_devices_like,
    ),
]
HostOption = Annotated[
    str, typer.Option(help="Address to listen on; 0.0.0.0: any of this machine.")
]
ThreadsOption = Annotated[
    int | None, typer.Option(min=1, help="Images worked on at once; default: all cores.")
]
JsonOption = Annotated[
    Path | None,
    typer.Option("--json", help="Write the figures here; `-` is standard output."),
]
JsonlOption = Annotated[
    Path | None,
    typer.Option(
        "--jsonl", help="Write a line of JSON a row here as it comes; `-` is standard output."
    ),
]
PixelSizeOption = Annotated[
    str | None,
    typer.Option(
        metavar="MM",
        help="Millimetres per pixel of all images: 0.12, or across and down, 0.12x0.11.",
    ),
]
PixelSizesOption = Annotated[
    Path | None,
    typer.Option(metavar="CSV", help="Table: filename, pixel size (mm), or pixel size x and y."),
]
SrOption = Annotated[
    bool, typer.Option("--sr", help="Write a structured report of each DICOM file.")
]
SegOption = Annotated[
    bool, typer.Option("--seg", help="Write a DICOM segmentation of each DICOM file.")
]
CalibrationOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="What 'edgeseg calibrate' wrote for your site."),
]
OverlaysOption = Annotated[bool, typer.Option("--overlays/--no-overlays")]
MasksOption = Annotated[bool, typer.Option("--masks/--no-masks")]
KeepIdsOption = Annotated[
    bool,
    typer.Option("--keep-ids", help="Keep what tells whose a DICOM image is in the results."),
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
DataOption = Annotated[
    Path,
    typer.Option(help="Folder of labelled images: as HC18, or with images/ and masks/ in it."),
]
RESUME_OR_OVERWRITE = "--resume keeps and --overwrite replaces an earlier run; give one"


def is_standard_output(json_file: Path | None) -> bool:
    """Return whether `--json` names standard output, not a file."""
    return json_file == Path("-")


@contextlib.contextmanager
def figures_to(json_file: Path | None) -> Iterator[Callable[[Any], None]]:
    """Yield the function that writes a command's figures where `--json` says.

    Where that is standard output, what is printed meanwhile goes to standard error. Files are
    written before anything is printed, which may fail.
    """
    from edgeseg.system.files import json_text, write_json

    stdout, alone = sys.stdout, is_standard_output(json_file)

    def write(figures: Any) -> None:
        if alone:
            stdout.write(json_text(figures))
            stdout.flush()
        elif json_file:
            write_json(json_file, figures)

    with contextlib.redirect_stdout(sys.stderr if alone else stdout):
        yield write


@contextlib.contextmanager
def lines_to(jsonl_file: Path | None, *, append: bool = False) -> Iterator[Callable[[Row], None]]:
    """Yield the function that writes a row where `--jsonl` says, as a line of JSON, at once.

    Where that is standard output, what is printed meanwhile goes to standard error.

    Raises
    ------
    OutputWriteError
        If the file cannot be written.
    """
    stdout, alone = sys.stdout, is_standard_output(jsonl_file)
    with contextlib.ExitStack() as stack:
        stream: TextIO | None = stdout if alone else None
        if jsonl_file is not None and not alone:
            try:
                opened = jsonl_file.open("a" if append else "w", encoding="utf-8", newline="\n")
            except OSError as error:
                raise _unwritten(jsonl_file, error) from error
            stream = stack.enter_context(opened)

        def write(row: Row) -> None:
            if stream is None:
                return
            text = json.dumps(row, ensure_ascii=False, allow_nan=False)
            try:
                stream.write(printable(text) + "\n")
                stream.flush()
            except OSError as error:
                if alone:
                    raise
                raise _unwritten(jsonl_file, error) from error

        stack.enter_context(contextlib.redirect_stdout(sys.stderr if alone else stdout))
        yield write


def _unwritten(path: Path | None, error: OSError) -> OutputWriteError:
    return OutputWriteError(f"{path}: cannot be written ({error.strerror})")


def print_report(report: Any, json_file: Path | None) -> None:
    """Say what was written: a dataclass's notices as remarks, its other fields as figures."""
    for text in report.notices:
        console.notice(text)
    figures = {key: plain(value) for key, value in asdict(report).items() if key != "notices"}
    with figures_to(json_file) as write_figures:
        write_figures(figures)
        console.table(("", ""), [(key, _cell(value)) for key, value in figures.items()])


def _cell(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    return "-" if value is None else str(value)


def open_model(model: str, device: str, threads: int = 1, task: str | None = None) -> Any:
    """Open a model with one thread an image: images, not layers, are shared out over the cores.

    Where a command is for one task only, a model of another is refused.
    """
    from edgeseg.segmenter import Segmenter

    segmenter = Segmenter(model, device=device, threads=threads)
    kind = segmenter.metadata.task.kind
    if task not in (None, kind):
        raise ModelError(f"{model}: its task is {kind!r}; this command needs a model of a {task}")
    if device == "auto":
        console.notice(f"device auto: running on {segmenter.provider}")
    return segmenter


class NeedsExtra:
    """Turns a missing package of an extra into a sentence that names the extra."""

    def __init__(self, extra: str) -> None:
        self._extra = extra

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ModuleNotFoundError) and not isinstance(error, EdgesegError):
            raise MissingExtraError(
                f"this command needs {error.name!r}; install it with pip install "
                f"'edgeseg[{self._extra}]' (from a checkout: pip install '.[{self._extra}]')"
            ) from error


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    return str(value) if isinstance(value, Path) else value
