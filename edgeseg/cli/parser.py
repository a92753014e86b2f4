"""How commands parse their arguments: shared options, help in sections, a quick start."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, is_dataclass, make_dataclass
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer.core

_RENAMED = {
    "presence": "teach-refusal",
    "pairs": "shapes",
    "say-every": "progress-every",
    "waiting": "queue",
}


def rename(token: str) -> str:
    """Return the name of a command or option; those of version 0.2 keep working for one release."""
    return _RENAMED.get(token, token)


def expand_options(function: Callable[..., None], **kinds: Any) -> Callable[..., None]:
    """Return a command whose parameters that are dataclasses are replaced by their fields.

    The fields are annotated and have defaults as parameters of commands do. The function is called
    with instances of its dataclasses; ``kinds`` replaces annotations.
    """
    hints = get_type_hints(function, include_extras=True) | kinds
    groups: dict[str, Any] = {}
    parameters = []
    for parameter in inspect.signature(function).parameters.values():
        kind = hints[parameter.name]
        for described in getattr(kind, "__metadata__", ()):
            if is_dataclass(described):
                kind = _options_of(described)
        if not is_dataclass(kind):
            parameters.append(parameter.replace(annotation=kind, kind=parameter.KEYWORD_ONLY))
            continue
        groups[parameter.name] = kind
        of_fields = get_type_hints(kind, include_extras=True)
        parameters += [
            inspect.Parameter(
                field.name, parameter.KEYWORD_ONLY, default=field.default,
                annotation=of_fields[field.name],
            )
            for field in fields(kind)
        ]  # fmt: skip

    def command(**values: Any) -> None:
        for name, kind in groups.items():
            values[name] = kind(**{each.name: values.pop(each.name) for each in fields(kind)})
        function(**values)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    command.__name__, command.__doc__ = function.__name__, function.__doc__
    return command


@dataclass(frozen=True)
class Values:
    """Values of a configuration, given as options: ``Annotated[Values, ItsClass]``.

    Without the class there are none. A value that was not given is None.
    """

    def given(self) -> dict[str, Any]:
        """Return the values that were given, by the names of the fields."""
        return {name: value for name, value in vars(self).items() if value is not None}


def _options_of(values: Any) -> type[Values]:
    """Return `Values` with an option for each field of a dataclass.

    The metadata of its fields holds ``help`` and, where they differ from what the type gives, the
    option's ``name`` and ``metavar``. Tuples are read as text, and a bool that is False is a flag.
    """
    hints = get_type_hints(values)
    options = []
    for value in fields(values):
        hint, about, default = hints[value.name], value.metadata, value.default
        is_flag = hint is bool and not default
        kind: Any = bool if is_flag else str
        metavar = "true|false" if hint is bool else "TEXT"
        for number, called in ((int, "INTEGER"), (float, "NUMBER")):
            if hint in (number, number | None):
                kind, metavar = number, called
        if isinstance(default, tuple):
            default, metavar = ",".join(map(str, default)), "N,N..."
        option = typer.Option(
            about.get("name", f"--{value.name.replace('_', '-')}"),
            metavar=about.get("metavar", None if is_flag else metavar),
            help=about["help"] + ("" if default in (None, False, "") else f" ({default})"),
            rich_help_panel="Values",
        )
        options.append((value.name, Annotated[kind | None, option], None))
    return make_dataclass("Values", options, bases=(Values,), frozen=True)


class Command(typer.core.TyperCommand):
    """A command whose help lists its options in sections: their ``rich_help_panel``."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write a section for the arguments and for each group of options."""
        sections: dict[str, list[Any]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is not None:
                default = "Options" if parameter.param_type_name == "option" else "Arguments"
                title = getattr(parameter, "rich_help_panel", None) or default
                sections.setdefault(title, []).append(record)
        _write_sections(formatter, sections)


class Group(typer.core.TyperGroup):
    """Commands in sections, which read plain values themselves and leave all others to typer.

    From 0.28 on typer reads every value, given or not, with pydantic, whose import would delay
    every command. A typer that reads values in another way is left as it is.
    """

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each group of commands: their ``rich_help_panel``."""
        sections: dict[str, list[Any]] = {}
        listed = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        width = max(len(name) for name, _ in listed)
        for name, command in listed:
            if command is not None and not command.hidden:
                title = command.rich_help_panel or "Commands"
                record = (f"{name:{width}}", command.get_short_help_str(200))
                sections.setdefault(title, []).append(record)
        _write_sections(formatter, sections)

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters of `edgeseg` itself, made quick."""
        return _quickened(super().get_params(ctx))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of this name, its parameters made quick."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            _quickened(command.get_params(ctx))
        return command


def _write_sections(formatter: Any, sections: dict[str, list[Any]]) -> None:
    for title, records in sections.items():
        if records:
            with formatter.section(title):
                formatter.write_dl(records)


def _quickened(parameters: Iterable[Any]) -> list[Any]:
    listed = list(parameters)
    for parameter in listed:
        # typer asks a parameter for its reader, once for each value
        original = getattr(parameter, "get_runtime_param", None)
        if original is not None and not isinstance(original, _Reader):
            parameter.get_runtime_param = _Reader(original)
    return listed


class _Reader:
    """Reads the values of one parameter, as typer's reader of values does."""

    def __init__(self, original: Callable[[], Any]) -> None:
        self._original = original

    def __call__(self) -> _Reader:
        return self

    def coerce(self, value: Any, param: Any, ctx: Any) -> Any:
        """Return what the command gets; typer reports what is wrong with a value."""
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
            if number is not None and _is_within(number, param.min, param.max):
                return number
        return self._original().coerce(value, param=param, ctx=ctx)


def _is_within(number: float, least: float | None, most: float | None) -> bool:
    return (least is None or number >= least) and (most is None or number <= most)
