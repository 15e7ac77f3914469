"""Request files on a person's machine, and the command line's options over those that they hold."""

import sys
from functools import partial
from pathlib import Path
from typing import Literal

import typer

from ard.errors import InvalidInput
from ard.settings import ControlSettings
from producer.csv_io import read_csv_request
from producer.deployment import complete_options
from producer.json_io import read_json_request
from producer.request import DEFAULT_LIMITS, Problems, RequestOptions, TileRequest
from producer.tile_index import TileIndex

STDIN = Path("-")


def kind_of(path: Path) -> Literal["json", "csv"]:
    """What a request file holds, by its name.

    Raises:
        BadParameter: It is neither.
    """
    if path == STDIN or path.suffix.lower() == ".json":
        return "json"
    if path.suffix.lower() == ".csv":
        return "csv"
    raise typer.BadParameter(f"expected a .json or .csv file, or - for JSON on stdin, found {str(path)!r}")


def read_bytes(path: Path) -> bytes:
    """A request file's content, or as much of it as is needed to see that it is too large.

    Raises:
        InvalidInput: It cannot be read.
    """
    enough = DEFAULT_LIMITS.max_bytes + 1
    if path == STDIN:
        return sys.stdin.buffer.read(enough)
    try:
        with path.open("rb") as file:
            return file.read(enough)
    except OSError as error:
        raise InvalidInput(f"expected a request file at {str(path)!r}, found: {error.strerror}") from error


def read_for(path: Path, *, index: TileIndex, overrides: RequestOptions, settings: ControlSettings) -> TileRequest:
    """The request in a file, with the overrides that are set and the deployment's defaults.

    Raises:
        RequestRejected: Anything is wrong with it, or the deployment does not offer what it asks for.
        InvalidInput: It cannot be read.
    """
    complete = partial(_complete, overrides=overrides, settings=settings)
    if kind_of(path) == "json":
        return read_json_request(read_bytes(path), index=index, complete=complete)
    problems = Problems(DEFAULT_LIMITS.max_problems)
    options = complete(RequestOptions(), problems)
    problems.raise_if_any()
    return read_csv_request(read_bytes(path), index=index, options=options)


def _complete(
    options: RequestOptions, problems: Problems, *, overrides: RequestOptions, settings: ControlSettings
) -> RequestOptions:
    replaced = {name: getattr(overrides, name) for name in overrides.model_fields_set}
    return complete_options(options.model_copy(update=replaced), problems, settings=settings)
