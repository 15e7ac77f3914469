"""Items as passes, and which passes make a quarter."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ard.adapters.catalog import scene_of
from ard.errors import InvalidInput
from ard.grid import Bounds
from loaders.s1_passes import (
    Direction,
    choose_direction,
    deduplicate,
    in_quarter,
    is_wanted,
    passes,
    quarters,
    slice_of,
    spread,
)
from tests.factories import GOLDEN
from tests.fakes_s1 import FakeSlice, between, year_of_slices

BOX = GOLDEN.grid(40).bounds
MIDDAY = datetime(2023, 2, 1, 12, tzinfo=UTC)
EASTERN_HALF = {"west": 780_000}  # of the golden tile, about


def slices(fakes):
    return [slice_of(fake.scene(), BOX) for fake in fakes]


def found(*fakes):
    return passes(deduplicate(slices(fakes)))


def days(chosen):
    return [(one.started_at - datetime(2023, 1, 1, tzinfo=UTC)).days for one in chosen]


def on(day, **fields):
    return FakeSlice(started_at=datetime(2023, 1, 1, 9, 30, tzinfo=UTC) + timedelta(days=day), **fields)


def test_real_items_of_one_overflight_are_one_pass(shared_data):
    items = json.loads((shared_data / "stac/planetary-computer/sentinel-1-rtc-pc.json").read_text())
    scenes = [scene_of(item) for item in items]
    box = Bounds(14.5, 30.0, 15.5, 31.0)

    (one,) = passes(deduplicate(slice_of(scene, box) for scene in scenes if is_wanted(scene)))

    assert (one.direction, one.relative_orbit) == ("descending", 51)
    assert {item.platform for item in one.slices} == {"sentinel-1a"}
    assert one.slices[0].href("VV").endswith("iw-vv.rtc.tiff")
    assert one.started_at == datetime(2024, 4, 19, 4, 57, 49, 220673, tzinfo=UTC)
    assert one.coverage > 0.7


def test_slices_of_an_orbit_within_ten_minutes_are_one_pass_and_others_are_not():
    neighbour, later = timedelta(seconds=25), timedelta(minutes=11)
    together = [FakeSlice(started_at=MIDDAY), FakeSlice(started_at=MIDDAY + neighbour, id="next")]
    apart = [
        FakeSlice(started_at=MIDDAY + later, id="later"),
        FakeSlice(started_at=MIDDAY, id="other orbit", orbit=112),
        FakeSlice(started_at=MIDDAY, id="other way", direction="descending"),
    ]

    assert sorted(len(one.slices) for one in found(*together, *apart)) == [1, 1, 1, 2]


def test_the_newest_of_two_processings_is_taken_in_either_order():
    old = FakeSlice(started_at=MIDDAY, id="b", created="2023-02-01T20:00:00Z")
    new = FakeSlice(started_at=MIDDAY + timedelta(milliseconds=4), id="a", created="2023-03-01T00:00:00Z")

    assert [one.id for one in deduplicate(slices([old, new]))] == ["a"]
    assert [one.id for one in deduplicate(slices([new, old]))] == ["a"]


@pytest.mark.parametrize(
    "fields",
    [{"polarisations": ("HH", "HV")}, {"polarisations": ("VV",)}, {"mode": "EW"}, {"mode": "SM"}],
)
def test_items_of_other_modes_and_polarisations_are_not_wanted(fields):
    assert is_wanted(FakeSlice(started_at=MIDDAY).scene())
    assert not is_wanted(FakeSlice(started_at=MIDDAY, **fields).scene())


def test_assets_may_have_the_names_of_the_archives_files():
    (one,) = slices([FakeSlice(started_at=MIDDAY, id="x", raw_names=True)])

    assert one.href("VH") == "x|vh"


@pytest.mark.parametrize("name", ["sat:orbit_state", "sat:relative_orbit", "sat:absolute_orbit"])
def test_an_item_without_its_orbit_is_refused(name):
    scene = FakeSlice(started_at=MIDDAY).scene()
    del scene.properties[name]

    with pytest.raises(InvalidInput, match=name):
        slice_of(scene, BOX)


def test_both_end_days_of_a_window_belong_to_it():
    second = quarters(2024)[1]
    first_moment = datetime(2024, 4, 15, tzinfo=UTC)
    last_moment = datetime(2024, 6, 15, 23, 59, 59, 999_999, tzinfo=UTC)
    instant = timedelta(microseconds=1)

    assert second.holds(first_moment) and second.holds(last_moment)
    assert not second.holds(first_moment - instant) and not second.holds(last_moment + instant)


def test_a_pass_that_hardly_touches_the_tile_is_left_out():
    assert found(on(30, west=600_000, width=1000)) == ()


def test_the_direction_that_sees_most_quarters_whole_is_chosen():
    ascending = year_of_slices(every_days=6, **EASTERN_HALF)
    descending = year_of_slices(direction="descending", orbit=112, start=(1, 4, 21, 0, 0))

    assert choose_direction(found(*ascending, *descending), quarters(2023)) is Direction.DESCENDING


def test_partial_passes_that_see_the_tile_whole_together_count_as_whole():
    east = year_of_slices(**EASTERN_HALF)
    west = year_of_slices(orbit=40, start=(1, 5, 9, 30, 0), width=10_000)
    descending = between(year_of_slices(direction="descending", orbit=112, every_days=2), (1, 1), (7, 1))

    assert choose_direction(found(*east, *west, *descending), quarters(2023)) is Direction.ASCENDING


def test_with_as_many_whole_quarters_more_passes_decide_and_then_ascending():
    ascending = year_of_slices()
    rarer = year_of_slices(direction="descending", orbit=112)
    more = year_of_slices(direction="descending", orbit=112, every_days=6)

    assert choose_direction(found(*ascending, *rarer), quarters(2023)) is Direction.ASCENDING
    assert choose_direction(found(*ascending, *more), quarters(2023)) is Direction.DESCENDING


def test_passes_are_used_far_apart_in_time_first():
    fakes = [on(day) for day in (20, 26, 32, 38, 44, 50, 56, 62, 68)]

    order = days(spread(found(*fakes)))

    assert order[:3] == [20, 68, 44]
    assert set(order[3:5]) == {32, 56}
    assert sorted(order) == [20, 26, 32, 38, 44, 50, 56, 62, 68]


def test_of_passes_equally_far_the_one_that_covers_more_is_used_first():
    part = on(30, id="a", **EASTERN_HALF)
    whole = on(30, id="b", orbit=112)

    order = spread(found(on(20), part, whole, on(40)))

    assert [one.slices[0].id for one in order[2:]] == ["b", "a"]


@given(st.lists(st.tuples(st.integers(0, 364), st.sampled_from([39, 112])), unique=True, max_size=30), st.randoms())
def test_the_order_of_the_catalogue_decides_nothing(moments, random):
    fakes = [on(day, orbit=orbit) for day, orbit in moments]
    shuffled = list(fakes)
    random.shuffle(shuffled)

    def orders(archive):
        all_passes = found(*archive)
        return [[p.id for p in spread(in_quarter(all_passes, q, Direction.ASCENDING))] for q in quarters(2023)]

    assert orders(fakes) == orders(shuffled)
