"""Pixels through rasterio: over S3, HTTPS or from files."""

import math
from collections.abc import Mapping

import numpy as np
import rasterio
from affine import Affine
from rasterio.errors import RasterioError
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from ard.adapters.gdal import gdal_environment, translate
from ard.grid import CRS, Bounds
from ard.scene import Raster

_DENSIFY = 21  # points along each edge of the box, so that a curved edge is enclosed


class RasterioReader:
    """The ``Reader`` port over GDAL."""

    def __init__(self, options: Mapping[str, str]) -> None:
        """Remember GDAL's options; nothing is opened yet."""
        self._options = options

    def window(self, href: str, bounds: Bounds, *, margin: int = 0) -> Raster:
        """The pixels of the first band whose areas touch the box; see ``ard.ports.Reader``."""
        try:
            with gdal_environment(self._options), rasterio.open(href) as dataset:
                crs = dataset.crs.to_string()
                box = bounds if crs == CRS else Bounds(*transform_bounds(CRS, crs, *bounds, densify_pts=_DENSIFY))
                window = _touching(dataset.transform, dataset.shape, box, margin)
                pixels = (
                    dataset.read(1, window=window)
                    if window.width > 0 and window.height > 0
                    else np.empty((0, 0), dtype=dataset.dtypes[0])
                )
                return Raster(
                    pixels=pixels,
                    transform=dataset.transform * Affine.translation(window.col_off, window.row_off),
                    crs=crs,
                    nodata=dataset.nodata,
                )
        except RasterioError as error:
            raise translate(error, href) from error


def _touching(transform: Affine, shape: tuple[int, int], box: Bounds, margin: int) -> Window:
    """The window of a north-up raster whose pixel areas touch a box in its CRS; width or height 0 when none do."""
    left, right = ((x - transform.c) / transform.a for x in (box.west, box.east))
    top, bottom = ((y - transform.f) / transform.e for y in (box.north, box.south))
    height, width = shape
    first_row, last_row = max(math.floor(top) - margin, 0), min(math.ceil(bottom) + margin, height)
    first_column, last_column = max(math.floor(left) - margin, 0), min(math.ceil(right) + margin, width)
    return Window(first_column, first_row, max(last_column - first_column, 0), max(last_row - first_row, 0))
