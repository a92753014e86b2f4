from __future__ import annotations

import io
import tempfile
from pathlib import Path

import pytest

from edgeseg.errors import InputNotFoundError, OutputWriteError
from edgeseg.inputs import standard_input
from edgeseg.inputs.standard_input import spool_image


class Terminal(io.BytesIO):
    def isatty(self) -> bool:
        return True


def test_what_comes_lies_in_a_file_while_it_is_needed() -> None:
    with spool_image(io.BytesIO(b"bytes")) as item:
        assert item.file == "stdin"
        assert item.path.read_bytes() == b"bytes"
    assert not item.path.parent.exists()


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (io.BytesIO(), "holds nothing"),
        (io.BytesIO(b"123456"), "more than"),
        (Terminal(b"12"), "keyboard"),
        (None, "is closed"),
    ],
)
def test_what_is_no_image_is_refused(
    stream: io.BytesIO | None, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standard_input, "MAX_BYTES", 5)
    with pytest.raises(InputNotFoundError, match=said), spool_image(stream):
        pass


def test_where_there_is_no_room_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(OutputWriteError, match="set TMPDIR"), spool_image(io.BytesIO(b"12")):
        pass
