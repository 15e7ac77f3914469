"""The only place that spells an object key. Keys are relative to ``dest`` unless they say otherwise."""

from ard.product import Product
from ard.tile import Tile


def item_key(year: int, tile: Tile, product: Product) -> str:
    """The STAC item of a product: the commit marker of its output."""
    return f"{_folder(year, tile)}/{product}.json"


def data_key(year: int, tile: Tile, *, name: str, sha256: str, suffix: str) -> str:
    """A data object, named by the first eight hex digits of its content's SHA-256."""
    return f"{_folder(year, tile)}/{name}_{sha256[:8]}.{suffix}"


def legacy_key(year: int, tile: Tile, *, kind: str) -> str:
    """A hickle file of the legacy layout; ``kind`` such as ``misc/dem_`` or ``s2_10/``."""
    return f"{year}/raw/{tile.x}/{tile.y}/raw/{kind}{tile.key}.hkl"


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


def _folder(year: int, tile: Tile) -> str:
    return f"{year}/ard/{tile.x}/{tile.y}"
