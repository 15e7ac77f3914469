"""The lon/lat grids that every array of a tile lies on."""

import math
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from affine import Affine
from numpy.typing import NDArray

CRS = "EPSG:4326"


class Bounds(NamedTuple):
    """A box in degrees: west, south, east, north."""

    west: float
    south: float
    east: float
    north: float

    def buffered(self, degrees: float) -> "Bounds":
        """The box grown on each side, kept within the globe."""
        return Bounds(
            max(self.west - degrees, -180.0),
            max(self.south - degrees, -90.0),
            min(self.east + degrees, 180.0),
            min(self.north + degrees, 90.0),
        )


@dataclass(frozen=True, slots=True)
class Grid:
    """A north-up EPSG:4326 grid of pixels whose areas tile a box; row 0 is the northernmost."""

    west: float
    north: float
    lon_step: float
    lat_step: float
    height: int
    width: int

    def __post_init__(self) -> None:
        if self.lon_step <= 0 or self.lat_step <= 0 or self.height < 1 or self.width < 1:
            raise ValueError(f"a grid needs positive steps and sizes, got {self}")

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns, ``(y, x)``."""
        return self.height, self.width

    @property
    def transform(self) -> Affine:
        """Pixel ``(column, row)`` corners to ``(lon, lat)`` in degrees."""
        return Affine(self.lon_step, 0.0, self.west, 0.0, -self.lat_step, self.north)

    @property
    def bounds(self) -> Bounds:
        """The box that the pixel areas cover, in degrees."""
        return Bounds(
            self.west,
            self.north - self.height * self.lat_step,
            self.west + self.width * self.lon_step,
            self.north,
        )

    def lon(self) -> NDArray[np.float64]:
        """Longitudes of the pixel centres, ``(x,)`` degrees, ascending."""
        return np.asarray(self.west + (np.arange(self.width) + 0.5) * self.lon_step, dtype=np.float64)

    def lat(self) -> NDArray[np.float64]:
        """Latitudes of the pixel centres, ``(y,)`` degrees, descending."""
        return np.asarray(self.north - (np.arange(self.height) + 0.5) * self.lat_step, dtype=np.float64)

    def grown(self, pixels: int) -> Self:
        """The same lattice of pixels with a halo on every side."""
        return type(self)(
            west=self.west - pixels * self.lon_step,
            north=self.north + pixels * self.lat_step,
            lon_step=self.lon_step,
            lat_step=self.lat_step,
            height=self.height + 2 * pixels,
            width=self.width + 2 * pixels,
        )

    def coarsened(self, factor: int) -> Self:
        """The grid with the same upper-left corner and pixels ``factor`` times as large.

        When a side is not a multiple of ``factor``, the last row or column reaches past the box.
        """
        return type(self)(
            west=self.west,
            north=self.north,
            lon_step=self.lon_step * factor,
            lat_step=self.lat_step * factor,
            height=math.ceil(self.height / factor),
            width=math.ceil(self.width / factor),
        )
