"""TLS for a node: contexts made from files, with errors that name the file.

TLS 1.2 at least, and OpenSSL's own choice of ciphers (BCP 195, as PS3.15, annex B.9 asks).
"""

from __future__ import annotations

import ssl
from pathlib import Path

from edgeseg.errors import ConfigError, InputNotFoundError


def make_tls(
    authority: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
    *,
    is_node: bool = False,
) -> ssl.SSLContext:
    """Return what connections to a node are secured with, at its end or a caller's, from PEM files.

    A node needs a certificate and its key, without a password; a caller shows them, both or
    neither, to a node that asks. One of the authority's certificates must have signed that of the
    other end; without an authority callers need none, and a node's is held to those that this
    system trusts. It must name the node's host. Raises `InputNotFoundError` if a file is missing,
    `ConfigError` if it is not what is expected.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if is_node else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    paths, expected = [path for path in (certificate, key) if path], "a file that can be read"
    try:
        for path in (*paths, *filter(None, [authority])):
            path.open("rb").close()  # names the file if it cannot be read
        if certificate is not None:
            expected = "a certificate and its own key, both PEM, the key without a password"
            # without a function for it, OpenSSL would ask on the terminal for a password
            context.load_cert_chain(certificate, key, password=lambda: "")
        if authority is not None:
            paths, expected = [authority], "certificates in PEM"
            context.load_verify_locations(authority)
            context.verify_mode = ssl.CERT_REQUIRED
        elif not is_node:
            context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    except FileNotFoundError as error:
        raise InputNotFoundError(f"{error.filename}: no such file") from error
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        reason = getattr(error, "reason", None) or error
        names = getattr(error, "filename", None) or " with ".join(map(str, paths))
        raise ConfigError(f"{names}: expected {expected} ({reason})") from error
    return context
