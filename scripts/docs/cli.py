"""The reference of the command line, from its own help."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import click

from flows.cli import main

PROGRAM = "taxi-flows"


def commands() -> str:
    """Each command under a heading of its name: usage, what it does, options."""
    return "\n\n".join(_section(context) for context in _leaves(click.Context(main, info_name=PROGRAM)))


def _leaves(context: click.Context) -> Iterator[click.Context]:
    if not isinstance(context.command, click.Group):
        yield context
        return
    for name, command in context.command.commands.items():
        yield from _leaves(click.Context(command, info_name=name, parent=context))


def _section(context: click.Context) -> str:
    parts = [f"## {context.command_path}", f"```text\n{_usage(context)}\n```", _help(context), _options(context)]
    return "\n\n".join(filter(None, parts))


def _usage(context: click.Context) -> str:
    return " ".join([context.command_path, *context.command.collect_usage_pieces(context)])


def _help(context: click.Context) -> str:
    return _escaped(inspect.cleandoc(context.command.help or ""))


def _options(context: click.Context) -> str:
    options = [one for one in context.command.params if isinstance(one, click.Option)]
    records = filter(None, (option.get_help_record(context) for option in options))
    rows = [f"| `{_cell(names)}` | {_escaped(_cell(meaning))} |" for names, meaning in records]
    return "\n".join(["| option | meaning |", "| --- | --- |", *rows]) if rows else ""


def _cell(text: str) -> str:
    one_line = re.sub(r"\s+", " ", text).replace(str(Path.home()), "~")
    return one_line.replace("|", r"\|").replace("<=9223372036854775807", "")


def _escaped(text: str) -> str:
    """Without what Markdown takes for HTML or emphasis."""
    return re.sub(r"[<>*_](?![^`]*`(?:[^`]*`[^`]*`)*[^`]*$)", r"\\\g<0>", text)
