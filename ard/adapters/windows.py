"""Which pixels of an asset a window takes: the same for every reader."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError
from rasterio.errors import CRSError
from rasterio.warp import transform_bounds

from ard.adapters.gdal import gdal_environment
from ard.errors import AssetCorrupt
from ard.grid import CRS, Bounds

MOST_PIXELS = 2**26  # of a window: a hundred times what a tile needs
_DENSIFY = 21  # points along each edge of the box, so that a curved edge is enclosed


class Part(NamedTuple):
    """Rows and columns of a raster, each from the first to before the last; empty when they are equal."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left


@lru_cache(maxsize=256)
def box_in(crs: str, bounds: Bounds) -> Bounds:
    """The box in a CRS that encloses a box in degrees.

    Raises:
        AssetCorrupt: Nothing leads from the one to the other.
    """
    if crs == CRS:
        return bounds
    with gdal_environment({}):
        try:
            return Bounds(*transform_bounds(CRS, crs, *bounds, densify_pts=_DENSIFY))
        except (CPLE_BaseError, CRSError) as error:
            raise AssetCorrupt(f"expected a CRS of the globe, found {crs:.80}: {error!s:.200}") from error


def touching(transform: Affine, shape: tuple[int, int], box: Bounds, margin: int) -> Part:
    """The part of a north-up raster whose pixel areas touch a box in its CRS, and a margin; empty when none do.

    Raises:
        AssetCorrupt: The raster is not north-up, or the part has more than ``MOST_PIXELS``.
    """
    if not (0 < transform.a < math.inf > -transform.e > 0) or transform.b or transform.d:
        raise AssetCorrupt(f"expected a north-up raster, found the transform {tuple(transform)[:6]}")
    left, right = ((x - transform.c) / transform.a for x in (box.west, box.east))
    top, bottom = ((y - transform.f) / transform.e for y in (box.north, box.south))
    if not all(map(math.isfinite, (left, right, top, bottom))):
        raise AssetCorrupt(f"expected a raster on the globe, found the transform {tuple(transform)[:6]}")
    height, width = shape
    first_row, last_row = max(math.floor(top) - margin, 0), min(math.ceil(bottom) + margin, height)
    first_column, last_column = max(math.floor(left) - margin, 0), min(math.ceil(right) + margin, width)
    part = Part(first_row, max(last_row, first_row), first_column, max(last_column, first_column))
    if math.prod(part.shape) > MOST_PIXELS:
        raise AssetCorrupt(f"expected a window of at most {MOST_PIXELS:,} pixels, found {part.shape} pixels in the box")
    return part


def coarsening(pixel_width: float, factors: Sequence[int], pixel_size: float | None, *, overviews: bool) -> int:
    """By how much pixels may be coarser: an overview's factor, or any when full resolution is decimated."""
    if pixel_size is None:
        return 1
    most = int(min(max(pixel_size / pixel_width, 1), MOST_PIXELS)) if pixel_width > 0 else 1
    return max((factor for factor in factors if factor <= most), default=1) if overviews else most


def every_nth(pixels: NDArray[Any], transform: Affine, stride: int) -> tuple[NDArray[Any], Affine]:
    """The middle one of every block of pixels, so that the coarser pixel's centre is (nearly) its own."""
    middle = stride // 2
    moved = transform * Affine.translation(middle + 0.5 - stride / 2, middle + 0.5 - stride / 2)
    return np.ascontiguousarray(pixels[middle::stride, middle::stride]), moved * Affine.scale(stride)
