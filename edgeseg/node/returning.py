"""Documents on their way back to an archive, which may be away for a while."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterable

from edgeseg.errors import EdgesegError
from edgeseg.node.addresses import Remote
from edgeseg.node.client import send
from edgeseg.run.results import Results

_AT_ONCE = 50  # documents in one association
_FIRST_WAIT_S, _LONGEST_WAIT_S = 2.0, 300.0
_STOP_S = 3.0


class Returning:
    """Sends documents in a thread of its own while its context is open, again until they arrive.

    Once it ends, documents are sent for `_STOP_S` more, however many there are, and an archive that
    does not answer is then cut off. What was not sent is owed: the folder's next run sends it.

    Parameters
    ----------
    results
        The folder they are in, whose store notes what was sent.
    remote
        Where to.
    ae_title
        Under which it knows us.
    tls
        What the connection is secured with; None: nothing.
    on_notice
        Called with sentences on what could not be sent.
    """

    def __init__(
        self,
        results: Results,
        remote: Remote,
        ae_title: str,
        tls: ssl.SSLContext | None = None,
        on_notice: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._results, self._on_notice = results, on_notice
        self._remote, self._ae_title, self._tls = remote, ae_title, tls
        self._owed: dict[str, None] = {}
        self._changed = threading.Condition()
        self._ending = False
        self._ends_s = float("inf")
        self._cut: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._work, name="edgeseg-return", daemon=True)

    def __enter__(self) -> Returning:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._ending, self._ends_s = True, time.monotonic() + _STOP_S
            self._changed.notify()
        self._thread.join(2 * _STOP_S)  # the last document may have begun just then
        if self._thread.is_alive():
            self._cut()
            self._thread.join(_STOP_S)
        if self._owed:
            self._on_notice(f"{self._remote}: not sent yet: {len(self._owed)}; the next start does")

    def owe(self, names: Iterable[str]) -> None:
        """Add documents, by their names below the folder."""
        with self._changed:
            self._owed.update(dict.fromkeys(names))
            self._changed.notify()

    def _work(self) -> None:
        wait_s = _FIRST_WAIT_S
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._owed or self._ending)
                is_last = self._ending
                names = [*self._owed][:_AT_ONCE]
            if names and self._goes_on() and self._sends(names):
                wait_s = _FIRST_WAIT_S
                continue
            if is_last:
                return
            with self._changed:
                self._changed.wait_for(lambda: self._ending, wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def _opened(self, cut: Callable[[], None]) -> None:
        self._cut = cut

    def _goes_on(self) -> bool:
        return time.monotonic() < self._ends_s

    def _sends(self, names: list[str]) -> bool:
        try:
            return self._send(names)
        except EdgesegError as error:  # the disk is full, which it need not stay
            self._on_notice(str(error))
            return False

    def _send(self, names: list[str]) -> bool:
        """Send documents, and tell whether the other side took or refused any of them."""
        out = self._results.out
        paths = [out / name for name in names]
        outcomes = send(
            paths,
            self._remote,
            ae_title=self._ae_title,
            tls=self._tls,
            goes_on=self._goes_on,
            on_open=self._opened,
        )
        settled = []
        for name, path, outcome in zip(names, paths, outcomes, strict=True):
            if outcome.sent or outcome.refused or not path.is_file():
                settled.append(name)
        for reason in dict.fromkeys(outcome.reason for outcome in outcomes if outcome.reason):
            self._on_notice(reason)
        self._results.store.note_sent(settled)
        with self._changed:
            for name in names:  # what is tried again lets the others pass
                self._owed.pop(name, None)
            self._owed.update(dict.fromkeys(name for name in names if name not in settled))
        return bool(settled)
