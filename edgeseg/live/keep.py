"""Frames that somebody wants to keep: saved, and measured into a folder of results."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from edgeseg.drawing.encode import encode
from edgeseg.inputs.source import Source
from edgeseg.live.source import LiveFrame
from edgeseg.run.engine import Engine
from edgeseg.run.worker import Worker
from edgeseg.system.files import write_atomic

FRAMES_NAME = "frames"


class Keeper:
    """Saves frames in ``out/frames`` and measures them as any file, by an engine that is open.

    Frames that were saved and not measured, as after a kill, are measured at the start.
    """

    def __init__(self, engine: Engine, worker: Worker, out: Path) -> None:
        self._engine, self._worker, self._folder = engine, worker, out / FRAMES_NAME
        for path in sorted(self._folder.glob("*.png")):
            self._measure(path)

    def keep(self, live: LiveFrame) -> str:
        """Save a frame, have it measured, and return the name of its row.

        Raises `OutputWriteError` if it cannot be saved.
        """
        now = datetime.now().astimezone().strftime("%Y-%m-%dT%H-%M-%S.%f")[:-3]
        path = self._folder / f"{now}.png"
        write_atomic(path, encode(".png", live.pixels))
        self._measure(path)
        return path.name

    def _measure(self, path: Path) -> None:
        source = Source(path.name, str(path))
        self._engine.submit([source._replace(version=self._worker.version(source))])
