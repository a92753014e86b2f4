from __future__ import annotations

import io
import tempfile
from pathlib import Path

import pytest
from pytest import MonkeyPatch

from edgeseg.errors import InputNotFoundError, OutputWriteError
from edgeseg.inputs import source
from edgeseg.inputs.source import spool_image


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


def test_what_comes_lies_in_a_file_meanwhile(monkeypatch: MonkeyPatch, tmp_path: Path) -> None:
    with spool_image(io.BytesIO(b"bytes")) as item:
        assert item.file == "stdin"
        assert item.path.read_bytes() == b"bytes"
    assert not item.path.parent.exists()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(OutputWriteError, match="set TMPDIR"), spool_image(io.BytesIO(b"12")):
        pass


def test_what_is_no_image_is_refused(monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr(source, "_MAX_BYTES", 5)
    for stream, said in (
        (io.BytesIO(), "holds nothing"),
        (io.BytesIO(b"123456"), "more than"),
        (Terminal(b"12"), "keyboard"),
        (None, "is closed"),
    ):
        with pytest.raises(InputNotFoundError, match=said), spool_image(stream):
            pass
