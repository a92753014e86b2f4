from __future__ import annotations

import copy
import csv
import errno
import json
import os
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edgeseg.bench import benchmark
from edgeseg.cli import app, main
from edgeseg.drawing.encode import encode
from edgeseg.network import zoo
from edgeseg.phantom.head import Phantom
from tests.conftest import BENCHMARKS

COMMANDS = (
    "infer", "demo", "evaluate", "benchmark", "train", "export", "models", "verify", "challenge",
    "info", "adopt", "calibrate",
)  # fmt: skip


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.fixture
def scans(tmp_path: Path, phantoms: list[Phantom]) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for phantom in phantoms[:2]:
        (folder / phantom.name).write_bytes(encode(".png", phantom.image))
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = call(command, "--help")
    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert f"edgeseg {command}" in plain(result.stdout)


def test_the_help_lists_every_command_and_the_disclaimer() -> None:
    text = " ".join(plain(call("--help").stdout).split())
    assert all(command in text for command in COMMANDS)
    assert "Not a medical device" in text


def test_wrong_usage_is_2() -> None:
    assert call("infer").exit_code == 2
    assert call("nothing").exit_code == 2
    assert call("infer", "x", "--out", "y", "--batch", "0").exit_code == 2
    assert call("infer", "x", "--out", "y", "--resume", "--overwrite").exit_code == 2
    assert call("infer", "x", "--out", "y", "--pixel-size", "-1").exit_code == 2
    assert call("infer", "x", "--out", "y", "--ga", "21w9d").exit_code == 2
    assert call("infer", "x", "--out", "y", "--ga", "none.csv").exit_code == 2
    assert call("infer", "x", "--out", "y", "--device", "gpu").exit_code == 2
    assert call("export", "x", "--out", "y", "--precision", "fp64").exit_code == 2
    assert call("evaluate", "--data", "x", "--fold", "0").exit_code == 2
    assert call("benchmark", "--threads", "one").exit_code == 2
    assert call("benchmark", "--batch", "0").exit_code == 2
    train = ("train", "--data", "x", "--out", "y")
    assert call(*train, "--epoch", "3").exit_code == 2
    assert call(*train, "--epochs").exit_code == 2
    assert call(*train, "--epochs", "many").exit_code == 2


def test_infer_writes_and_says_so(scans: Path, tmp_path: Path) -> None:
    result = call("infer", scans, "--out", tmp_path / "out", "--pixel-size", 0.2)
    assert result.exit_code == 0, result.output
    assert "2 images: 2 measured" in result.stdout
    assert "running on CPUExecutionProvider" in result.stderr
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["arguments"]["inputs"] == [str(scans)]
    assert record["arguments"]["pixel_size"] == 0.2
    assert record["arguments"]["model"] == zoo.DEFAULT_MODEL


def test_infer_without_sizes_warns_once_and_is_done(scans: Path, tmp_path: Path) -> None:
    result = call("infer", scans, "--out", tmp_path / "out", "--no-masks", "--no-overlays")
    assert result.exit_code == 0
    assert result.stderr.count("no pixel size given") == 1
    assert not (tmp_path / "out" / "masks").exists()
    assert not (tmp_path / "out" / "overlays").exists()


def test_a_failed_file_is_1_and_the_others_go_on(scans: Path, tmp_path: Path) -> None:
    (scans / "text.png").write_text("not an image")
    result = call("infer", scans, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "2 measured" in result.stdout
    assert "text.png: " in result.stderr


@pytest.mark.skipif(os.name == "nt", reason="fcntl is POSIX's")
def test_a_drive_without_locks_is_said_and_used(
    scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.lockf", no_locks)
    result = call("infer", scans, "--out", tmp_path / "out")
    assert result.exit_code == 0
    assert result.stderr.count("nothing keeps a second run out") == 1
    assert (tmp_path / "out" / "results.csv").is_file()


def test_a_table_that_lacks_or_repeats_a_file(scans: Path, tmp_path: Path) -> None:
    table = tmp_path / "sizes.csv"
    table.write_text("filename,pixel size(mm)\n000_HC.png,0.1\n")
    result = call("infer", scans, "--pixel-sizes", table, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "no row for '001_HC.png'" in result.stderr
    assert "1 measured" in result.stdout
    table.write_text("filename,pixel size(mm)\n001_HC.png,0.1\n000_HC.png,0.1\n000_HC.png,0.2\n")
    result = call("infer", scans, "--pixel-sizes", table, "--out", tmp_path / "other")
    assert result.exit_code == 1
    assert "twice" in result.stderr
    assert "1 measured" in result.stdout


def test_main_turns_errors_into_a_sentence_and_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["edgeseg", "verify", "no-such-model"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    captured = capsys.readouterr()
    assert "no-such-model" in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.slow
def test_demo_measures_the_phantoms(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # the second replaces the first
        result = call("demo")
        assert result.exit_code == 0, result.output
        errors = [float(e) for e in re.findall(r"([+-]\d+\.\d+)", plain(result.stdout))]
        assert len(errors) == 8
        assert max(map(abs, errors)) <= 1.0
    assert (tmp_path / "edgeseg-demo" / "report.html").is_file()
    assert len(list((tmp_path / "edgeseg-demo" / "overlays").iterdir())) == 8


def test_evaluate_writes_json_and_csv(phantom_data: Path, tmp_path: Path) -> None:
    split = tmp_path / "split.json"
    split.write_text(json.dumps({"folds": [["000_HC.png"], ["003_HC.png", "003_2HC.png"]]}))
    files = ("--json", tmp_path / "scores.json", "--csv", tmp_path / "scores.csv")
    result = call("evaluate", "--data", phantom_data, "--split", split, "--fold", 1, *files)
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "scores.json").read_text())["data"]["n_images"] == 2
    assert len((tmp_path / "scores.csv").read_text().splitlines()) == 3
    assert "Dice" in result.stdout


def test_evaluate_agrees_with_infer(phantom_data: Path, tmp_path: Path) -> None:
    table = phantom_data / "training_set_pixel_size_and_HC.csv"
    images = phantom_data / "training_set"
    call("infer", images, "--pixel-sizes", table, "--out", tmp_path / "out")
    call("evaluate", "--data", phantom_data, "--csv", tmp_path / "scores.csv")
    inferred, scored = (
        list(csv.DictReader((tmp_path / name).read_text(encoding="utf-8-sig").splitlines()))
        for name in ("out/results.csv", "scores.csv")
    )
    assert len(scored) == 12
    for name in ("file", "hc_mm", "confidence", "flags"):
        assert [row[name] for row in inferred] == [row[name] for row in scored]


@pytest.mark.slow
def test_benchmark_writes_json_and_markdown(tmp_path: Path) -> None:
    options = ("--threads", "1", "--runs", 3, "--warmup", 1)
    files = ("--json", tmp_path / "b.json", "--markdown", tmp_path / "b.md")
    result = call("benchmark", "hc18-edge", *options, *files)
    assert result.exit_code == 0, result.output
    report = json.loads((tmp_path / "b.json").read_text())
    assert len(report["results"]) == 1
    assert "| hc18-edge |" in (tmp_path / "b.md").read_text()

    earlier = copy.deepcopy(report)
    earlier["results"][0]["latency_ms"]["p50"] = 1e6
    (tmp_path / "old.json").write_text(json.dumps(earlier))
    result = call("benchmark", "hc18-edge", *options, "--compare", tmp_path / "old.json")
    assert result.exit_code == 0, result.output
    assert "0.000" in result.stdout and "worse" not in result.stdout
    earlier["results"][0]["latency_ms"]["p50"] = 1e-6
    (tmp_path / "old.json").write_text(json.dumps(earlier))
    result = call("benchmark", "hc18-edge", *options, "--compare", tmp_path / "old.json")
    assert result.exit_code == 1
    assert "1 of 2 figures grew by more than 10 %" in str(result.exception)


def test_benchmark_names_the_model_to_choose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = json.loads((BENCHMARKS / "results" / "benchmark.json").read_text())
    for row in measured["results"]:
        row["sha256"] = zoo.manifest()[row["model"]]["sha256"]
    monkeypatch.setattr(benchmark, "run", lambda *_: measured)
    result = call("benchmark", "--json", tmp_path / "b.json")
    assert result.exit_code == 0, result.output
    assert "To be chosen here: hc18-nano, the fastest (1.66 ms, threads 1" in result.stdout
    assert json.loads((tmp_path / "b.json").read_text())["choice"]["model"] == "hc18-nano"


def test_models_and_info_say_what_is_there(tmp_path: Path) -> None:
    result = call("models", "--json", tmp_path / "models.json")
    assert result.exit_code == 0
    assert zoo.manifest()["hc18-edge"]["sha256"] in result.stdout
    listed = json.loads((tmp_path / "models.json").read_text())["models"]
    assert {"size_bytes", "input_height", "input_width", "sha256", "metrics"} <= set(
        listed["hc18-edge"]
    )
    result = call("models", "hc18-edge", "--json", tmp_path / "card.json")
    assert result.exit_code == 0
    card = json.loads((tmp_path / "card.json").read_text())
    for text in (card["train_command"], card["licence"], card["limits"][0], "0.62 GMAC"):
        assert text in result.stdout
    assert "did you mean 'hc18-edge'" in str(call("models", "hc18-edg").exception)
    result = call("info", "--json", tmp_path / "info.json")
    assert result.exit_code == 0
    assert "onnxruntime" in result.stdout
    assert "CPUExecutionProvider" in json.loads((tmp_path / "info.json").read_text())["providers"]


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
    arguments: str,
    keys: set[str],
    phantom_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("split.json").write_text(json.dumps({"folds": [["000_HC.png"]]}))
    Path("-").mkdir()  # a file of that name could not be written
    words = arguments.split()
    result = call(*words, *([phantom_data] if words[-1] == "--data" else []), "--json", "-")
    assert result.exit_code == 0, result.output
    assert keys <= json.loads(result.stdout).keys()
    assert result.stderr  # the table
    assert sorted(path.name for path in tmp_path.iterdir()) == ["-", "split.json"]


def test_verify_prints_what_holds(tmp_path: Path) -> None:
    result = call("verify", "hc18-edge", "--json", tmp_path / "v.json")
    assert result.exit_code == 0
    assert "FAIL" not in result.stdout
    names = [check["name"] for check in json.loads((tmp_path / "v.json").read_text())["checks"]]
    assert names == ["hash", "metadata", "graph", "output", "batch", "phantom"]


def test_challenge_refuses_what_exists(scans: Path, tmp_path: Path) -> None:
    table = tmp_path / "sizes.csv"
    table.write_text("filename,pixel size(mm)\n000_HC.png,0.1\n001_HC.png,0.2\n")
    command = ("challenge", scans, "--pixel-sizes", table, "--out", tmp_path / "s.csv")
    assert call(*command).exit_code == 0
    result = call(*command)
    assert "exists" in str(result.exception)
    assert call(*command, "--overwrite").exit_code == 0


def test_a_missing_device_is_a_sentence(scans: Path, tmp_path: Path) -> None:
    result = call("infer", scans, "--out", tmp_path / "out", "--device", "coreml")
    assert "CoreMLExecutionProvider" in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_version() -> None:
    import edgeseg

    assert call("--version").stdout.strip() == edgeseg.__version__
