"""Requests in JSON, for tiles by name or for an area, with ``$options`` beside either.

By name: ``{project: {year: {"missing_tiles": [...]}}}``. For an area: ``{"aoi": GeoJSON, "years": [year, ...]}``.
"""

import json
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from ard.errors import InvalidInput
from ard.task import FIRST_YEAR, LAST_YEAR
from ard.tile import parse_tile_key
from producer.aoi import tiles_of_area
from producer.geojson import is_geojson, read_area
from producer.json_values import JsonObject, found, members, parse_json, pointer
from producer.request import (
    DEFAULT_LIMITS,
    Limits,
    NamedTiles,
    OnUnknownTile,
    Problems,
    RequestOptions,
    TileRequest,
    parse_year,
    rejected,
    resolve,
)
from producer.tile_index import TileIndex

OPTIONS_KEY = "$options"
TILES_KEY = "missing_tiles"
IGNORED_KEY = "all_tiles"
AREA_KEY = "aoi"
YEARS_KEY = "years"
OPTIONS_CHARACTERS = 10_000

CompleteOptions = Callable[[RequestOptions, Problems], RequestOptions]


def read_json_request(
    raw: bytes,
    *,
    index: TileIndex,
    limits: Limits = DEFAULT_LIMITS,
    on_unknown_tile: OnUnknownTile | None = None,
    complete: CompleteOptions | None = None,
) -> TileRequest:
    """The request that a JSON file makes.

    Args:
        raw: The file.
        index: Where the tiles lie.
        limits: How large it may be.
        on_unknown_tile: Overrules the file when given.
        complete: Called with the file's options and the problems found so far: fills in what is missing and adds
            what is wrong, so that a rejection names everything at once.

    Raises:
        RequestRejected: Anything is wrong with it; lists all problems at once, each with its JSON pointer.
    """
    problems = Problems(limits.max_problems)
    tiles, options = _read(parse_json(raw, limits), limits, index=index, problems=problems)
    if on_unknown_tile is not None:
        options = options.model_copy(update={"on_unknown_tile": on_unknown_tile})
    if complete is not None:
        options = complete(options, problems)
    return resolve(tiles, index, options=options, problems=problems)


def read_geojson_request(
    raw: bytes,
    *,
    years: Iterable[int],
    index: TileIndex,
    limits: Limits = DEFAULT_LIMITS,
    complete: CompleteOptions | None = None,
) -> TileRequest:
    """The request for the area in a GeoJSON file, in these years and with options of ``complete`` alone.

    Raises:
        RequestRejected: Anything is wrong with it; lists all problems at once, each with its JSON pointer.
    """
    problems = Problems(limits.max_problems)
    area, wanted = parse_json(raw, limits), list[object](years)
    tiles = _area(area, wanted, places=("", pointer(YEARS_KEY)), limits=limits, index=index, problems=problems)
    options = RequestOptions()
    if complete is not None:
        options = complete(options, problems)
    return resolve(tiles, index, options=options, problems=problems)


@dataclass(frozen=True, slots=True)
class _TileList:
    """One list of tiles: the pointer to it, the year it is for, and its items."""

    place: str
    year: int
    items: list[object]


def _read(root: object, limits: Limits, *, index: TileIndex, problems: Problems) -> tuple[NamedTiles, RequestOptions]:
    options = RequestOptions()
    wanted: list[tuple[str, object]] = []
    for name, value in members(root, "", problems):
        if name == OPTIONS_KEY:
            options = _options(value, problems)
        elif name.startswith("$"):
            problems.add(pointer(name), f"expected a project or {OPTIONS_KEY}")
        else:
            wanted.append((name, value))
    if isinstance(dict(wanted).get("type"), str):
        raise rejected(f'expected {{"{AREA_KEY}": GeoJSON, "{YEARS_KEY}": [...]}}, found GeoJSON without years')
    # A project may be called "aoi" as well; but its members are years, and all GeoJSON has a type.
    if any(name == AREA_KEY and is_geojson(value) for name, value in wanted):
        return _area_alone(wanted, limits, index=index, problems=problems), options
    lists = [one for name, value in wanted for one in _project(value, name, problems)]
    count = sum(len(one.items) for one in lists)
    if count > limits.max_tiles:
        raise rejected(f"expected at most {limits.max_tiles:,} tiles, found {count:,}")
    return _named(lists, problems), options


def _area_alone(
    wanted: list[tuple[str, object]], limits: Limits, *, index: TileIndex, problems: Problems
) -> NamedTiles:
    for name, _ in wanted:
        if name not in {AREA_KEY, YEARS_KEY}:
            problems.add(pointer(name), f"expected no project beside {AREA_KEY}; make it a request of its own")
    there = dict(wanted)
    if YEARS_KEY not in there:
        problems.add("", f"expected {YEARS_KEY} beside {AREA_KEY}, found none")
    places = pointer(AREA_KEY), pointer(YEARS_KEY)
    years = there.get(YEARS_KEY, [FIRST_YEAR])  # any year, as it is a problem already
    return _area(there[AREA_KEY], years, places=places, limits=limits, index=index, problems=problems)


def _area(
    area: object, years: object, *, places: tuple[str, str], limits: Limits, index: TileIndex, problems: Problems
) -> NamedTiles:
    before = problems.total
    polygons = read_area(area, places[0], limits=limits, problems=problems)
    wanted = _years(years, places[1], problems)
    if problems.total > before:
        return _named([], problems)
    return tiles_of_area(polygons, wanted, index=index, limits=limits, place=places[0], problems=problems)


def _years(years: object, place: str, problems: Problems) -> NDArray[np.int64]:
    """The years of a list, each once."""
    items = years if isinstance(years, list) else []
    if not items:
        problems.add(place, f"expected a list of years, found {'an empty one' if years == [] else found(years)}")
    good: set[int] = set()
    for position, item in enumerate(items):
        if type(item) is int and FIRST_YEAR <= item <= LAST_YEAR:
            good.add(item)
        else:
            wanted = f"expected a year from {FIRST_YEAR} to {LAST_YEAR} as a number"
            problems.add(f"{place}/{position}", f"{wanted}, found {found(item)}")
    return np.array(sorted(good), dtype=np.int64)


def _project(value: object, name: str, problems: Problems) -> Iterator[_TileList]:
    for year_name, content in members(value, pointer(name), problems):
        place = pointer(name, year_name)
        year = 0
        try:
            year = parse_year(year_name)
        except InvalidInput as error:
            problems.add(place, str(error))
        inside = members(content, place, problems)
        for key, items in inside:
            if key == TILES_KEY and isinstance(items, list):
                yield _TileList(place + pointer(key), year, items)
            elif key == TILES_KEY:
                problems.add(place + pointer(key), f"expected a list, found {found(items)}")
            elif key != IGNORED_KEY:
                problems.add(place + pointer(key), f"expected {TILES_KEY} or {IGNORED_KEY}")
        if isinstance(content, JsonObject) and TILES_KEY not in dict(inside):
            problems.add(place, f"expected {TILES_KEY}, found none")


def _named(lists: list[_TileList], problems: Problems) -> NamedTiles:
    ids = array("q")
    for one in lists:
        for position, item in enumerate(one.items):
            try:
                ids.extend(_tile(item))
            except InvalidInput as error:
                problems.add(f"{one.place}/{position}", str(error))
                ids.extend((-1, -1))
    lengths = [len(one.items) for one in lists]
    starts: list[int] = [0, *np.cumsum(lengths, dtype=np.int64).tolist()]

    def place(row: int) -> str:
        which = bisect_right(starts, row) - 1
        return f"{lists[which].place}/{row - starts[which]}"

    columns = np.frombuffer(ids, dtype=np.int64).reshape(-1, 2)
    return NamedTiles(
        year=np.repeat(np.array([one.year for one in lists], dtype=np.int64), lengths),
        x_tile=columns[:, 0],
        y_tile=columns[:, 1],
        place=place,
    )


def _tile(item: object) -> tuple[int, int]:
    if isinstance(item, str):
        return parse_tile_key(item)
    raise InvalidInput(f"expected a tile such as 1000X871Y, found {found(item)}")


def _options(value: object, problems: Problems) -> RequestOptions:
    plain = {name: _plain(member) for name, member in members(value, pointer(OPTIONS_KEY), problems)}
    text = json.dumps(plain)
    if len(text) > OPTIONS_CHARACTERS:
        problems.add(pointer(OPTIONS_KEY), f"expected at most {OPTIONS_CHARACTERS:,} characters, found {len(text):,}")
        return RequestOptions()
    try:
        # From JSON and strictly, so that "3" is no number and 1 is no boolean, but "dem" still is a product.
        return RequestOptions.model_validate_json(text, strict=True)
    except ValidationError as error:
        _add_faults(error, problems)
    # Rejected in any case; but tiles that were to be skipped are not among the reasons.
    return RequestOptions(on_unknown_tile="skip" if plain.get("on_unknown_tile") == "skip" else "reject")


def _add_faults(error: ValidationError, problems: Problems) -> None:
    faults = error.errors()
    deepest = {fault["loc"][:1] for fault in faults if len(fault["loc"]) > 1}
    for fault in faults:
        message = f"{fault['msg']}, found {found(fault['input'])}"
        if fault["type"] == "too_short" and fault["loc"] in deepest:
            continue  # Pydantic counts only the items that it could read, and tells of the others anyway
        if fault["type"] == "json_invalid":  # the one thing that Python can write as JSON and Pydantic cannot read
            message = "expected whole characters, found half of a surrogate pair"
        elif fault["type"] == "value_error":
            message = str(fault["ctx"]["error"])
        problems.add(pointer(OPTIONS_KEY, *fault["loc"]), message)


def _plain(value: object) -> object:
    if isinstance(value, JsonObject):
        return {name: _plain(member) for name, member in value.members}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
