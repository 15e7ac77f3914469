"""The two ports of a loader, in memory: a DEM archive computed from a function of longitude and latitude."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from ard.errors import ArdError
from ard.grid import Bounds
from ard.scene import Interval, Raster, Scene
from tests.factories import make_scene

Cell = tuple[int, int]  # the south-west corner: whole degrees of longitude, latitude
Elevation = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


@dataclass
class FakeDem:
    """Catalog and Reader of 1-degree cells; ``rates`` is samples per degree of longitude and latitude."""

    elevation: Elevation
    cells: Mapping[str, set[Cell]]
    lon_rate: Callable[[Cell], int] = lambda cell: 2400 if cell[1] >= 50 else 3600
    searched: list[str] = field(default_factory=list)
    error: ArdError | None = None
    href: str | None = None  # of a real file instead of the function

    def search(self, collection: str, bounds: Bounds, interval: Interval | None = None) -> tuple[Scene, ...]:
        self.searched.append(collection)
        if self.error:
            raise self.error
        return tuple(
            make_scene(
                id=f"{collection}_{cell}",
                collection=collection,
                assets={"data": self.href or f"{collection}|{cell[0]}|{cell[1]}"},
            )
            for cell in sorted(self.cells.get(collection, set()))
            if cell[0] - 0.01 < bounds.east
            and bounds.west < cell[0] + 1
            and cell[1] < bounds.north
            and bounds.south < cell[1] + 1.01
        )

    def window(self, href: str, bounds: Bounds, *, margin: int = 0, **_coarser: object) -> Raster:
        collection, west, south = href.split("|")
        cell = int(west), int(south)
        coarse = 3 if collection == "cop-dem-glo-90" else 1
        lon_rate, lat_rate = self.lon_rate(cell) // coarse, 3600 // coarse
        x0, x1 = _part(bounds.west * lon_rate, bounds.east * lon_rate, margin, cell[0] * lon_rate, lon_rate)
        y0, y1 = _part(-bounds.north * lat_rate, -bounds.south * lat_rate, margin, -(cell[1] + 1) * lat_rate, lat_rate)
        lon = np.arange(x0, x1) / lon_rate
        lat = -np.arange(y0, y1) / lat_rate
        pixels = np.asarray(self.elevation(lon[np.newaxis, :], lat[:, np.newaxis]), dtype=np.float32)
        transform = Affine(1 / lon_rate, 0, (x0 - 0.5) / lon_rate, 0, -1 / lat_rate, (-y0 + 0.5) / lat_rate)
        return Raster(pixels=pixels, transform=transform, crs="EPSG:4326", nodata=None)


def _part(first: float, last: float, margin: int, start: int, size: int) -> tuple[int, int]:
    """The samples of a cell (``start`` and on) whose pixel areas touch an interval, and a margin."""
    low = max(int(np.floor(first + 0.5)) - margin, start)
    high = min(int(np.ceil(last + 0.5)) + margin, start + size)
    return low, max(high, low)
