"""Requests as the tiles CSV ``Year,X,Y,Y_tile,X_tile``, read and written."""

import csv
import io
import re
from array import array
from collections.abc import Callable, Iterator
from math import isfinite, nan
from typing import NamedTuple, TextIO, TypeVar

import numpy as np

from ard.errors import InvalidInput
from producer.request import (
    DEFAULT_LIMITS,
    Limits,
    NamedTiles,
    Problems,
    RequestOptions,
    TileRequest,
    decode,
    parse_year,
    rejected,
    resolve,
    shown,
)
from producer.tile_index import TileIndex

COLUMNS = ("Year", "X", "Y", "Y_tile", "X_tile")
WRITTEN_AT_ONCE = 10_000

Number = TypeVar("Number", int, float)

_ID = re.compile(r"0|[1-9][0-9]{0,5}")


def read_csv_request(
    raw: bytes,
    *,
    index: TileIndex,
    options: RequestOptions,
    limits: Limits = DEFAULT_LIMITS,
) -> TileRequest:
    """The request that a CSV file makes with these options.

    Columns come in any order and others are ignored. The coordinates of the tile index are taken; those in the
    file must agree with them to 1e-4 degree.

    Raises:
        RequestRejected: Anything is wrong with it; lists all problems at once, each with its row (the header is row 1).
    """
    decode(raw, limits)
    problems = Problems(limits.max_problems)
    # Decoded again piece by piece: the rows of a large file need not all be there as text.
    with io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8-sig", newline="") as text:
        tiles = _read(text, limits, problems=problems)
    return resolve(tiles, index, options=options, problems=problems)


def write_csv(request: TileRequest, out: TextIO) -> None:
    """Write the tiles of a request, sorted by year, x and y, with coordinates to 4 decimals (about 6 m)."""
    out.write(",".join(COLUMNS) + "\n")
    for start in range(0, len(request), WRITTEN_AT_ONCE):
        part = slice(start, start + WRITTEN_AT_ONCE)
        columns = (request.year, request.lon, request.lat, request.y_tile, request.x_tile)
        rows = zip(*(column[part].tolist() for column in columns), strict=True)
        out.writelines(f"{year},{lon:z.4f},{lat:z.4f},{y},{x}\n" for year, lon, lat, y, x in rows)


class _Row(NamedTuple):
    year: int
    x_tile: int
    y_tile: int
    lon: float
    lat: float


_UNREADABLE = _Row(0, -1, -1, nan, nan)


def _read(text: TextIO, limits: Limits, *, problems: Problems) -> NamedTiles:
    numbers = array("q")
    ids = array("q")
    claimed = array("d")
    for number, row in _rows(text, problems):
        if len(numbers) == limits.max_tiles:
            raise rejected(f"expected at most {limits.max_tiles:,} tiles, found more")
        numbers.append(number)
        ids.extend(row[:3])
        claimed.extend(row[3:])
    columns = np.frombuffer(ids, dtype=np.int64).reshape(-1, 3)
    return NamedTiles(
        year=columns[:, 0],
        x_tile=columns[:, 1],
        y_tile=columns[:, 2],
        place=lambda row: f"row {numbers[row]}",
        claimed=np.frombuffer(claimed, dtype=np.float64).reshape(-1, 2),
    )


def _rows(text: TextIO, problems: Problems) -> Iterator[tuple[int, _Row]]:
    reader = enumerate(csv.reader(text), start=1)
    number = 0
    try:
        number, header = next(reader, (1, []))
        places = _places(header)
        for number, fields in reader:
            if fields:
                yield number, _row(fields, width=len(header), places=places, number=number, problems=problems)
    except csv.Error as error:
        raise rejected(f"expected CSV, found: {error}", place=f"row {number + 1}") from error


def _places(header: list[str]) -> list[int]:
    names = [name.strip() for name in header]
    wrong = [name for name in COLUMNS if names.count(name) != 1]
    if wrong:
        found = shown(",".join(names))
        raise rejected(f"expected each of the columns {','.join(COLUMNS)} once, found {found}", place="row 1")
    return [names.index(name) for name in COLUMNS]


def _row(fields: list[str], *, width: int, places: list[int], number: int, problems: Problems) -> _Row:
    place = f"row {number}"
    if len(fields) != width:
        problems.add(place, f"expected {width} fields, found {len(fields)}")
        return _UNREADABLE
    year, lon, lat, y_tile, x_tile = (fields[at] for at in places)
    try:
        return _Row(parse_year(year), _id(x_tile), _id(y_tile), _degrees(lon), _degrees(lat))
    except InvalidInput:  # rare, and then every wrong field is to be named
        return _Row(
            _field(parse_year, year, name="Year", place=place, problems=problems, unreadable=0),
            _field(_id, x_tile, name="X_tile", place=place, problems=problems, unreadable=-1),
            _field(_id, y_tile, name="Y_tile", place=place, problems=problems, unreadable=-1),
            _field(_degrees, lon, name="X", place=place, problems=problems, unreadable=nan),
            _field(_degrees, lat, name="Y", place=place, problems=problems, unreadable=nan),
        )


def _field(
    parse: Callable[[str], Number], text: str, *, name: str, place: str, problems: Problems, unreadable: Number
) -> Number:
    try:
        return parse(text)
    except InvalidInput as error:
        problems.add(place, f"{name}: {error}")
        return unreadable


def _id(text: str) -> int:
    if not _ID.fullmatch(text):
        raise InvalidInput(f"expected a tile id of at most six digits, found {shown(text)}")
    return int(text)


def _degrees(text: str) -> float:
    try:
        degrees = float(text)
    except ValueError:
        degrees = nan
    if not isfinite(degrees):
        raise InvalidInput(f"expected degrees, found {shown(text)}")
    return degrees
