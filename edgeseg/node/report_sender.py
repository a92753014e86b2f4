"""Sends reports to an archive, which may be away for a while."""

from __future__ import annotations

import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable

from edgeseg.errors import EdgesegError
from edgeseg.node.addresses import Remote
from edgeseg.node.client import send_files
from edgeseg.run.results import Results

_AT_ONCE = 50  # documents in one association
_FIRST_WAIT_S, _LONGEST_WAIT_S = 2.0, 300.0
_STOP_S = 3.0


class ReportSender:
    """Sends documents in a thread of its own while its context is open, again until they arrive.

    When the context ends, it sends for `_STOP_S` more, and then cuts off an archive that does not
    answer. The store of ``results`` keeps the names of what was not sent, which the folder's next
    run sends; ``on_notice`` is called with sentences on it. For the others see `send_files`.
    """

    def __init__(
        self,
        results: Results,
        remote: Remote,
        ae_title: str,
        tls: ssl.SSLContext | None,
        on_notice: Callable[[str], None],
    ) -> None:
        self._results, self._on_notice = results, on_notice
        self._remote, self._ae_title, self._tls = remote, ae_title, tls
        self._names: dict[str, None] = {}  # in order
        self._changed = threading.Condition()
        self._is_ending = False
        self._ends_s = float("inf")
        self._opened: deque[Callable[[], None]] = deque(maxlen=1)  # cuts the association off
        self._thread = threading.Thread(target=self._work, name="edgeseg-reports", daemon=True)

    def __enter__(self) -> ReportSender:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._is_ending, self._ends_s = True, time.monotonic() + _STOP_S
            self._changed.notify()
        self._thread.join(2 * _STOP_S)  # the last document may have begun just then
        if self._thread.is_alive():
            for cut_off in tuple(self._opened):
                cut_off()
            self._thread.join(_STOP_S)
        if self._names:
            count = len(self._names)
            self._on_notice(f"{self._remote}: not sent yet: {count}; the next start sends them")

    def add(self, names: Iterable[str]) -> None:
        """Add documents, by their names below the folder."""
        with self._changed:
            self._names.update(dict.fromkeys(names))
            self._changed.notify()

    def _work(self) -> None:
        wait_s = _FIRST_WAIT_S
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._names or self._is_ending)
                is_last = self._is_ending
                names = [*self._names][:_AT_ONCE]
            if names and self._has_time() and self._send(names):
                wait_s = _FIRST_WAIT_S
                continue
            if is_last:
                return
            with self._changed:
                self._changed.wait_for(lambda: self._is_ending, wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)

    def _has_time(self) -> bool:
        return time.monotonic() < self._ends_s

    def _send(self, names: list[str]) -> bool:
        """Send documents, and return whether any of them need not be sent again."""
        paths = [self._results.out / name for name in names]
        to = self._remote, self._ae_title, self._tls
        outcomes = send_files(paths, *to, may_go_on=self._has_time, on_open=self._opened.append)
        ended = [
            name
            for name, path, outcome in zip(names, paths, outcomes, strict=True)
            if outcome.is_done or not path.is_file()
        ]
        for reason in dict.fromkeys(outcome.reason for outcome in outcomes if outcome.reason):
            self._on_notice(reason)
        try:
            self._results.store.note_sent(ended)
        except EdgesegError as error:  # the disk is full, which need not stay so
            self._on_notice(str(error))
            return False
        with self._changed:
            for name in names:  # what is tried again lets the others pass
                self._names.pop(name, None)
            self._names.update(dict.fromkeys(name for name in names if name not in ended))
        return bool(ended)
