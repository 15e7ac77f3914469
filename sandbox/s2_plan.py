"""Which Sentinel-2 products the sandbox's archive holds: a year and its shoulders, with every special case by name.

=================  ====================================================================================================
case               what is special
=================  ====================================================================================================
first_day          1 January
leap_day           29 February; in leap years alone
last_day           31 December
november_before    in November of the year before
january_after      in January of the year after
overcast           cloud everywhere
clear              no cloud anywhere
neighbours         every square that the screening looks at is there, not only those that hold the tiles
swath_edge         the swath ends in the middle of the tiles: the west is nodata
missing_asset      the item has no ``swir16``, and there is no such file
strip_north        a day in two datastrips, first part: the ground north of the tiles' middle
strip_south        second part: the same datatake, another datastrip, sequence 1
reprocessed        the datastrip of ``strip_north`` as it was first processed, sequence 2: older and too bright by 0.04
two_platforms      both satellites on one day, under the same sky
harmonised         one dekad, sky and ground in four encodings: baseline 05.09 with the offset removed
same_datatake_c1   the same acquisition in the other collection
unharmonised       baseline 04.00, flag false: 1000 too high in the pixels
plain              baseline 02.14, flag false: no offset ever
c1                 collection sentinel-2-c1-l2a, baseline 05.10: 1000 too high in the pixels, as its bands say
average_scl        the overviews of its scene classes are averages of codes
=================  ====================================================================================================
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Literal

from ard.errors import InvalidInput

L2A = "sentinel-2-l2a"
C1 = "sentinel-2-c1-l2a"

_FIRST_ORBIT_DAY = date(2015, 6, 27).toordinal()
_ORBITS_PER_DAY = 143 / 10
_ORBITS_PER_CYCLE = 143
_TAKEN_AT = timedelta(hours=13, minutes=51, seconds=21)
_STRIP_LEAD = timedelta(seconds=3)
_SQUARE_AFTER = timedelta(minutes=6, seconds=19, microseconds=413_000)
_PROCESSED_AFTER = timedelta(hours=4, minutes=23, seconds=42)
_LEAP_DAY = (2, 29)


class Keeps(StrEnum):
    """Which part of a square a product holds."""

    ALL = "all"
    EAST = "east"
    NORTH = "north"
    SOUTH = "south"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One product of one square: when it was taken, what the sky was like, and how it was processed.

    Attributes:
        month: 1 to 12.
        day: Of the month.
        year: Relative to the archive's year: -1, 0 or 1.
        case: Its name in the table above, for the special ones.
        cover: The share of cloud, roughly: 0 none at all, 1 everywhere.
        cirrus: The share of thin cirrus, roughly.
        pattern: Days of equal pattern and cover have the very same sky.
        satellite: The last letter of the platform.
        flag: ``earthsearch:boa_offset_applied``; the other collection has none.
        offset: Added to the pixels in place of what was removed, DN.
        error: Added to the pixels by mistake, DN.
        strip_seconds: How much later than the datatake's first its datastrip begins.
        generated_days: How much later than usual it was processed.
        scl_overviews: How the overviews of its scene classes are made.
    """

    month: int
    day: int
    year: int = 0
    case: str = ""
    cover: float
    cirrus: float = 0.0
    pattern: int = 0
    satellite: Literal["a", "b"] = "a"
    collection: str = L2A
    baseline: str = "05.09"
    flag: bool | None = True
    offset: int = 0
    error: int = 0
    keeps: Keeps = Keeps.ALL
    sequence: int = 0
    strip_seconds: int = 0
    generated_days: int = 0
    missing: tuple[str, ...] = ()
    scl_overviews: Literal["AVERAGE", "NEAREST"] = "NEAREST"
    neighbours: bool = False

    def date(self, year: int) -> date:
        """The day, UTC, in the archive of a year."""
        return date(year + self.year, self.month, self.day)

    def taken_at(self, year: int) -> datetime:
        """When the satellite began to look."""
        return datetime.combine(self.date(year), datetime.min.time(), UTC) + _TAKEN_AT

    def strip_at(self, year: int) -> datetime:
        """When its datastrip begins."""
        return self.taken_at(year) - _STRIP_LEAD + timedelta(seconds=self.strip_seconds)

    def acquired_at(self, year: int) -> datetime:
        """When the middle of the square was seen: the item's datetime."""
        return self.taken_at(year) + _SQUARE_AFTER

    def generated_at(self, year: int) -> datetime:
        """When it was processed."""
        return self.taken_at(year) + _PROCESSED_AFTER + timedelta(days=self.generated_days)

    def absolute_orbit(self, year: int) -> int:
        """The orbit's number; ten days make 143."""
        return round((self.date(year).toordinal() - _FIRST_ORBIT_DAY) * _ORBITS_PER_DAY)

    def relative_orbit(self, year: int) -> int:
        """The track's number, 1 to 143, the same every ten days."""
        return self.absolute_orbit(year) % _ORBITS_PER_CYCLE + 1


SHOTS = (
    Shot(year=-1, month=11, day=18, cover=0.12, case="november_before"),
    Shot(month=1, day=1, cover=0.1, case="first_day"),
    Shot(month=1, day=11, cover=1.0, satellite="b", case="overcast"),
    Shot(month=1, day=21, cover=0.45),
    Shot(month=2, day=5, cover=0.3, cirrus=0.2, satellite="b"),
    Shot(month=2, day=29, cover=0.08, satellite="b", case="leap_day"),
    Shot(month=3, day=7, cover=0.65),
    Shot(month=3, day=17, cover=0.25, satellite="b"),
    Shot(month=3, day=27, cover=0.04, case="swath_edge", keeps=Keeps.EAST),
    Shot(month=4, day=6, cover=0.4, satellite="b"),
    Shot(month=4, day=26, cover=0.2, satellite="b", case="missing_asset", missing=("swir16",)),
    Shot(month=5, day=17, cover=0.1, case="strip_north", keeps=Keeps.NORTH),
    Shot(month=5, day=17, cover=0.1, case="strip_south", keeps=Keeps.SOUTH, sequence=1, strip_seconds=103),
    Shot(
        month=5,
        day=17,
        cover=0.1,
        case="reprocessed",
        keeps=Keeps.NORTH,
        sequence=2,
        generated_days=-1,
        baseline="04.00",
        error=400,
    ),
    Shot(month=5, day=26, cover=0.3, satellite="b"),
    Shot(month=6, day=5, cover=0.06, case="two_platforms"),
    Shot(month=6, day=5, cover=0.06, satellite="b", case="two_platforms"),
    Shot(month=6, day=15, cover=0.0, case="clear"),
    Shot(month=7, day=2, cover=0.05, pattern=702, case="harmonised"),
    Shot(
        month=7,
        day=2,
        cover=0.05,
        pattern=702,
        case="same_datatake_c1",
        collection=C1,
        baseline="05.10",
        flag=None,
        offset=1000,
    ),
    Shot(
        month=7,
        day=4,
        cover=0.05,
        pattern=702,
        case="unharmonised",
        satellite="b",
        baseline="04.00",
        flag=False,
        offset=1000,
    ),
    Shot(month=7, day=7, cover=0.05, pattern=702, case="plain", baseline="02.14", flag=False),
    Shot(
        month=7,
        day=9,
        cover=0.05,
        pattern=702,
        case="c1",
        satellite="b",
        collection=C1,
        baseline="05.10",
        flag=None,
        offset=1000,
    ),
    Shot(month=7, day=24, cover=0.35),
    Shot(month=8, day=11, cover=0.3, satellite="b", case="average_scl", scl_overviews="AVERAGE"),
    Shot(month=8, day=21, cover=0.1, cirrus=0.1),
    Shot(month=9, day=10, cover=0.2),
    Shot(month=9, day=20, cover=0.9, satellite="b"),
    Shot(month=10, day=20, cover=0.05, case="neighbours", neighbours=True),
    Shot(month=11, day=9, cover=0.35),
    Shot(month=11, day=24, cover=0.15, satellite="b"),
    Shot(month=12, day=9, cover=0.6),
    Shot(month=12, day=31, cover=0.08, satellite="b", case="last_day"),
    Shot(year=1, month=1, day=20, cover=0.2, case="january_after"),
)

# Of the square on either side of a zone line: one day that both hold whole, and one that each holds its half of.
BORDER_SHOTS = (
    Shot(month=6, day=15, cover=0.0, case="both_whole"),
    Shot(month=7, day=15, cover=0.2, case="both_halves"),
)


def shots_of(year: int) -> Iterator[Shot]:
    """The products of a year's archive, by date."""
    leap = (date(year, 12, 31) - date(year, 1, 1)).days == 365  # noqa: PLR2004 - the last day's distance
    return (shot for shot in SHOTS if leap or (shot.month, shot.day) != _LEAP_DAY)


def shot_of(case: str) -> Shot:
    """The first product with a case's name.

    Raises:
        InvalidInput: There is none.
    """
    for shot in (*SHOTS, *BORDER_SHOTS):
        if shot.case == case:
            return shot
    raise InvalidInput(f"expected one of the cases of sandbox.s2_plan, found {case!r}")
