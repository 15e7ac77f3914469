"""Makes the sandbox's Sentinel-1 archive: slices like the Planetary Computer's ``sentinel-1-rtc``, and their items.

What is in it stands in ``sandbox.s1_plan``, case by case; what is true of it says ``backscatter``.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import astuple, replace
from pathlib import Path

from ard.tile import Tile
from sandbox.made import box_round, in_processes, middle_tile
from sandbox.s1_backscatter import backscatter
from sandbox.s1_frames import cuts_of, lattice_over
from sandbox.s1_items import COLLECTION, collection, item, item_path
from sandbox.s1_plan import OVERPASSES
from sandbox.s1_products import Product, write_product
from sandbox.scenes import json_text, write_text

__all__ = ["backscatter", "write_s1_scenes"]

# Raise it whenever other bytes come out, so that folders made before are made anew.
GENERATOR_VERSION = 1


def write_s1_scenes(folder: Path, tiles: Sequence[Tile], *, year: int, base_href: str | None = None) -> Path:
    """Write the passes of ``sandbox.s1_plan`` over some tiles and return the file that lists their items.

    Each holds the ground within 0.02 degrees of the box round the tiles, as far as its swath and its slice reach. The
    same arguments give the same bytes. A second call finds the pixels made, whatever the addresses begin with, and
    writes only the items anew. Other processes help.

    Args:
        folder: Where the files go: ``sentinel-1-rtc/{year}/{month}/{day}/IW/DV/{id}/iw-vv.rtc.tif`` and so on, the
            items as ``sentinel-1-rtc/items/{id}.json``, ``sentinel-1-rtc/collection.json``, and the returned
            ``items.json``.
        tiles: What must be covered: within one degree.
        year: The archive's year.
        base_href: What the addresses of assets and items begin with; the absolute folder unless given.

    Returns:
        The path of a GeoJSON feature collection of STAC items, by date.

    Raises:
        InvalidInput: There are no tiles, or they lie too far apart.
    """
    box, tile = box_round(tiles), middle_tile(tiles)
    folder = folder.resolve()
    products = [Product(folder, overpass, year, box, tile) for overpass in OVERPASSES]
    marker = folder / "made.json"
    made = json_text({"generator": GENERATOR_VERSION, "parameters": _digest(products)})
    if not (marker.is_file() and marker.read_text() == made):
        marker.unlink(missing_ok=True)
        # Zones together, so that a process seldom makes the landscape of both.
        in_processes(write_product, sorted(products, key=lambda product: not product.overpass.other_zone))
        write_text(marker, made)
    return _write_items(folder, products, base=(base_href or folder.as_posix()).rstrip("/"))


def _write_items(folder: Path, products: Sequence[Product], *, base: str) -> Path:
    features = []
    for path, feature in _items(products, base=base):
        write_text(folder / path, json_text(feature))
        features.append(feature)
    write_text(folder / COLLECTION / "collection.json", json_text(collection(base=base)))
    items_path = folder / "items.json"
    write_text(items_path, json_text({"type": "FeatureCollection", "features": features}))
    return items_path


def _items(products: Sequence[Product], *, base: str) -> Iterator[tuple[str, dict[str, object]]]:
    """Every slice's item and where it lies."""
    for product in products:
        overpass, year = product.overpass, product.year
        frame = lattice_over(product.box, other_zone=overpass.other_zone).frame(overpass.absolute_orbit(year))
        for number in range(overpass.slices):
            ring = frame.footprint(cuts_of(overpass, product.tile, number=number))
            feature = item(overpass, year=year, number=number, base=base, frame=frame, ring=ring)
            yield item_path(overpass, year, number=number), feature


def _digest(products: Sequence[Product]) -> str:
    values = [repr(astuple(replace(product, folder=Path()))) for product in products]
    return hashlib.sha256(json_text(values).encode()).hexdigest()
