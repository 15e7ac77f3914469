"""Estimates by the seed's averages."""

import pytest

from ard.cost import SEED_AVERAGES, compute_usd, estimate
from ard.product import Product
from producer.deployment import estimate_of
from producer.plan import plan_of
from tests.producing import make_settings, make_tiles


def test_compute_is_seconds_times_memory_times_price():
    cost = estimate({Product.DEM: 1_000, Product.S1: 1_000, Product.S2: 1_000}, memory_mb=dict.fromkeys(Product, 4096))

    assert [product.gb_seconds for product in cost.products] == [36_000, 56_000, 248_000]
    assert compute_usd(cost.gb_seconds) == pytest.approx(340_000 * 0.00001667)


def test_the_golden_estimate():
    cost = estimate({Product.DEM: 1_240}, memory_mb={Product.DEM: 1024})

    assert (round(cost.low_usd, 4), round(cost.expected_usd, 4), round(cost.high_usd, 4)) == (0.1098, 0.2195, 0.4391)
    assert (cost.requests, cost.transfer_gb, cost.source) == (21_080, 0, SEED_AVERAGES)


def test_writing_to_another_region_costs_transfer():
    tasks, memory = {Product.S2: 1_000}, {Product.S2: 1024}
    home, abroad = estimate(tasks, memory_mb=memory), estimate(tasks, memory_mb=memory, abroad=[Product.S2])

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
