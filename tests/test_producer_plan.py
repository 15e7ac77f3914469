"""A job's identity, and the plan that every later step reads."""

import hashlib
import struct
from dataclasses import replace

import numpy as np
import pytest

from ard.errors import InvalidInput
from ard.product import Format, Product
from producer.plan import plan_bytes, plan_of, read_chunk
from tests.producing import make_tiles

COMPLETE = {"dest": "s3://tof-output/ttc", "products": ("dem",)}


def make_plan(count=3, **options):
    return plan_of(make_tiles(count, years=options.pop("years", (2023,)), **COMPLETE | options))


def test_the_identity_of_a_request_never_changes():
    assert make_plan().job_id == "2023-3t-6e163b25e8"


def test_the_digest_is_of_a_header_and_of_the_sorted_columns():
    header = (
        b'{"dest":"s3://tof-output/ttc","formats":["cog"],"overwrite":false,"products":["dem"],'
        b'"rerun":1,"tiles":2,"version":1}'
    )
    columns = struct.pack("<6q4d", 2023, 2023, 0, 1, 0, 2, -60.0, 1 / 18 - 60, -30.0, 1 / 36 - 30)

    assert make_plan(2).digest == hashlib.sha256(header + columns).hexdigest()


def test_job_and_digest_belong_together():
    plan = make_plan()

    assert len(plan.digest) == 64
    assert plan.job_id.endswith(f"-{plan.digest[:10]}")


@pytest.mark.parametrize("change", [{"label": "Ghana"}, {"max_cost_usd": 1.0}, {"retries": 0}, {"rerun": 1}])
def test_what_does_not_change_the_content_does_not_change_the_digest(change):
    assert make_plan(**change).digest == make_plan().digest


@pytest.mark.parametrize(
    "change",
    [
        {"dest": "s3://tof-output/other"},
        {"products": ("dem", "s1")},
        {"formats": (Format.HKL,)},
        {"overwrite": True},
        {"rerun": 2},
        {"years": (2022,)},
        {"count": 4},
    ],
)
def test_what_changes_the_content_changes_the_digest(change):
    assert make_plan(**change).digest != make_plan().digest


def test_tiles_that_lie_elsewhere_are_other_content():
    request = make_tiles(3, **COMPLETE)

    assert plan_of(replace(request, lon=request.lon + 1e-4)).digest != plan_of(request).digest


@pytest.mark.parametrize(
    ("label", "slug"),
    [("Ghana 22_INEC", "ghana-22-inec"), ("a", "a"), ("x" + "-" * 59, "x"), ("z" * 60, "z" * 60), ("A.-_B", "a-b")],
)
def test_a_label_becomes_a_slug(label, slug):
    assert make_plan(label=label).job_id.rpartition("-")[0] == slug


@pytest.mark.parametrize(("years", "slug"), [((2023,), "2023-3t"), ((2021, 2022, 2023), "2021-2023-3t")])
def test_without_a_label_the_slug_is_years_and_number_of_tiles(years, slug):
    assert make_plan(years=years).job_id.rpartition("-")[0] == slug


@pytest.mark.parametrize("missing", [{"dest": None}, {"products": None}])
def test_only_a_complete_request_has_a_plan(missing):
    with pytest.raises(InvalidInput, match="expected tiles, a dest and products"):
        make_plan(**missing)


def test_every_task_is_in_the_plan_once_and_in_order():
    request = make_tiles(1_001, years=(2022, 2023), **COMPLETE | {"products": ("dem", "s2")})
    content = plan_bytes(plan_of(request))

    tasks = [task for number in range(3) for task in read_chunk(content, number)]

    assert tasks == [
        (year, x, y, product, lon, lat)
        for year, x, y, lon, lat in zip(
            request.year, request.x_tile, request.y_tile, request.lon, request.lat, strict=True
        )
        for product in (Product.DEM, Product.S2)
    ]
    assert tasks == sorted(tasks)


def test_a_chunk_is_a_thousand_tiles_with_all_their_products():
    plan = make_plan(2_001, products=("dem", "s1", "s2"))
    content = plan_bytes(plan)

    assert plan.chunks == 3
    assert [len(read_chunk(content, number)) for number in range(3)] == [3_000, 3_000, 3]


def test_equal_plans_are_equal_bytes():
    assert plan_bytes(make_plan(1_500)) == plan_bytes(make_plan(1_500, label="other"))


@pytest.mark.parametrize("number", [-1, 1])
def test_a_chunk_beyond_the_plan_is_an_error(number):
    with pytest.raises(InvalidInput, match=r"expected a chunk in 0\.\.0, found"):
        read_chunk(plan_bytes(make_plan()), number)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"oops" * 100, plan_bytes(make_plan())[:-20]])
def test_what_is_no_plan_is_an_error(content):
    with pytest.raises(InvalidInput, match="expected a plan in Parquet"):
        read_chunk(content, 0)


def test_a_million_tiles_are_a_small_file():
    plan = make_plan(50_000, products=("dem", "s1", "s2"))

    assert len(plan_bytes(plan)) < 50_000 * 12
    assert plan.totals == dict.fromkeys(Product, 50_000)
    assert np.all(plan.request.year == 2023)
