"""The calendar of a tile's Sentinel-2 year: its search window, signed day numbers and month bins."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from ard.scene import Interval

# Where the bins of the model's training data began and ended: months of a year without 29 February, the first and the
# last reaching into the years before and after.
_EDGES = (-60, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 341, 410)
_FIRST_TARGET, _LAST_TARGET = 15, 349  # mid January and mid December: the centres of these two bins lie elsewhere


@dataclass(frozen=True, slots=True)
class Month:
    """A bin of day numbers, ``start <= day < end``.

    Attributes:
        index: 0 for January to 11 for December.
        target: The day number that a date of this bin had best be near.
    """

    index: int
    start: int
    end: int
    target: float


def _months() -> tuple[Month, ...]:
    last = len(_EDGES) - 2
    fixed = {0: float(_FIRST_TARGET), last: float(_LAST_TARGET)}
    return tuple(
        Month(index=index, start=start, end=end, target=fixed.get(index, (start + end) / 2))
        for index, (start, end) in enumerate(pairwise(_EDGES))
    )


MONTHS = _months()
"""The twelve bins, from January to December, without a hole between them."""


def search_interval(year: int) -> Interval:
    """When a scene may have been taken to serve a year: 15 November before it to the end of 15 February after it.

    The last days of it (from day number 410 on) fall in no bin.
    """
    return Interval(
        datetime(year - 1, 11, 15, tzinfo=UTC),
        datetime(year + 1, 2, 16, tzinfo=UTC) - timedelta(microseconds=1),
    )


def day_number(acquired_at: datetime, year: int) -> int:
    """The signed day of a year, UTC: 1 is 1 January, 0 the day before it, 366 or 367 the 1 January after.

    Args:
        acquired_at: Any moment, with its time zone.
        year: The year that is counted from.
    """
    return (acquired_at - datetime(year, 1, 1, tzinfo=UTC)).days + 1


def within_year(day: int, year: int) -> bool:
    """Whether a day number lies in the calendar year itself, not in the weeks around it."""
    return 1 <= day < day_number(datetime(year + 1, 1, 1, tzinfo=UTC), year)


def month_of(day: int) -> Month | None:
    """The bin that a day number falls in; None before the first and after the last."""
    return next((month for month in MONTHS if month.start <= day < month.end), None)
