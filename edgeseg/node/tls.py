"""TLS for a node: contexts made from files, with errors that name the file.

TLS 1.2 at least, and OpenSSL's own choice of ciphers (BCP 195, as PS3.15, annex B.9 asks).
"""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgeseg.errors import ConfigError, InputNotFoundError


def server_tls(certificate: Path, key: Path, authority: Path | None = None) -> ssl.SSLContext:
    """Return what a node is secured with.

    Parameters
    ----------
    certificate, key
        Its own, PEM; the key without a password.
    authority
        Certificates, PEM, one of which must have signed that of every caller; None: callers
        need none.

    Raises
    ------
    InputNotFoundError, ConfigError
        If a file is missing, or not what is expected.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load_own(context, certificate, key)
    if authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        _load_authority(context, authority)
    return context


def client_tls(
    authority: Path | None = None,
    certificate: Path | None = None,
    key: Path | None = None,
) -> ssl.SSLContext:
    """Return what a connection to another node is secured with; its certificate must name its host.

    Parameters
    ----------
    authority
        Certificates, PEM, one of which must have signed the node's; None: those this system
        trusts.
    certificate, key
        Shown to a node that asks for them, PEM; the key without a password.

    Raises
    ------
    InputNotFoundError, ConfigError
        If a file is missing, or not what is expected.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if authority is None:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _load_authority(context, authority)
    if (certificate is None) != (key is None):
        raise ConfigError("a certificate and its key belong together: give both, or neither")
    if certificate is not None and key is not None:
        _load_own(context, certificate, key)
    return context


def _load_own(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    expected = "a certificate and its own key, both PEM, the key without a password"
    with _translate_errors((certificate, key), expected):
        # without a function for it, OpenSSL would ask on the terminal for a password
        context.load_cert_chain(certificate, key, password=lambda: "")


def _load_authority(context: ssl.SSLContext, authority: Path) -> None:
    with _translate_errors((authority,), "certificates in PEM"):
        context.load_verify_locations(authority)


@contextlib.contextmanager
def _translate_errors(paths: Sequence[Path], expected: str) -> Iterator[None]:
    """Name the file that cannot be read, or those that are not what is expected."""
    for path in paths:
        try:
            path.open("rb").close()
        except FileNotFoundError as error:
            raise InputNotFoundError(f"{path}: no such file") from error
        except OSError as error:
            raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        yield
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        names = " with ".join(map(str, paths))
        reason = getattr(error, "reason", None) or error
        raise ConfigError(f"{names}: expected {expected} ({reason})") from error
