"""Estimates learn from what this deployment has measured."""

from dataclasses import replace

import pytest

from ard.adapters.status_table import StatusTable
from ard.cost import SEED
from ard.errors import Unavailable
from ard.product import Product
from ard.states import State
from producer.history import averages
from tests.factories import make_job, make_row
from tests.producing import NOW, make_settings, mocked_world


@pytest.fixture
def world():
    with mocked_world() as world:
        yield world


def add_job(world, seconds, /, *, name="a", gb=1.0, created_at=NOW, **row):
    """A job whose tasks took so many seconds each, in one attempt."""
    table = world.services.table
    table.put_job(make_job(job_id=name, created_at=created_at))
    table.add_tasks(
        make_row(
            **{
                "job_id": name,
                "x_tile": number,
                "state": State.SUCCEEDED,
                "check_after": None,
                "updated_at": NOW + number,
                "seconds": value,
                "gb_seconds": round(value * gb, 3),
            }
            | row
        )
        for number, value in enumerate(seconds)
    )


def dem_average(world, **settings):
    return averages(world.services.table, settings=make_settings(**settings))[Product.DEM]


def test_enough_tasks_of_a_product_replace_the_seed_s_average(world):
    add_job(world, [float(second) for second in range(1, 42)])

    known = averages(world.services.table, settings=make_settings())

    assert known[Product.DEM].seconds == pytest.approx(21)
    assert (known[Product.DEM].low_seconds, known[Product.DEM].high_seconds) == pytest.approx((5, 37))
    assert known[Product.DEM].source == "history of 41 tasks"
    assert known[Product.S1] == SEED[Product.S1]


@pytest.mark.parametrize(("tasks", "known"), [(29, False), (30, True)])
def test_a_few_tasks_are_no_history(world, tasks, known):
    add_job(world, [4.0] * tasks)

    assert (dem_average(world) != SEED[Product.DEM]) == known


def test_tasks_of_several_jobs_count_together(world):
    add_job(world, [4.0] * 20, name="a")
    add_job(world, [7.0] * 20, name="b")

    assert dem_average(world).seconds == pytest.approx(5.5)


def test_the_order_in_which_tasks_end_does_not_change_the_estimate():
    found = []
    for seconds in ([0.1, 0.2, 0.3] * 12, [0.3, 0.2, 0.1] * 12):
        with mocked_world() as world:
            add_job(world, seconds)
            found.append(dem_average(world))

    assert found[0] == found[1]


@pytest.mark.parametrize(
    "row",
    [
        {"gb": 4.0},
        {"gb": 2.0},
        {"state": State.FAILED},
        {"state": State.SKIPPED},
        {"state": State.RUNNING},
        {"seconds": None},
    ],
    ids=["other memory", "two attempts", "failed", "skipped", "running", "no time"],
)
def test_only_tasks_that_ended_well_at_once_with_today_s_memory_are_a_measure(world, row):
    add_job(world, [4.0] * 40, **row)

    assert dem_average(world) == SEED[Product.DEM]


def test_a_task_that_found_nothing_took_its_time_too(world):
    add_job(world, [4.0] * 40, state=State.NO_DATA)

    assert dem_average(world).seconds == pytest.approx(4)


def test_the_mean_is_within_the_range_even_when_a_few_tasks_took_very_long(world):
    add_job(world, [1.0] * 38 + [1_000.0] * 2)

    average = dem_average(world)

    assert average.low_seconds <= average.seconds <= average.high_seconds


class _Counting:
    """A DynamoDB client that counts the pages it is asked for."""

    def __init__(self, client):
        self._client, self.pages = client, 0

    def __getattr__(self, name):
        return getattr(self._client, name)

    def get_paginator(self, name):
        paginator, counting = self._client.get_paginator(name), self

        class Pages:
            def paginate(self, **request):
                for page in paginator.paginate(**request):
                    counting.pages += 1
                    yield page

        return Pages()


def test_history_costs_a_page_for_each_of_ten_jobs_and_one_for_their_list(world):
    for number in range(12):
        add_job(world, [4.0] * 3, name=f"job{number}", created_at=NOW + number)
    counting = _Counting(world.dynamodb)

    averages(StatusTable(counting, world.services.table.name), settings=make_settings())

    assert counting.pages == 11


def test_a_history_that_cannot_be_read_is_an_error(world):
    class Down:
        def jobs(self, limit):
            raise Unavailable("throttled")

    with pytest.raises(Unavailable):
        averages(Down(), settings=make_settings())


def test_a_row_that_cannot_be_read_is_no_measure(world):
    add_job(world, [4.0] * 40)
    odd = make_row(job_id="a", x_tile=77, updated_at=NOW + 77)
    world.services.table.add_tasks([replace(odd, state="ODD")])

    assert dem_average(world).source == "history of 40 tasks"
