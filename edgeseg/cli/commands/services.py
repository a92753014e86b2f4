"""The commands that run until they are stopped: a watched folder, a DICOM node, the page."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli import console, options
from edgeseg.cli.options import count, option
from edgeseg.cli.process import interrupts, needs_extra, wait_for_end
from edgeseg.errors import ConfigError, InputNotFoundError, ModelError

if TYPE_CHECKING:
    from edgeseg.output.table import Row

_tls_option = partial(option, panel="TLS", metavar="PEM")


def watch(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder to watch, with the folders below it.")],
    out: Annotated[Path, option("Folder for the results; continues an earlier watch.")],
    scale: options.ScaleOptions,
    model: options.ModelOptions,
    output: options.OutputOptions,
    ruler: options.Ruler = None,
    fps: options.Fps = None,
    sr: options.Sr = False,
    exam_ends_after: options.ExamEndsAfter = 60.0,
    every_s: Annotated[
        float, count("Seconds between checks of the folder.", "--every", min=0.05)
    ] = 1.0,
    resume: Annotated[bool, option("Repeat files that failed.", "--resume")] = False,
    once: Annotated[bool, option("Measure what is there, then exit.", "--once")] = False,
    jsonl_file: options.Jsonl = None,
) -> None:
    """Measure what comes into a folder, and again when it changes, until Ctrl-C or SIGTERM."""
    from edgeseg.inputs.facts import Ages, PixelSizes
    from edgeseg.run.engine import Engine
    from edgeseg.run.exams import Exams
    from edgeseg.run.results import open_results
    from edgeseg.run.watch import Watch, read_present
    from edgeseg.run.worker import Worker

    size_mm = scale.read_size()
    arguments = options.arguments_of(context) | {"pixel_size": size_mm}
    if not folder.is_dir() or not os.access(folder, os.R_OK):
        raise InputNotFoundError(f"{folder}: no folder that can be read; create it first")
    workers = model.count_workers()
    how = output.collect(workers, sr=sr, ruler=ruler, fps=fps, resume=True)
    known = how, Ages(), model.read_calibration()
    segmenter = model.open()
    sizes, table = PixelSizes((), size_mm), None if size_mm else scale.pixel_sizes
    worker = Worker(segmenter, sizes, *known, read=read_present, on_notice=console.notice)
    watching = Watch(worker, folder, out, table)
    with (
        console.lines_to(jsonl_file, append=True) as write_line,
        open_results(worker, out, arguments) as results,
    ):
        exams = Exams(out, results.store, console.notice, exam_ends_after)

        def on_rows(rows: Sequence[Row]) -> None:
            results.note_change(rows)
            for row in rows:
                console.row(row, segmenter.metadata.task)
                write_line(row)

        engine = Engine(worker, results.store, out, workers, retry_failed=resume, on_rows=on_rows)
        with results.exporting():
            with exams, engine:
                ending = threading.Event()
                work = partial(watching.run, engine, every_s, ending, once=once)
                _run(work, ending, f"watching {folder}; Ctrl-C stops it")
            exams.write_all()
        results.export("done")
        console.say(f"results in {out}: results.csv, report.html, run.json")


def _run(work: Callable[[], object], ending: threading.Event, text: str) -> None:
    """Print a text, and work until all is done, or a signal asks to stop and sets the event."""
    with interrupts.wait_patiently(), ThreadPoolExecutor(1, "edgeseg-work") as pool:
        working = pool.submit(work)
        working.add_done_callback(lambda _: ending.set())
        wait_for_end(text, ending)
        ending.set()
    working.result()


def listen(
    context: typer.Context,
    out: Annotated[Path, option("Folder for the results; continues an earlier node.")],
    model: options.ModelOptions,
    output: options.OutputOptions,
    sr: options.Sr = True,
    exam_ends_after: options.ExamEndsAfter = 60.0,
    host: options.Host = "127.0.0.1",
    port: Annotated[int, option("Port to listen on.", min=0, max=65535, metavar="N")] = 11112,
    aet: Annotated[str, option("AE title of this node.")] = "EDGESEG",
    allow: Annotated[
        list[str] | None, option("Who may send; may be given several times.", metavar="AET[@HOST]")
    ] = None,
    return_to: Annotated[
        str | None, option("Send the reports there.", "--return", metavar="AET@HOST:PORT|URL")
    ] = None,
    most_mib: Annotated[int, count("MiB of the largest instance.", "--max-instance")] = 1024,
    most_callers: Annotated[int, count("Callers served at once.", "--max-associations")] = 8,
    queue: Annotated[int, count("Largest number of instances that wait.")] = 1000,
    tls_cert: Annotated[Path | None, _tls_option("Certificate of this node.")] = None,
    tls_key: Annotated[Path | None, _tls_option("Its private key.")] = None,
    tls_ca: Annotated[Path | None, _tls_option("Authority of the others' certificates.")] = None,
    return_tls: Annotated[bool, _tls_option("Send reports over TLS.", "--return-tls")] = False,
    jsonl_file: options.Jsonl = None,
) -> None:
    """Run a DICOM node: measure what ultrasound machines send, and send reports back.

    An image is acknowledged once it is safe on disk, and then measured. Stop the node with Ctrl-C
    or SIGTERM: the next start measures what still waits.
    """
    from edgeseg.inputs.facts import Ages, PixelSizes
    from edgeseg.node.addresses import Bounds, Caller, NodeAddress, Remote, check_title
    from edgeseg.node.dicomweb import WebArchive
    from edgeseg.node.library import pynetdicom
    from edgeseg.node.node import Notices, run_node
    from edgeseg.node.report_sender import Archive, Peer, ReportSender
    from edgeseg.run.engine import Engine
    from edgeseg.run.exams import Exams
    from edgeseg.run.results import open_results
    from edgeseg.run.worker import Worker
    from edgeseg.system.addresses import in_brackets, is_loopback

    with needs_extra("dicom-node"):
        pynetdicom()
    title = check_title(aet)
    callers = [Caller.parse(text) for text in allow] if allow else None
    if return_to and not (sr or output.seg):
        raise typer.BadParameter("--return sends reports: omit --no-sr, or add --seg")
    inward, outward = options.open_tls(tls_cert, tls_key, tls_ca, return_tls=return_tls)
    archive: Archive | None = None
    if return_to and "://" in return_to:
        archive = WebArchive.open(return_to)
    elif return_to:
        archive = Peer(Remote.parse(return_to), title, outward)
    bounds = Bounds(instance_bytes=most_mib << 20, associations=most_callers, queue=queue)
    address = NodeAddress(host, port, title, callers, inward, bounds)
    workers, notices = model.count_workers(), Notices(console.notice)
    known = output.collect(workers, sr=sr, resume=True), Ages(), model.read_calibration()
    worker = Worker(model.open(), PixelSizes([]), *known, on_notice=notices)
    with (
        contextlib.closing(notices),
        console.lines_to(jsonl_file, append=True) as write_line,
        open_results(worker, out, options.arguments_of(context)) as results,
    ):

        def on_rows(rows: Sequence[Row]) -> None:
            results.note_change(rows)
            waiting = len(results.store.waiting())
            for row in rows:
                write_line(row | {"waiting": waiting})

        reports = ReportSender(results, archive, notices) if archive else None
        owes = archive is not None
        engine = Engine(worker, results.store, out, workers, owes=owes, on_rows=on_rows)
        to_archive = reports.add if reports else None
        exams = Exams(out, results.store, notices, exam_ends_after, to_archive)
        node = run_node(engine, results, address, exams, reports, notices)
        with results.exporting(), engine, interrupts.wait_patiently(), node as (at, port):
            if not is_loopback(at) and callers is None:
                console.notice("everyone on this network may send: --allow restricts that")
            if not is_loopback(at) and inward is None:
                console.notice("images are sent unencrypted: --tls-cert encrypts them")
            wait_for_end(f"{title} listens on {in_brackets(at)}:{port}; Ctrl-C stops it")
        results.export("done")
    console.say(f"stopped; results in {out}: results.csv, report.html, run.json")


def serve(
    model: options.Model = "hc18-nano",
    device: options.Device = "auto",
    threads: options.Threads = None,
    host: options.Host = "127.0.0.1",
    port: Annotated[int, option("Port to listen on.", min=0, max=65535)] = 8000,
    queue: Annotated[int, count("Largest number of requests that wait.", min=0)] = 16,
    most_mib: Annotated[int, count("MiB of the largest image file.", "--max-image")] = 32,
    export: Annotated[Path | None, option("Write the page here instead, and exit.")] = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Serve a page that measures in the browser, and POST /v1/measure for programs.

    Stop it with Ctrl-C or SIGTERM.
    """
    from edgeseg.serve import site
    from edgeseg.serve.api import Measurer
    from edgeseg.serve.server import Bounds, Server, run_server
    from edgeseg.system.addresses import find_own_addresses, in_brackets
    from edgeseg.system.parallel import usable_cores

    segmenter = options.open_model(model, device)
    if export is not None:
        written = site.export(export, segmenter, overwrite=overwrite)
        size_mb = sum(path.stat().st_size for path in written) / 1e6
        console.say(f"{len(written)} files, {size_mb:.1f} MB, in {export}: serve them over HTTPS")
        return
    assets = {}
    try:
        assets = site.site(segmenter)
    except ModelError as error:
        console.notice(f"{error}: no page is served, only POST /v1/measure")
    measurer = Measurer(segmenter, threads or usable_cores(), queue)
    with _binding(f"port {port} of {in_brackets(host)}"):
        server = Server((host, port), measurer, assets, Bounds(body_bytes=most_mib << 20))
    with interrupts.wait_patiently(), run_server(server):
        host, port = str(server.server_address[0]), server.server_address[1]
        listens_on_all = host in ("0.0.0.0", "::")
        shown = "localhost" if listens_on_all else in_brackets(host)
        if not server.is_local:
            hosts = find_own_addresses() if listens_on_all else [shown]
            if urls := [f"http://{each}:{port}/" for each in hosts]:
                console.say(f"on a phone: {' or '.join(urls)}")
                console.qr_code(urls[0])
            console.notice(
                "everyone on this network can open it and send images, unencrypted; the camera "
                "and offline use need HTTPS"
            )
        wait_for_end(f"{segmenter.file.name}: open http://{shown}:{port}/ (Ctrl-C stops it)")


def live(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="Camera's number, /dev/video0, URL, or a film.")],
    model: options.ModelOptions,
    output: options.OutputOptions,
    out: Annotated[Path, option("Folder for kept frames.")] = Path("edgeseg-live"),
    pixel_size: options.PixelSize = None,
    ruler: options.Ruler = None,
    window_s: Annotated[float, count("Seconds of the median.", "--window", min=0.1)] = 2.0,
    port: Annotated[int, option("Port of the page.", min=0, max=65535, metavar="N")] = 8010,
    has_page: Annotated[bool, option("Serve the page.", "--page/--no-page")] = True,
    jsonl_file: options.Jsonl = None,
) -> None:
    """Measure a moving picture as it comes, and show it in a page that keeps frames.

    Stop it with Ctrl-C or SIGTERM.
    """
    from edgeseg.inputs.facts import Ages, PixelSizes
    from edgeseg.live.keep import Keeper
    from edgeseg.live.server import LiveServer
    from edgeseg.live.source import LiveSource
    from edgeseg.live.view import LiveView, show
    from edgeseg.run.engine import Engine
    from edgeseg.run.results import open_results
    from edgeseg.run.worker import Worker
    from edgeseg.serve.server import run_server

    size_mm = options.read_pixel_size(pixel_size)
    ending = threading.Event()
    pictures = LiveSource(source, ending, console.notice)
    shown = {"source": pictures.name, "pixel_size": size_mm}
    how = output.collect(1, sr=False, ruler=ruler, resume=True)
    known = how, Ages(), model.read_calibration()
    segmenter = model.open()
    worker = Worker(segmenter, PixelSizes(pixel_size_mm=size_mm), *known, on_notice=console.notice)
    with (
        console.lines_to(jsonl_file, append=True) as write_line,
        open_results(worker, out, options.arguments_of(context) | shown) as results,
    ):
        view = LiveView(segmenter, size_mm, ruler, window_s)
        engine = Engine(worker, results.store, out, 1, on_rows=results.note_change)
        with results.exporting(), engine, contextlib.ExitStack() as stack:
            keeper = Keeper(engine, worker, out)
            text = f"measuring {pictures.name}"
            if has_page:
                with _binding(f"port {port}"):
                    server = LiveServer(port, view, keeper.keep)
                stack.enter_context(run_server(server))
                text = f"{pictures.name}: open http://localhost:{server.server_port}/"
            work = partial(show, pictures, view, write_line)
            _run(work, ending, f"{text} (Ctrl-C stops it)")
        results.export("done")
        console.say(f"results in {out}: results.csv, report.html, run.json")


@contextlib.contextmanager
def _binding(where: str) -> Iterator[None]:
    """Say of a server that cannot listen what to do."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"cannot listen on {where} ({error.strerror}); check --host, or choose another --port"
        ) from error
