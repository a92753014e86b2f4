"""TLS for a node: contexts made from files, with errors that name the file.

TLS 1.2 at least, and OpenSSL's own choice of ciphers (BCP 195, as PS3.15, annex B.9 asks).
"""

from __future__ import annotations

import ssl
from pathlib import Path

from edgeseg.errors import ConfigError, InputNotFoundError


def server_tls(certificate: Path, key: Path, authority: Path | None = None) -> ssl.SSLContext:
    """Return what a node is secured with, from PEM files; the key without a password.

    One of the authority's certificates must have signed that of every caller; without an authority
    callers need none. Raises `InputNotFoundError` if a file is missing, `ConfigError` if it is not
    what is expected.
    """
    context = _make_context(ssl.PROTOCOL_TLS_SERVER, authority, certificate, key)
    if authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_tls(
    authority: Path | None = None, certificate: Path | None = None, key: Path | None = None
) -> ssl.SSLContext:
    """Return what a connection to another node is secured with; its certificate must name its host.

    One of the authority's certificates, or of those this system trusts, must have signed the
    node's. Certificate and key, both or neither, are shown to a node that asks for them. Errors are
    those of `server_tls`.
    """
    context = _make_context(ssl.PROTOCOL_TLS_CLIENT, authority, certificate, key)
    if authority is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    return context


def _make_context(
    protocol: int, authority: Path | None, certificate: Path | None, key: Path | None
) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
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
    except FileNotFoundError as error:
        raise InputNotFoundError(f"{error.filename}: no such file") from error
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        reason = getattr(error, "reason", None) or error
        names = getattr(error, "filename", None) or " with ".join(map(str, paths))
        raise ConfigError(f"{names}: expected {expected} ({reason})") from error
    return context
