"""How commands parse their arguments: shared options, help in sections, a quick start."""

from __future__ import annotations

import contextlib
import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_type_hints

import typer.core
import typer.main

RENAMED = {
    "presence": "teach-refusal",
    "pairs": "shapes",
    "say-every": "progress-every",
    "waiting": "queue",
}
"""Commands and options of version 0.2, which keep working for one release."""
# The type of a configuration's value: that of its option, and its metavar.
_KINDS: dict[Any, tuple[type, str]] = {
    bool: (str, "true|false"),
    int: (int, "INTEGER"),
    int | None: (int, "INTEGER"),
    float: (float, "NUMBER"),
    float | None: (float, "NUMBER"),
}


def expand_options(
    function: Callable[..., None], values: Sequence[inspect.Parameter] = ()
) -> Callable[..., None]:
    """Return a command whose parameters that are dataclasses are replaced by their fields.

    The function is called with instances of them. Its parameter ``values``, if it has one, is
    replaced likewise, and gets a dictionary of those that were given.
    """
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, tuple[Any, list[str]]] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        name, kind = parameter.name, hints[parameter.name]
        if name == "values":
            added = [*values]
            groups[name] = (_keep_given, [each.name for each in added])
        elif is_dataclass(kind):
            types = get_type_hints(kind, include_extras=True)
            added = [_keyword(each.name, each.default, types[each.name]) for each in fields(kind)]
            groups[name] = (kind, [each.name for each in added])
        else:
            added = [_keyword(name, parameter.default, kind)]
        parameters += added

    def command(**given: Any) -> None:
        for name, (make, names) in groups.items():
            given[name] = make(**{each: given.pop(each) for each in names})
        function(**given)

    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    command.__name__, command.__doc__ = function.__name__, function.__doc__
    return command


def _keyword(name: str, default: Any, kind: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _keep_given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _options_of(values: Any, choices: Mapping[str, Sequence[str]]) -> list[inspect.Parameter]:
    """Return an option for each field of a dataclass, by default None, with its ``choices``.

    The metadata of its fields holds ``help`` and, where they differ from what the type gives, the
    option's ``name`` and ``metavar``. Tuples are read as text, and a bool that is False is a flag.
    """
    hints = get_type_hints(values)
    options = []
    for value in fields(values):
        about, default = value.metadata, value.default
        kind, metavar = _KINDS.get(hints[value.name], (str, "TEXT"))
        is_flag = hints[value.name] is bool and not default
        if isinstance(default, tuple):
            default, metavar = ",".join(map(str, default)), "N,N..."
        allowed = f"; one of {', '.join(choices[value.name])}" if value.name in choices else ""
        option = typer.Option(
            about.get("name", f"--{value.name.replace('_', '-')}"),
            metavar=about.get("metavar", None if is_flag else metavar),
            help=about["help"]
            + allowed
            + ("" if default in (None, False, "") else f" ({default})"),
            rich_help_panel="Values",
        )
        kind = bool if is_flag else kind
        options.append(_keyword(value.name, None, Annotated[kind | None, option]))
    return options


class Command(typer.core.TyperCommand):
    """A command that starts quickly, and whose help lists its options by ``rich_help_panel``."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, made quick."""
        return _quicken(super().get_params(ctx))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write a section for the arguments and for each group of options."""
        sections: dict[str, list[Any]] = {"Arguments": [], "Options": []}
        for parameter in self.get_params(ctx):
            if (record := parameter.get_help_record(ctx)) is not None:
                default = "Options" if parameter.param_type_name == "option" else "Arguments"
                title = getattr(parameter, "rich_help_panel", None) or default
                sections.setdefault(title, []).append(record)
        _write_sections(formatter, sections)


COMMAND_CLASSES: dict[Callable[..., None], type[Command]] = {}
"""The classes of commands that are not of `Command` itself."""


def takes_values(module: str, name: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command, when it is called, an option for each field of a dataclass in a module.

    Its parameter ``values`` gets them; the module's ``CHOICES`` may say which values a field takes.
    They would delay all other commands.
    """

    def register(function: Callable[..., None]) -> Callable[..., None]:
        class Configured(Command):
            def make_context(self, *args: Any, **extra: Any) -> Any:
                source = importlib.import_module(module)
                options = _options_of(getattr(source, name), getattr(source, "CHOICES", {}))
                complete = typer.Typer(
                    add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
                )
                # Values may be spelt as in a TOML file, with underscores.
                spelling = {"token_normalize_func": lambda token: token.replace("_", "-")}
                complete.command(cls=Command, epilog=self.epilog, context_settings=spelling)(
                    expand_options(function, values=options)
                )
                return typer.main.get_command(complete).make_context(*args, **extra)

        COMMAND_CLASSES[function] = Configured
        return function

    return register


class Group(typer.core.TyperGroup):
    """Commands that start quickly, listed by their ``rich_help_panel``."""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the parameters, made quick."""
        return _quicken(super().get_params(ctx))

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each group of commands."""
        sections: dict[str, list[Any]] = {}
        width = max(map(len, self.commands))
        for name, command in self.commands.items():
            record = (f"{name:{width}}", command.get_short_help_str(200))
            title = getattr(command, "rich_help_panel", None) or "Commands"
            sections.setdefault(title, []).append(record)
        _write_sections(formatter, sections)


def _write_sections(formatter: Any, sections: dict[str, list[Any]]) -> None:
    for title, records in sections.items():
        if records:
            with formatter.section(title):
                formatter.write_dl(records)


def _quicken(parameters: list[Any]) -> list[Any]:
    """Have parameters read plain values themselves, and leave all others to typer.

    From 0.28 on typer reads every value, given or not, with pydantic, whose import would delay
    every command. A typer that reads values in another way is left as it is.
    """
    for parameter in parameters:
        if hasattr(parameter, "get_runtime_param"):
            parameter.get_runtime_param = partial(_Reader, parameter.get_runtime_param)
    return parameters


class _Reader(NamedTuple):
    """Reads the values of one parameter, as typer's reader of values does."""

    find_original: Callable[[], Any]

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
            with contextlib.suppress(ValueError):
                number = kind(value)
                if (param.min is None or number >= param.min) and (
                    param.max is None or number <= param.max
                ):
                    return number
        return self.find_original().coerce(value, param=param, ctx=ctx)
