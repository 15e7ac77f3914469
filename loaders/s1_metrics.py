"""What there is to say about the quality of a Sentinel-1 tile."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from loaders.s1_composite import Composite
from loaders.s1_passes import POLARISATIONS, Direction, Pass, Quarter, Slice

SATURATED = 1.0  # linear power that the model's scaling cannot hold
# Medians, in dB, that land has; outside of them something may be wrong with the source (or there is no land).
USUAL_DB: Mapping[str, tuple[float, float]] = {"VV": (-20.0, -3.0), "VH": (-28.0, -8.0)}
USUAL_VH_BELOW_VV = 0.95  # of the pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """What the catalogue has: items in all, those of another mode or polarisation, unreadable ones, and the passes."""

    items: int
    ignored: int
    unreadable: tuple[str, ...]
    passes: tuple[Pass, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Season:
    """A quarter as it was seen.

    Attributes:
        direction: From which way.
        passes: Those that gave pixels, in order of time, each with the slices that did.
        skipped: Items whose assets cannot be read.
    """

    quarter: Quarter
    direction: Direction
    passes: tuple[tuple[Pass, tuple[Slice, ...]], ...]
    seen: Composite
    skipped: tuple[str, ...]


def metrics_of(
    archive: Archive, seasons: Sequence[Season], power: NDArray[np.floating], *, direction: Direction
) -> Mapping[str, JsonValue]:
    """Quality metrics: counts, shares of valid and filled pixels, and each quarter's own with its statistics in dB.

    Args:
        archive: What was found.
        seasons: The four quarters as seen.
        power: ``(4, 2, y, x)`` linear, as written: filled, NaN is nodata.
        direction: The one that was chosen for the year.
    """
    per_quarter = [_quarter(season, power[number]) for number, season in enumerate(seasons)]
    warnings = [f"{season.quarter.name}: {text}" for n, season in enumerate(seasons) for text in _warnings(power[n])]
    return {
        "items": archive.items,
        "items_ignored": archive.ignored,
        "passes": len(archive.passes),
        "passes_used": sum(len(season.passes) for season in seasons),
        "direction": str(direction),
        "valid_fraction_min": _rounded(min(season.seen.valid_fraction for season in seasons)),
        "nodata_fraction": _rounded(float(np.isnan(power).mean())),
        "unreadable_items": list(archive.unreadable),
        "warnings": list(warnings),
        "quarters": list(per_quarter),
    }


def filled_fraction(season: Season, power: NDArray[np.floating]) -> float:
    """The share of a quarter's pixels that hold data in a polarisation in which no pass of it saw them.

    The larger of the two polarisations' shares would flag calm water, the smaller one is what is missing altogether.
    """
    from_elsewhere = (season.seen.count == 0) & ~np.isnan(power)
    return float(from_elsewhere.mean(axis=(-2, -1)).min())


def _quarter(season: Season, power: NDArray[np.floating]) -> JsonValue:
    used = [one for one, _ in season.passes]
    numbers = {name: _polarisation(season, power, n) for n, name in enumerate(POLARISATIONS)}
    return {
        "quarter": season.quarter.name,
        "direction": str(season.direction),
        "n_items": sum(len(slices) for _, slices in season.passes),
        "n_passes": len(used),
        "dates": [one.started_at.date().isoformat() for one in used],
        "relative_orbits": list[JsonValue](sorted({one.relative_orbit for one in used})),
        "valid_fraction": _rounded(season.seen.valid_fraction),
        "filled_fraction": _rounded(filled_fraction(season, power)),
        "skipped_items": list(season.skipped),
        **numbers,
    }


def _polarisation(season: Season, power: NDArray[np.floating], number: int) -> JsonValue:
    count, values = season.seen.count[number], power[number]
    held = values[~np.isnan(values)]
    percentiles: list[JsonValue] = [None, None, None]
    if held.size:
        percentiles = [_rounded(value) for value in _db(np.percentile(held, [2, 50, 98]))]
    return {
        "valid_fraction": _rounded(float((count > 0).mean())),
        "filled_fraction": _rounded(float(((count == 0) & ~np.isnan(values)).mean())),
        "p2_db": percentiles[0],
        "p50_db": percentiles[1],
        "p98_db": percentiles[2],
        "saturated_fraction": _rounded(float((held >= SATURATED).mean()) if held.size else 0.0),
        "min_count": int(count.min()),
    }


def _warnings(power: NDArray[np.floating]) -> list[str]:
    found = []
    for number, name in enumerate(POLARISATIONS):
        held = power[number][~np.isnan(power[number])]
        low, high = USUAL_DB[name]
        if held.size and not low <= (middle := float(_db(np.median(held)))) <= high:
            found.append(f"{name} median {middle:.1f} dB outside {low:.0f}..{high:.0f} dB")
    both = ~np.isnan(power).any(axis=0)
    below = float((power[1] < power[0])[both].mean()) if both.any() else 1.0
    if below <= USUAL_VH_BELOW_VV:
        found.append(f"VH below VV in {below:.0%} of the pixels only")
    return found


def _db(power: NDArray[np.floating] | np.floating) -> NDArray[np.float64]:
    return np.asarray(10 * np.log10(power), dtype=np.float64)


def _rounded(value: float) -> float:
    return round(float(value), 4)
