"""What is printed is text, and what the system refuses is a sentence and 1, never a traceback."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from edgeseg.cli import console, main, process
from edgeseg.errors import DataError, OutputWriteError
from tests.tables import read_rows

NAME = "a\x1b[2Jb\u202ec\nd"
SHOWN = "a\\x1b[2Jb\\u202ec\\nd"
posix = pytest.mark.skipif(os.name == "nt", reason="POSIX's")


@pytest.fixture
def image(tmp_path: Path, scan_file: bytes) -> Path:
    path = tmp_path / "a.png"
    path.write_bytes(scan_file)
    return path


def refused(*arguments: object) -> None:
    """Run the command line in this process, where it must refuse."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["edgeseg", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
    assert ended.value.code == 1


COMMANDS = [
    ["infer", "{}", "--out", "{out}"],
    ["infer", "{image}", "--out", "{}"],
    ["infer", "{image}", "--out", "{}", "--resume"],
    ["infer", "{image}", "--out", "{out}", "--model", "{}"],
    ["infer", "{image}", "--out", "{out}", "--pixel-sizes", "{}"],
    ["evaluate", "--data", "{}"],
    ["evaluate", "--data", "{out}", "--json", "{}"],
    ["challenge", "{}", "--out", "{out}"],
    ["challenge", "{out}", "--out", "{}"],
    ["benchmark", "hc18-nano", "--compare", "{}"],
    ["models", "--json", "{}"],
    ["demo", "--shapes", "{}", "--count", "1"],
]


@posix
@pytest.mark.parametrize("kind", ["a.png/x", "circle/x", "x" * 300, "x/" * 2500 + "x"], ids=len)
@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_impossible_paths(
    arguments: list[str], kind: str, image: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "circle").symlink_to("circle")
    path, out = tmp_path / kind, tmp_path / "out"
    refused(*(each.format(path, image=image, out=out) for each in arguments))
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DataError("x"), "x"),
        (OSError(18, "Cross-device link", "a", None, "b"), "a, b: Cross-device link"),
        (OSError("libx.so: cannot open"), "libx.so: cannot open"),
        (OSError(28, "No space left"), "standard output cannot be written (No space left); what "
         "goes to files is there"),
        (MemoryError("Unable to allocate 9 GiB"), "not enough memory (Unable to allocate 9 GiB)"),
        (ImportError("halted", name="cv2.x"), "package opencv-python-headless cannot be"),
        (ImportError("halted"), "one of the packages cannot be imported (halted)"),

        (RuntimeError("Symlink loop from 'a'"), "Symlink loop from 'a'"),
        (ValueError("x"), None), (RuntimeError("x"), None),
    ],
)  # fmt: skip
def test_sentences(error: Exception, said: str | None) -> None:
    sentence = process.describe_error(error)
    assert (said is None) if sentence is None else said is not None and said in sentence


def test_a_fault_of_edgeseg_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["edgeseg", "models"])
    monkeypatch.setattr("edgeseg.network.zoo.manifest", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main()


def shell(command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, shell=True, cwd=cwd, capture_output=True, text=True, check=False,
        executable=shutil.which("bash"),
    )  # fmt: skip


PYTHON = f"'{sys.executable}' -m edgeseg"
INFER = f"{PYTHON} infer a.png --out out --pixel-size 0.2"


@posix
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is full")
@pytest.mark.parametrize("redirected", [">/dev/full", ">&-"])
def test_a_standard_output_that_takes_nothing(image: Path, tmp_path: Path, redirected: str) -> None:
    commands = [INFER, *(f"{PYTHON} {rest}" for rest in ("--help", "models --json -"))]
    commands.append(f"{PYTHON} models --json m.json")
    for command in commands:
        done = shell(f"{command} {redirected}", tmp_path)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith("error: standard output cannot be written (")
        assert done.stderr.count("error:") == 1 and "Traceback" not in done.stderr
    assert [row["status"] for row in read_rows(tmp_path / "out" / "results.csv")] == ["ok"]
    assert (tmp_path / "out" / "report.html").is_file() and (tmp_path / "m.json").is_file()


@posix
@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", "2>/dev/full"])
def test_results_are_whole_whatever_streams_exist(image: Path, tmp_path: Path, closed: str) -> None:
    """A stream that is missing would give its number to a file of results."""
    done = shell(f"{INFER} --model hc18-nano {closed}", tmp_path)
    assert done.returncode == (1 if ">&- " in closed else 0)
    assert (tmp_path / "out" / "results.csv").read_bytes().count(b"\n") == 2
    assert (tmp_path / "out" / "report.html").read_text().rstrip().endswith("</html>")


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's limit")
def test_without_memory_it_says_so(image: Path, tmp_path: Path) -> None:
    done = shell(f"ulimit -v 300000; OMP_NUM_THREADS=1 {INFER}", tmp_path)
    assert done.returncode != 0
    assert "emory" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr and "reinstall" not in done.stderr


@posix
def test_nobody_listens_any_more(image: Path, tmp_path: Path) -> None:
    for command in (INFER, f"{PYTHON} models --json -"):
        done = shell(f"{command} 2>said | true; exit ${{PIPESTATUS[0]}}", tmp_path)
        assert done.returncode in (0, 1)
        said = (tmp_path / "said").read_text()
        assert "Traceback" not in said and "error" not in said and "Exception" not in said
    assert read_rows(tmp_path / "out" / "results.csv")


def test_of_a_package_that_does_not_load_info_says_what_it_can(tmp_path: Path) -> None:
    code = "import sys; sys.modules[sys.argv.pop(1)] = None; sys.argv[0] = 'edgeseg'\n"
    code += "from edgeseg.cli import main; main()"
    for module, named in (("cv2", "opencv"), ("onnxruntime", "onnxruntime")):
        done = subprocess.run(
            [sys.executable, "-c", code, module, "info", "--json", str(tmp_path / "i.json")],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0
        assert f"{named} does not load: ModuleNotFoundError" in done.stderr
        assert "python" in done.stdout and "telemetry" in done.stdout
        assert (tmp_path / "i.json").is_file()


def test_a_full_disk_says_how_to_go_on(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    full = Mock(side_effect=OutputWriteError("masks/a.png: cannot be written (No space left)"))
    monkeypatch.setattr("edgeseg.run.engine.Job.write", full)
    refused("infer", image, "--out", tmp_path / "out")
    advice, error = capsys.readouterr().err.splitlines()[-2:]
    assert advice.startswith("what was measured is kept; continue with: edgeseg infer --resume ")
    assert "No space left" in error


@pytest.mark.parametrize("say", [console.say, console.notice, console.failure])
def test_lines_are_escaped(say, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    say(f"{NAME} is said")
    captured = capsys.readouterr()
    assert f"{SHOWN} is said" in captured.out + captured.err
    assert "\x1b[2J" not in captured.out + captured.err
    assert len((captured.out + captured.err).splitlines()) == 1


def test_cells_and_titles_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    console.table([NAME, "b"], [[NAME, "[red]x[/red]"]])
    printed = capsys.readouterr().out
    assert printed.count(SHOWN) == 2
    assert "[red]x[/red]" in printed
    assert "\u202e" not in printed


def test_a_remark_that_cannot_be_said_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    full = Mock(side_effect=OSError(28, "No space left on device"))
    monkeypatch.setattr("sys.stderr", SimpleNamespace(encoding="utf-8", write=full))
    console.notice("x")
    console.failure("y")
    assert full.called


@pytest.mark.parametrize("width", [80, 50])
def test_a_table_on_a_narrow_terminal_cuts_no_word(
    width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    titles = ["model", *(f"figure {i}" for i in range(9)), "what it is called"]
    cells = ["hc18-edge-int8", *(f"12345.6{i}" for i in range(9)), "--name-of-an-option and more"]
    console.table(titles, [cells, cells], range(1, 10))
    lines = re.sub("\x1b.*?m", "", capsys.readouterr().out).splitlines()
    assert max(map(len, lines)) <= width
    words = " ".join(lines).split()
    assert all(words.count(word) >= 2 for cell in cells for word in cell.split())
    assert words.count("model") == words.count(cells[0]) / 2 > 1
