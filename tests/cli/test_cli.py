"""Help, usage, exit codes and reports of all commands; `infer` has a file of its own."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import typer.main

import edgeseg
from edgeseg.bench import benchmark
from edgeseg.cli import app
from edgeseg.errors import ModelNotFoundError, OutputExistsError
from edgeseg.network import zoo
from edgeseg.phantom.head import Phantom
from tests.cli.calls import call, rows
from tests.conftest import BENCHMARKS
from tests.phantoms import write_hc18

COMMANDS = [
    (command.name or command.callback.__name__).replace("_", "-")  # type: ignore[union-attr]
    for command in app.registered_commands
]


def option_names(command: str) -> list[str]:
    parameters = typer.main.get_command(app).commands[command].params  # type: ignore[attr-defined]
    return [name for parameter in parameters for name in parameter.opts if name[:2] == "--"]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_fits_80_columns_and_ends_in_an_example(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = call(command, "--help")
    assert result.exit_code == 0
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert {*option_names(command)} <= {*result.stdout.split()}  # whole
    assert f"Example: edgeseg {command}" in " ".join(result.stdout.split())


def test_the_help_groups_every_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = call("--help").stdout
    assert re.findall(r"^  ([a-z-]+)  ", text.partition("Measure:")[2], re.M) == COMMANDS
    assert call("--version").stdout.strip() == edgeseg.__version__
    assert "Not a medical device" in " ".join(text.split())


@pytest.mark.parametrize(
    "arguments",
    [
        "infer", "nothing", "infer x --out y --threads 0", "infer x --out y --resume --overwrite",
        "infer x --out y --ga none.csv", "infer x --out y --device gpu",
        "infer x --out y --json - --jsonl -", "infer x --out y --pixel-size 0,12",
        "export x --out y --precision fp64", "evaluate --data x --fold 0", "evaluate",
        "evaluate --data x --corrected y", "benchmark --threads one", "benchmark --batch 0",
        "archive m --out o --collect --shard 0/2",
        *(f"archive m --out o --shard {share}" for share in ("1", "3/2", "1/0", "1/2/3")),
    ],
)  # fmt: skip
def test_wrong_usage_is_2(arguments: str) -> None:
    assert call(*arguments.split()).exit_code == 2


REPORTS = ("--json", "--jsonl", "--csv", "--markdown")


@pytest.mark.parametrize(
    ("command", "name"),
    [
        *((c, n) for c in COMMANDS for n in REPORTS if n in option_names(c)),
        ("calibrate", "--out"), ("challenge", "--out"),
    ],
)  # fmt: skip
def test_no_report_replaces_an_image_or_a_model(command: str, name: str, tmp_path: Path) -> None:
    for content in (b"P2 1 1 255 7", b"a\0"):
        (path := tmp_path / "a").write_bytes(content)
        result = call(command, name, path)
        assert isinstance(result.exception, OutputExistsError) and str(path) in str(
            result.exception
        )
        assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("presence m", "teach-refusal"), ("demo --pairs d --count 0", "--count"),
        ("serve --waiting -1", "--queue"), ("archive m --out o --say-every 0", "--progress-every"),
    ],
)  # fmt: skip
def test_old_names_are_understood(old: str, new: str) -> None:
    result = call(*old.split())
    assert result.exit_code == 2
    assert new in result.output and "No such" not in result.output


@pytest.mark.slow
def test_demo_measures_the_phantoms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # the second replaces the first
        result = call("demo")
        assert result.exit_code == 0, result.output
    errors = [float(e) for e in re.findall(r"([+-]\d+\.\d+)", result.stdout)]
    assert len(errors) == 8
    assert max(map(abs, errors)) <= 1.0
    assert (tmp_path / "edgeseg-demo" / "report.html").is_file()


def test_demo_writes_a_data_set(tmp_path: Path) -> None:
    assert call("demo", "--shapes", tmp_path / "shapes", "--count", 2).exit_code == 0
    assert len(list((tmp_path / "shapes" / "masks").iterdir())) == 2
    again = call("demo", "--shapes", tmp_path / "shapes")
    assert isinstance(again.exception, OutputExistsError)


def test_evaluate_and_challenge_agree_with_infer(phantom_data: Path, tmp_path: Path) -> None:
    table = phantom_data / "training_set_pixel_size_and_HC.csv"
    images = phantom_data / "training_set"
    call("infer", images, "--pixel-sizes", table, "--out", tmp_path / "out")
    call("evaluate", "--data", phantom_data, "--csv", tmp_path / "scores.csv")
    inferred, scored = rows(tmp_path / "out"), rows(tmp_path, "scores.csv")
    challenge = ("challenge", images, "--pixel-sizes", table, "--out", tmp_path / "s.csv")
    assert call(*challenge).exit_code == 0
    assert isinstance(call(*challenge).exception, OutputExistsError)
    assert call(*challenge, "--overwrite").exit_code == 0
    assert len(scored) == len(rows(tmp_path, "s.csv")) == 12
    for name in ("file", "hc_mm", "confidence", "flags"):
        assert [row[name] for row in inferred] == [row[name] for row in scored]


@pytest.mark.slow
def test_benchmark_writes_its_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = ("--json", tmp_path / "b.json", "--markdown", tmp_path / "b.md")
    result = call("benchmark", "hc18-edge", "--threads", 1, "--runs", 3, "--warmup", 1, *files)
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "b.json").read_text())
    assert len(report["results"]) == 1
    assert "| hc18-edge |" in (tmp_path / "b.md").read_text()

    monkeypatch.setattr(benchmark, "run", lambda *_: json.loads((tmp_path / "b.json").read_text()))
    for p50, code in ((1e6, 0), (1e-6, 1)):
        report["results"][0]["latency_ms"]["p50"] = p50
        (tmp_path / "old.json").write_text(json.dumps(report))
        result = call("benchmark", "hc18-edge", "--compare", tmp_path / "old.json")
        assert result.exit_code == code
        assert ("worse" in result.stdout) == bool(code)

    measured = json.loads((BENCHMARKS / "results" / "benchmark.json").read_text())
    for row in measured["results"]:
        row["sha256"] = zoo.manifest()[row["model"]]["sha256"]
    monkeypatch.setattr(benchmark, "run", lambda *_: measured)
    assert call("benchmark", "--json", tmp_path / "b.json").exit_code == 0
    assert json.loads((tmp_path / "b.json").read_text())["choice"]["model"] == "hc18-nano"


def test_models_are_described_and_others_refused() -> None:
    card = zoo.manifest()["hc18-edge"]
    assert card["sha256"] in call("models").stdout
    one = call("models", "hc18-edge")
    for text in (card["train_command"], card["licence"], card["limits"][0], "0.62 GMAC"):
        assert text in one.stdout
    other = call("models", "hc18-edg")
    assert isinstance(other.exception, ModelNotFoundError) and "'hc18-edge'" in str(other.exception)


@pytest.mark.parametrize(
    ("arguments", "keys"),
    [
        ("models", {"models"}),
        ("models hc18-nano", {"sha256", "metrics"}),
        ("info", {"versions", "host", "providers"}),
        ("verify hc18-nano --device cpu", {"model", "checks"}),
        ("evaluate hc18-nano --split split.json --fold 0 --data", {"metrics", "data"}),
        ("benchmark hc18-nano --threads 1 --runs 1 --warmup 0", {"results", "command"}),
    ],
)
def test_json_to_standard_output_is_all_that_is_there(
    arguments: str, keys: set[str], phantom_data: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("split.json").write_text(json.dumps({"folds": [["000_HC.png"]]}))
    Path("-").mkdir()  # a file of that name could not be written
    words = arguments.split()
    result = call(*words, *([phantom_data] if words[-1] == "--data" else []), "--json", "-")
    assert result.exit_code == 0, result.output
    assert keys <= json.loads(result.stdout).keys()
    assert result.stderr  # the table
    assert sorted(path.name for path in tmp_path.iterdir()) == ["-", "split.json"]


def test_an_archive_is_measured_and_collected(tmp_path: Path, phantoms: list[Phantom]) -> None:
    pytest.importorskip("pyarrow")
    write_hc18(phantoms[:5], tmp_path)
    scans, manifest, out = tmp_path / "training_set", tmp_path / "m.parquet", tmp_path / "out"
    (scans / "broken.png").write_bytes(b"none")
    sizes = tmp_path / "training_set_pixel_size_and_HC.csv"
    listing = ["manifest", scans, "--pixel-sizes", sizes, "--out", manifest]
    assert call(*listing, "--json", tmp_path / "a.json").exit_code == 0
    assert json.loads((tmp_path / "a.json").read_text()) == {"n_files": 6, "n_frames": 6}
    assert isinstance(call(*listing).exception, OutputExistsError)
    command = ["archive", manifest, "--out", out, "--part-size", "2"]
    report = tmp_path / "b.json"
    assert call(*command, "--shard", "0/3", "--json", report).exit_code == 0
    assert json.loads(report.read_text())["counts"]["n_images"] == 2
    done = call(*command, "--collect", "--json", report)
    assert done.exit_code == 1 and json.loads(report.read_text())["missing_parts"] == [1, 2]
    done = call(*command, "--threads", "1", "--json", report)
    assert done.exit_code == 1 and json.loads(report.read_text())["counts"]["failed"] == 1
    assert "0 of 3 parts are missing" in done.output
    done = call("archive", manifest, "--out", out, "--json", report)
    assert done.exit_code == 0 and json.loads(report.read_text())["n_parts"] == 0
    done = call("archive", manifest, "--out", out, "--collect")
    assert done.exit_code == 1 and "complete" in done.output
