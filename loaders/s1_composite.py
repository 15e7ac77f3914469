"""Pixel maths of Sentinel-1: backscatter onto the 40 m grid, passes into quarters, and quarters without holes."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from ard.grid import CRS, Grid
from ard.scene import Raster

FloatArray = NDArray[np.floating[Any]]
Statistic = Literal["mean", "median"]

FACTOR = 4  # sub-pixels of about 10 m along each side of a pixel of the 40 m grid
MIN_SUBPIXELS = FACTOR * FACTOR // 2  # that must hold data, or the pixel does not
MISSING = -32_768.0  # what the archive writes where it has nothing, declared or not
BRIGHTEST = 1000.0  # 30 dB: a corner reflector brighter than that is written as this

_OUTSIDE = -1


class SubPixels:
    """For every sub-pixel of a 40 m grid, which pixel of a source holds its centre.

    A 40 m pixel is sampled at the centres of its 4 x 4 sub-pixels, projected to the source and rounded down to a pixel
    of full resolution (10 m): sixteen neighbouring samples whose mean is the pixel's, as true as an area's average to
    within the share of pixels that are met twice or not at all where the two grids are turned against each other.
    """

    def __init__(self, grid: Grid) -> None:
        """Remember the 40 m grid; nothing is projected yet."""
        self.grid = Grid(
            west=grid.west,
            north=grid.north,
            lon_step=grid.lon_step / FACTOR,
            lat_step=grid.lat_step / FACTOR,
            height=grid.height * FACTOR,
            width=grid.width * FACTOR,
        )
        self._centres: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
        self._lock = threading.Lock()  # so that threads in need of the same centres make them once

    def gather(self, raster: Raster) -> NDArray[np.float32]:
        """Linear backscatter at the sub-pixels, ``(4y, 4x)`` float32; NaN where there is none.

        Not positive, not finite, -32768 and the asset's nodata value are no backscatter. Masking negative power (noise
        that was taken out twice) brightens very dark targets; the alternative would be to average what is not power.
        """
        if raster.pixels.size == 0:
            return np.full(self.grid.shape, np.nan, dtype=np.float32)
        with self._lock:
            x, y = self._projected(raster.crs)
        height, width = raster.pixels.shape
        column = np.floor((x - raster.transform.c) / raster.transform.a).astype(np.int32)
        row = np.floor((y - raster.transform.f) / raster.transform.e).astype(np.int32)
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        # One more value at the end: what index -1 finds.
        values = np.append(masked(raster), np.float32(np.nan))
        return values[np.where(inside, row * width + column, _OUTSIDE)]

    def _projected(self, crs: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The sub-pixels' centres in a CRS, ``(4y, 4x)`` each."""
        if crs not in self._centres:
            lon, lat = np.meshgrid(self.grid.lon(), self.grid.lat())
            self._centres[crs] = Transformer.from_crs(CRS, crs, always_xy=True).transform(lon, lat)
        return self._centres[crs]


def masked(raster: Raster) -> NDArray[np.float32]:
    """The raster's pixels ``(y, x)`` float32, NaN where they are no backscatter."""
    pixels = raster.pixels.astype(np.float32)
    with np.errstate(invalid="ignore"):
        valid = np.isfinite(pixels) & (pixels > 0) & (pixels != np.float32(MISSING))
        if raster.nodata is not None:
            valid &= pixels != np.float32(raster.nodata)
    return np.where(valid, pixels, np.float32(np.nan))


def first_valid(layers: Sequence[FloatArray]) -> FloatArray:
    """Arrays of one shape laid over each other: of each element the first that is not NaN."""
    mosaic = layers[0].copy()
    for layer in layers[1:]:
        np.copyto(mosaic, layer, where=np.isnan(mosaic))
    return mosaic


def averaged(subpixels: FloatArray) -> NDArray[np.float64]:
    """Means of the 4 x 4 sub-pixels of each pixel, ``(..., y, x)`` float64; NaN where fewer than half hold data."""
    *outer, height, width = subpixels.shape
    blocks = subpixels.reshape(*outer, height // FACTOR, FACTOR, width // FACTOR, FACTOR)
    valid = ~np.isnan(blocks)
    count = valid.sum(axis=(-3, -1))
    total = np.where(valid, blocks, 0).sum(axis=(-3, -1), dtype=np.float64)
    return np.where(count >= MIN_SUBPIXELS, total / np.maximum(count, 1), np.nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class Composite:
    """A quarter's backscatter from its passes, before holes are filled.

    Attributes:
        power: ``(2, y, x)`` float64, linear gamma nought of VV and VH; NaN where no pass saw anything.
        count: ``(2, y, x)``, how many passes each pixel is made from.
    """

    power: NDArray[np.float64]
    count: NDArray[np.int64]

    @property
    def valid_fraction(self) -> float:
        """The share of the pixels that were seen in either polarisation.

        Either, because VH of calm water lies below the instrument's noise and is masked where VV is not.
        """
        return float((self.count > 0).any(axis=0).mean())


def composite(layers: Sequence[NDArray[np.float64]], shape: tuple[int, int], statistic: Statistic) -> Composite:
    """The mean (or median) over passes of linear power, ``(2, y, x)`` each, in their order; maybe of none."""
    if not layers:
        empty = np.full((2, *shape), np.nan)
        return Composite(power=empty, count=np.zeros(empty.shape, dtype=np.int64))
    stack = np.stack(layers)
    valid = ~np.isnan(stack)
    count = valid.sum(axis=0)
    if statistic == "mean":
        power = np.where(valid, stack, 0).sum(axis=0) / np.maximum(count, 1)
    else:
        # Sorted with NaN last, the middle of each pixel's own values.
        ordered = np.sort(stack, axis=0)
        low, high = np.maximum(count - 1, 0) // 2, count // 2
        high = np.minimum(high, np.maximum(count - 1, 0))
        take = [np.take_along_axis(ordered, index[np.newaxis], axis=0)[0] for index in (low, high)]
        power = (take[0] + take[1]) / 2
    return Composite(power=np.where(count > 0, power, np.nan), count=count)


def filled(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """A year's quarters ``(4, 2, y, x)`` with holes filled from one another; NaN where no quarter saw anything.

    A hole takes the mean of the adjacent quarters, which do not wrap round the year; where those saw nothing either,
    the mean of all quarters. Only what was seen is passed on, never what was filled.
    """
    adjacent = [_mean(power[[n for n in (q - 1, q + 1) if 0 <= n < len(power)]]) for q in range(len(power))]
    whole_year = np.broadcast_to(_mean(power), power.shape)
    return np.asarray(first_valid([power, np.stack(adjacent), whole_year]), dtype=np.float64)


def _mean(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """The mean over the first axis of what is not NaN; NaN where all are."""
    valid = ~np.isnan(power)
    count = valid.sum(axis=0)
    return np.where(count > 0, np.where(valid, power, 0).sum(axis=0) / np.maximum(count, 1), np.nan)
