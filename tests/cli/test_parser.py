"""How commands read values, what a shell completes, and options made from training values."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import pytest
import typer
import typer.core
from typer.testing import CliRunner

from edgeseg.cli.parser import Command, Group
from edgeseg.network import zoo
from edgeseg_training.config import TrainConfig
from tests.cli.calls import call

EDGESEG = Path(sys.executable).with_name("edgeseg")
needs_command = pytest.mark.skipif(not EDGESEG.is_file(), reason="the command is not installed")


def even(value: int) -> int:
    if value % 2:
        raise typer.BadParameter("not even")
    return value


def command(
    context: typer.Context,
    names: list[str],
    out: Annotated[Path, typer.Option()],
    more: Annotated[list[str] | None, typer.Option()] = None,
    text: Annotated[str, typer.Option()] = "a",
    file: Annotated[Path | None, typer.Option()] = None,
    count: Annotated[int, typer.Option(min=1, max=9, callback=even)] = 2,
    size: Annotated[float | None, typer.Option(min=0)] = None,
    loud: Annotated[bool, typer.Option("--loud/--no-loud")] = True,
    fast: Annotated[bool, typer.Option("--fast")] = False,
) -> None:
    values = (names, out, more, text, file, count, size, loud, fast)
    context.obj.extend((type(value), value) for value in values)


def outcome(group: Any, kind: Any, arguments: list[str]) -> tuple[int, str, Any]:
    """Return the exit code, the text and the values that the command got, with their types."""
    app = typer.Typer(cls=group, rich_markup_mode=None)
    app.callback()(lambda: None)
    app.command(cls=kind)(command)
    got: list[Any] = []
    result = CliRunner().invoke(app, ["command", *arguments], obj=got)
    return result.exit_code, result.output, got


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ("a --out o", 0),
        ("a b c --out o --more x --more y --text t --file f --count 4 --size 0.5 --no-loud", 0),
        ("a --out o --size nan", None),
        ("a --out o --text= --file= --fast", 0),
        ("a --out o --count 0", 2),
        ("a --out o --count 3", 2),
        ("a --out o --size -1", 2),
        ("a --out o --size wide", 2),
        ("--out o", 2),
    ],
)
def test_values_are_read_as_typer_reads_them(arguments: str, code: int | None) -> None:
    quick = outcome(Group, Command, arguments.split())
    usual = outcome(typer.core.TyperGroup, typer.core.TyperCommand, arguments.split())
    assert repr(quick) == repr(usual)
    assert code in (quick[0], None)  # None: as this typer has it


def completed(words: str) -> list[str]:
    """Return what is offered for the last of some words."""
    asked = os.environ | {"_EDGESEG_COMPLETE": "complete_bash", "COMP_WORDS": words}
    asked["COMP_CWORD"] = str(len(words.split(" ")) - 1)
    found = subprocess.run([EDGESEG], env=asked, capture_output=True, text=True, check=True)
    return found.stdout.split()


@needs_command
def test_commands_options_and_values_are_completed() -> None:
    assert completed("edgeseg inf") == ["infer", "info"]
    assert "--pixel-sizes" in completed("edgeseg infer --pix")
    assert completed("edgeseg infer --model ") == list(zoo.manifest())
    assert completed("edgeseg watch --device cu") == ["cuda"]


@needs_command
@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes_once_it_is_installed(tmp_path: Path) -> None:
    home = os.environ | {"HOME": str(tmp_path)}
    home["_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"] = "1"
    install = [str(EDGESEG), "--install-completion", "bash"]
    subprocess.run(install, env=home, capture_output=True, check=True)
    script = next(tmp_path.rglob("edgeseg.sh"))
    assert str(script) in (tmp_path / ".bashrc").read_text()
    typed = (
        f"source {script}; PATH={EDGESEG.parent}:$PATH; COMP_WORDS=(edgeseg benc); COMP_CWORD=1; "
        "_edgeseg_completion edgeseg; echo ${COMPREPLY[@]}"
    )
    found = subprocess.run(["bash", "-c", typed], env=home, capture_output=True, text=True)
    assert found.stdout.split() == ["benchmark"]


def said(*arguments: str, code: int) -> str:
    done = call("train", *arguments)
    assert done.exit_code == code, done.output
    return " ".join(done.output.split())


def test_help_lists_every_value_with_its_default() -> None:
    text = said("--help", code=0)
    for value in fields(TrainConfig):
        assert f"--{value.name.replace('_', '-')} " in text
    assert "images a step, over all devices (10)" in text
    assert "training loss; one of bce, bce+dice, bce+dice+hc (bce+dice)" in text
    assert "edgeseg train --data hc18 --out runs/mine" in text


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--epochs", "three", "Invalid value for '--epochs': "),
        ("--loss", "dice", "loss is 'dice'; expected one of bce, bce+dice, bce+dice+hc"),
        ("--encoder-top", "perhaps", "encoder_top is 'perhaps'; expected bool"),
        ("--input_height", "65", "input_height is 65; expected a multiple of 32"),
    ],
)
def test_wrong_values_are_refused(tmp_path: Path, option: str, value: str, sentence: str) -> None:
    text = said("--data", str(tmp_path), "--out", str(tmp_path / "o"), option, value, code=2)
    assert sentence in text


def test_given_values_reach_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    import edgeseg_training.train

    seen = []
    monkeypatch.setattr(
        edgeseg_training.train, "train", lambda data, out, config, **how: seen.append(config)
    )
    file = tmp_path / "mine.toml"
    file.write_text("epochs = 7\nbatch_size = 4\n")
    said(
        "--data", "d", "--out", "o", "--config", str(file), "--batch_size", "6", "--fold", "-1",
        "--decoder-channels", "16,16,8,8,8", "--encoder-top", "false", "--learning-rate", "1e-3",
        code=0,
    )  # fmt: skip
    (config,) = seen
    assert (config.epochs, config.batch_size, config.fold) == (7, 6, -1)
    assert config.decoder_channels == (16, 16, 8, 8, 8)
    assert config.encoder_top is False
    assert (config.learning_rate, config.loss) == (1e-3, TrainConfig().loss)
