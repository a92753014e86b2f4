"""The command that serves the measuring page and the HTTP interface."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from edgeseg.cli import console, options
from edgeseg.cli.options import count, option
from edgeseg.cli.signals import interrupts, wait_for_end
from edgeseg.errors import ConfigError, ModelError


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
    from edgeseg.system.addresses import in_brackets
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
    try:
        server = Server((host, port), measurer, assets, Bounds(body_bytes=most_mib << 20))
    except OSError as error:
        where = f"port {port} of {in_brackets(host)}"
        raise ConfigError(
            f"cannot listen on {where} ({error.strerror}); check --host, or choose another --port"
        ) from error
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
