"""The command that serves the measuring page and the HTTP interface."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from edgeseg.cli import console
from edgeseg.cli.options import (
    DeviceOption,
    HostOption,
    ModelOption,
    OverwriteOption,
    ThreadsOption,
    open_model,
    option,
)
from edgeseg.cli.signals import interrupts, wait_for_end
from edgeseg.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from edgeseg.segmenter import Segmenter
    from edgeseg.serve.server import Server


def serve(
    model: ModelOption = "hc18-nano",
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    host: HostOption = "127.0.0.1",
    port: Annotated[int, option("Port to listen on.", min=0, max=65535)] = 8000,
    queue: Annotated[
        int, option("Largest number of requests that wait to be measured.", min=0)
    ] = 16,
    most_mib: Annotated[
        int, option("Largest image file accepted, in MiB.", "--max-image", min=1, metavar="MIB")
    ] = 32,
    export: Annotated[
        Path | None, option("Write the page here for another web server, and exit.", metavar="DIR")
    ] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Serve a page that measures in the browser, and POST /v1/measure for programs.

    Stop it with Ctrl-C or SIGTERM.
    """
    from edgeseg.serve import site
    from edgeseg.serve.api import Measurer
    from edgeseg.serve.server import Bounds, Server
    from edgeseg.system.parallel import usable_cores

    segmenter = open_model(model, device)
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
    bounds = Bounds(body_bytes=most_mib << 20)
    try:
        server = Server((host, port), measurer, assets, bounds)
    except OSError as error:
        raise ConfigError(_describe_bind_error(host, port, error)) from error
    _serve(server, segmenter)


def _serve(server: Server, segmenter: Segmenter) -> None:
    """Answer requests until a signal asks to stop, then finish those in progress."""
    from edgeseg.serve.server import run_server
    from edgeseg.system.addresses import in_brackets

    with interrupts.wait_patiently(), run_server(server):
        host, port = str(server.server_address[0]), server.server_address[1]
        shown = "localhost" if host in ("0.0.0.0", "::") else in_brackets(host)
        console.say(f"{segmenter.file.name}: open http://{shown}:{port}/ (Ctrl-C stops it)")
        if not server.is_local:
            console.notice(
                f"everyone on this network can open http://ADDRESS:{port}/ and send images, "
                "unencrypted; the camera and offline use need HTTPS"
            )
        wait_for_end()


def _describe_bind_error(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is in use; choose another with --port"
    return f"cannot listen on {host}:{port} ({error.strerror}); check --host and --port"
