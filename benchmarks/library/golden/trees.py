"""The two trees of the program that are compared, and how their commands are run."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[3]
VERSION_0_2 = "f35b3c7c374dfb3b716925449ef2bd3f66325f45"
CPU = ("--device", "cpu")


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree of the program; its commands run with this Python and its packages.

    Attributes
    ----------
    name
        As the tables of differences call it.
    root
        Its folder.
    """

    name: str
    root: Path

    @property
    def of_each(self) -> tuple[str, ...]:
        """What has a report written of each file, as version 0.2 always does."""
        return ("--report-each",) if self.root == REPOSITORY else ()

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which Python imports this tree."""
        path = os.pathsep.join([str(self.root), str(self.root / "training")])
        # safe: not from the folder in which this is run, which may be the other tree
        tree = {"PYTHONPATH": path, "PYTHONSAFEPATH": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        return os.environ | tree

    def command(self, *arguments: object) -> list[str]:
        """Return a command of `edgeseg`, to be run in `environment`."""
        return [sys.executable, "-u", "-m", "edgeseg", *map(str, arguments)]

    def run(self, *arguments: object) -> int:
        """Run a command of `edgeseg` to its end; returns 0, or 1 if some file failed.

        Raises
        ------
        SystemExit
            If it ends with anything else; its last words are printed.
        """
        done = subprocess.run(
            self.command(*arguments), env=self.environment, capture_output=True, text=True,
            errors="replace", check=False,
        )  # fmt: skip
        if done.returncode not in (0, 1) or "Traceback" in done.stderr:
            words = " ".join(map(str, arguments))
            sys.exit(f"{self.name}: edgeseg {words}: {done.returncode}\n{done.stderr[-3000:]}")
        return done.returncode

    def run_python(self, *arguments: object) -> str:
        """Run this tree's Python; returns what it prints.

        Raises
        ------
        SystemExit
            If it fails.
        """
        done = subprocess.run(
            [sys.executable, *map(str, arguments)], env=self.environment, capture_output=True,
            text=True, cwd=self.root, check=False,
        )  # fmt: skip
        if done.returncode:
            sys.exit(f"{self.name}: {done.stderr[-3000:]}")
        return done.stdout.strip()

    def check(self) -> None:
        """Make sure that Python imports this tree and no other.

        Raises
        ------
        SystemExit
            If it does not.
        """
        imported = self.run_python("-c", "import edgeseg; print(edgeseg.__file__)")
        if not Path(imported).resolve().is_relative_to(self.root.resolve()):
            sys.exit(f"{self.name}: Python imports {imported} instead of {self.root}")


@contextlib.contextmanager
def version_0_2(folder: Path, checkout: Path | None) -> Iterator[Tree]:
    """Give version 0.2: a checkout that is there, or one made in a folder and taken away again."""
    if checkout is not None:
        yield Tree("v0.2", checkout.resolve())
        return
    root = folder / "v02"
    git = ["git", "-C", str(REPOSITORY), "worktree"]
    subprocess.run([*git, "add", "--force", "--detach", "--quiet", root, VERSION_0_2], check=True)
    try:
        yield Tree("v0.2", root)
    finally:
        subprocess.run([*git, "remove", "--force", root], check=True)
