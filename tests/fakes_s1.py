"""A Sentinel-1 archive in memory: slices computed from functions of their projected coordinates."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
from affine import Affine
from pyproj import Transformer

from ard.errors import ArdError, AssetCorrupt
from ard.grid import Bounds
from ard.scene import Raster
from tests.factories import make_scene

EPSG = 32721
NODATA = -32768.0


def ground(polarisation, x, y):
    """Linear power unlike its mirror images: VV about 0.15 and VH about 0.03."""
    texture = 1 + 0.5 * np.sin(x / 911) * np.cos(y / 677) + ((x // 10 * 7 + y // 10 * 13) % 17) / 40
    return (0.15 if polarisation == "vv" else 0.03) * texture


def flat(vv, vh):
    """Power that is the same everywhere."""
    return lambda polarisation, x, y: np.full(np.broadcast_shapes(x.shape, y.shape), vv if polarisation == "vv" else vh)


@dataclass(kw_only=True)
class FakeSlice:
    """One item; its box is in UTM metres and holds ``power(polarisation, x, y)``."""

    started_at: datetime
    id: str = ""
    direction: str = "ascending"
    orbit: int = 39
    absolute_orbit: int = 0
    platform: str = "SENTINEL-1A"
    mode: str = "IW"
    polarisations: tuple[str, ...] = ("VV", "VH")
    created: str | None = None
    epsg: int = EPSG
    west: float = 680_000
    north: float = 9_530_000
    width: int = 20_000  # pixels
    height: int = 18_000
    power: Callable = ground
    nodata: float | None = NODATA
    broken: frozenset[str] = frozenset()
    raw_names: bool = False

    def __post_init__(self):
        if not self.absolute_orbit:
            revolution = int(self.started_at.timestamp() // 5900)
            self.absolute_orbit = 1000 * revolution + 2 * self.orbit + (self.direction == "ascending")
        self.id = self.id or f"S1A_IW_{self.started_at:%Y%m%dT%H%M%S}_{self.orbit:03}_rtc"

    def box(self):
        return self.west, self.north - 10 * self.height, self.west + 10 * self.width, self.north

    def scene(self):
        to_degrees = Transformer.from_crs(self.epsg, 4326, always_xy=True)
        west, south, east, north = self.box()
        corners = [(west, south), (east, south), (east, north), (west, north), (west, south)]
        ring = [list(to_degrees.transform(x, y)) for x, y in corners]
        ending = "-rtc" if self.raw_names else ""
        properties = {
            "datetime": (self.started_at + timedelta(seconds=12)).isoformat(),
            "start_datetime": str(self.started_at),
            "platform": self.platform,
            "sar:instrument_mode": self.mode,
            "sar:polarizations": list(self.polarisations),
            "sat:orbit_state": self.direction,
            "sat:relative_orbit": self.orbit,
            "sat:absolute_orbit": self.absolute_orbit,
        }
        return make_scene(
            id=self.id,
            collection="sentinel-1-rtc",
            href=f"https://catalogue.test/{self.id}",
            bounds=Bounds(*to_degrees.transform_bounds(*self.box())),
            geometry={"type": "Polygon", "coordinates": [ring]},
            acquired_at=self.started_at + timedelta(seconds=12),
            properties=properties | ({"created": self.created} if self.created else {}),
            assets={f"{p.lower()}{ending}": f"{self.id}|{p.lower()}" for p in self.polarisations},
        )


@dataclass
class FakeS1:
    """Catalog and Reader of such slices."""

    slices: list[FakeSlice]
    error: ArdError | None = None
    reads: list[str] = field(default_factory=list)

    def search(self, collection, bounds, interval=None):
        if self.error:
            raise self.error
        found = [s.scene() for s in self.slices]
        within = [s for s in found if interval is None or interval.start <= s.acquired_at <= interval.end]
        return tuple(sorted((s for s in within if _overlap(s.bounds, bounds)), key=lambda scene: scene.id))

    def window(self, href, bounds, *, margin=0, pixel_size=None, overviews=True):
        name, polarisation = href.split("|")
        one = next(s for s in self.slices if s.id == name)
        self.reads.append(href)
        if polarisation in one.broken:
            raise AssetCorrupt(f"{href}: 404")
        west, south, east, north = _projected(one.epsg, bounds)
        left, right = np.clip([(west - one.west) // 10 - margin, -((one.west - east) // 10) + margin], 0, one.width)
        top, bottom = np.clip(
            [(one.north - north) // 10 - margin, -((south - one.north) // 10) + margin], 0, one.height
        )
        x = one.west + (np.arange(int(left), int(right)) + 0.5) * 10
        y = one.north - (np.arange(int(top), int(bottom)) + 0.5) * 10
        pixels = np.asarray(one.power(polarisation, x[np.newaxis, :], y[:, np.newaxis]), dtype=np.float32)
        transform = Affine(10, 0, one.west + left * 10, 0, -10, one.north - top * 10)
        return Raster(pixels=pixels, transform=transform, crs=f"EPSG:{one.epsg}", nodata=one.nodata)


@cache
def _projected(epsg, bounds):
    return Transformer.from_crs(4326, epsg, always_xy=True).transform_bounds(*bounds, densify_pts=21)


def _overlap(one, other):
    return one.west < other.east and other.west < one.east and one.south < other.north and other.south < one.north


def year_of_slices(year=2023, *, every_days=12, start=(1, 3, 9, 30, 5), **fields):
    """A slice over the whole tile every few days of a year, always from the same orbit."""
    first = datetime(year, *start, tzinfo=UTC)
    days = range(0, 362, every_days)
    return [FakeSlice(started_at=first + timedelta(days=day), **fields) for day in days]


def between(slices, first, last):
    """Those of them that start between two (month, day), both included."""
    return [s for s in slices if first <= (s.started_at.month, s.started_at.day) <= last]
