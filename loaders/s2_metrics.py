"""What there is to say about the quality of a Sentinel-2 tile."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from pydantic import JsonValue

from ard.product import Layer
from loaders.s2_dates import MONTHS
from loaders.s2_items import Granule, Group
from loaders.s2_pixels import BANDS_10M, BANDS_20M, Frame
from loaders.s2_screen import SCL_SHADOW, CloudView, Shares, has_data, is_cloud
from loaders.s2_select import Candidate

ENOUGH_VIEWS = 3  # clear views of a pixel that the model can work with
SATURATED = 10_000  # counts of reflectance 1
_EVERY = 4  # pixels of which one is looked at for band statistics, in each direction
_DAYS = 365


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """What the catalogue has: items in all, the passes that they make, and items that describe no granule."""

    items: int
    passes: tuple[Group, ...]
    unreadable: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Date:
    """A date that is kept, its pixels, and what they show."""

    candidate: Candidate
    frame: Frame
    shares: Shares

    @property
    def granules(self) -> tuple[Granule, ...]:
        """The granules that gave pixels."""
        return tuple(granule for granule in self.candidate.group.granules if granule.id in self.frame.offsets)

    @property
    def obscured(self) -> float:
        """How much of the tile was not seen clearly, 0..1 or more."""
        return self.shares.nodata + self.shares.cloud + self.shares.shadow


def metrics_of(
    archive: Archive,
    views: Sequence[tuple[Group, CloudView]],
    dates: Sequence[Date],
    layers: Sequence[Layer],
) -> Mapping[str, JsonValue]:
    """Quality metrics: counts, days without a view, clear views per pixel, band statistics, and each date's own."""
    days = [date.candidate.day for date in dates]
    per_month = [sum(date.candidate.month == month for date in dates) for month in MONTHS]
    sources = Counter(source for _, view in views for source in view.sources)
    return {
        "items": archive.items,
        "passes": len(archive.passes),
        "dates_kept": len(dates),
        "dates_outside_year": sum(not date.candidate.inside_year for date in dates),
        "max_gap_days": _longest_gap(days),
        **_clear_views(dates),
        "dates_per_month": list(per_month),
        "screened_from": dict(sorted(sources.items())),
        "unreadable_items": list(archive.unreadable),
        "bands": {**_bands(layers[0], BANDS_10M), **_bands(layers[1], BANDS_20M)},
        "dates": [_date(date) for date in dates],
    }


def _date(date: Date) -> JsonValue:
    candidate, frame = date.candidate, date.frame
    baselines = sorted({f"{g.baseline[0]:02}.{g.baseline[1]:02}" for g in date.granules if g.baseline})
    offsets: dict[str, JsonValue] = {
        name: {"value": offset.value, "rule": offset.rule, **{key: round(v, 4) for key, v in offset.evidence.items()}}
        for name, offset in frame.offsets.items()
    }
    return {
        "date": candidate.group.date.isoformat(),
        "day": candidate.day,
        "pass": candidate.id,
        "score": round(candidate.score, 4),
        "relaxed": candidate.relaxed,
        "nodata": round(date.shares.nodata, 4),
        "cloud": round(date.shares.cloud, 4),
        "shadow": round(date.shares.shadow, 4),
        "snow": round(date.shares.snow, 4),
        "baselines": list(baselines),
        "offsets": offsets,
        "skipped_items": list(frame.skipped),
    }


def _longest_gap(days: Sequence[int]) -> int:
    """The longest time between two dates, the year taken as a circle."""
    round_the_year = sorted({day % _DAYS for day in days})
    gaps = [after - before for before, after in pairwise(round_the_year)]
    return max([*gaps, round_the_year[0] + _DAYS - round_the_year[-1]])


def _clear_views(dates: Sequence[Date]) -> Mapping[str, JsonValue]:
    clear = [
        has_data(date.frame.classes) & ~is_cloud(date.frame.classes) & (date.frame.classes != SCL_SHADOW)
        for date in dates
    ]
    views = np.sum(clear, axis=0)
    low, middle = np.percentile(views, [5, 50])
    return {
        "clear_views_min": int(views.min()),
        "clear_views_p5": float(low),
        "clear_views_p50": float(middle),
        "clear_views_too_few_fraction": round(float((views < ENOUGH_VIEWS).mean()), 4),
    }


def _bands(layer: Layer, names: Sequence[str]) -> dict[str, JsonValue]:
    """Percentiles of reflectance counts over all dates, from every fourth pixel; shares of nodata and saturation."""
    found: dict[str, JsonValue] = {}
    for number, name in enumerate(names):
        counts = layer.pixels[number :: len(names), ::_EVERY, ::_EVERY]
        seen = counts[counts > 0]
        low, middle, high = np.percentile(seen, [1, 50, 99])
        found[name] = {
            "p1": float(low),
            "p50": float(middle),
            "p99": float(high),
            "nodata": round(1 - seen.size / counts.size, 4),
            "saturated": round(float((seen >= SATURATED).mean()), 6),
        }
    return found
