"""The person at the keyboard: who that is, and asked before something large or final is done."""

import getpass
import sys

import typer

from ard.adapters.console import Exit, agreed, say


def agree(question: str, *, yes: bool, as_json: bool) -> None:
    """Go on only if the person agrees, or has said yes beforehand.

    Raises:
        BadParameter: Nobody can be asked: in JSON mode, or without a terminal.
        Exit: They do not agree.
    """
    if yes:
        return
    if as_json or not sys.stdin.isatty():
        raise typer.BadParameter(f"{question}: expected --yes where nobody can be asked (JSON mode, no terminal)")
    if not agreed(f"{question}. Proceed?"):
        say("Nothing was changed.")
        raise typer.Exit(Exit.ABORTED)


def user() -> str:
    """Who is at the keyboard, for the log."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return "unknown"
