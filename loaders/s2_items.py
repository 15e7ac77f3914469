"""Sentinel-2 items as granules, and granules as the passes they belong to."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from types import MappingProxyType

import numpy as np

from ard.errors import InvalidInput
from ard.grid import Bounds
from ard.scene import Scene
from loaders.footprint import Footprint, box_footprint, covered_points, covered_share, footprint_of
from loaders.s2_spellings import (
    baseline_of,
    datatake_of,
    epsg_of,
    generated_at_of,
    offset_applied_of,
    platform_of,
    sensing_start_of,
    square_of,
)

ASSETS: Mapping[str, str] = MappingProxyType(
    {
        "blue": "B02",
        "green": "B03",
        "red": "B04",
        "nir": "B08",
        "rededge1": "B05",
        "rededge2": "B06",
        "rededge3": "B07",
        "nir08": "B8A",
        "swir16": "B11",
        "swir22": "B12",
        "scl": "SCL",
    }
)
"""The assets a granule must have, as Earth Search v1 names them, and ESA's own names, which other catalogues use."""

MIN_COVERAGE = 0.5  # of the tile, by footprints: a pass that sees less is not worth reading
# Items without ids: one square is seen at one moment, and a pass takes well under a minute over a tile's surroundings.
SAME_PASS = timedelta(seconds=60)
_SAME_COVERAGE_DECIMALS = 2  # of zones: less is the inaccuracy of footprints

_EARLIEST = datetime.min.replace(tzinfo=UTC)


class Collection(StrEnum):
    """The two kinds of Level-2A archives, by the names that Earth Search gives them.

    They differ in what their pixels hold: Collection 1 always has ESA's offset of 1000 in them.
    """

    L2A = "sentinel-2-l2a"
    C1 = "sentinel-2-c1-l2a"


@dataclass(frozen=True, slots=True, kw_only=True)
class Granule:
    """One item: what one datastrip of one pass saw of one MGRS square.

    Attributes:
        platform: Such as ``sentinel-2a``.
        datatake: The pass, such as ``GS2A_20200305T103021_024558``: its id without the processing baseline.
        mgrs: The square, such as ``01WCR``.
        sensing_start: When the datastrip began, which tells the datastrips of one datatake apart in any processing.
        generated_at: When the product was made.
        baseline: The processing baseline, ``(5, 9)`` for 05.09.
        offset_applied: What the catalogue says: whether ESA's offset was already taken out of the pixels.
        epsg: The UTM zone of the pixels, such as 32622.
        acquired_at: The item's datetime, UTC; in some catalogues the granule's own, in others the datatake's.
        footprint: Where it has pixels, roughly.
    """

    scene: Scene
    collection: Collection
    platform: str
    datatake: str | None
    mgrs: str
    sensing_start: datetime | None
    generated_at: datetime | None
    baseline: tuple[int, int] | None
    offset_applied: bool | None
    epsg: int
    acquired_at: datetime
    footprint: Footprint

    @property
    def id(self) -> str:
        """The item's id."""
        return self.scene.id

    def href(self, asset: str) -> str:
        """The address of one of ``ASSETS``, by its Earth Search name."""
        assets = self.scene.assets
        return assets[asset] if asset in assets else assets[ASSETS[asset]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One pass over a tile: everything that one satellite saw of it and its surroundings at one time.

    Attributes:
        id: The datatake's id, or one made of platform and time; unique among the groups of a tile.
        granules: In the order of the mosaic, first one on top: the dominant UTM zone, then coverage of the tile, then
            id.
        acquired_at: The earliest of the granules' moments, UTC.
        coverage: The share of the tile's box within any granule's footprint, 0 to 1.
    """

    id: str
    granules: tuple[Granule, ...]
    acquired_at: datetime
    coverage: float

    @property
    def date(self) -> date:
        """The day of the pass, UTC."""
        return self.acquired_at.date()


def granule_of(scene: Scene) -> Granule:
    """The granule that an item describes.

    Reads the spellings of Earth Search v1 (both collections) and v0 and of Planetary Computer; what only product names
    and ids tell is taken from those.

    Raises:
        InvalidInput: The item is not Level-2A, or lacks a datetime with its zone, an asset, a UTM zone, an MGRS square,
            a platform or a footprint that can be read.
    """
    if scene.acquired_at is None or scene.acquired_at.tzinfo is None:
        raise InvalidInput(f"{scene.id}: expected a datetime with its time zone, found {scene.acquired_at}")
    missing = sorted(name for name, esa in ASSETS.items() if not {name, esa} & scene.assets.keys())
    if missing:
        raise InvalidInput(f"{scene.id}: expected the assets {missing}, found {sorted(scene.assets)}")
    return Granule(
        scene=scene,
        collection=_collection(scene),
        platform=platform_of(scene),
        datatake=datatake_of(scene),
        mgrs=square_of(scene),
        sensing_start=sensing_start_of(scene),
        generated_at=generated_at_of(scene),
        baseline=baseline_of(scene),
        offset_applied=offset_applied_of(scene),
        epsg=epsg_of(scene),
        acquired_at=scene.acquired_at.astimezone(UTC),
        footprint=_footprint(scene),
    )


def deduplicate(granules: Iterable[Granule]) -> tuple[Granule, ...]:
    """One granule of everything that was seen: the newest processing, and one collection for each datatake.

    Collection 1 serves only datatakes of which ``sentinel-2-l2a`` has nothing. The same platform, datatake, square
    and start of the datastrip is the same view. An item that lacks these ids is the same view as another of its
    platform and square within a minute; one with ids is then preferred.

    Returns:
        Ordered by id.
    """
    wanted = _one_collection_per_datatake(granules)
    oldest_first = sorted(wanted, key=_freshness)
    named = {_view(granule): granule for granule in oldest_first if _is_named(granule)}
    kept = list(named.values())
    for granule in reversed([granule for granule in oldest_first if not _is_named(granule)]):
        if not any(_is_same_moment(granule, other) and granule.mgrs == other.mgrs for other in kept):
            kept.append(granule)
    return tuple(sorted(kept, key=lambda granule: granule.id))


def group(granules: Iterable[Granule], box: Bounds, *, min_coverage: float = MIN_COVERAGE) -> tuple[Group, ...]:
    """The passes over a tile, of de-duplicated granules.

    A pass is a platform's datatake, whatever its granules: neighbours, two datastrips, two UTM zones. Granules
    without a datatake join the pass of their platform within a minute.

    Args:
        granules: Those around the tile; all of a pass are kept, also the ones that only touch its surroundings.
        box: The tile's own box.
        min_coverage: Passes whose footprints cover less of the box are left out.

    Returns:
        Ordered by time, then id.
    """
    passes: dict[tuple[str, str], list[Granule]] = defaultdict(list)
    nameless: dict[str, list[Granule]] = defaultdict(list)
    for granule in sorted(granules, key=lambda granule: (granule.acquired_at, granule.id)):
        if granule.datatake is None:
            nameless[granule.platform].append(granule)
        else:
            passes[granule.platform, granule.datatake].append(granule)
    for platform, items in nameless.items():
        for run in _runs(items):
            joined = [key for key in sorted(passes) if any(_is_same_moment(a, b) for a in passes[key] for b in run)]
            passes[joined[0] if joined else (platform, _pass_id(run[0]))] += run
    groups = [_group(name, members, box) for (_, name), members in passes.items()]
    useful = [group for group in groups if group.coverage >= min_coverage]
    return tuple(sorted(useful, key=lambda group: (group.acquired_at, group.id)))


def _group(name: str, granules: Sequence[Granule], box: Bounds) -> Group:
    zones = {granule.epsg for granule in granules}
    covered = {
        zone: np.any([covered_points(granule.footprint, box) for granule in granules if granule.epsg == zone], axis=0)
        for zone in zones
    }

    def zone_order(zone: int) -> tuple[float, float, int]:
        # Where both zones see all of the tile, the one it lies in: the same on every date.
        off_meridian = abs((box.west + box.east) / 2 - (6 * (zone % 100) - 183))
        return -round(float(covered[zone].mean()), _SAME_COVERAGE_DECIMALS), min(off_meridian, 360 - off_meridian), zone

    ranks = {zone: rank for rank, zone in enumerate(sorted(zones, key=zone_order))}

    def mosaic_order(granule: Granule) -> tuple[int, float, str]:
        return ranks[granule.epsg], -covered_share(granule.footprint, box), granule.id

    return Group(
        id=name,
        granules=tuple(sorted(granules, key=mosaic_order)),
        acquired_at=min(granule.acquired_at for granule in granules),
        coverage=float(np.any(list(covered.values()), axis=0).mean()),
    )


def _one_collection_per_datatake(granules: Iterable[Granule]) -> list[Granule]:
    found = list(granules)
    primary = {(granule.platform, granule.datatake) for granule in found if granule.collection is Collection.L2A}
    return [
        granule
        for granule in found
        if granule.collection is Collection.L2A
        or granule.datatake is None
        or (granule.platform, granule.datatake) not in primary
    ]


def _freshness(granule: Granule) -> tuple[bool, datetime, tuple[int, int], str]:
    is_primary = granule.collection is Collection.L2A
    return is_primary, granule.generated_at or _EARLIEST, granule.baseline or (0, 0), granule.id


def _is_named(granule: Granule) -> bool:
    return granule.datatake is not None and granule.sensing_start is not None


def _view(granule: Granule) -> tuple[str, str | None, str, datetime | None]:
    return granule.platform, granule.datatake, granule.mgrs, granule.sensing_start


def _is_same_moment(one: Granule, other: Granule) -> bool:
    return one.platform == other.platform and abs(one.acquired_at - other.acquired_at) <= SAME_PASS


def _runs(granules: Sequence[Granule]) -> list[list[Granule]]:
    """Granules in order of time, cut wherever more than a minute lies between two."""
    runs = [[granules[0]]]
    for before, after in pairwise(granules):
        if _is_same_moment(before, after):
            runs[-1].append(after)
        else:
            runs.append([after])
    return runs


def _pass_id(first: Granule) -> str:
    return f"{first.platform}_{first.acquired_at:%Y%m%dT%H%M%S}"


def _collection(scene: Scene) -> Collection:
    if "l2a" not in scene.collection:
        raise InvalidInput(f"{scene.id}: expected a Level-2A collection, found {scene.collection!r}")
    return Collection.C1 if scene.collection.startswith("sentinel-2-c1") else Collection.L2A


def _footprint(scene: Scene) -> Footprint:
    if not scene.geometry:  # STAC allows an item without one
        return box_footprint(scene.bounds)
    try:
        return footprint_of(scene.geometry)
    except InvalidInput as error:
        raise InvalidInput(f"{scene.id}: {error}") from error
