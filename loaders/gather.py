"""Pixels of a source grid onto a tile's grid by the nearest-neighbour rule."""

import threading
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from ard.grid import CRS, Grid
from ard.scene import Raster

_OUTSIDE = -1


class Gather:
    """For every pixel of a grid, which pixel of a source holds its centre.

    The table of a source grid is made once and kept: all dates and bands of a granule share theirs. The centre is
    projected and rounded down to a pixel, so a value is at most half a source diagonal from its place (7 m at 10 m,
    14 m at 20 m).
    """

    def __init__(self, grid: Grid) -> None:
        """Remember the grid; nothing is projected yet."""
        self._grid = grid
        self._centres: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
        self._tables: dict[tuple[str, tuple[float, ...], tuple[int, ...]], NDArray[np.intp]] = {}
        self._lock = threading.Lock()  # so that threads in need of the same table make it once

    def nearest(self, raster: Raster, *, fill: int = 0) -> NDArray[Any]:
        """The raster on the grid, ``(y, x)`` in its dtype; ``fill`` where it does not reach."""
        if raster.pixels.size == 0:
            return np.full(self._grid.shape, fill, dtype=raster.pixels.dtype)
        with self._lock:
            table = self._table(raster)
        # One more value at the end: what index -1 finds.
        values = np.append(raster.pixels.ravel(), np.asarray(fill, dtype=raster.pixels.dtype))
        return values[table]

    def _table(self, raster: Raster) -> NDArray[np.intp]:
        key = (raster.crs, tuple(raster.transform), raster.pixels.shape)
        if key not in self._tables:
            x, y = self._projected(raster.crs)
            height, width = raster.pixels.shape
            column = np.floor((x - raster.transform.c) / raster.transform.a).astype(np.intp)
            row = np.floor((y - raster.transform.f) / raster.transform.e).astype(np.intp)
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            self._tables[key] = np.where(inside, row * width + column, _OUTSIDE)
        return self._tables[key]

    def _projected(self, crs: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The pixel centres in a CRS, ``(y, x)`` each."""
        if crs not in self._centres:
            lon, lat = np.meshgrid(self._grid.lon(), self._grid.lat())
            self._centres[crs] = Transformer.from_crs(CRS, crs, always_xy=True).transform(lon, lat)
        return self._centres[crs]
