"""How cloudy a pass is, from its scene classification at 640 m over 93 km and at 20 m over the tile."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ard.grid import Bounds, Grid
from ard.ports import Reader
from ard.scene import Raster
from ard.tile import PIXELS_PER_TILE, TILE_DEGREES, Tile
from loaders.gather import Gather
from loaders.s2_items import Granule

SCL_ASSET = "scl"
# Scene classification of Sen2Cor (Sentinel-2 level 2A product definition).
SCL_NODATA, SCL_DEFECTIVE, SCL_SHADOW, SCL_SNOW, SCL_HIGHEST = 0, 1, 3, 11, 11
SCL_CLOUDS = (8, 9, 10)  # medium and high probability, thin cirrus

CLOUD_BOX_TILES = 15  # the box around the tile in which a date's cloudiness is judged, in tile sides
CLOUD_PIXEL_METRES = 640.0
LOCAL_CELLS = 30  # the central cells that count as local: 19 km
TRUSTED_OVERVIEWS = {"NEAREST", "MODE"}

Classes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudView:
    """A pass at 640 m: ``classes (y, x)`` uint8 of the cloud grid, and where the classes were read from."""

    classes: Classes
    sources: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Shares of an area, 0..1: without data (of all); clouded, shadowed, snowed on (of what has data)."""

    nodata: float
    cloud: float
    shadow: float
    snow: float


def cloud_grid(tile: Tile) -> Grid:
    """The grid of about 640 m on which dates are screened: 145 rows over 0.8333 degrees, centred on the tile."""
    cells = PIXELS_PER_TILE * CLOUD_BOX_TILES * 10 / CLOUD_PIXEL_METRES
    height, width = round(cells), max(1, round(cells * math.cos(math.radians(tile.lat))))
    side = TILE_DEGREES * CLOUD_BOX_TILES
    return Grid(
        west=tile.lon - side / 2,
        north=tile.lat + side / 2,
        lon_step=side / width,
        lat_step=side / height,
        height=height,
        width=width,
    )


def view_clouds(granules: Sequence[Granule], grid: Grid, gather: Gather, reader: Reader) -> CloudView:
    """The mosaic of a pass's classes on the cloud grid, first valid granule first.

    Raises:
        AssetCorrupt: A classification is missing or unreadable.
        Unavailable: One cannot be reached.
    """
    rasters = [_coarse_classes(granule.href(SCL_ASSET), grid.bounds, reader) for granule in granules]
    classes = first_valid(gather.nearest(raster) for raster in rasters)
    return CloudView(classes=classes, sources=frozenset(raster.overview or "full" for raster in rasters))


def first_valid(layers: Iterable[Classes]) -> Classes:
    """The first layer's class that is not nodata, ``(y, x)``."""
    mosaic: Classes | None = None
    for layer in layers:
        mosaic = layer if mosaic is None else np.where(mosaic == SCL_NODATA, layer, mosaic)
    if mosaic is None:
        raise ValueError("a mosaic needs a layer")
    return mosaic


def shares(classes: Classes) -> Shares:
    """What an area of classes is covered with. Nodata and defective pixels count neither as cloud nor as clear."""
    valid = has_data(classes)
    seen = max(int(valid.sum()), 1)
    return Shares(
        nodata=1 - float(valid.mean()),
        cloud=float(is_cloud(classes).sum()) / seen,
        shadow=float((classes == SCL_SHADOW).sum()) / seen,
        snow=float((classes == SCL_SNOW).sum()) / seen,
    )


def has_data(classes: Classes) -> NDArray[np.bool_]:
    """True where the satellite saw something, ``(y, x)``."""
    return np.asarray((classes != SCL_NODATA) & (classes != SCL_DEFECTIVE), dtype=np.bool_)


def is_cloud(classes: Classes) -> NDArray[np.bool_]:
    """True under cloud or cirrus, ``(y, x)``; shadow is not cloud."""
    return np.isin(classes, SCL_CLOUDS)


def centre(classes: Classes, cells: int) -> Classes:
    """The central square of so many cells a side (or all there are)."""
    height, width = classes.shape
    top, left = max((height - cells) // 2, 0), max((width - cells) // 2, 0)
    return classes[top : top + min(cells, height), left : left + min(cells, width)]


def within_tile(classes: Classes) -> Classes:
    """The cells of the cloud grid that the tile itself covers."""
    rows, columns = (max(1, round(size / CLOUD_BOX_TILES)) for size in classes.shape)
    top, left = (classes.shape[0] - rows) // 2, (classes.shape[1] - columns) // 2
    return classes[top : top + rows, left : left + columns]


def _coarse_classes(href: str, bounds: Bounds, reader: Reader) -> Raster:
    """Classes from an overview if its pixels are classes, else decimated from full resolution.

    Averaged overviews hold numbers between classes, which mean nothing; where nobody noted how they were made, a value
    beyond the classes gives them away.
    """
    raster = reader.window(href, bounds, pixel_size=CLOUD_PIXEL_METRES)
    if raster.overview is None or raster.overview in TRUSTED_OVERVIEWS:
        return raster
    if raster.overview == "UNKNOWN" and (raster.pixels.size == 0 or raster.pixels.max() <= SCL_HIGHEST):
        return raster
    return reader.window(href, bounds, pixel_size=CLOUD_PIXEL_METRES, overviews=False)
