"""A Sentinel-2 archive in memory: granules computed from functions of their projected coordinates."""

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
from loaders.s2_pixels import BANDS_10M, BANDS_20M
from tests.factories import make_scene

BANDS = (*BANDS_10M, *BANDS_20M)
SIDE = 109_800


def ground(band, x, y):
    """Counts of the bare surface, 300 to 3300: unlike its mirror images, the same on 10 m and 20 m lattices."""
    number = BANDS.index(band)
    return (300 + 100 * number + (x // 20 * 7 + y // 20 * 13) % 2000).astype(np.int64)


def clear(x, y):
    return np.full(np.broadcast_shapes(x.shape, y.shape), 4, dtype=np.uint8)


@dataclass(kw_only=True)
class FakeGranule:
    """One item. ``added`` is the offset in its counts; ``classes(x, y)`` its classification, 0 outside the swath."""

    id: str
    acquired_at: datetime
    epsg: int = 32721
    west: float = 730_000
    north: float = 9_490_020
    platform: str = "sentinel-2a"
    datatake: str | None = None
    mgrs: str = "21MYP"
    strip: str = "S20230101T135500"
    generated: str = "2023-06-01T00:00:00Z"
    baseline: str = "05.09"
    flag: bool | None = True
    collection: str = "sentinel-2-l2a"
    added: int = 0
    classes: Callable = clear
    surface: Callable = ground
    overview: str = "NEAREST"
    broken: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()

    def bounds(self):
        to_degrees = Transformer.from_crs(self.epsg, 4326, always_xy=True)
        return Bounds(*to_degrees.transform_bounds(self.west, self.north - SIDE, self.west + SIDE, self.north))

    def scene(self):
        west, south, east, north = self.bounds()
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        take = self.datatake or f"GS2{self.platform[-1].upper()}_{self.acquired_at:%Y%m%dT%H%M%S}_012345"
        properties = {
            "platform": self.platform,
            "constellation": "sentinel-2",
            "proj:code": f"EPSG:{self.epsg}",
            "grid:code": f"MGRS-{self.mgrs}",
            "s2:processing_baseline": self.baseline,
            "s2:datatake_id": f"{take}_N{self.baseline}",
            "s2:datastrip_id": f"S2A_OPER_MSI_L2A_DS_2APS_20230601T000000_{self.strip}_N{self.baseline}",
            "s2:generation_time": self.generated,
        }
        if self.flag is not None:
            properties["earthsearch:boa_offset_applied"] = self.flag
        assets = {name: f"{self.id}|{name}" for name in (*BANDS, "scl") if name not in self.without}
        return make_scene(
            id=self.id,
            collection=self.collection,
            href=f"https://catalogue.test/{self.id}",
            bounds=self.bounds(),
            geometry={"type": "Polygon", "coordinates": [ring]},
            acquired_at=self.acquired_at,
            properties=properties,
            assets=assets,
        )

    def pixels(self, asset, x, y):
        classes = self.classes(x, y)
        if asset == "scl":
            return classes
        counts = np.where(classes == 0, 0, self.surface(asset, x, y) + self.added)
        return counts.astype(np.uint16)


@dataclass
class FakeS2:
    """Catalog and Reader of such granules."""

    granules: list[FakeGranule]
    error: ArdError | None = None
    reads: list[str] = field(default_factory=list)

    def search(self, collection, bounds, interval=None):
        if self.error:
            raise self.error
        found = [g for g in self.granules if g.collection == collection and _overlap(g.bounds(), bounds)]
        if interval is not None:
            found = [g for g in found if interval.start <= g.acquired_at <= interval.end]
        return tuple(sorted((g.scene() for g in found), key=lambda scene: scene.id))

    def window(self, href, bounds, *, margin=0, pixel_size=None, overviews=True):
        name, asset = href.split("|")
        granule = next(g for g in self.granules if g.id == name)
        self.reads.append(href)
        if asset in granule.broken:
            raise AssetCorrupt(f"{href}: 404")
        step = 10 if asset in BANDS_10M else 20
        coarse = 1 if pixel_size is None else max(int(pixel_size / step), 1)
        step *= coarse
        west, south, east, north = _projected(granule.epsg, bounds)
        size = SIDE // step
        left, right = (
            int(np.clip(f((v - granule.west) / step), 0, size)) for f, v in ((np.floor, west), (np.ceil, east))
        )
        top, bottom = (
            int(np.clip(f((granule.north - v) / step), 0, size)) for f, v in ((np.floor, north), (np.ceil, south))
        )
        x = granule.west + (np.arange(left, right) + 0.5) * step
        y = granule.north - (np.arange(top, bottom) + 0.5) * step
        pixels = granule.pixels(asset, x[np.newaxis, :], y[:, np.newaxis])
        told = granule.overview if coarse > 1 and overviews else None
        if told == "AVERAGE":
            pixels = np.full_like(pixels, 6)  # means of classes are no classes: all water, here
        transform = Affine(step, 0, granule.west + left * step, 0, -step, granule.north - top * step)
        return Raster(pixels=pixels, transform=transform, crs=f"EPSG:{granule.epsg}", nodata=0, overview=told)


@cache
def _projected(epsg, bounds):
    return Transformer.from_crs(4326, epsg, always_xy=True).transform_bounds(*bounds, densify_pts=21)


def _overlap(one, other):
    return one.west < other.east and other.west < one.east and one.south < other.north and other.south < one.north


def year_of_granules(year=2023, *, every_days=10, **fields):
    """A clear granule every few days from November before the year to February after it."""
    start = datetime(year - 1, 11, 16, 13, 55, tzinfo=UTC)
    days = range(0, 456, every_days)
    return [
        FakeGranule(
            id=f"S2A_21MYP_{start + timedelta(days=day):%Y%m%d}_0_L2A",
            acquired_at=start + timedelta(days=day),
            **fields,
        )
        for day in days
    ]
