"""Requests in JSON: ``{project: {year: {"missing_tiles": [...]}}}``, and ``$options`` beside the projects."""

import json
import re
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from pydantic import ValidationError

from ard.errors import InvalidInput
from ard.tile import parse_tile_key
from producer.request import (
    DEFAULT_LIMITS,
    Limits,
    NamedTiles,
    OnUnknownTile,
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

OPTIONS_KEY = "$options"
TILES_KEY = "missing_tiles"
IGNORED_KEY = "all_tiles"
OPTIONS_CHARACTERS = 10_000
POINTER_CHARACTERS = 80

CompleteOptions = Callable[[RequestOptions, Problems], RequestOptions]

_NOT_STRUCTURE = bytes(set(range(256)) - set(b'"[]{}'))
_STRING = re.compile(rb'"[^"]*"')


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
    tiles, options = _read(_parse(raw, limits), limits, problems=problems)
    if on_unknown_tile is not None:
        options = options.model_copy(update={"on_unknown_tile": on_unknown_tile})
    if complete is not None:
        options = complete(options, problems)
    return resolve(tiles, index, options=options, problems=problems)


def pointer(*parts: str | int) -> str:
    """The RFC 6901 pointer to a value, fit for people: long names cut, unprintable characters escaped."""
    return "".join(f"/{_printable(str(part)).replace('~', '~0').replace('/', '~1')}" for part in parts)


@dataclass(frozen=True, slots=True)
class _Object:
    """A JSON object with its members as written: a dict would hide that a name is there twice."""

    members: list[tuple[str, object]]


@dataclass(frozen=True, slots=True)
class _TileList:
    """One list of tiles: the pointer to it, the year it is for, and its items."""

    place: str
    year: int
    items: list[object]


def _parse(raw: bytes, limits: Limits) -> object:
    text = decode(raw, limits)
    _check_nesting(raw, limits)
    try:
        value: object = json.loads(text, object_pairs_hook=_Object)
    except json.JSONDecodeError as error:
        raise rejected(f"expected JSON, found {error.msg!r} at line {error.lineno}, column {error.colno}") from error
    except ValueError as error:  # Python converts no number of more than 4300 digits
        raise rejected("expected JSON with reasonable numbers, found one of thousands of digits") from error
    return value


def _check_nesting(raw: bytes, limits: Limits) -> None:
    """Pass a text that the JSON parser can read without deep recursion or millions of little objects.

    Only quotes and brackets matter, once escaped quotes are gone, and taking away two quotes that stand side by
    side does not change which brackets are inside a string. In a text that is not JSON this holds up to the
    first error, where the parser stops.
    """
    plain = raw.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in raw else raw
    brackets = _STRING.sub(b"", plain.translate(None, _NOT_STRUCTURE).replace(b'""', b""))
    containers = brackets.count(b"[") + brackets.count(b"{")
    if containers > limits.max_containers:
        raise rejected(f"expected at most {limits.max_containers:,} lists and objects, found {containers:,}")
    codes = np.frombuffer(brackets, dtype=np.uint8)
    opens = np.isin(codes, np.frombuffer(b"[{", dtype=np.uint8)).astype(np.int64)
    closes = np.isin(codes, np.frombuffer(b"]}", dtype=np.uint8)).astype(np.int64)
    depth = int(np.cumsum(opens - closes).max(initial=0))
    if depth > limits.max_depth:
        raise rejected(f"expected at most {limits.max_depth} levels of lists and objects, found {depth:,}")


def _read(root: object, limits: Limits, *, problems: Problems) -> tuple[NamedTiles, RequestOptions]:
    options = RequestOptions()
    lists: list[_TileList] = []
    for name, value in _members(root, "", problems):
        if name == OPTIONS_KEY:
            options = _options(value, problems)
        elif name.startswith("$"):
            problems.add(pointer(name), f"expected a project or {OPTIONS_KEY}")
        else:
            lists.extend(_project(value, name, problems))
    count = sum(len(one.items) for one in lists)
    if count > limits.max_tiles:
        raise rejected(f"expected at most {limits.max_tiles:,} tiles, found {count:,}")
    return _named(lists, problems), options


def _project(value: object, name: str, problems: Problems) -> Iterator[_TileList]:
    for year_name, content in _members(value, pointer(name), problems):
        place = pointer(name, year_name)
        year = 0
        try:
            year = parse_year(year_name)
        except InvalidInput as error:
            problems.add(place, str(error))
        members = _members(content, place, problems)
        for key, items in members:
            if key == TILES_KEY and isinstance(items, list):
                yield _TileList(place + pointer(key), year, items)
            elif key == TILES_KEY:
                problems.add(place + pointer(key), f"expected a list, found {_found(items)}")
            elif key != IGNORED_KEY:
                problems.add(place + pointer(key), f"expected {TILES_KEY} or {IGNORED_KEY}")
        if isinstance(content, _Object) and TILES_KEY not in dict(members):
            problems.add(place, f"expected {TILES_KEY}, found none")


def _members(value: object, place: str, problems: Problems) -> list[tuple[str, object]]:
    if not isinstance(value, _Object):
        problems.add(place, f"expected an object, found {_found(value)}")
        return []
    seen: set[str] = set()
    for name, _ in value.members:
        if name in seen:
            problems.add(place + pointer(name), "expected a name once, found it again at the same level")
        seen.add(name)
    return value.members


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
    raise InvalidInput(f"expected a tile such as 1000X871Y, found {_found(item)}")


def _options(value: object, problems: Problems) -> RequestOptions:
    plain = {name: _plain(member) for name, member in _members(value, pointer(OPTIONS_KEY), problems)}
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
        message = f"{fault['msg']}, found {_found(fault['input'])}"
        if fault["type"] == "too_short" and fault["loc"] in deepest:
            continue  # Pydantic counts only the items that it could read, and tells of the others anyway
        if fault["type"] == "json_invalid":  # the one thing that Python can write as JSON and Pydantic cannot read
            message = "expected whole characters, found half of a surrogate pair"
        elif fault["type"] == "value_error":
            message = str(fault["ctx"]["error"])
        problems.add(pointer(OPTIONS_KEY, *fault["loc"]), message)


def _plain(value: object) -> object:
    if isinstance(value, _Object):
        return {name: _plain(member) for name, member in value.members}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def _found(value: object) -> str:
    if isinstance(value, str):
        return shown(value)
    if isinstance(value, _Object | dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    return json.dumps(value)[:POINTER_CHARACTERS]


def _printable(name: str) -> str:
    cut = name if len(name) <= POINTER_CHARACTERS else name[:POINTER_CHARACTERS] + "..."
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in cut
    )
