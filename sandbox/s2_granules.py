"""The squares that Sentinel-2 archives are cut into: 109.8 km of the MGRS's 100 km squares, on the UTM 10 m lattice.

Corners and names: ESA, Sentinel-2 Products Specification Document (S2-PDGS-TAS-DI-PSD), and the real items.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.warp import transform, transform_bounds

from ard.errors import InvalidInput
from ard.grid import CRS, Bounds

GRANULE_METRES = 109_800
COARSE_METRES = 320  # the blocks in which scene classes far from the tiles are made

_SQUARE_METRES = 100_000
_CORNER_METRES = 60  # corners lie on the lattice of the coarsest bands
_ALIGN = 8  # 20 m pixels: what four halvings of a 10 m band need
_NODE_METRES = 320.0
_FALSE_NORTHING = 10_000_000
_COLUMNS = {1: "ABCDEFGH", 2: "JKLMNPQR", 0: "STUVWXYZ"}
_ROWS = "ABCDEFGHJKLMNPQRSTUV"
_EVEN_ZONE_ROW_SHIFT = 5
_BANDS = "CDEFGHJKLMNPQRSTUVWX"
_DENSIFY = 21

_Degrees = NDArray[np.float64]


class Window(NamedTuple):
    """Pixels of a granule's 20 m lattice, ``row`` and ``column`` being the first; may reach past the granule."""

    row: int
    column: int
    height: int
    width: int

    def grown(self, pixels: int) -> "Window":
        """The window with a margin on every side."""
        return Window(self.row - pixels, self.column - pixels, self.height + 2 * pixels, self.width + 2 * pixels)

    def finer(self) -> "Window":
        """The same ground in 10 m pixels."""
        return Window(2 * self.row, 2 * self.column, 2 * self.height, 2 * self.width)


@dataclass(frozen=True, slots=True, order=True)
class Granule:
    """One square: its UTM zone, and the 100 km that it covers, counted from the zone's false origin."""

    zone: int
    south: bool
    column: int
    row: int

    @property
    def name(self) -> str:
        """Such as ``22MAV``."""
        (_, lat) = self._lon_lat(np.array([self.left + GRANULE_METRES / 2]), np.array([self.top - GRANULE_METRES / 2]))
        band = _BANDS[min(int(lat[0] + 80) // 8, len(_BANDS) - 1)]
        row = _ROWS[(self.row + (_EVEN_ZONE_ROW_SHIFT if self.zone % 2 == 0 else 0)) % len(_ROWS)]
        return f"{self.zone:02d}{band}{_COLUMNS[self.zone % 3][self.column - 1]}{row}"

    @property
    def epsg(self) -> int:
        """The EPSG code of the zone."""
        return (32700 if self.south else 32600) + self.zone

    @property
    def left(self) -> int:
        """Easting of the left edge, metres."""
        return self.column * _SQUARE_METRES // _CORNER_METRES * _CORNER_METRES

    @property
    def top(self) -> int:
        """Northing of the upper edge, metres."""
        return -(-(self.row + 1) * _SQUARE_METRES // _CORNER_METRES) * _CORNER_METRES

    def transform(self, metres: int) -> Affine:
        """Pixel ``(column, row)`` corners to UTM metres."""
        return Affine(metres, 0.0, self.left, 0.0, -metres, self.top)

    def covers(self, box: Bounds) -> bool:
        """Whether a box in degrees lies inside."""
        west, south, east, north = self._utm(box)
        bottom, right = self.top - GRANULE_METRES, self.left + GRANULE_METRES
        return self.left <= west and east <= right and bottom <= south and north <= self.top

    def window(self, box: Bounds) -> Window:
        """The pixels in which a box in degrees lies, in whole 160 m; without height or width when outside."""
        west, south, east, north = self._utm(box)
        step, last = 20 * _ALIGN, GRANULE_METRES // 20 // _ALIGN * _ALIGN
        first_column, first_row = math.floor((west - self.left) / step), math.floor((self.top - north) / step)
        end_column, end_row = math.ceil((east - self.left) / step), math.ceil((self.top - south) / step)
        row, column = max(0, first_row * _ALIGN), max(0, first_column * _ALIGN)
        return Window(
            row, column, max(0, min(last, end_row * _ALIGN) - row), max(0, min(last, end_column * _ALIGN) - column)
        )

    def lon_lat(self, window: Window, metres: int) -> tuple[_Degrees, _Degrees]:
        """Pixel centres in degrees, each ``(y, x)``; interpolated between exact nodes, good to 1 mm.

        Args:
            window: In pixels of ``metres``.
            metres: The size of a pixel.
        """
        x = np.asarray(self.left + (window.column + np.arange(window.width) + 0.5) * metres, np.float64)
        y = np.asarray(self.top - (window.row + np.arange(window.height) + 0.5) * metres, np.float64)
        x_nodes, y_nodes = _nodes(x), _nodes(y)
        lon, lat = self._lon_lat(*(axis.ravel() for axis in np.meshgrid(x_nodes, y_nodes)))
        lon_nodes, lat_nodes = (values.reshape(y_nodes.size, x_nodes.size) for values in (lon, lat))
        return _between(lon_nodes, y_nodes, x_nodes, y, x), _between(lat_nodes, y_nodes, x_nodes, y, x)

    def corners(self) -> list[tuple[float, float]]:
        """Lon and lat of the corners: north-west, south-west, south-east, north-east."""
        right, bottom = self.left + GRANULE_METRES, self.top - GRANULE_METRES
        lon, lat = self._lon_lat(
            np.array([self.left, self.left, right, right], float), np.array([self.top, bottom, bottom, self.top], float)
        )
        return [(float(one), float(other)) for one, other in zip(lon, lat, strict=True)]

    def _lon_lat(self, x: _Degrees, y: _Degrees) -> tuple[_Degrees, _Degrees]:
        lon, lat = transform(f"EPSG:{self.epsg}", CRS, x, y)
        return np.asarray(lon), np.asarray(lat)

    def _utm(self, box: Bounds) -> tuple[float, float, float, float]:
        west, south, east, north = transform_bounds(CRS, f"EPSG:{self.epsg}", *box, densify_pts=_DENSIFY)
        return west, south, east, north


def zone_of(lon: float) -> int:
    """The UTM zone of a longitude (the exceptions round Norway and Svalbard aside)."""
    return min(int((lon + 180) // 6) + 1, 60)


def granules_over(box: Bounds, *, zone: int) -> tuple[Granule, ...]:
    """The squares of one zone that cover a box in degrees: one that holds all of it, or every one that it touches.

    Raises:
        InvalidInput: The box lies on both sides of the equator, or too far from the zone.
    """
    touched = _touched(box, zone)
    whole = [granule for granule in touched if granule.covers(box)]
    return tuple(whole[:1]) or tuple(touched)


def neighbours(granules: Iterable[Granule], box: Bounds) -> tuple[Granule, ...]:
    """The other squares of the zone whose 100 km a box touches, ordered."""
    known = tuple(granules)
    return tuple(granule for granule in _touched(box, known[0].zone) if granule not in known)


def _touched(box: Bounds, zone: int) -> list[Granule]:
    if box.south < 0 < box.north:
        raise InvalidInput(f"expected a box on one side of the equator, found latitudes {box.south} to {box.north}")
    south = box.north <= 0
    epsg = (32700 if south else 32600) + zone
    west, low, east, high = transform_bounds(CRS, f"EPSG:{epsg}", *box, densify_pts=_DENSIFY)
    columns = range(int(west // _SQUARE_METRES), int(east // _SQUARE_METRES) + 1)
    if columns[0] < 1 or columns[-1] > len(_COLUMNS[0]):
        raise InvalidInput(f"expected a box near UTM zone {zone}, found eastings {west:.0f} to {east:.0f} m")
    rows = range(int(low // _SQUARE_METRES), int(high // _SQUARE_METRES) + 1)
    return [Granule(zone, south, column, row) for row in rows for column in columns]


def _nodes(centres: _Degrees) -> _Degrees:
    span = abs(centres[-1] - centres[0])
    return np.linspace(centres[0], centres[-1], math.ceil(span / _NODE_METRES) + 1)


def _between(values: _Degrees, y_nodes: _Degrees, x_nodes: _Degrees, y: _Degrees, x: _Degrees) -> _Degrees:
    """Bilinear values ``(y, x)`` between nodes."""
    column, x_share = _place(x_nodes, x)
    row, y_share = _place(y_nodes, y)
    across = values[:, column] * (1 - x_share) + values[:, column + 1] * x_share
    return np.asarray(across[row] * (1 - y_share)[:, None] + across[row + 1] * y_share[:, None])


def _place(nodes: _Degrees, points: _Degrees) -> tuple[NDArray[np.intp], _Degrees]:
    position = (points - nodes[0]) / (nodes[1] - nodes[0])
    first = np.clip(position.astype(np.intp), 0, nodes.size - 2)
    return first, position - first
