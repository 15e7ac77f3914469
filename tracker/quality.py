"""Quality metrics of what a job has made: how they are spread, which flags there are, and the tiles to look at."""

import operator
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import floor
from types import MappingProxyType

from ard.errors import InvalidInput
from ard.product import Product
from ard.rows import TaskRow
from ard.states import State

_WHERE = re.compile(r"\s*([A-Za-z_]\w{0,63})\s*(<=|>=|<|>|=)\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?)\s*")
_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq}
)


@dataclass(frozen=True, slots=True)
class Where:
    """A condition on a metric, such as ``valid_fraction_min<0.9``."""

    metric: str
    comparison: str
    number: float

    def holds(self, value: float) -> bool:
        """Whether a value fulfils it."""
        return _COMPARISONS[self.comparison](value, self.number)

    def __str__(self) -> str:
        return f"{self.metric}{self.comparison}{self.number:g}"


# A tile beyond one of these is worth a look: the model sees less than it was trained on.
THRESHOLDS: Mapping[Product, tuple[Where, ...]] = MappingProxyType(
    {
        Product.DEM: (
            Where("filled_glo90_fraction", ">", 0.0),
            Where("filled_seam_fraction", ">", 0.01),
        ),
        Product.S1: (
            Where("valid_fraction_min", "<", 0.9),
            Where("nodata_fraction", ">", 0.0),
            Where("passes_used", "<", 4),
        ),
        Product.S2: (
            Where("dates_kept", "<", 6),
            Where("max_gap_days", ">", 120),
            Where("clear_views_too_few_fraction", ">", 0.05),
        ),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpread:
    """One metric of one product: how many tiles have it, and its percentiles (linear between tiles)."""

    product: Product
    metric: str
    tiles: int
    minimum: float
    p5: float
    p50: float
    p95: float
    maximum: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TileQuality:
    """A tile of the list: what speaks against it, or the conditions that it fulfils."""

    row: TaskRow
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """The quality of a job's outputs.

    Attributes:
        tasks: How many outputs have metrics, of the products that were asked for.
        metrics: Their spread, all of them.
        flags: How many outputs have each flag, by product.
        tiles: Those that fulfil every condition that was given; without conditions, those with flags or beyond a
            threshold, the ones with most against them first.
    """

    tasks: int
    metrics: tuple[MetricSpread, ...]
    flags: Mapping[Product, Mapping[str, int]]
    tiles: tuple[TileQuality, ...]


def parse_where(text: str) -> Where:
    """A condition as it is typed: NAME, one of < <= > >= =, and a NUMBER.

    Raises:
        InvalidInput: It is not that.
    """
    match = _WHERE.fullmatch(text)
    if match is None:
        raise InvalidInput(f"expected a condition such as 'valid_fraction_min<0.9', found {text[:80]!r}")
    return Where(match[1], match[2], float(match[3]))


def quality_of(rows: Iterable[TaskRow], *, products: Sequence[Product] = (), where: Sequence[Where] = ()) -> Quality:
    """The quality of the outputs among the rows.

    Args:
        rows: A job's.
        products: Only of these; empty for all.
        where: Conditions on metrics, all of which must hold; a tile without the metric does not fulfil them.

    Raises:
        InvalidInput: A condition names a metric that no output has.
    """
    made = [row for row in rows if row.state is State.SUCCEEDED and (not products or row.product in products)]
    values: dict[tuple[Product, str], list[float]] = {}
    for row in made:
        for name, value in numbers_of(row).items():
            values.setdefault((row.product, name), []).append(value)
    _check_known(where, {name for _, name in values})
    flags: dict[Product, Counter[str]] = {}
    for row in made:
        flags.setdefault(row.product, Counter()).update(row.flags)
    return Quality(
        tasks=len(made),
        metrics=tuple(_spread(product, name, sorted(found)) for (product, name), found in sorted(values.items())),
        flags={product: dict(sorted(counted.items())) for product, counted in sorted(flags.items())},
        tiles=tuple(_matching(made, where) if where else _worst(made)),
    )


def numbers_of(row: TaskRow) -> dict[str, float]:
    """The metrics of a row that are numbers."""
    return {
        name: float(value)
        for name, value in row.digest.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _check_known(where: Sequence[Where], known: set[str]) -> None:
    unknown = sorted({condition.metric for condition in where} - known)
    if unknown:
        there = ", ".join(sorted(known)) or "none yet"
        raise InvalidInput(f"expected a metric of this job's outputs ({there}), found {', '.join(unknown)}")


def _spread(product: Product, name: str, ordered: Sequence[float]) -> MetricSpread:
    low, middle, high = (_percentile(ordered, part) for part in (0.05, 0.5, 0.95))
    return MetricSpread(
        product=product,
        metric=name,
        tiles=len(ordered),
        minimum=ordered[0],
        p5=low,
        p50=middle,
        p95=high,
        maximum=ordered[-1],
    )


def _percentile(ordered: Sequence[float], part: float) -> float:
    place = part * (len(ordered) - 1)
    below = floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def _matching(rows: Iterable[TaskRow], where: Sequence[Where]) -> list[TileQuality]:
    """The rows that fulfil every condition, those furthest beyond the first one first."""
    found = []
    for row in rows:
        numbers = numbers_of(row)
        if all(one.metric in numbers and one.holds(numbers[one.metric]) for one in where):
            found.append(TileQuality(row=row, reasons=_reasons(where, numbers)))
    first = where[0]
    sign = 1 if first.comparison.startswith("<") else -1
    return sorted(found, key=lambda one: (sign * numbers_of(one.row)[first.metric], one.row.task_id))


def _worst(rows: Iterable[TaskRow]) -> list[TileQuality]:
    found = []
    for row in rows:
        numbers = numbers_of(row)
        broken = [one for one in THRESHOLDS[row.product] if one.metric in numbers and one.holds(numbers[one.metric])]
        if broken or row.flags:
            found.append(TileQuality(row=row, reasons=(*row.flags, *_reasons(broken, numbers))))
    return sorted(found, key=lambda one: (-len(one.reasons), one.row.task_id))


def _reasons(conditions: Iterable[Where], numbers: Mapping[str, float]) -> tuple[str, ...]:
    return tuple(f"{one.metric} {numbers[one.metric]:g} ({one.comparison} {one.number:g})" for one in conditions)
