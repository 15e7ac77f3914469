"""Elevation and slope of a tile, from the Copernicus DEM GLO-30."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from ard.errors import AssetCorrupt
from ard.geodesy import metres_per_degree
from ard.grid import Bounds, Grid
from ard.ports import Catalog, Reader
from ard.product import SPECS, Band, Layer, Product, TileData
from ard.scene import Scene
from ard.task import TileTask
from loaders.lattice import FloatArray, Lattice, bilinear, extend, merge, mosaic, nearest

GLO30 = "cop-dem-glo-30"
GLO90 = "cop-dem-glo-90"
ASSET = "data"

HALO = 4  # pixels of the 10 m grid around the tile, so that its border has true neighbours
SEARCH_MARGIN_DEGREES = 0.003  # a few samples, so that a cell that only the interpolation needs is found
SEAM_SAMPLES = 4  # what the halo at a cell's edge needs of a neighbour that may not exist
MOST_CELLS = 4  # that meet in a tile
READ_MARGIN = 2  # samples around the box, for interpolation at its edge
FLAT_BELOW_DEGREES = 0.02  # the training data have no slope strictly between 0 and this
LEGACY_PIXEL_METRES = 10.0

BANDS = (
    Band(name="elevation", unit="m", description="Height above the EGM2008 geoid, water flattened"),
    Band(name="slope", unit="deg", description="Steepest slope, degrees from horizontal"),
)

Compat = Literal["legacy"]


@dataclass(frozen=True, slots=True)
class _Terrain:
    """Elevations without holes around a tile, and where they come from."""

    lattice: Lattice
    origin: Lattice  # of the same window: which of the sources below a sample is from
    scenes: tuple[Scene, ...]


_FROM_GLO30, _FROM_GLO90, _FROM_SEAM, _FROM_OCEAN = range(4)


def load_dem(task: TileTask, catalog: Catalog, reader: Reader, *, compat: Compat | None = None) -> TileData:
    """Elevation and slope of one tile on its 10 m grid.

    Cells of GLO-30 are pasted together on their own lattice and interpolated once, bilinearly. Where GLO-30 has no
    cell, GLO-90 fills in; where neither has one there is only sea, 0 m.

    Args:
        task: Names the tile.
        catalog: Has the collections ``cop-dem-glo-30`` and ``cop-dem-glo-90``.
        reader: Reads the cells' asset ``data``.
        compat: ``"legacy"`` makes the slope as the model's training data had it: nearest sample instead of
            interpolation, and 10 m between pixels at every latitude.

    Returns:
        Layer ``dem``, ``(band, y, x)`` float32: elevation in metres above EGM2008, slope in degrees from horizontal
        (0 to 90, nothing strictly between 0 and 0.02). No nodata. Flags ``all_ocean`` and ``filled_glo90``.

    Raises:
        Unavailable: The catalogue or a cell cannot be reached.
        AssetCorrupt: A cell is missing though listed, cannot be decoded or is off the lattice.
    """
    grid = task.tile.grid(10)
    halo = grid.grown(HALO)
    terrain = _load_terrain(halo.bounds, catalog, reader)
    sample = nearest if compat else bilinear
    elevation = sample(terrain.lattice, halo.lon(), halo.lat())
    slope = slope_degrees(elevation, halo, pixel_metres=LEGACY_PIXEL_METRES if compat else None)
    pixels = np.stack([_crop(elevation, HALO), _crop(slope, HALO)])
    origin = nearest(terrain.origin, grid.lon(), grid.lat())
    return TileData(
        product=Product.DEM,
        tile=task.tile,
        year=task.year,
        layers=(Layer(name="dem", spec=SPECS[Product.DEM]["dem"], bands=BANDS, pixels=pixels),),
        metrics=_metrics(pixels, origin, terrain.scenes),
        flags=_flags(origin, terrain.scenes),
        sources=terrain.scenes,
        parameters={"upsampling": sample.__name__, "pixel_metres": "legacy-10" if compat else "wgs84", "halo": HALO},
        start=datetime(task.year, 1, 1, tzinfo=UTC),
        end=datetime(task.year, 12, 31, 23, 59, 59, tzinfo=UTC),
    )


def slope_degrees(elevation: FloatArray, grid: Grid, *, pixel_metres: float | None = None) -> FloatArray:
    """Slope by plain central differences, from each pixel's four neighbours (not Horn's eight).

    ``arctan(hypot((z[x-1] - z[x+1]) / 2dx, (z[y-1] - z[y+1]) / 2dy))``, the formula behind the model's training data;
    distances are true on WGS84, per row. Values strictly between 0 and 0.02 degrees become 0.02.

    Args:
        elevation: ``(y, x)`` metres on ``grid``.
        grid: Gives each row's distances.
        pixel_metres: When given, the constant distance between pixels in both directions.

    Returns:
        ``(y, x)`` float32 degrees in 0..90; the outermost pixels, which lack a neighbour, repeat the ones inside.
    """
    if pixel_metres is None:
        per_lon, per_lat = metres_per_degree(grid.lat())
        dx, dy = per_lon * grid.lon_step, per_lat * grid.lat_step
    else:
        dx = dy = np.full(grid.height, pixel_metres)
    z = elevation.astype(np.float64)
    gx = (z[1:-1, 2:] - z[1:-1, :-2]) / (2 * dx[1:-1, np.newaxis])
    gy = (z[2:, 1:-1] - z[:-2, 1:-1]) / (2 * dy[1:-1, np.newaxis])
    slope = np.degrees(np.arctan(np.hypot(gx, gy)))
    slope[(slope > 0) & (slope < FLAT_BELOW_DEGREES)] = FLAT_BELOW_DEGREES
    return np.pad(slope.astype(np.float32), 1, mode="edge")


def _load_terrain(bounds: Bounds, catalog: Catalog, reader: Reader) -> _Terrain:
    """Elevations around the box, every hole filled: GLO-30, then GLO-90, the seam's nearest sample, and the sea."""
    scenes, lattices = _read(GLO30, bounds, catalog, reader)
    holes_remain = not lattices or np.isnan(extend(merge(lattices).values, SEAM_SAMPLES)).any()
    fill_scenes, fill = _read(GLO90, bounds, catalog, reader) if holes_remain else ((), [])
    if not lattices and not fill:
        sea = Lattice.empty(bounds, lon_rate=3600, lat_rate=3600)
        zeros = np.zeros_like(sea.values)
        return _Terrain(sea.with_values(zeros), sea.with_values(zeros + _FROM_OCEAN), ())
    fine = merge(lattices) if lattices else _as_fine_as_glo30(fill, bounds)
    whole = merge([fine, *fill])
    reached = extend(whole.values, SEAM_SAMPLES)
    origin = np.select(
        [~np.isnan(fine.values), ~np.isnan(whole.values), ~np.isnan(reached)],
        [_FROM_GLO30, _FROM_GLO90, _FROM_SEAM],
        default=_FROM_OCEAN,
    ).astype(np.float32)
    values = np.where(np.isnan(reached), np.float32(0), reached)
    return _Terrain(whole.with_values(values), whole.with_values(origin), (*scenes, *fill_scenes))


def _as_fine_as_glo30(fill: Sequence[Lattice], bounds: Bounds) -> Lattice:
    """An empty GLO-30 window for a place that only GLO-90 covers."""
    return Lattice.empty(bounds, lon_rate=3 * fill[0].lon_rate, lat_rate=3 * fill[0].lat_rate)


def _read(collection: str, bounds: Bounds, catalog: Catalog, reader: Reader) -> tuple[tuple[Scene, ...], list[Lattice]]:
    """The scenes of a collection around the box that gave samples, and those samples."""
    found = catalog.search(collection, bounds.buffered(SEARCH_MARGIN_DEGREES))
    with ThreadPoolExecutor(MOST_CELLS) as pool:
        rasters = pool.map(lambda scene: reader.window(_href(scene), bounds, margin=READ_MARGIN), found)
        useful = [(scene, raster) for scene, raster in zip(found, rasters, strict=True) if raster.pixels.size]
    return tuple(scene for scene, _ in useful), mosaic((raster for _, raster in useful), bounds)


def _href(scene: Scene) -> str:
    try:
        return scene.assets[ASSET]
    except KeyError as error:
        raise AssetCorrupt(f"{scene.id}: expected an asset {ASSET!r}, found {sorted(scene.assets)}") from error


def _crop(array: NDArray[np.float32], pixels: int) -> NDArray[np.float32]:
    return array[pixels:-pixels, pixels:-pixels]


def _metrics(pixels: FloatArray, origin: FloatArray, scenes: Sequence[Scene]) -> Mapping[str, JsonValue]:
    elevation, slope = pixels
    p50, p95 = np.percentile(slope, [50, 95])
    return {
        "elevation_min": _rounded(elevation.min()),
        "elevation_max": _rounded(elevation.max()),
        "slope_p50": _rounded(p50),
        "slope_p95": _rounded(p95),
        "slope_max": _rounded(slope.max()),
        "filled_glo90_fraction": _rounded((origin == _FROM_GLO90).mean()),
        "filled_seam_fraction": _rounded((origin == _FROM_SEAM).mean()),
        "filled_ocean_fraction": _rounded((origin == _FROM_OCEAN).mean()),
        "source_items": len(scenes),
    }


def _flags(origin: FloatArray, scenes: Sequence[Scene]) -> frozenset[str]:
    flags = set()
    if not scenes:
        flags.add("all_ocean")
    if (origin == _FROM_GLO90).any():
        flags.add("filled_glo90")
    return frozenset(flags)


def _rounded(value: float) -> float:
    return round(float(value), 4)
