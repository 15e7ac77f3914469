"""Where the pixels of the sandbox's Sentinel-1 items lie, and which of them an item holds."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import Transformer

from ard.grid import CRS, Bounds
from ard.tile import Tile
from sandbox.cuts import Cut, Ring, cut_ring
from sandbox.s1_plan import Overpass
from sandbox.s2_granules import zone_of

PIXEL_METRES = 10
CELL_PIXELS = 2  # the resolution of the real products is 20 by 22 m
CELL_METRES = PIXEL_METRES * CELL_PIXELS

_MOST_SHIFT = 8  # pixels
_TRACK_SLOPE = 0.21  # of the satellite's track against north: the tangent of 12 degrees
_HALF_OVERLAP_DEGREES = 0.5 / 111.32  # 0.5 km
_LAST_ZONE = 60
_DENSIFY = 21

_Degrees = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Frame:
    """The pixels of one item: a north-up raster in UTM; ``left`` and ``top`` in metres, the size in pixels."""

    epsg: int
    left: int
    top: int
    height: int
    width: int

    @property
    def transform(self) -> Affine:
        """Pixel ``(column, row)`` corners to UTM metres."""
        return Affine(PIXEL_METRES, 0.0, self.left, 0.0, -PIXEL_METRES, self.top)

    @property
    def box(self) -> tuple[int, int, int, int]:
        """West, south, east, north in metres."""
        bottom, right = self.top - self.height * PIXEL_METRES, self.left + self.width * PIXEL_METRES
        return self.left, bottom, right, self.top

    def footprint(self, cuts: Iterable[Cut]) -> Ring:
        """Lon and lat of the corners that the cuts leave of the four, counter-clockwise from the south-west."""
        west, south, east, north = self.box
        lon, lat = _to_degrees(self.epsg).transform([west, east, east, west], [south, south, north, north])
        return cut_ring([(float(x), float(y)) for x, y in zip(lon, lat, strict=True)], cuts)


@dataclass(frozen=True, slots=True)
class Lattice:
    """Cells of 20 m in one UTM zone, over a box and some more; ``left`` and ``top`` in metres, the size in cells."""

    epsg: int
    left: int
    top: int
    height: int
    width: int

    def lon_lat(self) -> tuple[_Degrees, _Degrees]:
        """Cell centres in degrees, each ``(y, x)``."""
        x = self.left + (np.arange(self.width) + 0.5) * CELL_METRES
        y = self.top - (np.arange(self.height) + 0.5) * CELL_METRES
        lon, lat = _to_degrees(self.epsg).transform(*np.meshgrid(x, y))
        return np.asarray(lon), np.asarray(lat)

    def shift(self, orbit: int) -> tuple[int, int]:
        """The first row and column of pixels that an orbit's items hold: real items keep to no common lattice."""
        return orbit // _MOST_SHIFT % _MOST_SHIFT, orbit % _MOST_SHIFT

    def frame(self, orbit: int) -> Frame:
        """The pixels of an orbit's items."""
        row, column = self.shift(orbit)
        return Frame(
            epsg=self.epsg,
            left=self.left + column * PIXEL_METRES,
            top=self.top - row * PIXEL_METRES,
            height=self.height * CELL_PIXELS - _MOST_SHIFT,
            width=self.width * CELL_PIXELS - _MOST_SHIFT,
        )


def lattice_over(box: Bounds, *, other_zone: bool) -> Lattice:
    """The cells over a box, in its zone or in the nearest other one."""
    lon = (box.west + box.east) / 2
    zone = zone_of(lon)
    if other_zone:
        meridian = zone * 6 - 183
        zone = (zone + (1 if lon > meridian else -1) - 1) % _LAST_ZONE + 1
    epsg = (32700 if box.north + box.south < 0 else 32600) + zone
    to_metres = Transformer.from_crs(CRS, f"EPSG:{epsg}", always_xy=True)
    west, south, east, north = to_metres.transform_bounds(*box, densify_pts=_DENSIFY)
    more = _MOST_SHIFT // CELL_PIXELS
    first_column, last_column = math.floor(west / CELL_METRES) - more, math.ceil(east / CELL_METRES) + more
    first_row, last_row = math.floor(south / CELL_METRES) - more, math.ceil(north / CELL_METRES) + more
    return Lattice(
        epsg=epsg,
        left=first_column * CELL_METRES,
        top=last_row * CELL_METRES,
        height=last_row - first_row,
        width=last_column - first_column,
    )


def cuts_of(overpass: Overpass, tile: Tile, *, number: int) -> tuple[Cut, ...]:
    """What a slice does not hold, by lines through a tile: along the track at the swath's edge, across it between."""
    slope = _TRACK_SLOPE if overpass.direction == "ascending" else -_TRACK_SLOPE
    cuts = []
    if overpass.half:
        cuts.append(Cut(1.0, slope, tile.lon + slope * tile.lat))
    if overpass.slices > 1:
        # The first slice is where the satellite comes from: the south when it ascends.
        north = (number == 1) == (overpass.direction == "ascending")
        sign = 1.0 if north else -1.0
        along = tile.lat - slope * tile.lon
        cuts.append(Cut(-sign * slope, sign, sign * along - _HALF_OVERLAP_DEGREES))
    return tuple(cuts)


def _to_degrees(epsg: int) -> Transformer:
    return Transformer.from_crs(f"EPSG:{epsg}", CRS, always_xy=True)
