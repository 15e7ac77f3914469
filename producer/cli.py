"""The ``producer`` command: results on stdout, words for people on stderr."""

import functools
import sys
from collections.abc import Callable, Iterable
from enum import IntEnum
from pathlib import Path
from typing import Annotated, ParamSpec, TypeVar

import typer
from rich.console import Console

from ard.errors import InvalidInput
from producer.csv_io import read_csv_request, write_csv
from producer.json_io import read_json_request
from producer.request import DEFAULT_LIMITS, OnUnknownTile, Problem, RequestOptions, RequestRejected, TileRequest
from producer.tile_index import TileIndex

P = ParamSpec("P")
R = TypeVar("R")

STDIN = Path("-")

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)


class Exit(IntEnum):
    """What the command's exit code says; 2 is Typer's own, for wrong usage."""

    BAD_INPUT = 3
    NO_WORK = 6


@app.callback()
def producer() -> None:
    """Turn requests for tiles into jobs."""


def reports_errors(command: Callable[P, R]) -> Callable[P, R]:
    """A command that tells a person what is wrong with the input and exits with 3."""

    @functools.wraps(command)
    def reporting(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except RequestRejected as error:
            _say_problems(error.problems, total=error.total)
            _say(f"The request is rejected: {_count(error.total, 'problem')}. Nothing was started.")
            raise typer.Exit(Exit.BAD_INPUT) from error
        except InvalidInput as error:
            _say(f"error: {error}")
            raise typer.Exit(Exit.BAD_INPUT) from error

    return reporting


RequestArgument = Annotated[Path, typer.Argument(metavar="REQUEST", help="A .json or .csv file; - is JSON on stdin.")]
ParquetOption = Annotated[Path, typer.Option("--parquet", metavar="INDEX.parquet", help="The tile index.")]
SkipUnknownOption = Annotated[
    bool, typer.Option("--skip-unknown", help="Leave out tiles that are not in the index, and list them.")
]


@app.command()
@reports_errors
def tiles(request: RequestArgument, *, parquet: ParquetOption, skip_unknown: SkipUnknownOption = False) -> None:
    """Print the tiles of a request as CSV: Year,X,Y,Y_tile,X_tile."""
    found = _read_request(request, parquet, on_unknown_tile="skip" if skip_unknown else None)
    write_csv(found, sys.stdout)
    sys.stdout.flush()  # here, where a reader that has left is met quietly
    _say_problems(found.unknown, total=found.skipped)
    skipped = f", {found.skipped:,} unknown skipped" if found.skipped else ""
    _say(f"{_count(len(found), 'tile')}, {_count(found.duplicates, 'duplicate')}{skipped}")
    if not len(found):
        raise typer.Exit(Exit.NO_WORK)


def _read_request(path: Path, parquet: Path, *, on_unknown_tile: OnUnknownTile | None) -> TileRequest:
    kind = ".json" if path == STDIN else path.suffix.lower()
    if kind not in {".json", ".csv"}:
        raise typer.BadParameter(f"expected a .json or .csv file, or - for JSON on stdin, found {str(path)!r}")
    raw = _read_bytes(path)
    index = TileIndex.open(parquet)
    if kind == ".csv":
        return read_csv_request(raw, index=index, options=RequestOptions(on_unknown_tile=on_unknown_tile or "reject"))
    return read_json_request(raw, index=index, on_unknown_tile=on_unknown_tile)


def _read_bytes(path: Path) -> bytes:
    enough = DEFAULT_LIMITS.max_bytes + 1  # what is longer is refused, and need not be in memory for that
    if path == STDIN:
        return sys.stdin.buffer.read(enough)
    try:
        with path.open("rb") as file:
            return file.read(enough)
    except OSError as error:
        raise InvalidInput(f"expected a request file at {str(path)!r}, found: {error.strerror}") from error


def _say_problems(problems: Iterable[Problem], *, total: int) -> None:
    listed = list(problems)
    for problem in listed:
        _say(str(problem))
    if total > len(listed):
        _say(f"... and {total - len(listed):,} more")


def _say(text: str) -> None:
    # Made anew each time, so that it writes to what is stderr now.
    Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False).print(text)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
