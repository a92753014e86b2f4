"""The command that runs a DICOM node; it imports the dicom-node extra when it runs."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeseg.cli import console
from edgeseg.cli.options import (
    HostOption,
    ModelOptions,
    OutputOptions,
    SrOption,
    arguments_of,
    option,
)
from edgeseg.cli.signals import interrupts, wait_for_end
from edgeseg.errors import ConfigError

if TYPE_CHECKING:
    import ssl

    from edgeseg.node.node import NodeAddress
    from edgeseg.node.notices import Notices
    from edgeseg.node.report_sender import ReportSender
    from edgeseg.run.engine import Engine
    from edgeseg.run.results import Results


def _tls_option(text: str) -> Any:
    return option(text, metavar="PEM", panel="TLS")


def listen(
    context: typer.Context,
    out: Annotated[Path, option("Folder for the results; continues an earlier node.")],
    model: ModelOptions,
    output: OutputOptions,
    sr: SrOption = True,
    host: HostOption = "127.0.0.1",
    port: Annotated[int, option("Port to listen on.", min=0, max=65535, metavar="N")] = 11112,
    aet: Annotated[str, option("AE title of this node.")] = "EDGESEG",
    allow: Annotated[
        list[str] | None, option("Who may send; may be given several times.", metavar="AET[@HOST]")
    ] = None,
    return_to: Annotated[
        str | None, option("Send the reports there.", "--return", metavar="AET@HOST:PORT")
    ] = None,
    most_mib: Annotated[
        int, option("Largest instance accepted.", "--max-instance", min=1, metavar="MIB")
    ] = 1024,
    most_callers: Annotated[
        int, option("Callers served at once.", "--max-associations", min=1, metavar="N")
    ] = 8,
    queue: Annotated[
        int, option("Largest number of instances that wait.", min=1, metavar="N")
    ] = 1000,
    tls_cert: Annotated[Path | None, _tls_option("Certificate of this node.")] = None,
    tls_key: Annotated[Path | None, _tls_option("Its private key.")] = None,
    tls_ca: Annotated[Path | None, _tls_option("Authority of the others' certificates.")] = None,
    return_tls: Annotated[
        bool, option("Send reports over TLS.", "--return-tls", panel="TLS")
    ] = False,
) -> None:
    """Run a DICOM node: measure what ultrasound machines send, and send reports back.

    An image is answered once it is safe on disk, and measured then. Stop the node with Ctrl-C or
    SIGTERM: the next start measures what still waits.
    """
    from edgeseg.inputs.ages import Ages
    from edgeseg.inputs.pixel_sizes import PixelSizes
    from edgeseg.node.addresses import Caller, Remote, check_title
    from edgeseg.node.bounds import Bounds
    from edgeseg.node.node import NodeAddress
    from edgeseg.node.notices import Notices
    from edgeseg.node.report_sender import ReportSender
    from edgeseg.run.engine import Engine
    from edgeseg.run.results import open_results
    from edgeseg.run.worker import Worker

    title = check_title(aet)
    callers = [Caller.parse(text) for text in allow] if allow else None
    remote = Remote.parse(return_to) if return_to else None
    if remote and not (sr or output.seg):
        raise typer.BadParameter("--return sends reports: omit --no-sr, or add --seg")
    inward, outward = _tls(tls_cert, tls_key, tls_ca, return_tls=return_tls)
    bounds = Bounds(instance_bytes=most_mib << 20, associations=most_callers, queue=queue)
    address = NodeAddress(host, port, title, callers, inward, bounds)
    workers, notices = model.count_workers(), Notices(console.notice)
    known = output.collect(workers, sr=sr), Ages(), model.read_calibration()
    worker = Worker(model.open(), PixelSizes([]), *known, on_notice=notices)
    with (
        contextlib.closing(notices),
        open_results(worker, out, arguments_of(context), notices, resume=True) as results,
    ):
        reports = ReportSender(results, remote, title, outward, notices) if remote else None
        engine = Engine(
            worker,
            results.store,
            out,
            workers,
            owes=remote is not None,
            on_rows=lambda rows: results.note_change(),
        )
        with results.exporting(), engine:
            _run(engine, results, address, reports, notices)
        results.export("done")
    console.say(f"stopped; results in {out}: results.csv, report.html, run.json")


def _run(
    engine: Engine,
    results: Results,
    address: NodeAddress,
    reports: ReportSender | None,
    notices: Notices,
) -> None:
    """Run the node until a signal ends it."""
    from edgeseg.node.node import run_node
    from edgeseg.system.addresses import in_brackets, is_loopback

    node = run_node(engine, results, address, reports, notices)
    with interrupts.wait_patiently(), node as (host, port):
        console.say(f"{address.ae_title} listens on {in_brackets(host)}:{port}; Ctrl-C stops it")
        is_open = not is_loopback(host)
        if is_open and address.allow is None:
            console.notice("everyone on this network may send: --allow restricts that")
        if is_open and address.tls is None:
            console.notice("images are sent unencrypted: --tls-cert encrypts them")
        wait_for_end()


def _tls(
    certificate: Path | None, key: Path | None, authority: Path | None, *, return_tls: bool
) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    """Return the TLS contexts of connections to this node, and from it; None without TLS."""
    from edgeseg.node.tls import client_tls, server_tls

    if (certificate is None) != (key is None):
        raise ConfigError("--tls-cert and --tls-key belong together: give both, or neither")
    if certificate is None and authority is not None and not return_tls:
        raise ConfigError("--tls-ca checks certificates of TLS, which needs --tls-cert")
    inward = outward = None
    if certificate is not None and key is not None:
        inward = server_tls(certificate, key, authority)
    if return_tls:
        outward = client_tls(authority, certificate, key)
    return inward, outward
