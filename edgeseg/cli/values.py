"""Values of the command line, read without waiting for a library to be loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer.core


class QuickGroup(typer.core.TyperGroup):
    """Commands that read plain values themselves and leave all others to typer.

    From 0.28 on typer reads every value, given or not, with pydantic, whose import every command
    would wait for. An older typer, or one that reads values in another way, is left as it is.
    """

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters of `edgeseg` itself, made quick."""
        return _quickened(super().get_params(ctx))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of this name, its parameters made quick."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            _quickened(command.get_params(ctx))
        return command


def _quickened(parameters: list[Any]) -> list[Any]:
    for parameter in parameters:
        # typer asks a parameter for its reader, once for each value
        typers = getattr(parameter, "get_runtime_param", None)
        if typers is not None and not isinstance(typers, _Reader):
            parameter.get_runtime_param = _Reader(typers)
    return parameters


class _Reader:
    """Reads the values of one parameter, as typer's reader of values does."""

    def __init__(self, typers: Callable[[], Any]) -> None:
        self._typers = typers

    def __call__(self) -> _Reader:
        return self

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return what the command gets; typer says what is wrong with a value."""
        kind = param.type_descriptor.annotation
        if value is None and param.nargs == 1 and not param.multiple:
            return None
        if kind == list[str] and isinstance(value, list | tuple):
            return list(value)
        if isinstance(value, str) and kind in (str, Path):
            return kind(value)
        if kind in (int, float):
            try:
                number = kind(value)
            except ValueError:
                number = None
            if number is not None and _within(number, param.min, param.max):
                return number
        return self._typers().coerce(value, param=param, ctx=ctx)


def _within(number: float, least: float | None, most: float | None) -> bool:
    return (least is None or number >= least) and (most is None or number <= most)
