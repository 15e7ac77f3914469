"""Makes the sandbox's Sentinel-2 archive: products like Earth Search's, and their STAC items.

What is in it stands in ``sandbox.s2_plan``, case by case; what is true of it say ``reflectance`` and ``is_cloud``.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import astuple, replace
from pathlib import Path

from ard.errors import InvalidInput
from ard.grid import Bounds
from ard.tile import Tile
from sandbox.cuts import Cut
from sandbox.made import WIDEST_DEGREES, box_round, in_processes, middle_tile
from sandbox.s2_granules import Granule, granules_over, neighbours, zone_of
from sandbox.s2_items import collection
from sandbox.s2_plan import BORDER_SHOTS, C1, L2A, Keeps, Shot, shot_of, shots_of
from sandbox.s2_products import Product, write_product
from sandbox.s2_sky import is_cloud
from sandbox.s2_surface import reflectance
from sandbox.scenes import json_text, write_text

__all__ = ["is_cloud", "reflectance", "write_s2_scenes", "write_zone_border_scenes"]

# Raise it whenever other bytes come out, so that folders made before are made anew.
GENERATOR_VERSION = 1

_SCREENED_DEGREES = 150 / 360  # from a tile's centre: what the screening of clouds looks at
_SWATH_SLOPE, _STRIP_SLOPE = 0.19, 0.17  # of the satellite's track, against north and against east


def write_s2_scenes(folder: Path, tiles: Sequence[Tile], *, year: int, base_href: str | None = None) -> Path:
    """Write the products of ``sandbox.s2_plan`` round some tiles and return the file that lists their items.

    The bands hold the ground within 0.02 degrees of the box round the tiles, and nodata elsewhere; the scene classes
    hold all of a square, exact near the tiles and in blocks of 320 m elsewhere. The same arguments give the same
    bytes, and a second call finds them made. Other processes help.

    Args:
        folder: Where the files go: ``{collection}/{zone}/{band}/{square}/{year}/{month}/{id}/B02.tif`` and so on, the
            item beside them, ``{collection}/collection.json``, and the returned ``items.json``.
        tiles: What must be covered: within one degree, on one side of the equator.
        year: The archive's year; some scenes lie in the months before and after it.
        base_href: What the addresses of assets and items begin with; the absolute folder unless given.

    Returns:
        The path of a GeoJSON feature collection of STAC items, by date.

    Raises:
        InvalidInput: There are no tiles, or they lie too far apart.
    """
    box = box_round(tiles)
    granules = granules_over(box, zone=zone_of((box.west + box.east) / 2))
    screened = box.buffered(_SCREENED_DEGREES - (tiles[0].grid(10).bounds.east - tiles[0].lon))
    around = neighbours(granules, screened)
    middle = middle_tile(tiles)
    places = [(shot, (*granules, *around) if shot.neighbours else granules) for shot in shots_of(year)]
    return _write(
        folder,
        [(shot, granule, _cut(shot.keeps, middle)) for shot, squares in places for granule in squares],
        box=box,
        year=year,
        base_href=base_href,
    )


def write_zone_border_scenes(folder: Path, tile: Tile, *, year: int, base_href: str | None = None) -> Path:
    """Write the squares on both sides of the UTM zone line nearest to a tile, of the same ground and datatakes.

    On the day ``both_whole`` both hold all that they can; on ``both_halves`` each ends at the zone line.

    Args:
        folder: As of ``write_s2_scenes``.
        tile: Lies within a degree of a zone line.
        year: The archive's.
        base_href: As of ``write_s2_scenes``.

    Returns:
        The path of the file that lists the items.

    Raises:
        InvalidInput: The tile is further than a degree from a zone line.
    """
    line = round(tile.lon / 6) * 6
    if abs(tile.lon - line) > WIDEST_DEGREES:
        raise InvalidInput(f"expected a tile within a degree of a UTM zone line, found {tile}")
    box = box_round([tile])
    products: list[tuple[Shot, Granule, Cut | None]] = []
    for shot in BORDER_SHOTS:
        halved = shot == shot_of("both_halves")
        for sign, zone in ((-1, zone_of(line - 1)), (1, zone_of(line))):
            cut = Cut(sign, 0.0, sign * line) if halved else None
            products += [(shot, granule, cut) for granule in granules_over(box, zone=zone)]
    return _write(folder, products, box=box, year=year, base_href=base_href)


def _cut(keeps: Keeps, tile: Tile) -> Cut | None:
    """The line through the middle of a tile beyond which a product is empty; along or across the track."""
    directions = {
        Keeps.EAST: (1.0, _SWATH_SLOPE),
        Keeps.NORTH: (_STRIP_SLOPE, 1.0),
        Keeps.SOUTH: (-_STRIP_SLOPE, -1.0),
    }
    if keeps not in directions:
        return None
    east, north = directions[keeps]
    return Cut(east, north, east * tile.lon + north * tile.lat)


def _write(
    folder: Path,
    products: Iterable[tuple[Shot, Granule, Cut | None]],
    *,
    box: Bounds,
    year: int,
    base_href: str | None,
) -> Path:
    folder = folder.resolve()
    base = (base_href or folder.as_posix()).rstrip("/")
    jobs = [Product(folder, base, shot, granule, year, box, cut) for shot, granule, cut in products]
    items_path, marker = folder / "items.json", folder / "made.json"
    made = json_text({"generator": GENERATOR_VERSION, "parameters": _digest(jobs)})
    if marker.is_file() and items_path.is_file() and marker.read_text() == made:
        return items_path
    marker.unlink(missing_ok=True)
    # Squares together, so that a process seldom makes the ground of more than one.
    order = sorted(range(len(jobs)), key=lambda index: (jobs[index].granule, index))
    items = dict(zip(order, in_processes(write_product, [jobs[index] for index in order]), strict=True))
    for name in (L2A, C1):
        write_text(folder / name / "collection.json", json_text(collection(name, base=base)))
    features = [items[index] for index in range(len(jobs))]
    write_text(items_path, json_text({"type": "FeatureCollection", "features": features}))
    write_text(marker, made)
    return items_path


def _digest(jobs: Sequence[Product]) -> str:
    values = [repr(astuple(replace(job, folder=Path()))) for job in jobs]
    return hashlib.sha256(json_text(values).encode()).hexdigest()
