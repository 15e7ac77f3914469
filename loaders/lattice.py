"""The Copernicus DEM's lattice: point samples at whole multiples of a step in degrees, whatever cell holds them.

A cell's pixels are centred on the lattice points (its area reaches half a pixel beyond the degree line to the north
and west, and ends half a pixel short of it to the south and east), so cells of the same step simply continue each other
and a window over a cell's border is put together by pasting, without any resampling.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ard.errors import AssetCorrupt
from ard.grid import Bounds
from ard.scene import Raster

FloatArray = NDArray[np.float32]

# How far, in samples, a cell's pixel centres may lie from the lattice: float rounding in the file, nothing more.
_LATTICE_TOLERANCE = 0.05


@dataclass(frozen=True, slots=True)
class Lattice:
    """A window of the lattice.

    Attributes:
        values: ``(y, x)`` float32, row 0 northernmost, NaN where no cell has a sample.
        lon_rate: Samples per degree of longitude.
        lat_rate: Samples per degree of latitude.
        column: Longitude of column 0 times ``lon_rate``.
        row: Minus the latitude of row 0 times ``lat_rate`` (rows count southwards).
    """

    values: FloatArray
    lon_rate: int
    lat_rate: int
    column: int
    row: int

    @classmethod
    def empty(cls, bounds: Bounds, *, lon_rate: int, lat_rate: int) -> Self:
        """The samples that surround a box (one beyond it on each side), all missing."""
        column, last_column = _outer(bounds.west * lon_rate, bounds.east * lon_rate)
        row, last_row = _outer(-bounds.north * lat_rate, -bounds.south * lat_rate)
        values = np.full((last_row - row + 1, last_column - column + 1), np.nan, dtype=np.float32)
        return cls(values=values, lon_rate=lon_rate, lat_rate=lat_rate, column=column, row=row)

    def lon(self) -> NDArray[np.float64]:
        """Longitudes of the columns, ``(x,)`` degrees, ascending."""
        return (self.column + np.arange(self.values.shape[1], dtype=np.float64)) / self.lon_rate

    def lat(self) -> NDArray[np.float64]:
        """Latitudes of the rows, ``(y,)`` degrees, descending."""
        return -(self.row + np.arange(self.values.shape[0], dtype=np.float64)) / self.lat_rate

    def with_values(self, values: FloatArray) -> "Lattice":
        """The same window with other values, ``(y, x)`` float32."""
        return Lattice(values=values, lon_rate=self.lon_rate, lat_rate=self.lat_rate, column=self.column, row=self.row)


def mosaic(rasters: Iterable[Raster], bounds: Bounds) -> list[Lattice]:
    """The samples around a box: one lattice per step in longitude that occurs, finest first.

    Towards the poles (from 50 degrees on) cells have fewer columns, so a box near such a line sees two steps.

    Raises:
        AssetCorrupt: A cell is not EPSG:4326, or its pixels are not centred on lattice points.
    """
    lattices: dict[tuple[int, int], Lattice] = {}
    for raster in rasters:
        if raster.pixels.size == 0:
            continue
        rates = round(1 / raster.transform.a), round(-1 / raster.transform.e)
        lattice = lattices.get(rates)
        if lattice is None:
            lattice = lattices[rates] = Lattice.empty(bounds, lon_rate=rates[0], lat_rate=rates[1])
        _paste(raster, lattice)
    return [lattices[rates] for rates in sorted(lattices, reverse=True)]


def merge(lattices: Sequence[Lattice]) -> Lattice:
    """One lattice of the first's step: its holes filled from the following ones, bilinearly."""
    finest, *coarser = lattices
    values = finest.values
    for other in coarser:
        values = np.where(np.isnan(values), bilinear(other, finest.lon(), finest.lat()), values)
    return finest.with_values(values)


def bilinear(lattice: Lattice, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> FloatArray:
    """Values between the samples, ``(lat, lon)`` float32; NaN beyond the window and where a needed sample is missing.

    A sample of weight zero is not needed, so that points on the lattice keep their own value beside a hole.
    """
    x0, fx = _split(lon * lattice.lon_rate - lattice.column, lattice.values.shape[1])
    y0, fy = _split(-lat * lattice.lat_rate - lattice.row, lattice.values.shape[0])
    rows = _mix(lattice.values[y0], lattice.values[_next(y0, lattice.values.shape[0])], fy[:, np.newaxis])
    return _mix(rows[:, x0], rows[:, _next(x0, lattice.values.shape[1])], fx[np.newaxis, :])


def nearest(lattice: Lattice, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> FloatArray:
    """The value of the nearest sample, ``(lat, lon)`` float32; NaN where it is missing."""
    height, width = lattice.values.shape
    x = np.clip(np.rint(lon * lattice.lon_rate - lattice.column).astype(np.intp), 0, width - 1)
    y = np.clip(np.rint(-lat * lattice.lat_rate - lattice.row).astype(np.intp), 0, height - 1)
    return lattice.values[np.ix_(y, x)]


def extend(values: FloatArray, samples: int) -> FloatArray:
    """Missing samples (NaN) at most so far from a present one take its value; eight neighbours, nearest ring first."""
    grown = values
    for _ in range(samples):
        padded = np.pad(grown, 1, constant_values=np.nan)
        filled = grown
        height, width = values.shape
        # Straight neighbours before diagonal ones: the nearest wins.
        for dy, dx in ((0, -1), (0, 1), (-1, 0), (1, 0), (-1, -1), (-1, 1), (1, -1), (1, 1)):
            neighbour = padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
            filled = np.where(np.isnan(filled), neighbour, filled)
        grown = filled
    return grown


def _outer(first: float, last: float) -> tuple[int, int]:
    """The whole numbers around an interval, one to spare on each side."""
    return int(np.floor(first)) - 1, int(np.ceil(last)) + 1


def _paste(raster: Raster, lattice: Lattice) -> None:
    """Copy a cell's samples into the window, in place."""
    west = (raster.transform.c + raster.transform.a / 2) * lattice.lon_rate
    north = -(raster.transform.f + raster.transform.e / 2) * lattice.lat_rate
    column, row = round(west), round(north)
    if raster.crs != "EPSG:4326" or max(abs(west - column), abs(north - row)) > _LATTICE_TOLERANCE:
        raise AssetCorrupt(
            f"expected EPSG:4326 pixels centred on multiples of 1/{lattice.lon_rate} and 1/{lattice.lat_rate} degree, "
            f"found {raster.crs} with offsets of {west - column:.3f} and {north - row:.3f} pixels"
        )
    pixels = raster.pixels.astype(np.float32)
    if raster.nodata is not None:
        pixels = np.where(raster.pixels == raster.nodata, np.float32(np.nan), pixels)
    y, x = row - lattice.row, column - lattice.column
    top, left = max(y, 0), max(x, 0)
    bottom = min(y + pixels.shape[0], lattice.values.shape[0])
    right = min(x + pixels.shape[1], lattice.values.shape[1])
    if top < bottom and left < right:
        lattice.values[top:bottom, left:right] = pixels[top - y : bottom - y, left - x : right - x]


def _split(position: NDArray[np.float64], size: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Whole index and fraction of positions; fraction NaN beyond the samples."""
    snapped = np.where(np.abs(position - np.rint(position)) < 1e-6, np.rint(position), position)  # noqa: PLR2004
    inside = (snapped >= 0) & (snapped <= size - 1)
    index = np.clip(np.floor(snapped), 0, size - 1).astype(np.intp)
    return index, np.where(inside, snapped - index, np.nan).astype(np.float32)


def _next(index: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    return np.minimum(index + 1, size - 1)


def _mix(first: FloatArray, second: FloatArray, fraction: FloatArray) -> FloatArray:
    """``first`` where the fraction is 0, else the weighted mean; NaN fractions give NaN."""
    mixed = first + (second - first) * fraction
    return np.where(fraction == 0, first, mixed).astype(np.float32)
