"""The same windows through other libraries: what a worker would do that used them instead of a reader of its own.

They are told which items to load, as our loader chose them, and load the same bands on the same grids with as many
reads in flight, by the same GDAL options. Choosing, masking and compositing is left out: only ours does it.
"""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import odc.stac
import pystac
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from ard.adapters.gdal import read_options
from ard.grid import Grid
from ard.product import Product
from ard.settings import AwsSettings
from benchmarks.bench_data import Items, task
from loaders.dem import HALO
from loaders.s2_pixels import BANDS_10M, BANDS_20M
from loaders.s2_screen import SCL_ASSET, cloud_grid

READS_AT_ONCE = 16  # with more GDAL is slower
Arrays = list[NDArray[Any]]


def loading(method: str, product: Product, items: Items, plan: Path) -> Callable[[], Arrays]:
    """What a rival does for a product: ``odc`` is ``odc.stac.load`` with a pool, ``stackstac`` has dask threads."""
    told = json.loads(plan.read_text())
    parts = _parts(product, items, sources=set(told["sources"]), screened=_screened(told["reads"], items))
    load = _odc if method == "odc" else _stackstac
    options: dict[str, Any] = read_options(AwsSettings(endpoint_url=None))
    odc.stac.configure_rio(cloud_defaults=True, **options)
    return lambda: [array for part in parts for array in load(*part)]


Part = tuple[list[pystac.Item], tuple[str, ...], Grid]


def _parts(product: Product, items: Items, *, sources: set[str], screened: set[str]) -> list[Part]:
    """Which bands of which items on which grid."""
    tile = task(product).tile
    chosen = _parsed(items, sources)
    if product is Product.DEM:
        return [(chosen, ("data",), tile.grid(10).grown(HALO))]
    if product is Product.S1:
        return [(chosen, ("vv", "vh"), tile.grid(10))]
    return [
        (_parsed(items, screened), (SCL_ASSET,), cloud_grid(tile)),
        (chosen, BANDS_10M, tile.grid(10)),
        (chosen, (*BANDS_20M, SCL_ASSET), tile.grid(20)),
    ]


def _parsed(items: Items, names: set[str]) -> list[pystac.Item]:
    return [pystac.Item.from_dict(feature) for feature in items.features if feature["id"] in names]


def _screened(reads: Sequence[dict[str, Any]], items: Items) -> set[str]:
    """The items that were looked at coarsely."""
    looked_at = {read["href"] for read in reads if read["pixel_size"]}
    return {scene.id for scene in items.scenes if looked_at & {urlsplit(href).path for href in scene.assets.values()}}


def _odc(items: list[pystac.Item], bands: tuple[str, ...], grid: Grid) -> Arrays:
    transform = Affine(grid.lon_step, 0, grid.west, 0, -grid.lat_step, grid.north)
    geobox = GeoBox(grid.shape, transform, "EPSG:4326")
    resampling = "bilinear" if bands == ("data",) else "nearest"
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        found = odc.stac.load(items, bands=bands, geobox=geobox, groupby="solar_day", resampling=resampling, pool=pool)
    return [np.asarray(found[band].values) for band in bands]


def _stackstac(items: list[pystac.Item], bands: tuple[str, ...], grid: Grid) -> Arrays:
    import dask  # noqa: PLC0415
    import stackstac  # noqa: PLC0415
    from rasterio.enums import Resampling  # noqa: PLC0415

    stack = stackstac.stack(
        items,
        assets=list(bands),
        epsg=4326,
        bounds=tuple(grid.bounds),
        resolution=(grid.lon_step, grid.lat_step),
        snap_bounds=False,
        resampling=Resampling.bilinear if bands == ("data",) else Resampling.nearest,
        dtype="float64",
        rescale=False,
        fill_value=np.nan,
    )
    with dask.config.set(scheduler="threads", num_workers=READS_AT_ONCE):
        return [stackstac.mosaic(day, axis=0).compute().values for _, day in stack.groupby("time.date")]
