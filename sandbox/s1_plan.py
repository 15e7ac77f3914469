"""Which Sentinel-1 passes the sandbox's archive holds: a year seen from both directions, every special case by name.

=============  ========================================================================================================
case           what is special
=============  ========================================================================================================
two_slices     two items that overlap by 1 km in the middle of the tiles; the second starts 25 s after the first
reprocessed    two versions of one slice: this one is the newer
older_version  the other one, as it was first processed: twice as bright
half_swath     ascending; the swath ends in the middle of the tiles: the west is nodata
day_after      on 16 March, 20 s after the first quarter's window
holes          patches of nodata and of negative power within the swath
other_zone     delivered in the UTM zone next to the one in which the tiles lie
day_before     on 14 July, within a minute of the third quarter's window, in which there is nothing of use
other_pols     HH and HV
wide_mode      mode EW
last_minute    starts on 15 December at 23:59:50; its middle, which is the item's datetime, is on the 16th
descending     from the other side; twice in two quarters
half_desc      descending, and the swath ends in the middle of the tiles
=============  ========================================================================================================

The third quarter, from 15 July to 15 September, has no pass in VV and VH.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from ard.errors import InvalidInput

Direction = Literal["ascending", "descending"]
Mode = Literal["IW", "EW"]

SLICE_SECONDS = 25

# One orbit of the real Sentinel-1A and when it was flown; twelve days make 175.
_KNOWN_ORBIT, _FLOWN_AT = 53_498, datetime(2024, 4, 19, 4, 59, 4, tzinfo=UTC)
_ORBITS_PER_DAY = 175 / 12
_ORBITS_PER_CYCLE = 175
_ORBITS_BEFORE_FIRST_TRACK = 73
_DATATAKES_PER_ORBIT = 7.952  # as of that orbit
_EVENING, _MORNING = time(21, 33, 41), time(9, 12, 17)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overpass:
    """One pass: when, from where, what of the tiles it saw, and how it was delivered.

    Attributes:
        month: 1 to 12.
        day: Of the month.
        at: When the first slice starts, UTC.
        case: Its name in the table above, for the special ones.
        slices: One item that holds all, or two that hold a half each.
        seconds: The length of a slice.
        half: Whether the swath ends in the middle of the tiles.
        other_zone: Whether the pixels lie in the neighbouring UTM zone.
        holes: Whether parts of the swath hold no power.
        brightness: What power is multiplied with by mistake.
        made_after_days: When it was processed.
    """

    month: int
    day: int
    at: time = _EVENING
    case: str = ""
    direction: Direction = "ascending"
    mode: Mode = "IW"
    polarisations: tuple[str, str] = ("VV", "VH")
    slices: Literal[1, 2] = 1
    seconds: int = SLICE_SECONDS
    half: bool = False
    other_zone: bool = False
    holes: bool = False
    brightness: float = 1.0
    made_after_days: int = 9

    def date(self, year: int) -> date:
        """The day on which it starts, UTC."""
        return date(year, self.month, self.day)

    def starts_at(self, year: int, *, number: int = 0) -> datetime:
        """When a slice starts; the second one as the first one's sensing ends."""
        return datetime.combine(self.date(year), self.at, UTC) + timedelta(seconds=number * SLICE_SECONDS)

    def ends_at(self, year: int, *, number: int = 0) -> datetime:
        """When a slice ends."""
        return self.starts_at(year, number=number) + timedelta(seconds=self.seconds)

    def made_at(self, year: int) -> datetime:
        """When the items were processed."""
        return self.starts_at(year) + timedelta(days=self.made_after_days)

    def absolute_orbit(self, year: int) -> int:
        """The orbit's number."""
        days = (self.starts_at(year) - _FLOWN_AT) / timedelta(days=1)
        return _KNOWN_ORBIT + round(days * _ORBITS_PER_DAY)

    def relative_orbit(self, year: int) -> int:
        """The track's number, 1 to 175, the same every twelve days."""
        return (self.absolute_orbit(year) - _ORBITS_BEFORE_FIRST_TRACK) % _ORBITS_PER_CYCLE + 1

    def datatake(self, year: int) -> int:
        """The datatake's number."""
        return round(self.absolute_orbit(year) * _DATATAKES_PER_ORBIT)


OVERPASSES = (
    Overpass(month=1, day=17),
    Overpass(month=1, day=29, case="two_slices", slices=2),
    Overpass(month=2, day=1, case="descending", direction="descending", at=_MORNING),
    Overpass(month=2, day=10, case="reprocessed"),
    Overpass(month=2, day=10, case="older_version", brightness=2.0, seconds=24, made_after_days=1),
    Overpass(month=2, day=22, case="half_swath", half=True),
    Overpass(month=2, day=25, direction="descending", at=_MORNING),
    Overpass(month=3, day=6),
    Overpass(month=3, day=16, case="day_after", at=time(0, 0, 20)),
    Overpass(month=4, day=23, case="holes", holes=True),
    Overpass(month=4, day=30, direction="descending", at=_MORNING),
    Overpass(month=5, day=5, slices=2),
    Overpass(month=5, day=17, case="other_zone", other_zone=True),
    Overpass(month=5, day=24, direction="descending", at=_MORNING),
    Overpass(month=5, day=29),
    Overpass(month=6, day=10),
    Overpass(month=7, day=14, case="day_before", at=time(23, 59, 10)),
    Overpass(month=8, day=9, case="other_pols", polarisations=("HH", "HV")),
    Overpass(month=8, day=21, case="wide_mode", mode="EW"),
    Overpass(month=9, day=26),
    Overpass(month=10, day=20),
    Overpass(month=10, day=30, case="half_desc", direction="descending", at=_MORNING, half=True),
    Overpass(month=11, day=1, slices=2),
    Overpass(month=11, day=25),
    Overpass(month=12, day=15, case="last_minute", at=time(23, 59, 50)),
    Overpass(month=12, day=31),
)


def overpass_of(case: str) -> Overpass:
    """The first pass with a case's name.

    Raises:
        InvalidInput: There is none.
    """
    for overpass in OVERPASSES:
        if overpass.case == case:
            return overpass
    raise InvalidInput(f"expected one of the cases of sandbox.s1_plan, found {case!r}")
