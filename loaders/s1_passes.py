"""Sentinel-1 items as passes, and which passes make a quarter: pure decisions on the catalogue's words."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from ard.errors import InvalidInput
from ard.grid import Bounds
from ard.scene import Interval, Scene
from loaders.footprint import box_footprint, covered_points, covered_share, footprint_of

POLARISATIONS = ("VV", "VH")
MODE = "IW"
MIN_COVERAGE = 0.05  # of the tile, by footprints: only a filter, pixels decide
FULL_COVERAGE = 0.95  # of the tile, by footprints: a quarter that a direction sees whole
SAME_PASS = timedelta(minutes=10)
SAME_START = timedelta(seconds=1)  # of two processings of one slice; neighbouring slices are 25 s apart

_FIRST_AND_LAST_DAYS = (((1, 15), (3, 15)), ((4, 15), (6, 15)), ((7, 15), (9, 15)), ((10, 15), (12, 15)))
_MADE_AT = ("updated", "created", "s1:processing_datetime")


class Direction(StrEnum):
    """Which way the satellite flies; the value is the catalogue's."""

    ASCENDING = "ascending"
    DESCENDING = "descending"

    @property
    def other(self) -> "Direction":
        """The opposite one."""
        return Direction.DESCENDING if self is Direction.ASCENDING else Direction.ASCENDING


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """One item: a slice of one pass, in both polarisations.

    Attributes:
        made_at: When it was processed, as the catalogue spells it; empty when that is not told.
        coverage: The share of the tile's box within the footprint, 0 to 1.
        seen: ``(y, x)`` bool: points of a regular lattice over the tile's box within the footprint.
    """

    scene: Scene
    platform: str
    direction: Direction
    relative_orbit: int
    absolute_orbit: int
    started_at: datetime
    made_at: str
    coverage: float
    seen: NDArray[np.bool_]

    @property
    def id(self) -> str:
        """The item's id."""
        return self.scene.id

    def href(self, polarisation: str) -> str:
        """The address of ``VV`` or ``VH``."""
        return self.scene.assets[_asset(self.scene, polarisation)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """Everything that one satellite saw of a tile in one overflight.

    Attributes:
        slices: In the order of the mosaic, first one on top: coverage of the tile, then id.
        coverage: The share of the tile's box within any footprint, 0 to 1.
    """

    id: str
    direction: Direction
    relative_orbit: int
    started_at: datetime
    slices: tuple[Slice, ...]
    coverage: float
    seen: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Quarter:
    """A season's window, both days included, UTC."""

    name: str
    first: date
    last: date

    def holds(self, moment: datetime) -> bool:
        """Whether a moment lies in the window."""
        return self.first <= moment.astimezone(UTC).date() <= self.last


def quarters(year: int) -> tuple[Quarter, ...]:
    """The four windows of the model's training data."""
    return tuple(
        Quarter(name=f"Q{number}", first=date(year, *first), last=date(year, *last))
        for number, (first, last) in enumerate(_FIRST_AND_LAST_DAYS, start=1)
    )


def search_interval(year: int) -> Interval:
    """The whole calendar year: a slice that starts on a window's last day may be centred on the next."""
    end = datetime.combine(date(year, 12, 31), time.max, tzinfo=UTC)
    return Interval(datetime(year, 1, 1, tzinfo=UTC), end)


def is_wanted(scene: Scene) -> bool:
    """Whether an item is of the mode and the polarisations that the product is made from."""
    polarisations = scene.properties.get("sar:polarizations")
    mode = scene.properties.get("sar:instrument_mode")
    return mode == MODE and isinstance(polarisations, list) and set(POLARISATIONS) <= set(map(str, polarisations))


def slice_of(scene: Scene, box: Bounds) -> Slice:
    """The slice that a wanted item describes, seen from a tile's box.

    Raises:
        InvalidInput: The item lacks an asset, an orbit's direction or number, or a footprint that can be read.
    """
    properties = scene.properties
    for polarisation in POLARISATIONS:
        _asset(scene, polarisation)
    state = str(properties.get("sat:orbit_state")).lower()
    if state not in set(Direction):
        raise InvalidInput(f"{scene.id}: expected sat:orbit_state ascending or descending, found {state!r}")
    footprint = footprint_of(scene.geometry) if scene.geometry else box_footprint(scene.bounds)
    return Slice(
        scene=scene,
        platform=str(properties.get("platform", "")).lower(),
        direction=Direction(state),
        relative_orbit=_orbit(scene, "sat:relative_orbit"),
        absolute_orbit=_orbit(scene, "sat:absolute_orbit"),
        started_at=_started_at(scene),
        made_at=next((str(properties[name]) for name in _MADE_AT if properties.get(name)), ""),
        coverage=covered_share(footprint, box),
        seen=covered_points(footprint, box),
    )


def deduplicate(slices: Iterable[Slice]) -> tuple[Slice, ...]:
    """Each slice once: of those of one platform, absolute orbit and start, the newest (then the last id)."""
    kept: list[Slice] = []
    for one in sorted(slices, key=lambda one: (one.platform, one.absolute_orbit, one.started_at, one.id)):
        last = kept[-1] if kept else None
        if last is None or not _same(last, one):
            kept.append(one)
        elif (one.made_at, one.id) > (last.made_at, last.id):
            kept[-1] = one
    return tuple(kept)


def passes(slices: Iterable[Slice]) -> tuple[Pass, ...]:
    """The passes that slices belong to, in order of time; those that hardly touch the tile are left out."""
    groups: list[list[Slice]] = []
    for one in sorted(slices, key=lambda one: (one.direction, one.relative_orbit, one.started_at, one.id)):
        first = groups[-1][0] if groups else None
        if (
            first is not None
            and (first.direction, first.relative_orbit) == (one.direction, one.relative_orbit)
            and one.started_at - first.started_at <= SAME_PASS
        ):
            groups[-1].append(one)
        else:
            groups.append([one])
    found = [_pass(group) for group in groups]
    touching = [one for one in found if one.coverage >= MIN_COVERAGE]
    return tuple(sorted(touching, key=lambda one: (one.started_at, one.id)))


def in_quarter(found: Sequence[Pass], quarter: Quarter, direction: Direction) -> tuple[Pass, ...]:
    """The passes of a direction within a quarter's window."""
    return tuple(one for one in found if one.direction is direction and quarter.holds(one.started_at))


def choose_direction(found: Sequence[Pass], windows: Sequence[Quarter]) -> Direction:
    """The direction that sees the tile whole in most quarters, then the one with most passes, then ascending."""

    def merit(direction: Direction) -> tuple[int, int]:
        per_quarter = [in_quarter(found, quarter, direction) for quarter in windows]
        return sum(_seen_whole(one) for one in per_quarter), sum(map(len, per_quarter))

    return max(Direction, key=merit)


def spread(candidates: Sequence[Pass]) -> tuple[Pass, ...]:
    """All passes of a quarter in the order in which they are used, each far in time from those before it.

    The first is the earliest of those that cover most; then always the one farthest in time from every chosen one,
    ties by coverage, then id.
    """
    waiting = sorted(candidates, key=lambda one: (-_about(one.coverage), one.started_at, one.id))
    order = waiting[:1]
    waiting = waiting[1:]
    while waiting:
        best = min(waiting, key=lambda one: (-_days_from(one, order), -_about(one.coverage), one.id))
        order.append(best)
        waiting.remove(best)
    return tuple(order)


def _about(coverage: float) -> float:
    """Coverage to the accuracy of footprints."""
    return round(coverage, 2)


def _days_from(one: Pass, chosen: Sequence[Pass]) -> int:
    """Whole days between a pass and the nearest chosen one: hours do not decide over coverage."""
    day = one.started_at.astimezone(UTC).date()
    return min(abs((day - other.started_at.astimezone(UTC).date()).days) for other in chosen)


def _seen_whole(found: Sequence[Pass]) -> bool:
    return bool(found) and float(np.any([one.seen for one in found], axis=0).mean()) >= FULL_COVERAGE


def _same(one: Slice, other: Slice) -> bool:
    return (
        one.platform == other.platform
        and one.absolute_orbit == other.absolute_orbit
        and other.started_at - one.started_at <= SAME_START
    )


def _pass(group: Sequence[Slice]) -> Pass:
    first = group[0]
    seen = np.any([one.seen for one in group], axis=0)
    return Pass(
        id=f"{first.started_at.astimezone(UTC):%Y%m%dT%H%M%S}_{first.direction}_{first.relative_orbit:03}",
        direction=first.direction,
        relative_orbit=first.relative_orbit,
        started_at=first.started_at,
        slices=tuple(sorted(group, key=lambda one: (-one.coverage, one.id))),
        coverage=group[0].coverage if len(group) == 1 else float(seen.mean()),
        seen=seen,
    )


def _asset(scene: Scene, polarisation: str) -> str:
    """The asset's key: ``vv``, or ``vv-rtc`` as the archive's own files name it."""
    key = polarisation.lower()
    for name in (key, f"{key}-rtc"):
        if name in scene.assets:
            return name
    raise InvalidInput(f"{scene.id}: expected an asset {key!r}, found {sorted(scene.assets)}")


def _orbit(scene: Scene, name: str) -> int:
    value = scene.properties.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidInput(f"{scene.id}: expected a number in {name}, found {value!r}")
    return int(value)


def _started_at(scene: Scene) -> datetime:
    told = scene.properties.get("start_datetime")
    try:
        moment = datetime.fromisoformat(str(told)) if told else scene.acquired_at
    except ValueError as error:
        raise InvalidInput(f"{scene.id}: expected a moment in start_datetime, found {told!r}") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
