"""Which passes become the dates of a tile's year: clear ones, spread over the months."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

from loaders.s2_dates import MONTHS, Month, day_number, month_of, within_year
from loaders.s2_items import Group

# Semantics of the dates of the model's training data, except where a line says otherwise.
MAX_GLOBAL_CLOUD, MAX_SCORE = 0.50, 0.40
LOCAL_COUNTS_ABOVE = 0.30  # of global cloud; 0.40 in the training data
GLOBAL_WEIGHT, LOCAL_WEIGHT = 0.25, 0.75
MIN_VALID_GLOBAL = 0.30  # ours: nodata counted as cloud in the training data
MIN_VALID_TILE = 0.90  # ours, at 640 m; the tile's own pixels decide later
CLEAR_ENOUGH_LOCAL = 0.40  # up to this a date stands, however clear its neighbours are
CLEARER_BY = 0.20
NEIGHBOUR_DAYS = 28
PER_MONTH = 2

# Engineering choices: a model year works with 9 to 12 dates and needs more than a few.
MIN_SCENES = 8
RELAXED_LOCAL_CLOUD = (0.5, 0.6, 0.8)  # one step after the other, until there are MIN_SCENES
TARGET, CAP = 12, 16
_SCORE_DECIMALS = 2  # scores closer than 0.01 are equal: the day decides


class Rejection(StrEnum):
    """Why a pass is no candidate."""

    NOT_IN_A_MONTH = "not_in_a_month"
    SURROUNDINGS_NOT_SEEN = "surroundings_not_seen"
    TILE_NOT_SEEN = "tile_not_seen"
    GLOBAL_CLOUD = "global_cloud"
    CLOUD = "cloud"
    CLEARER_NEIGHBOUR = "clearer_neighbour"


_FOR_CLOUDS = {Rejection.GLOBAL_CLOUD, Rejection.CLOUD, Rejection.CLEARER_NEIGHBOUR}


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """What was seen of a pass before its bands are read; shares in 0..1.

    Attributes:
        global_cloud: Cloud among the valid cells of the tile's surroundings (93 km).
        local_cloud: Cloud among the valid cells of their centre (19 km).
        valid_global: Valid cells among all of the surroundings.
        valid_tile: Valid cells among those of the tile.
    """

    global_cloud: float
    local_cloud: float
    valid_global: float
    valid_tile: float

    def __post_init__(self) -> None:
        shares = (self.global_cloud, self.local_cloud, self.valid_global, self.valid_tile)
        if not all(0 <= share <= 1 for share in shares):
            raise ValueError(f"shares lie in 0..1, got {self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A pass that may become a date.

    Attributes:
        day: Its signed day number in the year.
        inside_year: Whether it lies in the calendar year, not in the weeks around it.
        score: Cloudiness, 0 is best; local cloud alone for a relaxed one.
        relaxed: It was too cloudy, and is here because there were too few.
    """

    group: Group
    screening: Screening
    day: int
    month: Month
    inside_year: bool
    score: float
    relaxed: bool = False

    @property
    def id(self) -> str:
        """The pass's id."""
        return self.group.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The dates of a tile's year, and what could replace them.

    Attributes:
        kept: Ascending by day, one a day.
        spare: The other candidates, in the order in which they are taken within a month.
        refused: Why the others are no candidates, by the pass's id.
    """

    kept: tuple[Candidate, ...]
    spare: tuple[Candidate, ...]
    refused: Mapping[str, Rejection]

    def __post_init__(self) -> None:
        if any(before >= after for before, after in pairwise(self.days)):
            raise ValueError(f"days must ascend, one date a day, got {self.days}")

    @property
    def days(self) -> tuple[int, ...]:
        """Signed day numbers of the dates, ascending."""
        return tuple(candidate.day for candidate in self.kept)

    @property
    def outside_year(self) -> int:
        """How many dates lie outside the calendar year."""
        return sum(not candidate.inside_year for candidate in self.kept)

    @property
    def per_month(self) -> tuple[int, ...]:
        """Number of dates in each of the twelve months."""
        return tuple(_count(self.kept, month) for month in MONTHS)

    @property
    def flags(self) -> frozenset[str]:
        """``relaxed_clouds`` when a date is cloudier than is otherwise allowed."""
        return frozenset({"relaxed_clouds"} if any(candidate.relaxed for candidate in self.kept) else ())


def rejection(screening: Screening) -> Rejection | None:
    """Why a pass is not clear or not whole enough by itself; None when it is."""
    if screening.valid_global < MIN_VALID_GLOBAL:
        return Rejection.SURROUNDINGS_NOT_SEEN
    if screening.valid_tile < MIN_VALID_TILE:
        return Rejection.TILE_NOT_SEEN
    if screening.global_cloud > MAX_GLOBAL_CLOUD:
        return Rejection.GLOBAL_CLOUD
    return Rejection.CLOUD if _cloudiness(screening) > MAX_SCORE else None


def score(screening: Screening) -> float | None:
    """Cloudiness in 0..1, 0 is best; None for a pass that is rejected.

    The surroundings' cloud, which is the steadier figure; where it is above 0.30, three parts in four the tile's own
    neighbourhood.
    """
    return None if rejection(screening) else _cloudiness(screening)


def select(
    screened: Iterable[tuple[Group, Screening]],
    *,
    year: int,
    target: int = TARGET,
    cap: int = CAP,
    min_scenes: int = MIN_SCENES,
) -> Selection:
    """The dates of a year, whatever the order of the passes.

    Of each month the best two days: the lower score, then the nearer to the month's target day, then the id. Days
    around the year serve where a month has fewer than two candidates within it. Beyond ``cap`` the most redundant go:
    those nearest to a neighbour, then the cloudier. Below ``target`` months with fewer than two are filled with what
    is left, largest gap first; only here relaxed candidates come in.

    Args:
        screened: Passes, each once, and what was seen of them.
        year: The calendar year.
        target: How many dates are worth a relaxed one.
        cap: How many dates there may be.
        min_scenes: With fewer candidates, cloudier ones are admitted, step by step.
    """
    if cap < 1:
        raise ValueError(f"expected a cap of at least 1, got {cap}")
    candidates, refused = candidates_of(screened, year=year, min_scenes=min_scenes)
    best = [candidate for month in by_month(candidates) for candidate in _best_days(month) if not candidate.relaxed]
    kept = _filled(_thinned(best, cap=cap), candidates, target=min(target, cap))
    spare = tuple(candidate for candidate in candidates if candidate not in kept)
    return Selection(kept=_ascending(kept), spare=spare, refused=refused)


def candidates_of(
    screened: Iterable[tuple[Group, Screening]], *, year: int, min_scenes: int = MIN_SCENES
) -> tuple[tuple[Candidate, ...], dict[str, Rejection]]:
    """Every pass that may become a date, best first within its month, and why each other one may not, by id.

    Besides each pass's own clouds its neighbours' count: one whose neighbourhood is cloudy is left out when a
    candidate of its month or within 28 days is clearer by 0.20.
    """
    dated = {group.id: _candidate(group, screening, year=year) for group, screening in screened}
    refused = {name: Rejection.NOT_IN_A_MONTH for name, candidate in dated.items() if candidate is None}
    admitted: list[Candidate] = []
    cloudy: list[Candidate] = []
    clearest_first = sorted(filter(None, dated.values()), key=lambda one: (one.screening.local_cloud, one.id))
    for candidate in clearest_first:
        reason = rejection(candidate.screening)
        if reason is None and any(_is_clearer_neighbour(other, candidate) for other in admitted):
            reason = Rejection.CLEARER_NEIGHBOUR
        if reason is None:
            admitted.append(candidate)
            continue
        refused[candidate.id] = reason
        if reason in _FOR_CLOUDS:
            cloudy.append(replace(candidate, score=candidate.screening.local_cloud, relaxed=True))
    for limit in RELAXED_LOCAL_CLOUD:
        if len({candidate.day for candidate in admitted}) < min_scenes:
            admitted += [candidate for candidate in cloudy if candidate.score <= limit and candidate not in admitted]
    names = {candidate.id for candidate in admitted}
    return tuple(sorted(admitted, key=_rank)), {name: why for name, why in refused.items() if name not in names}


def by_month(candidates: Iterable[Candidate]) -> tuple[tuple[Candidate, ...], ...]:
    """The candidates of each of the twelve months, in the order in which they are taken."""
    ordered = sorted(candidates, key=_rank)
    return tuple(tuple(one for one in ordered if one.month == month) for month in MONTHS)


def replacement(selection: Selection, rejected: Candidate) -> Candidate | None:
    """The next candidate of the month of a date that is rejected; None when there is none on a free day."""
    taken = {candidate.day for candidate in selection.kept if candidate.id != rejected.id}
    rest = (one for one in selection.spare if one.id != rejected.id and one.month == rejected.month)
    return next((one for one in rest if one.day not in taken), None)


def reject(selection: Selection, rejected: Candidate) -> Selection:
    """The selection without a date, for good, and with its replacement if there is one."""
    successor = replacement(selection, rejected)
    return Selection(
        kept=_ascending([*(one for one in selection.kept if one.id != rejected.id), *filter(None, [successor])]),
        spare=tuple(one for one in selection.spare if one != successor and one.id != rejected.id),
        refused=selection.refused,
    )


def _cloudiness(screening: Screening) -> float:
    if screening.global_cloud <= LOCAL_COUNTS_ABOVE:
        return screening.global_cloud
    return GLOBAL_WEIGHT * screening.global_cloud + LOCAL_WEIGHT * screening.local_cloud


def _candidate(group: Group, screening: Screening, *, year: int) -> Candidate | None:
    day = day_number(group.acquired_at, year)
    month = month_of(day)
    inside, cloud = within_year(day, year), _cloudiness(screening)
    if month is None:
        return None
    return Candidate(group=group, screening=screening, day=day, month=month, inside_year=inside, score=cloud)


def _is_clearer_neighbour(other: Candidate, candidate: Candidate) -> bool:
    cloud, clearer = candidate.screening.local_cloud, other.screening.local_cloud
    near = other.month == candidate.month or abs(other.day - candidate.day) <= NEIGHBOUR_DAYS
    return near and cloud > CLEAR_ENOUGH_LOCAL and cloud - clearer >= CLEARER_BY


def _rank(candidate: Candidate) -> tuple[int, bool, bool, float, float, str]:
    return (
        candidate.month.index,
        not candidate.inside_year,
        candidate.relaxed,
        round(candidate.score, _SCORE_DECIMALS),
        abs(candidate.day - candidate.month.target),
        candidate.id,
    )


def _ascending(candidates: Iterable[Candidate]) -> tuple[Candidate, ...]:
    return tuple(sorted(candidates, key=lambda candidate: candidate.day))


def _best_days(ranked: Sequence[Candidate]) -> list[Candidate]:
    best_of_day = {candidate.day: candidate for candidate in reversed(ranked)}
    return sorted(best_of_day.values(), key=_rank)[:PER_MONTH]


def _count(candidates: Iterable[Candidate], month: Month) -> int:
    return sum(candidate.month == month for candidate in candidates)


def _gap(candidate: Candidate, others: Iterable[Candidate]) -> float:
    return min((abs(candidate.day - other.day) for other in others if other.id != candidate.id), default=float("inf"))


def _thinned(kept: Sequence[Candidate], *, cap: int) -> list[Candidate]:
    rest = list(kept)
    while len(rest) > cap:
        rest.remove(min(rest, key=lambda one: (_gap(one, rest), -round(one.score, _SCORE_DECIMALS), one.day, one.id)))
    return rest


def _filled(kept: Sequence[Candidate], candidates: Sequence[Candidate], *, target: int) -> list[Candidate]:
    """Kept ones and the best free ones of months that are short of dates, the one farthest from all dates first."""
    filled = list(kept)
    while len(filled) < target:
        taken = {candidate.day for candidate in filled}
        free = by_month(candidate for candidate in candidates if candidate.day not in taken)
        firsts = [ranked[0] for ranked in free if ranked and _count(filled, ranked[0].month) < PER_MONTH]
        if not firsts:
            break
        filled.append(min(firsts, key=lambda one: (-_gap(one, filled), _rank(one))))
    return filled
