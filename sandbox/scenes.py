"""Makes the scenes of the sandbox's elevation catalogue: cells like Copernicus DEM GLO-30 and GLO-90, and STAC items.

Layout of the cells: Copernicus DEM Product Handbook, version 5.0 (2024), as kept in ``s3://copernicus-dem-30m``.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import product
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from affine import Affine
from numpy.typing import NDArray

from ard.errors import InvalidInput
from ard.grid import CRS, Bounds
from ard.tile import Tile
from sandbox.terrain import elevation

GLO_30 = "cop-dem-glo-30"
GLO_90 = "cop-dem-glo-90"

# Raise it whenever other bytes come out, so that folders made before are made anew.
GENERATOR_VERSION = 1
FILLED_BEYOND_TILES_DEGREES = 0.02

_COARSER_FROM_LAT, _NO_CELLS_FROM_LAT = 50, 60
_BLOCK = 1024
_COARSEST_OVERVIEW = 512  # rows at most
_ACQUIRED_AT = "2021-04-22T00:00:00Z"  # of every item of both collections on Earth Search


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One degree by one degree; its pixel centres have ``west <= lon < west + 1``, ``south < lat <= south + 1``."""

    south: int
    west: int


# Land that only the coarse model shows, as Armenia and Azerbaijan long were.
CELLS_WITHOUT_GLO_30 = frozenset({Cell(south=-6, west=-54)})


@dataclass(frozen=True, slots=True)
class _Model:
    collection: str
    code: str
    metres: int
    pixels_per_degree: int


_FINE = _Model(GLO_30, "10", 30, 3600)
_COARSE = _Model(GLO_90, "30", 90, 1200)


@dataclass(frozen=True, slots=True)
class _Raster:
    """The pixel lattice of a cell in one of the models: pixel centres lie on fractions of whole degrees."""

    cell: Cell
    height: int
    width: int

    @property
    def transform(self) -> Affine:
        lon_step, lat_step = 1 / self.width, 1 / self.height
        west, north = self.cell.west - lon_step / 2, self.cell.south + 1 + lat_step / 2
        return Affine(lon_step, 0.0, west, 0.0, -lat_step, north)

    @property
    def bounds(self) -> Bounds:
        west, north = self.transform.c, self.transform.f
        return Bounds(west, north - 1, west + 1, north)

    def lon(self) -> NDArray[np.float64]:
        """Pixel centres, ``(x,)`` degrees, the same numbers as a neighbour of equal width would continue."""
        return np.asarray((self.cell.west * self.width + np.arange(self.width)) / self.width)

    def lat(self) -> NDArray[np.float64]:
        """Pixel centres, ``(y,)`` degrees, from north to south."""
        return np.asarray(((self.cell.south + 1) * self.height - np.arange(self.height)) / self.height)


def write_dem_scenes(folder: Path, tiles: Sequence[Tile], *, base_href: str | None = None) -> Path:
    """Write the elevation cells round some tiles and return the file that lists their items.

    Heights stand within 0.02 degrees of the box round a cell's share of the tiles, and 0 elsewhere. A cell without
    land there is not written, as no ocean cell is in the real archive; the cells of ``CELLS_WITHOUT_GLO_30`` are
    written as GLO-90 only. The same arguments give the same bytes, and a second call finds them made.

    Args:
        folder: Where the files go: ``{collection}/{id}.tif`` and ``.json``, ``{collection}/collection.json``, and the
            returned ``items.json``.
        tiles: What must be covered; south of 60 degrees north and north of 60 degrees south.
        base_href: What the addresses of assets and items begin with; the absolute folder unless given.

    Returns:
        The path of a GeoJSON feature collection of STAC items, ordered by cell from south-west to north-east.

    Raises:
        InvalidInput: There are no tiles, or one lies beyond 60 degrees.
    """
    windows = _windows(tiles)
    folder = folder.resolve()
    base = (base_href or folder.as_posix()).rstrip("/")
    items_path, marker = folder / "items.json", folder / "made.json"
    made = json_text({"generator": GENERATOR_VERSION, "parameters": _digest(tiles, base)})
    if marker.is_file() and items_path.is_file() and marker.read_text() == made:
        return items_path
    marker.unlink(missing_ok=True)
    items = [item for cell, window in sorted(windows.items()) for item in _write_cell(folder, base, cell, window)]
    for model in (_FINE, _COARSE):
        write_text(folder / model.collection / "collection.json", json_text(_collection(model, base)))
    write_text(items_path, json_text({"type": "FeatureCollection", "features": items}))
    write_text(marker, made)
    return items_path


def _windows(tiles: Sequence[Tile]) -> dict[Cell, Bounds]:
    """The box to fill in every cell that a tile's surroundings touch."""
    if not tiles:
        raise InvalidInput("expected tiles to make elevation for, found none")
    windows: dict[Cell, Bounds] = {}
    for tile in tiles:
        box = tile.grid(10).bounds.buffered(FILLED_BEYOND_TILES_DEGREES)
        if max(abs(box.south), abs(box.north)) >= _NO_CELLS_FROM_LAT:
            raise InvalidInput(f"expected tiles within {_NO_CELLS_FROM_LAT} degrees of the equator, found {tile}")
        souths = range(math.ceil(box.south) - 1, math.ceil(box.north))
        wests = range(math.floor(box.west), min(math.floor(box.east), 179) + 1)
        for cell in (Cell(south, west) for south, west in product(souths, wests)):
            windows[cell] = _union(windows.get(cell, box), box)
    return windows


def _union(one: Bounds, other: Bounds) -> Bounds:
    return Bounds(
        min(one.west, other.west), min(one.south, other.south), max(one.east, other.east), max(one.north, other.north)
    )


def _write_cell(folder: Path, base: str, cell: Cell, window: Bounds) -> list[dict[str, object]]:
    """Write a cell and its item; the item, or nothing for a cell of sea."""
    model = _COARSE if cell in CELLS_WITHOUT_GLO_30 else _FINE
    nearest_equator = max(cell.south, -(cell.south + 1))
    width = model.pixels_per_degree * 2 // 3 if nearest_equator >= _COARSER_FROM_LAT else model.pixels_per_degree
    raster = _Raster(cell, height=model.pixels_per_degree, width=width)
    pixels = _pixels(raster, window)
    if not pixels.any():
        return []
    item = _item(model, raster, base)
    path = folder / model.collection / f"{item['id']}.tif"
    path.parent.mkdir(parents=True, exist_ok=True)
    _write_cog(path, pixels, raster.transform)
    write_text(path.with_suffix(".json"), json_text(item))
    return [item]


def _pixels(raster: _Raster, window: Bounds) -> NDArray[np.float32]:
    """Heights in the window and 0 elsewhere, ``(y, x)`` float32 metres."""
    pixels = np.zeros((raster.height, raster.width), np.float32)
    north_row = (raster.cell.south + 1) * raster.height
    west_column = raster.cell.west * raster.width
    rows = slice(
        max(0, north_row - round(window.north * raster.height)), max(0, north_row - round(window.south * raster.height))
    )
    columns = slice(
        max(0, round(window.west * raster.width) - west_column), max(0, round(window.east * raster.width) - west_column)
    )
    pixels[rows, columns] = elevation(raster.lon()[None, columns], raster.lat()[rows, None])
    return pixels


def _write_cog(path: Path, pixels: NDArray[np.float32], transform: Affine) -> None:
    height, width = pixels.shape
    partial = path.with_suffix(".partial")
    with rasterio.open(
        path.stem, "w", driver="MEM", height=height, width=width, count=1, dtype="float32", crs=CRS, transform=transform
    ) as memory:
        memory.write(pixels, 1)
        memory.update_tags(AREA_OR_POINT="Point")
        rasterio.shutil.copy(
            memory,
            partial,
            driver="COG",
            COMPRESS="DEFLATE",
            PREDICTOR="FLOATING_POINT",
            BLOCKSIZE=_BLOCK,
            OVERVIEW_COUNT=math.ceil(math.log2(height / _COARSEST_OVERVIEW)),
            OVERVIEW_RESAMPLING="AVERAGE",
        )
    partial.replace(path)


def _item(model: _Model, raster: _Raster, base: str) -> dict[str, object]:
    """A STAC item shaped as Earth Search's items of the Copernicus DEM are."""
    cell, bounds = raster.cell, raster.bounds
    north_south = f"{'S' if cell.south < 0 else 'N'}{abs(cell.south):02d}"
    east_west = f"{'W' if cell.west < 0 else 'E'}{abs(cell.west):03d}"
    name = f"Copernicus_DSM_COG_{model.code}_{north_south}_00_{east_west}_00_DEM"
    href = f"{base}/{model.collection}/{name}"
    west, south, east, north = bounds
    ring = [[east, south], [east, north], [west, north], [west, south], [east, south]]
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            "https://stac-extensions.github.io/processing/v1.1.0/schema.json",
            "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
            "https://stac-extensions.github.io/grid/v1.1.0/schema.json",
            "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
        ],
        "id": name,
        "collection": model.collection,
        "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": list(bounds),
        "properties": {
            "datetime": _ACQUIRED_AT,
            "platform": "tandem-x",
            "gsd": model.metres,
            "proj:epsg": 4326,
            "proj:transform": list(raster.transform)[:6],
            "proj:shape": [raster.height, raster.width],
            "proj:centroid": {"lat": cell.south + 0.5, "lon": cell.west + 0.5},
            "grid:code": f"CDEM-{north_south}{east_west}",
            "processing:software": {"ttc-tile-pipeline-sandbox": str(GENERATOR_VERSION)},
        },
        "links": [
            {"rel": "self", "type": "application/geo+json", "href": f"{href}.json"},
            {"rel": "collection", "type": "application/json", "href": f"{base}/{model.collection}/collection.json"},
        ],
        "assets": {
            "data": {
                "href": f"{href}.tif",
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "title": "Data",
                "raster:bands": [
                    {
                        "sampling": "point",
                        "data_type": "float32",
                        "spatial_resolution": model.metres,
                        "unit": "meter",
                    }
                ],
                "roles": ["data"],
            }
        },
    }


def _collection(model: _Model, base: str) -> dict[str, object]:
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": model.collection,
        "description": f"A made-up landscape on the pixels of Copernicus DEM GLO-{model.metres}.",
        "license": "Apache-2.0",
        "extent": {
            "spatial": {"bbox": [[-180, -_NO_CELLS_FROM_LAT, 180, _NO_CELLS_FROM_LAT]]},
            "temporal": {"interval": [[_ACQUIRED_AT, _ACQUIRED_AT]]},
        },
        "links": [
            {"rel": "self", "type": "application/json", "href": f"{base}/{model.collection}/collection.json"},
        ],
    }


def _digest(tiles: Sequence[Tile], base: str) -> str:
    return hashlib.sha256(json_text({"base": base, "tiles": sorted(map(astuple, tiles))}).encode()).hexdigest()


def json_text(value: object) -> str:
    """A value as the JSON text of a file."""
    return json.dumps(value, indent=1) + "\n"


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(text)
    partial.replace(path)
