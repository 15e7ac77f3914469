"""Estimates: what a job costs and how long it takes, by the seed's averages or by others."""

import pytest

from ard.cost import SEED, SEED_AVERAGES, Average, compute_usd, estimate
from ard.product import Product
from producer.deployment import estimate_of
from producer.plan import plan_of
from tests.producing import make_settings, make_tiles


def make_estimate(tasks, *, memory_mb=1024, max_concurrency=100, **options):
    return estimate(
        tasks,
        memory_mb=dict.fromkeys(Product, memory_mb),
        max_concurrency=dict.fromkeys(Product, max_concurrency),
        **options,
    )


def test_compute_is_seconds_times_memory_times_price():
    cost = make_estimate({Product.DEM: 1_000, Product.S1: 1_000, Product.S2: 1_000}, memory_mb=4096)

    assert [product.gb_seconds for product in cost.products] == [36_000, 56_000, 248_000]
    assert compute_usd(cost.gb_seconds) == pytest.approx(340_000 * 0.00001667)


def test_the_golden_estimate():
    cost = make_estimate({Product.DEM: 1_240})

    assert (round(cost.low_usd, 4), round(cost.expected_usd, 4), round(cost.high_usd, 4)) == (0.1098, 0.2195, 0.4391)
    assert (cost.requests, cost.transfer_gb, cost.source) == (21_080, 0, SEED_AVERAGES)


def test_other_averages_bring_their_own_range_and_name():
    measured = Average(seconds=4.0, low_seconds=3.0, high_seconds=6.0, source="history of 412 tasks")

    cost = make_estimate({Product.DEM: 100, Product.S1: 100, Product.S2: 100}, averages={**SEED, Product.DEM: measured})

    dem = cost.products[0]
    assert dem.gb_seconds == 400
    assert (dem.low_usd / dem.usd, dem.high_usd / dem.usd) == pytest.approx((0.75, 1.5))
    assert cost.source == "history of 412 tasks (dem), seed averages (s1, s2)"
    assert cost.high_usd == pytest.approx(sum(product.high_usd for product in cost.products))


@pytest.mark.parametrize(
    ("tasks", "seconds"),
    [
        ({Product.S2: 1_000}, 620),
        ({Product.S2: 1}, 62),
        ({Product.S2: 0}, 0),
        ({Product.DEM: 1_000, Product.S2: 1}, 90),
    ],
    ids=["ten rounds", "one task", "none", "the slowest product"],
)
def test_a_job_takes_as_long_as_its_slowest_product(tasks, seconds):
    assert make_estimate(tasks, max_concurrency=100).duration_seconds == seconds


def test_writing_to_another_region_costs_transfer():
    tasks = {Product.S2: 1_000}
    home, abroad = make_estimate(tasks), make_estimate(tasks, abroad=[Product.S2])

    assert abroad.transfer_gb == pytest.approx(52)
    assert abroad.expected_usd - home.expected_usd == pytest.approx(52 * 0.02)


@pytest.mark.parametrize(
    ("dest", "dest_region", "transfer"),
    [
        ("s3://tof-output", "us-west-2", 0.03),
        ("s3://tof-output", "eu-central-1", 0),
        ("s3://tof-output", None, 0),
        ("/outputs", "us-west-2", 0),
    ],
)
def test_a_dest_elsewhere_is_told_by_its_region(dest, dest_region, transfer):
    plan = plan_of(make_tiles(10, dest=dest, products=("dem",)))

    cost = estimate_of(plan, settings=make_settings(dest_region=dest_region))

    assert cost.transfer_gb == pytest.approx(transfer)


def test_what_is_made_already_costs_nothing():
    plan = plan_of(make_tiles(10, dest="/outputs", products=("dem",)))

    cost = estimate_of(plan, settings=make_settings(), made_already={Product.DEM: 10})

    assert cost.high_usd == 0
