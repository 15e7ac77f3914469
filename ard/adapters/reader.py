"""Pixels through rasterio: over S3, HTTPS or from files."""

import math
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import rasterio
from affine import Affine
from rasterio import DatasetReader
from rasterio.errors import RasterioError
from rasterio.windows import Window

from ard.adapters.gdal import AFRESH, gdal_environment, translate
from ard.adapters.windows import MOST_PIXELS, box_in, coarsening, every_nth, touching
from ard.errors import AssetCorrupt
from ard.grid import Bounds
from ard.scene import Raster


class RasterioReader:
    """The ``Reader`` port over GDAL."""

    def __init__(self, options: Mapping[str, str]) -> None:
        """Remember GDAL's options; nothing is opened yet."""
        self._options = options

    def window(
        self, href: str, bounds: Bounds, *, margin: int = 0, pixel_size: float | None = None, overviews: bool = True
    ) -> Raster:
        """The pixels of the first band whose areas touch the box; see ``ard.ports.Reader``.

        An answer that breaks off can look like a corrupt file, without a word from GDAL: only what looks corrupt twice
        is, the second time without anything that GDAL has kept of it.
        """
        read = partial(_window, href, bounds, margin, pixel_size=pixel_size, overviews=overviews)
        try:
            return self._attempt(read, href, self._options)
        except AssetCorrupt:
            return self._attempt(read, href, {**self._options, **AFRESH})

    def _attempt(self, read: Callable[[], Raster], href: str, options: Mapping[str, str]) -> Raster:
        with gdal_environment(options) as heard:
            try:
                return read()
            except RasterioError as error:
                raise translate(error, href, heard=heard) from error


def _window(href: str, bounds: Bounds, margin: int, *, pixel_size: float | None, overviews: bool) -> Raster:
    with rasterio.open(href) as dataset:
        _expect_readable(dataset, href)
        factors = dataset.overviews(1)
        factor = coarsening(dataset.transform.a, factors, pixel_size, overviews=overviews)
        if factor == 1 or not overviews:
            return _read(dataset, bounds, margin, stride=factor)
        resampling = _overview_resampling(dataset)
        with rasterio.open(href, overview_level=factors.index(factor)) as overview:
            return _read(overview, bounds, margin, overview=resampling)


def _expect_readable(dataset: DatasetReader, href: str) -> None:
    """Pass a raster on a known grid whose blocks, which GDAL inflates whole, are no bombs."""
    block = dataset.block_shapes[0]
    if dataset.crs is None:
        raise AssetCorrupt(f"{href.partition('?')[0]}: expected a coordinate system, found none")
    if math.prod(block) > MOST_PIXELS:
        raise AssetCorrupt(
            f"{href.partition('?')[0]}: expected blocks of at most {MOST_PIXELS:,} pixels, found {block}"
        )


def _overview_resampling(dataset: DatasetReader) -> str:
    """How the overviews were made, as their writer noted it; COGs and the Sentinel-2 archive use different tags."""
    noted = dataset.tags().get("OVR_RESAMPLING_ALG") or dataset.tags(ns="IMAGE_STRUCTURE").get("OVERVIEW_RESAMPLING")
    return str(noted or "UNKNOWN").upper()


def _read(
    dataset: DatasetReader, bounds: Bounds, margin: int, *, stride: int = 1, overview: str | None = None
) -> Raster:
    crs = dataset.crs.to_string()
    part = touching(dataset.transform, dataset.shape, box_in(crs, bounds), margin * stride)
    transform = dataset.transform * Affine.translation(part.left, part.top)
    if 0 in part.shape:
        pixels = np.empty((0, 0), dtype=dataset.dtypes[0])
    else:
        pixels = dataset.read(1, window=Window.from_slices((part.top, part.bottom), (part.left, part.right)))
    if stride > 1:
        pixels, transform = every_nth(pixels, transform, stride)
    return Raster(pixels=pixels, transform=transform, crs=crs, nodata=dataset.nodata, overview=overview)
