"""Which passes become the dates of a year."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loaders.s2_items import Group
from loaders.s2_select import (
    CAP,
    MIN_SCENES,
    TARGET,
    Rejection,
    Screening,
    by_month,
    candidates_of,
    reject,
    rejection,
    replacement,
    score,
    select,
)

YEAR = 2023


def make_screening(cloud=0.1, **overrides):
    shares = {"global_cloud": cloud, "local_cloud": cloud, "valid_global": 1.0, "valid_tile": 1.0}
    return Screening(**shares | overrides)


def make_pass(day, cloud=0.1, *, name=None, **overrides):
    acquired_at = datetime(YEAR, 1, 1, 10, 30, tzinfo=UTC) + timedelta(days=day - 1)
    group = Group(id=name or f"pass{day:+04d}", granules=(), acquired_at=acquired_at, coverage=1.0)
    return group, make_screening(cloud, **overrides)


def ids(candidates):
    return [candidate.id for candidate in candidates]


SHARES = st.sampled_from([0.0, 0.05, 0.1, 0.2, 0.3, 0.35, 0.45, 0.5, 0.55, 0.7, 0.9, 1.0])
SCREENINGS = st.builds(
    Screening,
    global_cloud=SHARES,
    local_cloud=SHARES,
    valid_global=st.sampled_from([0.2, 0.5, 1.0]),
    valid_tile=st.sampled_from([0.5, 0.95, 1.0, 1.0]),
)


@st.composite
def archives(draw):
    days = draw(st.lists(st.integers(-46, 411), max_size=90))
    passes = [make_pass(day, name=f"pass{number:02d}") for number, day in enumerate(days)]
    return [(group, draw(SCREENINGS)) for group, _ in passes]


@settings(max_examples=150, deadline=None)
@given(archive=archives(), cap=st.integers(1, 24))
def test_dates_ascend_one_a_day_within_the_window_and_the_cap(archive, cap):
    selection = select(archive, year=YEAR, cap=cap)

    assert list(selection.days) == sorted(set(selection.days))
    assert len(selection.days) == len(selection.kept) == sum(selection.per_month) <= cap
    assert all(-60 <= day < 410 for day in selection.days)
    assert max(selection.per_month) <= 2


@settings(max_examples=60, deadline=None)
@given(archive=archives(), data=st.data())
def test_the_order_of_passes_does_not_matter(archive, data):
    shuffled = data.draw(st.permutations(archive))

    assert select(shuffled, year=YEAR) == select(archive, year=YEAR)


@settings(max_examples=60, deadline=None)
@given(archive=archives())
def test_every_pass_is_kept_spare_or_refused_for_a_reason(archive):
    selection = select(archive, year=YEAR)

    named = [*ids(selection.kept), *ids(selection.spare), *selection.refused]
    assert sorted(named) == sorted(group.id for group, _ in archive)


@settings(max_examples=100, deadline=None)
@given(archive=archives(), data=st.data())
def test_a_rejected_date_is_replaced_from_its_own_month_and_never_comes_back(archive, data):
    selection = select(archive, year=YEAR)
    gone = set()
    for _ in range(len(selection.kept)):
        rejected = data.draw(st.sampled_from(selection.kept))
        successor = replacement(selection, rejected)
        gone.add(rejected.id)
        after = reject(selection, rejected)

        assert successor is None or successor.month == rejected.month
        assert len(after.kept) == len(selection.kept) - (successor is None)
        assert not gone & {*ids(after.kept), *ids(after.spare)}
        selection = after
        if not selection.kept:
            break


@settings(max_examples=100, deadline=None)
@given(archive=archives())
def test_days_around_the_year_serve_only_months_that_lack_days_within_it(archive):
    selection = select(archive, year=YEAR)
    candidates = [*selection.kept, *selection.spare]

    for kept in selection.kept:
        within = {one.day for one in candidates if one.month == kept.month and one.inside_year}
        assert kept.inside_year or len(within) < 2
    assert selection.outside_year == sum(not 1 <= day <= 365 for day in selection.days)


@settings(max_examples=100, deadline=None)
@given(archive=archives())
def test_clouds_are_relaxed_only_when_scenes_are_few(archive):
    candidates, _ = candidates_of(archive, year=YEAR)
    selection = select(archive, year=YEAR)

    assert not any(one.relaxed for one in candidates) or len({o.day for o in candidates if not o.relaxed}) < MIN_SCENES
    assert ("relaxed_clouds" in selection.flags) == any(one.relaxed for one in selection.kept)
    assert len(selection.kept) <= TARGET or not selection.flags


def test_the_score_is_the_global_cloud_while_that_is_low():
    assert score(make_screening(0.3, local_cloud=1.0)) == 0.3


def test_the_score_leans_on_the_local_cloud_when_the_global_is_moderate():
    assert score(make_screening(0.4, local_cloud=0.2)) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("shares", "reason"),
    [
        ({"valid_global": 0.29}, Rejection.SURROUNDINGS_NOT_SEEN),
        ({"valid_tile": 0.89}, Rejection.TILE_NOT_SEEN),
        ({"global_cloud": 0.51, "local_cloud": 0.0}, Rejection.GLOBAL_CLOUD),
        ({"global_cloud": 0.45, "local_cloud": 0.5}, Rejection.CLOUD),
        ({"global_cloud": 0.5, "local_cloud": 0.3, "valid_global": 0.3, "valid_tile": 0.9}, None),
    ],
)
def test_a_pass_is_rejected_for_a_reason(shares, reason):
    screening = make_screening(**shares)

    assert rejection(screening) == reason
    assert (score(screening) is None) == (reason is not None)


def test_a_share_beyond_one_is_a_mistake():
    with pytest.raises(ValueError, match="shares"):
        make_screening(1.01)


def test_a_cloudy_neighbourhood_yields_to_a_clearer_date_nearby():
    clear_year = [make_pass(15 + 30 * month) for month in range(12)]
    cloudy = make_pass(40, 0.2, local_cloud=0.5)

    selection = select([*clear_year, cloudy], year=YEAR)

    assert selection.refused == {"pass+040": Rejection.CLEARER_NEIGHBOUR}


def test_a_rejected_neighbour_does_not_push_out_a_date():
    early = [make_pass(180 + 20 * number) for number in range(8)]
    unseen = make_pass(41, 0.0, valid_tile=0.5)
    cloudy = make_pass(40, 0.2, local_cloud=0.5)

    selection = select([*early, unseen, cloudy], year=YEAR)

    assert "pass+040" in ids(selection.kept)


def test_a_fairly_clear_neighbourhood_stands_beside_a_clearer_one():
    passes = [make_pass(40, 0.2, local_cloud=0.4), make_pass(50, 0.0)]

    assert select(passes, year=YEAR).days == (40, 50)


def test_of_a_month_the_two_best_days_are_kept():
    passes = [make_pass(125, 0.3), make_pass(130, 0.1), make_pass(135, 0.2), make_pass(145, 0.05)]

    assert select(passes, year=YEAR).days == (130, 145)


def test_equally_clear_days_are_ranked_by_their_distance_from_the_target_day():
    passes = [make_pass(122, 0.101), make_pass(134, 0.103), make_pass(137, 0.104), make_pass(149, 0.1)]

    assert select(passes, year=YEAR).days == (134, 137)


def test_of_two_passes_on_one_day_the_better_is_kept_and_the_other_can_replace_it():
    passes = [make_pass(134, 0.3, name="hazy"), make_pass(134, 0.1, name="clear")]

    selection = select(passes, year=YEAR)

    assert ids(selection.kept) == ["clear"]
    assert ids(reject(selection, selection.kept[0]).kept) == ["hazy"]


def test_a_month_without_a_candidate_left_loses_the_rejected_date():
    selection = select([make_pass(45), make_pass(100)], year=YEAR)

    assert replacement(selection, selection.kept[0]) is None
    assert reject(selection, selection.kept[0]).days == (100,)


def test_days_around_the_year_fill_january_and_december():
    passes = [make_pass(-20), make_pass(10, 0.3), make_pass(350), make_pass(360), make_pass(380)]

    selection = select(passes, year=YEAR)

    assert selection.days == (-20, 10, 350, 360)
    assert selection.outside_year == 1


def test_a_full_year_is_thinned_to_the_cap_where_dates_are_closest():
    days = [start + offset for start in range(5, 350, 31) for offset in (0, 12)]
    days[1] = days[0] + 1

    selection = select([make_pass(day, 0.1 if day != 6 else 0.2) for day in days], year=YEAR)

    assert len(selection.kept) == CAP
    assert 6 not in selection.days and 5 in selection.days


def test_too_few_clear_dates_are_filled_with_cloudier_ones_step_by_step():
    clear = [make_pass(30 * month + 15) for month in range(4)]
    cloudy = [make_pass(30 * month + 15, 0.9, local_cloud=0.45 + 0.1 * (month % 3)) for month in range(4, 12)]

    selection = select([*clear, *cloudy], year=YEAR)

    assert selection.flags == {"relaxed_clouds"}
    assert {round(one.score, 2) for one in selection.kept if one.relaxed} == {0.45, 0.55}


def test_enough_clear_dates_are_not_filled_with_cloudier_ones():
    clear = [make_pass(30 * month + 15) for month in range(8)]
    cloudy = [make_pass(30 * month + 15, 0.9, local_cloud=0.45) for month in range(8, 12)]

    selection = select([*clear, *cloudy], year=YEAR)

    assert len(selection.kept) == 8 and not selection.flags


def test_relaxed_dates_fill_the_largest_gap_first():
    clear = [make_pass(45), make_pass(50), make_pass(80)]
    cloudy = [make_pass(day, 0.9, local_cloud=0.45) for day in (100, 250, 340)]

    selection = select([*clear, *cloudy], year=YEAR, target=4)

    assert selection.days == (45, 50, 80, 340)


def test_a_pass_between_the_bins_and_the_end_of_the_window_is_refused():
    assert select([make_pass(410)], year=YEAR).refused == {"pass+410": Rejection.NOT_IN_A_MONTH}


def test_no_passes_give_no_dates():
    selection = select([], year=YEAR)

    assert selection.days == () and selection.per_month == (0,) * 12 and selection.flags == frozenset()


def test_candidates_are_listed_by_month_best_first():
    candidates, _ = candidates_of([make_pass(134, 0.3), make_pass(136, 0.1), make_pass(10)], year=YEAR)

    months = by_month(candidates)

    assert ids(months[0]) == ["pass+010"] and ids(months[4]) == ["pass+136", "pass+134"]
    assert sum(map(len, months)) == 3
