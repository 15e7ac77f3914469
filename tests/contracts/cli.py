"""Writes ``docs/cli.md``, the reference of all commands, from the programs: ``python -m tests.contracts.cli``."""

import inspect
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import typer

from producer.cli import app as producer
from sandbox.cli import app as sandbox
from tracker.cli import app as tracker

PATH = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
PROGRAMS = (("producer", producer), ("tracker", tracker), ("sandbox", sandbox))


def reference() -> str:
    """The text of the page."""
    lines = [
        "# Commands",
        "",
        "Results go to stdout, words for people to stderr. Documents printed with `--json` are described in",
        "[schemas](schemas). Colours are left out without a terminal and with `NO_COLOR`.",
        "",
        "This page is made from the programs: `python -m tests.contracts.cli`.",
    ]
    for name, app in PROGRAMS:
        group = typer.main.get_command(app)
        lines += ["", f"## {name}", "", _text(group.help)]
        if group.epilog:
            lines += ["", _text(group.epilog)]
        for command in sorted(getattr(group, "commands", {})):
            lines += _command(f"{name} {command}", group.commands[command])
    return "\n".join(lines) + "\n"


def _command(name: str, command: Any) -> Iterator[str]:
    arguments = [parameter for parameter in command.params if parameter.param_type_name == "argument"]
    options = [
        parameter for parameter in command.params if parameter.param_type_name == "option" and not parameter.hidden
    ]
    places = [parameter.metavar or parameter.human_readable_name.upper() for parameter in arguments]
    usage = " ".join([name, *places, *(["[OPTIONS]"] if options else [])])
    yield from ("", f"### {name}", "", _text(command.help), "", f"    {usage}", "")
    for parameter in (*arguments, *options):
        yield _parameter(parameter)
    if command.epilog:
        yield from ("", _text(command.epilog))


def _parameter(parameter: Any) -> str:
    is_option = parameter.param_type_name == "option"
    kind, choices = _kind(parameter.type_descriptor.annotation)
    value = "" if not is_option or parameter.is_flag else " " + (parameter.metavar or kind)
    name = ", ".join(parameter.opts) if is_option else parameter.metavar or parameter.human_readable_name.upper()
    facts = [_text(parameter.help)]
    if choices:
        facts.append(f"One of {', '.join(choices)}.")
    if parameter.required and is_option:
        facts.append("Required.")
    default = _default(parameter)
    if default:
        facts.append(f"Default: {default}.")
    return f"* `{name}{value}`: " + " ".join(fact for fact in facts if fact)


def _kind(annotation: Any) -> tuple[str, list[str]]:
    """What a value is called, and which values there are when they are few."""
    parts = [part for part in get_args(annotation) if part is not type(None)]
    if get_origin(annotation) is Literal:
        return "NAME", [str(part) for part in parts]
    if parts:
        return _kind(parts[0])
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return "NAME", [str(member.value) for member in annotation]
    return getattr(annotation, "__name__", "value").upper(), []


def _default(parameter: Any) -> str:
    value = parameter.default
    if value is None or callable(value) or value in (False, "", ()):
        return ""
    # A path of this checkout is not a default that a reader has.
    text = str(getattr(value, "value", value))
    return "in this checkout" if text.startswith("/") else text


def _text(text: str | None) -> str:
    return " ".join(inspect.cleandoc(text or "").split())


if __name__ == "__main__":
    PATH.write_text(reference())
