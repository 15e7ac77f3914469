"""What the command lines share: words for people on stderr, exit codes, and errors told in both."""

import functools
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from enum import IntEnum
from typing import ParamSpec, TypeVar

import typer
from pydantic import ValidationError
from pydantic_settings import BaseSettings, SettingsError
from rich.console import Console

from ard.errors import ArdError, Auth, InvalidInput

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S", bound=BaseSettings)

# C0 without tab and newline, DEL and C1, and what turns the direction of writing round.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

_CREDENTIALS = "check the credentials and permissions, for instance with 'aws sts get-caller-identity'"


class Exit(IntEnum):
    """What a command's exit code says."""

    OK = 0
    PARTIAL_FAILURE = 1
    USAGE = 2  # Typer's own
    BAD_INPUT = 3
    UNAVAILABLE = 4  # a dependency, credentials or a deployment
    ABORTED = 5
    NO_WORK = 6
    NOT_FINISHED = 7
    TOTAL_FAILURE = 8
    NO_SUCH_JOB = 9
    DRIFT = 11  # rows and outputs tell different stories


def reports_errors(command: Callable[P, R]) -> Callable[P, R]:
    """A command that tells a person what is wrong: it exits with 3 for bad input, with 4 for what cannot be asked."""

    @functools.wraps(command)
    def reporting(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except InvalidInput as error:
            say(f"error: {error}")
            raise typer.Exit(Exit.BAD_INPUT) from error
        except ArdError as error:
            say(f"error: {error}")
            again = "run the same command again; nothing is lost"
            say(f"next: {_CREDENTIALS if isinstance(error, Auth) else again}")
            raise typer.Exit(Exit.UNAVAILABLE) from error

    return reporting


def configured(kind: type[S]) -> S:
    """The deployment's settings; a command without them says which variables it misses and exits with 4."""
    try:
        return kind()
    except SettingsError as error:
        say(f"error: {error}")
        raise typer.Exit(Exit.UNAVAILABLE) from error
    except ValidationError as error:
        prefix = str(kind.model_config.get("env_prefix", "")).upper()
        problems = {prefix + str(problem["loc"][0]).upper(): problem for problem in error.errors() if problem["loc"]}
        missing = [name for name, problem in problems.items() if problem["type"] == "missing"]
        for name in sorted(problems.keys() - set(missing)):
            say(f"error: {name}: {problems[name]['msg']}")
        if missing:
            say(f"no deployment configured: run 'eval \"$(sandbox env)\"' or set {', '.join(missing)}")
        raise typer.Exit(Exit.UNAVAILABLE) from error


def now() -> float:
    """Seconds since the epoch: entry points read the clock, and pass it on."""
    return datetime.now(UTC).timestamp()


def say(text: str) -> None:
    """Words for a person, on stderr, exactly as they are spelled, but for what a terminal would obey."""
    # Made anew each time, so that it writes to what is stderr now.
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False).print(plain(text))


def plain(text: str) -> str:
    """A text that a terminal shows and does not obey: control characters are spelled out."""
    return _CONTROLS.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def agreed(question: str) -> bool:
    """Whether the person at the terminal says yes; Ctrl-C and no answer are no."""
    try:
        return typer.confirm(question, default=False, err=True)
    except typer.Abort:
        return False


def put(text: str) -> None:
    """A result, on stdout, at once: a reader that has left is met here, quietly."""
    sys.stdout.write(text)
    sys.stdout.flush()


def count(number: int, noun: str) -> str:
    """A number with its noun: ``1 tile``, ``1,234 tiles``."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
