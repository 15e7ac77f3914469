"""Pixels through rasterio: over S3, HTTPS or from files."""

import math
from collections.abc import Mapping

import numpy as np
import rasterio
from affine import Affine
from rasterio import DatasetReader
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

    def window(
        self, href: str, bounds: Bounds, *, margin: int = 0, pixel_size: float | None = None, overviews: bool = True
    ) -> Raster:
        """The pixels of the first band whose areas touch the box; see ``ard.ports.Reader``."""
        with gdal_environment(self._options) as heard:
            try:
                return _window(href, bounds, margin, pixel_size=pixel_size, overviews=overviews)
            except RasterioError as error:
                raise translate(error, href, heard=heard) from error


def _window(href: str, bounds: Bounds, margin: int, *, pixel_size: float | None, overviews: bool) -> Raster:
    with rasterio.open(href) as dataset:
        factor = _coarsening(dataset, pixel_size, overviews=overviews)
        if factor == 1 or not overviews:
            return _read(dataset, bounds, margin, stride=factor)
        level = dataset.overviews(1).index(factor)
        resampling = _overview_resampling(dataset)
        with rasterio.open(href, overview_level=level) as overview:
            return _read(overview, bounds, margin, overview=resampling)


def _coarsening(dataset: DatasetReader, pixel_size: float | None, *, overviews: bool) -> int:
    """By how much pixels may be coarser: an overview's factor, or any when full resolution is decimated."""
    if pixel_size is None:
        return 1
    most = max(int(pixel_size / dataset.transform.a), 1)
    return max((factor for factor in dataset.overviews(1) if factor <= most), default=1) if overviews else most


def _overview_resampling(dataset: DatasetReader) -> str:
    """How the overviews were made, as their writer noted it; COGs and the Sentinel-2 archive use different tags."""
    noted = dataset.tags().get("OVR_RESAMPLING_ALG") or dataset.tags(ns="IMAGE_STRUCTURE").get("OVERVIEW_RESAMPLING")
    return str(noted or "UNKNOWN").upper()


def _read(
    dataset: DatasetReader, bounds: Bounds, margin: int, *, stride: int = 1, overview: str | None = None
) -> Raster:
    crs = dataset.crs.to_string()
    box = bounds if crs == CRS else Bounds(*transform_bounds(CRS, crs, *bounds, densify_pts=_DENSIFY))
    window = _touching(dataset.transform, dataset.shape, box, margin * stride)
    transform = dataset.transform * Affine.translation(window.col_off, window.row_off)
    if window.width == 0 or window.height == 0:
        pixels = np.empty((0, 0), dtype=dataset.dtypes[0])
    else:
        pixels = dataset.read(1, window=window)
    if stride > 1:
        # The middle one of every block of pixels, so that the coarser pixel's centre is (nearly) its own.
        middle = stride // 2
        pixels = np.ascontiguousarray(pixels[middle::stride, middle::stride])
        transform = transform * Affine.translation(middle + 0.5 - stride / 2, middle + 0.5 - stride / 2)
        transform = transform * Affine.scale(stride)
    return Raster(pixels=pixels, transform=transform, crs=crs, nodata=dataset.nodata, overview=overview)


def _touching(transform: Affine, shape: tuple[int, int], box: Bounds, margin: int) -> Window:
    """The window of a north-up raster whose pixel areas touch a box in its CRS; width or height 0 when none do."""
    left, right = ((x - transform.c) / transform.a for x in (box.west, box.east))
    top, bottom = ((y - transform.f) / transform.e for y in (box.north, box.south))
    height, width = shape
    first_row, last_row = max(math.floor(top) - margin, 0), min(math.ceil(bottom) + margin, height)
    first_column, last_column = max(math.floor(left) - margin, 0), min(math.ceil(right) + margin, width)
    return Window(first_column, first_row, max(last_column - first_column, 0), max(last_row - first_row, 0))
