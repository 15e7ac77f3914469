"""The only place that spells an object key. Keys are relative to ``dest`` unless they say otherwise."""

import hashlib
import re

from ard.product import Product
from ard.tile import Tile

_MOST_KEY_BYTES = 1024  # of an object in S3

_DATA_KEY = re.compile(r"\d+/ard/\d+/\d+/[a-z0-9_]+_[0-9a-f]{8}\.(tif|png)")


def item_key(year: int, tile: Tile, product: Product) -> str:
    """The STAC item of a product: the commit marker of its output."""
    return f"{_folder(year, tile)}/{product}.json"


def data_key(year: int, tile: Tile, *, name: str, sha256: str, suffix: str) -> str:
    """A data object, named by the first eight hex digits of its content's SHA-256."""
    return f"{_folder(year, tile)}/{name}_{sha256[:8]}.{suffix}"


def is_data_key(key: str) -> bool:
    """Whether a key is spelled as that of a data object: named by its content, directly in a tile's folder."""
    return _DATA_KEY.fullmatch(key) is not None


def tile_prefix(year: int, tile: Tile) -> str:
    """What the keys of all outputs of one tile begin with."""
    return f"{_folder(year, tile)}/"


def legacy_key(year: int, tile: Tile, *, kind: str) -> str:
    """A hickle file of the legacy layout; ``kind`` such as ``misc/dem_`` or ``s2_10/``."""
    return f"{legacy_column_prefix(year, tile.x)}{tile.y}/raw/{kind}{tile.key}.hkl"


def column_prefix(year: int, x_tile: int) -> str:
    """What the keys of all outputs of one column of tiles, those of one x, begin with."""
    return f"{year}/ard/{x_tile}/"


def legacy_column_prefix(year: int, x_tile: int) -> str:
    """What the keys of the legacy layout of one column of tiles begin with."""
    return f"{year}/raw/{x_tile}/"


REQUESTS = "requests/"  # in the control bucket: where requests are dropped
RECEIPTS = "receipts/"  # in the control bucket: the answers


def plan_key(job_id: str) -> str:
    """In the control bucket: a job's immutable plan."""
    return f"jobs/{job_id}/tiles.parquet"


def receipt_key(request_key: str) -> str:
    """In the control bucket: the answer to a request that became a job."""
    return _answer_key(request_key, ".receipt.json")


def rejection_key(request_key: str) -> str:
    """In the control bucket: the answer to a request that did not."""
    return _answer_key(request_key, ".rejected.json")


def plain_key(key: str) -> str:
    """A key as obstore can spell it: what it refuses is replaced."""
    parts = ("_" if part in {"", ".", ".."} else part for part in key.split("/"))
    return "".join(character if character >= " " and character != "\x7f" else "_" for character in "/".join(parts))


def relative_href(from_key: str, to_key: str) -> str:
    """The address of one object as seen from another one's folder, ``./`` or ``../`` first."""
    here, there = from_key.split("/")[:-1], to_key.split("/")
    common = 0
    while common < len(here) and common < len(there) - 1 and here[common] == there[common]:
        common += 1
    up = "../" * (len(here) - common)
    return (up or "./") + "/".join(there[common:])


def resolve_href(from_key: str, href: str) -> str:
    """The key that a relative address in the object ``from_key`` points to; the inverse of ``relative_href``."""
    parts = from_key.split("/")[:-1]
    for part in href.split("/"):
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def _answer_key(request_key: str, ending: str) -> str:
    """A name that S3 takes: that of a request with a very long name is cut, and told apart by a digest."""
    name = request_key.encode()
    room = _MOST_KEY_BYTES - len(RECEIPTS) - len(ending)
    if len(name) > room:
        mark = f"~{hashlib.sha256(name).hexdigest()[:16]}"
        request_key = name[: room - len(mark)].decode(errors="ignore") + mark
    return f"{RECEIPTS}{request_key}{ending}"


def _folder(year: int, tile: Tile) -> str:
    return f"{column_prefix(year, tile.x)}{tile.y}"
