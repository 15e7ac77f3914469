"""What ``producer submit`` asks of a person, and of the options that go together."""

import sys
from pathlib import Path

import typer

from ard.adapters.console import Exit, agreed, say


def check_report(*, wait: bool, report_dir: Path | None, plot: bool) -> None:
    """Pass options of a report that go together.

    Raises:
        BadParameter: One is missing.
    """
    missing = " and ".join([*([] if wait else ["--wait"]), *([] if report_dir else ["--report-dir DIR"])])
    if plot and missing:
        raise typer.BadParameter(f"expected {missing} beside --plot: plots are part of the report of a job")
    if report_dir and missing:
        raise typer.BadParameter(f"expected {missing} beside --report-dir: a report is of a job that has ended")


def check_can_ask(*, yes: bool, as_json: bool) -> None:
    """Pass when somebody can be asked, or need not be.

    Raises:
        BadParameter: Nobody can answer.
    """
    if not yes and (as_json or not sys.stdin.isatty()):
        raise typer.BadParameter("expected --yes where nobody can be asked: in JSON mode, or without a terminal")


def ask() -> None:
    """Go on only if the person agrees.

    Raises:
        Exit: They do not.
    """
    if not agreed("Proceed?"):
        say("Nothing was started.")
        raise typer.Exit(Exit.ABORTED)
