"""The command that is a DICOM node; it imports the dicom-node extra when it runs."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgeseg.cli import console
from edgeseg.cli.options import (
    CalibrationOption,
    DeviceOption,
    HostOption,
    KeepIdsOption,
    MasksOption,
    ModelOption,
    OverlaysOption,
    ThreadsOption,
    open_model,
    plain,
)
from edgeseg.cli.signals import interrupts, wait_for_end
from edgeseg.errors import ConfigError

if TYPE_CHECKING:
    import ssl

    from edgeseg.node.node import NodeAddress
    from edgeseg.node.notices import Notices
    from edgeseg.node.returning import Returning
    from edgeseg.run.engine import Engine
    from edgeseg.run.results import Results


def listen(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="Folder for the results; an earlier node's goes on.")],
    model: ModelOption = "hc18-nano",
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    host: HostOption = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on.")] = 11112,
    aet: Annotated[str, typer.Option(help="This node's AE title.")] = "EDGESEG",
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="AET[@HOST]", help="Who may send; may be given several times."),
    ] = None,
    return_to: Annotated[
        str | None,
        typer.Option("--return", metavar="AET@HOST:PORT", help="Where reports are sent to."),
    ] = None,
    sr: Annotated[bool, typer.Option("--sr/--no-sr", help="Write structured reports.")] = True,
    seg: Annotated[bool, typer.Option("--seg", help="Write DICOM segmentations too.")] = False,
    calibration: CalibrationOption = None,
    overlays: OverlaysOption = True,
    masks: MasksOption = True,
    keep_ids: KeepIdsOption = False,
    most_mib: Annotated[
        int, typer.Option("--max-instance", min=1, metavar="MIB", help="Largest instance taken.")
    ] = 1024,
    most_callers: Annotated[
        int, typer.Option("--max-associations", min=1, help="Callers served at once.")
    ] = 8,
    queue: Annotated[
        int, typer.Option("--queue", min=1, help="Instances that may wait to be measured.")
    ] = 1000,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="PEM", help="This node's certificate, for TLS.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="PEM", help="Its key.")] = None,
    tls_ca: Annotated[
        Path | None, typer.Option(metavar="PEM", help="Who signs certificates of the others.")
    ] = None,
    return_tls: Annotated[
        bool, typer.Option("--return-tls", help="Send reports over TLS too.")
    ] = False,
) -> None:
    """Be a DICOM node: measure what ultrasound machines send, and send reports back.

    Stop it with Ctrl-C or SIGTERM.
    """
    from edgeseg.images.calibration import read_calibration
    from edgeseg.inputs.ages import Ages
    from edgeseg.inputs.pixel_sizes import PixelSizes
    from edgeseg.node.addresses import Caller, Remote, checked_title
    from edgeseg.node.bounds import Bounds
    from edgeseg.node.node import NodeAddress
    from edgeseg.node.notices import Notices
    from edgeseg.node.returning import Returning
    from edgeseg.output.table import Row
    from edgeseg.run.engine import Engine
    from edgeseg.run.open_results import open_results
    from edgeseg.run.options import Options
    from edgeseg.run.worker import Worker
    from edgeseg.system.parallel import usable_cores

    title = checked_title(aet)
    callers = [Caller.parse(text) for text in allow] if allow else None
    remote = Remote.parse(return_to) if return_to else None
    if remote and not (sr or seg):
        raise typer.BadParameter("--return sends reports: do not give --no-sr, or give --seg")
    inward, outward = _tls(tls_cert, tls_key, tls_ca, return_tls=return_tls)
    bounds = Bounds(instance_bytes=most_mib << 20, associations=most_callers, queue=queue)
    address = NodeAddress(host, port, title, callers, inward, bounds)
    site = read_calibration(calibration) if calibration else None
    options = Options(masks, overlays, workers=threads, sr=sr, seg=seg, keep_ids=keep_ids)
    segmenter = open_model(model, device, 1, "head" if calibration else None)
    arguments = {name: plain(value) for name, value in context.params.items()}
    notices = Notices(console.notice)
    known = PixelSizes([]), options, Ages(), site
    worker = Worker(segmenter, *known, on_notice=notices)
    with (
        contextlib.closing(notices),
        open_results(worker, out, arguments, notices, resume=True) as results,
    ):
        returning = None
        if remote:
            returning = Returning(results, remote, title, outward, notices)

        def on_rows(rows: list[Row]) -> None:
            results.note_change()

        engine = Engine(
            worker,
            results.store,
            out,
            threads or usable_cores(),
            owes=remote is not None,
            on_rows=on_rows,
        )
        with results.exporting(), engine:
            _serve(engine, results, address, returning, notices)
        results.export("done")
    console.say(f"stopped; results in {out}: results.csv, report.html, run.json")


def _serve(
    engine: Engine,
    results: Results,
    address: NodeAddress,
    returning: Returning | None,
    notices: Notices,
) -> None:
    """Listen until a signal asks for the end, which what is under way is given time for."""
    from edgeseg.node.node import run_node
    from edgeseg.system.addresses import in_brackets, is_loopback

    node = run_node(engine, results, address, returning, notices)
    with interrupts.wait_patiently(), node as (host, port):
        console.say(f"{address.ae_title} listens on {in_brackets(host)}:{port}; Ctrl-C stops it")
        is_open = not is_loopback(host)
        if is_open and address.allow is None:
            console.notice("anybody on this network may send: --allow names those who may")
        if is_open and address.tls is None:
            console.notice("what is sent can be read on the way: --tls-cert encrypts it")
        wait_for_end()


def _tls(
    certificate: Path | None, key: Path | None, authority: Path | None, *, return_tls: bool
) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    """Return what connections to this node, and from it, are secured with."""
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
