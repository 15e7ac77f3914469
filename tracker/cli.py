"""The ``tracker`` command: results on stdout, words for people on stderr."""

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import typer

from ard.adapters import console
from ard.adapters.console import Exit, say
from tracker import act, act_on_jobs, look, look_closer, papers
from tracker.follow import NoSuchJob
from tracker.options import EPILOG

P = ParamSpec("P")
R = TypeVar("R")

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)


@app.callback()
def tracker() -> None:
    """Say what became of every task, and send again what failed."""


def reports_errors(command: Callable[P, R]) -> Callable[P, R]:
    """A command that tells a person what is wrong; it exits with 9 when the job is not there."""

    @console.reports_errors
    @functools.wraps(command)
    def reporting(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except NoSuchJob as error:
            say(f"error: {error}")
            raise typer.Exit(Exit.NO_SUCH_JOB) from error

    return reporting


for command in (
    look.status,
    look.jobs,
    look.failures,
    look_closer.tile,
    look_closer.quality,
    look_closer.doctor,
    papers.report,
    papers.export,
    act.redrive,
    act_on_jobs.reconcile,
    act_on_jobs.cancel,
    act_on_jobs.pause,
    act_on_jobs.resume,
):
    app.command(epilog=EPILOG)(reports_errors(command))
