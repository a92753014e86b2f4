"""A DICOM node: keeps the instances it receives, measures them, and sends reports of them."""

from __future__ import annotations

import contextlib
import math
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from edgeseg.errors import OutputWriteError
from edgeseg.images.dicom.frames import digest_pixels, read_kind
from edgeseg.inputs.discover import items_of
from edgeseg.node.addresses import NodeAddress, Status
from edgeseg.node.report_sender import ReportSender
from edgeseg.node.server import run_server
from edgeseg.output.record import DOCUMENTS, picture_names
from edgeseg.output.table import Row
from edgeseg.run.engine import Engine
from edgeseg.run.exams import Exams
from edgeseg.run.results import Results
from edgeseg.run.store import Store
from edgeseg.system.files import sync
from edgeseg.system.text import cut, visible

_SPOOL = ".incoming"
_RETRY_S = 5.0  # pause after rows could not be written, as on a full disk
_RESERVE_BYTES = 32 << 20  # left free on the disk for rows and pictures of what waits
_LINES, _PERIOD_S, _REPEAT_S = 20, 60.0, 3600.0


@contextlib.contextmanager
def run_node(
    engine: Engine,
    results: Results,
    address: NodeAddress,
    exams: Exams,
    reports: ReportSender | None,
    on_notice: Callable[[str], None],
) -> Iterator[tuple[str, int]]:
    """Receive and measure instances while the context is open.

    An instance is answered once it is safe on disk, and measured afterwards, after a restart too.
    However often it is sent, it has its rows once. An image that cannot be measured has a row that
    says why; documents have none. ``on_notice`` is called with sentences for the user, from any
    thread, and must not raise. Yields host and port that are listened on. Raises `ConfigError` if
    there is no listening there, `OutputWriteError` if the folder cannot be written to.
    """
    out, store, spool = results.out, results.store, results.out / _SPOOL

    def on_measured(file: str) -> None:
        names = picture_names(file)
        if reports is not None:
            documents = (names[kind] for kind in DOCUMENTS)
            reports.add(name for name in documents if (out / name).is_file())

    with contextlib.ExitStack() as stack:
        if reports is not None:
            stack.enter_context(reports)
            reports.add(store.owed())
        stack.enter_context(exams)
        inbox = Inbox(engine, store, spool, address.bounds.queue, on_measured, on_notice)
        exams.is_waiting = inbox.has_study
        stack.enter_context(inbox)
        yield stack.enter_context(run_server(address, inbox.take, spool, on_notice))


class Inbox:
    """Takes instances while its context is open, and has them measured.

    An instance is safe once it is taken: its file, and a note of it in the store, outlive a kill
    and a power cut. What is not measured when the context ends is measured by the next run.
    ``limit`` instances may wait in the folder ``spool``. From any thread ``on_measured`` is called
    with each file whose rows are durable, and ``on_notice`` with sentences for the user.
    """

    def __init__(
        self,
        engine: Engine,
        store: Store,
        spool: Path,
        limit: int,
        on_measured: Callable[[str], None],
        on_notice: Callable[[str], None],
    ) -> None:
        self._engine, self._store, self._spool, self._limit = engine, store, spool, limit
        self._on_measured, self._on_notice = on_measured, on_notice
        self._changed = threading.Condition()
        # A file is known while it is written to the spool, then queued, then under way.
        self._known: dict[str, str] = {}  # with its study
        self._incomplete: set[str] = set()
        self._queue: deque[str] = deque()
        self._said_s = -math.inf  # when a notice said how many wait
        self._resume_s = 0.0  # before which nothing is measured
        self._is_ending = False
        self._n_documents = 0
        self._thread = threading.Thread(target=self._work, name="edgeseg-inbox")

    def __enter__(self) -> Inbox:
        self._queue.extend(self._store.waiting())
        for file in self._queue:
            self._known[file] = read_kind(self._spool / file)[1]
        for path in self._spool.glob("*.dcm"):
            if path.name not in self._known:  # measured, or never answered
                path.unlink(missing_ok=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._is_ending = True
            self._changed.notify_all()
        self._engine.stop()
        self._thread.join()
        with self._changed:
            self._changed.wait_for(lambda: len(self._queue) == len(self._known))
        if self._n_documents:
            what = "DICOM files left out, which hold no ultrasound image"
            self._on_notice(f"{what}: {self._n_documents}")
        if self._known:
            self._on_notice(f"instances that wait for the next start: {len(self._known)}")

    def take(self, received: Path, uid: str) -> Status:
        """Keep an instance, unless it is measured or waits already, and return what to answer.

        Documents and images of other machines are taken, counted and left out.
        """
        file, (kind, study) = f"{uid}.dcm", read_kind(received)
        with self._changed:
            if kind != "ultrasound":
                self._n_documents += 1
                return Status.SUCCESS
            self._changed.wait_for(lambda: file not in self._incomplete)
            measured = self._store.version_of(file)
            is_known = file in self._known or measured is not None
            has_room = len(self._known) < self._limit
            if has_room and not is_known:
                self._known[file] = study
                self._incomplete.add(file)
        if is_known:
            before = digest_pixels(self._spool / file) if measured is None else measured
            syntax, now = before.partition(" ")[0], digest_pixels(received)
            if before and now.startswith(f"{syntax} ") and now != before:
                self._on_notice(f"{file}: sent again with other pixels; the first are measured")
            return Status.SUCCESS
        if not has_room:
            self._on_notice(f"{self._limit} instances wait to be measured; more are refused")
            return Status.OUT_OF_RESOURCES
        answer = Status.OUT_OF_RESOURCES
        try:
            self._keep(received, self._spool / file)
            answer = Status.SUCCESS
        except (OSError, OutputWriteError) as error:
            reason = getattr(error, "strerror", None) or error
            self._on_notice(f"an instance could not be kept, and was refused: {reason}")
        finally:
            with self._changed:
                self._incomplete.discard(file)
                if answer == Status.SUCCESS:
                    self._queue.append(file)
                    self._say_how_many()
                else:
                    self._known.pop(file, None)
                self._changed.notify_all()
        return answer

    def _say_how_many(self) -> None:
        """Say how many instances wait, if several do, at most once a minute."""
        now_s, waiting = time.monotonic(), len(self._known)
        if waiting > 1 and now_s - self._said_s >= _PERIOD_S:
            self._said_s = now_s
            self._on_notice(f"instances that wait to be measured: {waiting}")

    def has_study(self, study: str) -> bool:
        """Tell whether an instance of a study is still to be measured."""
        with self._changed:
            return study in self._known.values()

    def _keep(self, received: Path, path: Path) -> None:
        """Make an instance and the note that it waits durable, or leave nothing of it."""
        disk = shutil.disk_usage(self._spool)
        if disk.free < min(_RESERVE_BYTES, disk.total // 20):
            raise OutputWriteError("the disk is full")
        try:
            received.replace(path)
            sync(path)
            sync(self._spool)
            self._store.enqueue(path.name)
        except BaseException:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            raise

    def _work(self) -> None:
        while (file := self._next()) is not None:
            try:
                self._measure(file)
            except Exception as error:
                self._retry(file, error)

    def _next(self) -> str | None:
        """Wait for the oldest file of the queue; None once the context ends."""
        with self._changed:
            while not self._is_ending:
                pause_s = self._resume_s - time.monotonic()
                if self._queue and pause_s <= 0:
                    return self._queue.popleft()
                self._changed.wait(pause_s if pause_s > 0 else None)
            return None

    def _measure(self, file: str) -> None:
        path = self._spool / file
        if not path.is_file():
            self._on_notice(f"{path}: removed before it was measured; send it again")
            self._store.dequeue(file)
            self._forget(file)
            return
        version = digest_pixels(path)
        sources = [each._replace(version=version) for each in items_of(file, str(path))]
        self._engine.submit(sources).add_done_callback(partial(self._finish, file))

    def _finish(self, file: str, future: Future[list[Row]]) -> None:
        if (error := future.exception()) is not None:
            self._retry(file, error)
            return
        self._forget(file)
        self._on_measured(file)

    def _forget(self, file: str) -> None:
        """Remove a file that waits no longer, as the store says already."""
        with contextlib.suppress(OSError):
            (self._spool / file).unlink()
        with self._changed:
            self._known.pop(file, None)
            self._changed.notify_all()

    def _retry(self, file: str, error: BaseException) -> None:
        """Put a file back into the queue, and pause: a disk that is full need not stay so."""
        with self._changed:
            is_ending = self._is_ending
            self._queue.append(file)
            self._resume_s = time.monotonic() + _RETRY_S
            self._changed.notify_all()
        if not is_ending:
            reason = error if isinstance(error, OutputWriteError) else type(error).__name__
            self._on_notice(f"{file}: could not be measured, and is tried again: {reason}")


class Notices:
    """Passes on at most 20 notices a minute: peers must not fill a log. Safe in several threads.

    The same notice is passed on once an hour, such as that an archive is away.
    What the function that gets them raises is dropped, as no notice may end a node.
    """

    def __init__(self, on_notice: Callable[[str], None]) -> None:
        self._on_notice = on_notice
        self._lock = threading.Lock()
        self._started_s = time.monotonic()
        self._count = 0  # in this period
        self._passed_s: dict[str, float] = {}  # when a text was passed on, by text

    def __call__(self, text: str) -> None:
        """Pass a notice on, or count it among those left out."""
        with self._lock:
            now_s = time.monotonic()
            if now_s - self._started_s >= _PERIOD_S:
                self._begin_period()
            if now_s - self._passed_s.get(text, -_REPEAT_S) < _REPEAT_S:
                return
            self._count += 1
            if self._count <= _LINES:
                self._passed_s[text] = now_s
                self._pass_on(cut(visible(text)))

    def close(self) -> None:
        """Say how many were left out."""
        with self._lock:
            self._begin_period()

    def _begin_period(self) -> None:
        if self._count > _LINES:
            self._pass_on(f"{self._count - _LINES} more notices were left out")
        self._started_s, self._count = time.monotonic(), 0
        oldest_s = self._started_s - _REPEAT_S
        self._passed_s = {text: at_s for text, at_s in self._passed_s.items() if at_s > oldest_s}

    def _pass_on(self, text: str) -> None:
        with contextlib.suppress(Exception):
            self._on_notice(text)
