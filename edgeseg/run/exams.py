"""Reports of whole studies: written once an exam has ended, and anew when more comes of it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from pathlib import Path

from edgeseg.errors import DataError, EdgesegError, OutputWriteError
from edgeseg.run.store import Picture, Store
from edgeseg.system.files import write_atomic

_POLL_S = 0.25


class Exams:
    """Writes the reports of exams that end, in a thread of its own, while its context is open.

    An exam ends ``ends_after_s`` after its last image was measured, if ``is_waiting`` says of no
    other image that it waits. What has not ended when the context does is reported by the folder's
    next run. ``on_report`` is called with the name of each report that is to be sent somewhere,
    which is noted until it is; ``on_notice`` with sentences for the user.
    """

    def __init__(
        self,
        out: Path,
        store: Store,
        on_notice: Callable[[str], None],
        ends_after_s: float = 0.0,
        on_report: Callable[[list[str]], None] | None = None,
    ) -> None:
        self._out, self._store, self._ends_after_s = out, store, ends_after_s
        self._on_report, self._on_notice = on_report, on_notice
        self.is_waiting: Callable[[str], bool] = lambda study: False
        self._is_ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="edgeseg-exams")

    def __enter__(self) -> Exams:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_ending.set()
        self._thread.join()

    def write_all(self) -> None:
        """Write the reports of all exams at once, and those that are gone."""
        there = self._out / "sr"
        gone = {each for each in self._store.studies() if not (there / f"{each}.dcm").exists()}
        for study in sorted(gone.union(self._store.exams())):
            self._try_write(study)

    def _work(self) -> None:
        known: dict[str, tuple[int, float]] = {}  # by study: its last change, when it ends
        while not self._is_ending.wait(_POLL_S):
            try:
                now_s, exams = time.monotonic(), self._store.exams()
            except EdgesegError:  # the store cannot be read now
                continue
            known = {study: at for study, at in known.items() if study in exams}
            for study, change in exams.items():
                last, ends_s = known.get(study, (None, 0.0))
                if last != change:
                    known[study] = change, now_s + self._ends_after_s
                elif ends_s <= now_s and not self.is_waiting(study):
                    is_done = self._try_write(study)
                    known[study] = change, math.inf if is_done else now_s + self._ends_after_s

    def _try_write(self, study: str) -> bool:
        """Write the report of a study, and return whether it need not be tried again."""
        try:
            self._write(study)
        except (OSError, OutputWriteError) as error:  # as of a full disk, which need not stay so
            self._on_notice(str(error))
            return False
        except Exception as error:
            reason = error if isinstance(error, EdgesegError) else type(error).__name__
            self._on_notice(f"study {study}: no report was made of it: {reason}")
        return True

    def _write(self, study: str) -> None:
        from edgeseg.output.dicom.study import merge_reports

        change, number = self._store.exams().get(study, 0), 1
        name = last = f"sr/{study}.dcm"
        while self._store.has_picture(name) and (self._out / name).exists():
            number, last = number + 1, name
            name = f"sr/{study}.{number}.dcm"
        previous = (self._out / last).read_bytes() if number > 1 else None
        parts = [(self._out / each).read_bytes() for each in self._store.findings(study)]
        report = merge_reports(parts, previous) if parts else None
        if report is None:
            name = last
        elif (self._out / name).exists():
            raise DataError(f"{self._out / name} is there, and edgeseg did not write it")
        else:
            self._store.announce([Picture(name, "", len(report))])
            write_atomic(self._out / name, report, durable=True)
        owed = [name] if self._on_report and parts and change else []  # without: reported before
        self._store.end_exam(study, change, owed)
        if self._on_report:
            self._on_report(owed)
