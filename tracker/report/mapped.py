"""The tiles of a job as a map shows them: where each lies, and how its tasks stand."""

from dataclasses import dataclass
from math import cos, radians

import numpy as np
from numpy.typing import NDArray

from ard.tile import TILE_DEGREES
from tracker.report.facts import PRODUCTS, STANDINGS, Places

ABSENT = len(STANDINGS)
MAP_WIDTH = 1000.0  # of the viewBox

_MARGIN_DEGREES = 0.5 * TILE_DEGREES
_LEAST_DEGREES = 10 * TILE_DEGREES

Ints = NDArray[np.int64]
Combination = tuple[int, int]  # year, number of the product


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiles:
    """The tiles of a job.

    Attributes:
        x: Their ids, ``(tile)``, as ``y``; lon and lat are those of their centres.
        combinations: The years and products that the job has, sorted.
        ranks: How each task stands, ``(tile, combination)``: its number in ``STANDINGS``, ABSENT for no task.
        causes: Why, ``(tile, combination)``: numbers of ``names``.
    """

    x: Ints
    y: Ints
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    combinations: tuple[Combination, ...]
    ranks: NDArray[np.uint8]
    causes: NDArray[np.int32]
    names: tuple[str, ...]

    @property
    def years(self) -> list[int]:
        """Each once, sorted."""
        return sorted({year for year, _ in self.combinations})

    @property
    def products(self) -> list[int]:
        """The number of each once, sorted."""
        return sorted({product for _, product in self.combinations})

    @property
    def worst(self) -> NDArray[np.uint8]:
        """The worst of each tile's tasks, ``(tile)``."""
        return np.asarray(self.ranks.min(axis=1), dtype=np.uint8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What the map shows: degrees, and the narrowing of longitudes at its middle."""

    west: float
    south: float
    east: float
    north: float

    @property
    def narrowing(self) -> float:
        """A degree of longitude in degrees of latitude."""
        return max(cos(radians((self.south + self.north) / 2)), 0.1)

    @property
    def width(self) -> float:
        """In degrees of latitude."""
        return (self.east - self.west) * self.narrowing

    @property
    def height(self) -> float:
        """In degrees of latitude."""
        return self.north - self.south


def tiles_of(places: Places) -> Tiles:
    """The tiles of a job's tasks, sorted by their ids."""
    x, y = np.array(places.x, dtype=np.int64), np.array(places.y, dtype=np.int64)
    product, year = np.array(places.product, dtype=np.int64), np.array(places.year, dtype=np.int64)
    _, first, tile = np.unique(x << 32 | y, return_index=True, return_inverse=True)
    codes, combination = np.unique(year * len(PRODUCTS) + product, return_inverse=True)
    ranks = np.full((len(first), len(codes)), ABSENT, dtype=np.uint8)
    causes = np.zeros(ranks.shape, dtype=np.int32)
    ranks[tile, combination] = np.array(places.rank, dtype=np.uint8)
    causes[tile, combination] = np.array(places.cause, dtype=np.int32)
    return Tiles(
        x=x[first],
        y=y[first],
        lon=np.array(places.lon)[first],
        lat=np.array(places.lat)[first],
        combinations=tuple((int(code) // len(PRODUCTS), int(code) % len(PRODUCTS)) for code in codes),
        ranks=ranks,
        causes=causes,
        names=tuple(places.names),
    )


def frame_of(tiles: Tiles) -> Frame:
    """The tiles with a margin; one tile alone is not blown up to fill a page."""
    west, east = float(tiles.lon.min()), float(tiles.lon.max())
    south, north = float(tiles.lat.min()), float(tiles.lat.max())
    room = max(east - west, north - south) * 0.02 + TILE_DEGREES / 2 + _MARGIN_DEGREES
    wide = room + max(_LEAST_DEGREES - (east - west) - 2 * room, 0) / 2
    high = room + max(_LEAST_DEGREES / 2 - (north - south) - 2 * room, 0) / 2
    wide = max(wide, ((north - south + 2 * high) * 0.8 - (east - west)) / 2)  # not narrower than it is high by much
    return Frame(west=west - wide, south=south - high, east=east + wide, north=north + high)
