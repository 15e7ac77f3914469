"""Request files on a person's machine, and the command line's options over those that they hold."""

import sys
from collections.abc import Collection
from functools import partial
from pathlib import Path
from typing import Literal

import typer

from ard.errors import InvalidInput
from ard.settings import ControlSettings
from producer.csv_io import read_csv_request
from producer.deployment import complete_options
from producer.json_io import read_geojson_request, read_json_request
from producer.request import DEFAULT_LIMITS, Problems, RequestOptions, TileRequest
from producer.tile_index import TileIndex

STDIN = Path("-")


def kind_of(path: Path, *, years: Collection[int] = ()) -> Literal["json", "csv", "geojson"]:
    """What a request file holds, by its name.

    Args:
        path: The file.
        years: Those of the command line: an area has none of its own, and every other request has.

    Raises:
        BadParameter: It is none of these, or there are years where none are to be, or none where some are.
    """
    kind = _kind(path)
    if kind == "geojson" and not years:
        raise typer.BadParameter(f"expected --year YEAR beside the area in {str(path)!r}, found none")
    if kind != "geojson" and years:
        raise typer.BadParameter(f"expected --year beside a .geojson file only: {str(path)!r} names its years itself")
    return kind


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


def read_for(
    path: Path,
    *,
    index: TileIndex,
    overrides: RequestOptions,
    settings: ControlSettings,
    years: Collection[int] = (),
) -> TileRequest:
    """The request in a file, with the overrides that are set and the deployment's defaults.

    Args:
        path: The file.
        index: Where the tiles lie.
        overrides: Options of the command line.
        settings: The deployment's.
        years: Those of an area, which has none of its own.

    Raises:
        RequestRejected: Anything is wrong with it, or the deployment does not offer what it asks for.
        InvalidInput: It cannot be read.
        BadParameter: It is of no known kind, or the years do not fit that.
    """
    complete = partial(_complete, overrides=overrides, settings=settings)
    kind = kind_of(path, years=years)
    if kind == "geojson":
        return read_geojson_request(read_bytes(path), years=years, index=index, complete=complete)
    if kind == "json":
        return read_json_request(read_bytes(path), index=index, complete=complete)
    problems = Problems(DEFAULT_LIMITS.max_problems)
    options = complete(RequestOptions(), problems)
    problems.raise_if_any()
    return read_csv_request(read_bytes(path), index=index, options=options)


def _kind(path: Path) -> Literal["json", "csv", "geojson"]:
    suffix = path.suffix.lower()
    if path == STDIN or suffix == ".json":
        return "json"
    if suffix == ".csv":
        return "csv"
    if suffix == ".geojson":
        return "geojson"
    raise typer.BadParameter(f"expected a .json, .geojson or .csv file, or - for JSON on stdin, found {str(path)!r}")


def _complete(
    options: RequestOptions, problems: Problems, *, overrides: RequestOptions, settings: ControlSettings
) -> RequestOptions:
    replaced = {name: getattr(overrides, name) for name in overrides.model_fields_set}
    return complete_options(options.model_copy(update=replaced), problems, settings=settings)
