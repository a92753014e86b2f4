"""Sends reports to an archive over DICOMweb (STOW-RS, PS3.18), by dicomweb-client."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from edgeseg.errors import ConfigError, MissingExtraError
from edgeseg.images.dicom.library import read_elements
from edgeseg.node.report_sender import Outcome

USER, PASSWORD, TOKEN = (f"EDGESEG_DICOMWEB_{name}" for name in ("USER", "PASSWORD", "TOKEN"))
"""Variables of the environment that hold what a server asks for."""
_TIMEOUT_S = 10.0, 60.0  # to connect, and to be answered
_MAY_PASS = (401, 403, 404, 408, 429)  # what is set up wrong, or too much at once; and 5xx
_OUT_OF_RESOURCES = 0xA7  # first digits of a FailureReason, PS3.18 table I.2-2


class WebArchive(NamedTuple):
    """A DICOMweb service that reports are stored at, whose certificate is checked."""

    url: str
    client: Any

    def __str__(self) -> str:
        return self.url

    @classmethod
    def open(cls, url: str) -> WebArchive:
        """Return the service at a URL; nothing is sent yet.

        Raises `MissingExtraError` without dicomweb-client, and `ConfigError` if the URL holds a
        password, or one would travel unencrypted.
        """
        try:
            import requests
            from dicomweb_client import DICOMwebClient
        except ModuleNotFoundError:
            raise MissingExtraError(
                "DICOMweb needs the package dicomweb-client; install it with pip install "
                "'edgeseg[dicomweb]'"
            ) from None
        session, parts = requests.Session(), urlsplit(url)
        user, token = os.environ.get(USER), os.environ.get(TOKEN)
        if parts.username or parts.password:
            raise ConfigError(f"a URL must hold no password; set {USER} and {PASSWORD}")
        if (user or token) and parts.scheme != "https":
            raise ConfigError(f"{url}: a password would travel unencrypted; use https")
        if user:
            session.auth = (user, os.environ.get(PASSWORD, ""))
        headers = {"Authorization": f"Bearer {token}"} if token else None
        client = DICOMwebClient(url, session=session, headers=headers, timeout=_TIMEOUT_S)
        client.set_http_retry_params(retry=False)
        return cls(url.rstrip("/"), client)

    def send(
        self,
        paths: Sequence[Path],
        may_go_on: Callable[[], bool] = lambda: True,
        on_open: Callable[[Callable[[], None]], None] = lambda cut_off: None,
    ) -> list[Outcome]:
        """Store files, each by a request of its own; see `edgeseg.node.report_sender.Peer.send`."""
        return [self._send_file(path) if may_go_on() else Outcome(False) for path in paths]

    def _send_file(self, path: Path) -> Outcome:
        import requests

        try:
            answer = self.client.store_instances([read_elements(path, pixels=True)])
        except requests.HTTPError as error:
            status = getattr(error.response, "status_code", 0)
            hint = f"; it asks for {USER} and {PASSWORD}, or {TOKEN}" if status == 401 else ""
            may_pass = status in _MAY_PASS or status >= 500
            return Outcome(not may_pass, f"{self}: refused {path.name}, HTTP {status}{hint}")
        except requests.RequestException as error:
            return Outcome(False, f"{self}: no answer ({type(error).__name__})")
        except Exception:  # of any kind, by what the bytes are
            return Outcome(True, f"{self}: {path.name} cannot be read")
        for failed in answer.get("FailedSOPSequence") or ():
            reason = int(failed.get("FailureReason", 0))
            may_pass = reason >> 8 == _OUT_OF_RESOURCES
            return Outcome(not may_pass, f"{self}: refused {path.name}, 0x{reason:04X}")
        return Outcome(True)
