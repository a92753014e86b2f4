"""A table of any size is read as a small one is."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.errors import DataError, InputNotFoundError
from edgeseg.inputs.pixel_sizes import is_header
from edgeseg.inputs.size_table import text
from edgeseg.inputs.size_table.text import read_lines, stream_lines

TITLES = "filename{0}pixel size (mm)\n"


@pytest.mark.parametrize(
    "data",
    [
        TITLES.format(",").encode() + b"a.png,0.1\n\nb.png,0.2",
        TITLES.format(";").encode() + b"a.png;0,1\r\nb.png;0,2\r\n",
        TITLES.format("\t").encode("utf-16") + "ä.png\t0.1\n".encode("utf-16-le"),
        b"\xef\xbb\xbfsep=;\r\n" + TITLES.format(";").encode() + b'"a;b.png";0.1\n',
        b"",
        TITLES.format(",").encode() + b'"two\nlines.png",0.1\nc.png,0.3\n',
    ],
)
def test_lines_are_those_of_a_table_in_memory(
    tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sizes.csv"
    path.write_bytes(data)
    expected = read_lines(path, is_header)
    assert list(stream_lines(path, is_header)) == expected
    monkeypatch.setattr(text, "_TELLING_BYTES", 64)  # what tells the sign is only its beginning
    assert list(stream_lines(path, is_header)) == expected


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match="no such file"):
        list(stream_lines(tmp_path / "none", is_header))
    (tmp_path / "a.csv").write_bytes(TITLES.format(",").encode() + b"\xe4.png,0.1\n")
    with pytest.raises(DataError, match="not a readable CSV"):
        list(stream_lines(tmp_path / "a.csv", is_header))
