"""The windows that a loader reads, by our reader, on the tile's grids and nothing more: what other libraries do."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ard.grid import Bounds
from ard.ports import Reader
from ard.product import Product
from benchmarks.bench_data import task
from loaders.dem import HALO
from loaders.gather import Gather
from loaders.lattice import bilinear, mosaic
from loaders.s2 import READS_AT_ONCE
from loaders.s2_screen import cloud_grid

_TEN_METRES = ("B02.tif", "B03.tif", "B04.tif", "B08.tif")


def loading(product: Product, reader: Reader, plan: Path, *, base: str) -> Callable[[], list[NDArray[Any]]]:
    """Reads a plan's windows side by side and puts each on its grid."""
    reads = json.loads(plan.read_text())["reads"]
    tile = task(product).tile
    cloud, ten, twenty = (Gather(grid) for grid in (cloud_grid(tile), tile.grid(10), tile.grid(20)))
    grid = tile.grid(10).grown(HALO)

    def load(read: dict[str, Any]) -> NDArray[Any]:
        options = {name: read[name] for name in ("margin", "pixel_size", "overviews")}
        raster = reader.window(base + read["href"], Bounds(*read["bounds"]), **options)
        if product is Product.DEM:
            found = mosaic([raster], grid.bounds)
            return bilinear(found[0], grid.lon(), grid.lat()) if found else raster.pixels
        if read["pixel_size"]:
            return cloud.nearest(raster)
        fine = product is Product.S1 or read["href"].endswith(_TEN_METRES)
        return (ten if fine else twenty).nearest(raster)

    def load_all() -> list[NDArray[Any]]:
        with ThreadPoolExecutor(READS_AT_ONCE) as pool:
            return list(pool.map(load, reads))

    return load_all
