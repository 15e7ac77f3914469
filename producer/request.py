"""A request for tiles: its values, its limits and its errors, whatever form it arrives in."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ard.errors import InvalidInput
from ard.product import Format, Product
from ard.task import FIRST_YEAR, LAST_YEAR, Dest, Formats
from ard.tile import tile_key
from producer.tile_index import ID_LIMIT, TileIndex

DEGREES_APART = 1e-4 + 1e-9  # four decimals in a CSV, and a hair for what binary fractions add
SHOWN_PROBLEMS = 20
SHOWN_CHARACTERS = 60

Number = TypeVar("Number", bound=np.generic)
OnUnknownTile = Literal["reject", "skip"]

_YEAR = re.compile(r"[0-9]{4}")
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,59}")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a request.

    Attributes:
        place: An RFC 6901 pointer such as ``/uuid/2023/missing_tiles/3``, ``row 7`` (the header is row 1), or
            empty for the whole file. Names in it are cut when long, their unprintable characters escaped.
        message: What was expected and what was found, safe to print.
    """

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class RequestRejected(InvalidInput):
    """A request is wrong; ``problems`` lists why, and ``total`` counts also those beyond the limit of the list."""

    def __init__(self, problems: tuple[Problem, ...], total: int) -> None:
        super().__init__(problems, total)
        self.problems = problems
        self.total = total

    def __str__(self) -> str:
        shown = self.problems[:SHOWN_PROBLEMS]
        more = [f"... and {self.total - len(shown):,} more"] if self.total > len(shown) else []
        return "\n".join([*map(str, shown), *more])


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How large a request may be.

    Attributes:
        max_tiles: Tiles named or touched by an area, counting each year.
        max_depth: Levels of lists and objects in JSON; an area takes up to 11.
        max_containers: Objects, and lists of lists or objects, in JSON.
        max_members: Members of all objects in JSON.
        max_vertices: Positions of an area; every one is a list by itself.
        max_problems: Problems that are listed and not only counted.
    """

    max_bytes: int = 50 * 2**20
    max_tiles: int = 5_000_000
    max_depth: int = 12
    max_containers: int = 100_000
    max_members: int = 1_000_000
    max_vertices: int = 200_000
    max_problems: int = 1_000


DEFAULT_LIMITS: Final = Limits()


def _slug_able(label: str) -> str:
    if not _LABEL.fullmatch(label):
        raise ValueError(
            "expected 1 to 60 ASCII letters, digits, spaces, '.', '_' or '-', the first one a letter or digit"
        )
    return label


def _one_spelling(products: tuple[Product, ...]) -> tuple[Product, ...]:
    return tuple(sorted(set(products)))


def _first_run_is_none(rerun: int | None) -> int | None:
    return None if rerun == 1 else rerun


class RequestOptions(BaseModel):
    """What a request may ask for besides its tiles; ``dest`` and ``products``, when missing, are the deployment's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: Annotated[str, AfterValidator(_slug_able)] | None = None
    dest: Dest | None = None
    products: Annotated[tuple[Product, ...], Field(min_length=1), AfterValidator(_one_spelling)] | None = None
    overwrite: bool = False
    formats: Formats = (Format.COG,)
    on_unknown_tile: OnUnknownTile = "reject"
    max_cost_usd: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    retries: int = Field(default=3, ge=0, le=99)
    rerun: Annotated[int | None, Field(ge=1, le=9999), AfterValidator(_first_run_is_none)] = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TileRequest:
    """A request that may be planned: columns ``(tile,)``, read-only, sorted by year, x, y, each tile once a year.

    Attributes:
        lon: Longitudes of the centres in the tile index, degrees.
        lat: Latitudes of the centres in the tile index, degrees.
        duplicates: How many namings of a tile were merged into an earlier one of the same year.
        unknown: The unknown tiles that were skipped, as far as the limit on problems lists them.
        skipped: How many unknown tiles were skipped; with none left, the columns are empty.
    """

    options: RequestOptions
    year: NDArray[np.int64]
    x_tile: NDArray[np.int64]
    y_tile: NDArray[np.int64]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    duplicates: int = 0
    unknown: tuple[Problem, ...] = ()
    skipped: int = 0

    def __len__(self) -> int:
        return len(self.year)


class Problems:
    """Collects problems: lists as many as the limit allows and counts them all."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.listed: list[Problem] = []
        self.total = 0

    def add(self, place: str, message: str) -> None:
        """Take one problem."""
        self.total += 1
        if len(self.listed) < self.limit:
            self.listed.append(Problem(place, message))

    def add_each(self, rows: NDArray[np.intp], describe: Callable[[int], Problem]) -> None:
        """Take one problem for each row, described only if it will be listed."""
        room = max(self.limit - len(self.listed), 0)
        self.listed.extend(describe(int(row)) for row in rows[:room])
        self.total += len(rows)

    def raise_if_any(self) -> None:
        """End here unless all is well.

        Raises:
            RequestRejected: There is a problem.
        """
        if self.total:
            raise RequestRejected(tuple(self.listed), self.total)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NamedTiles:
    """Tiles as a file names them, in its order: columns ``(tile,)``.

    Attributes:
        x_tile: Ids; -1 for a tile that could not be read and is among the problems already.
        y_tile: Ids, likewise.
        place: Where the file names the tile of a row.
        claimed: ``(tile, 2)``, longitude and latitude that the file gives, degrees; None when it gives none.
    """

    year: NDArray[np.int64]
    x_tile: NDArray[np.int64]
    y_tile: NDArray[np.int64]
    place: Callable[[int], str]
    claimed: NDArray[np.float64] | None = None


def resolve(tiles: NamedTiles, index: TileIndex, *, options: RequestOptions, problems: Problems) -> TileRequest:
    """The request, once every tile has been found in the index.

    Raises:
        RequestRejected: There were problems already, or there are now: a tile is unknown and not to be skipped,
            is claimed to lie elsewhere, or none is named at all.
    """
    lon, lat = index.lookup(tiles.x_tile, tiles.y_tile)
    known = ~np.isnan(lon)
    skipped = Problems(problems.limit)
    (skipped if options.on_unknown_tile == "skip" else problems).add_each(
        np.flatnonzero(~known & (tiles.x_tile >= 0) & (tiles.y_tile >= 0)),
        lambda row: Problem(tiles.place(row), f"{_name(tiles, row)} is not in the tile index"),
    )
    if tiles.claimed is not None:
        _check_claims(tiles, tiles.claimed, centres=np.stack([lon, lat], axis=1), problems=problems)
    if not (len(tiles.year) or problems.total):
        problems.add("", "expected at least one tile, found none")
    problems.raise_if_any()
    keys = (tiles.year[known] * ID_LIMIT + tiles.x_tile[known]) * ID_LIMIT + tiles.y_tile[known]
    _, first = np.unique(keys, return_index=True)
    rows = np.flatnonzero(known)[first]
    return TileRequest(
        options=options,
        year=_read_only(tiles.year[rows]),
        x_tile=_read_only(tiles.x_tile[rows]),
        y_tile=_read_only(tiles.y_tile[rows]),
        lon=_read_only(lon[rows]),
        lat=_read_only(lat[rows]),
        duplicates=len(keys) - len(rows),
        unknown=tuple(skipped.listed),
        skipped=skipped.total,
    )


def parse_year(text: str) -> int:
    """The year that a text spells with four digits and nothing else.

    Raises:
        InvalidInput: It does not, or the year is out of the range of the message contract.
    """
    if not (_YEAR.fullmatch(text) and FIRST_YEAR <= int(text) <= LAST_YEAR):
        raise InvalidInput(f"expected a year from {FIRST_YEAR} to {LAST_YEAR}, found {shown(text)}")
    return int(text)


def shown(text: str) -> str:
    """A text from outside, quoted, cut when long, and with everything unprintable escaped."""
    return repr(text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "...")


def decode(raw: bytes, limits: Limits) -> str:
    """The text of a request file: UTF-8, with or without a byte order mark.

    Raises:
        RequestRejected: It is too large or not UTF-8.
    """
    if len(raw) > limits.max_bytes:
        raise rejected(f"expected at most {limits.max_bytes:,} bytes, found more")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise rejected(f"expected UTF-8, found byte 0x{raw[error.start]:02x} at offset {error.start:,}") from error


def rejected(message: str, *, place: str = "") -> RequestRejected:
    """The error that says that one thing makes all the rest unreadable."""
    return RequestRejected((Problem(place, message),), 1)


def _check_claims(
    tiles: NamedTiles, claimed: NDArray[np.float64], *, centres: NDArray[np.float64], problems: Problems
) -> None:
    # NaN, the claim of a row that could not be read and the centre of an unknown tile, is never apart.
    apart = (np.abs(claimed - centres) > DEGREES_APART).any(axis=1)
    problems.add_each(
        np.flatnonzero(apart),
        lambda row: Problem(
            tiles.place(row),
            f"expected X, Y = {centres[row, 0]:.4f}, {centres[row, 1]:.4f} for {_name(tiles, row)} as in the tile "
            f"index, found {claimed[row, 0]:.6g}, {claimed[row, 1]:.6g}",
        ),
    )


def _name(tiles: NamedTiles, row: int) -> str:
    return tile_key(int(tiles.x_tile[row]), int(tiles.y_tile[row]))


def _read_only(column: NDArray[Number]) -> NDArray[Number]:
    column.setflags(write=False)
    return column
