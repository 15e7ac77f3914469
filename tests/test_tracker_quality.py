import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ard.errors import InvalidInput
from ard.product import Product
from ard.states import State
from tests.factories import make_row
from tracker.quality import Where, parse_where, quality_of
from tracker.show.quality import quality_csv


def made(number, *, flags=(), product=Product.DEM, **digest):
    return make_row(x_tile=number, state=State.SUCCEEDED, flags=flags, product=product, digest=digest)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("valid_fraction<0.9", Where("valid_fraction", "<", 0.9)),
        (" dates_kept >= 6 ", Where("dates_kept", ">=", 6.0)),
        ("a=-1.5e3", Where("a", "=", -1500.0)),
        ("a<=.5", Where("a", "<=", 0.5)),
    ],
)
def test_a_condition_is_a_name_a_comparison_and_a_number(text, where):
    assert parse_where(text) == where


@pytest.mark.parametrize(
    "text", ["", "a", "a<", "<1", "a<<1", "a==1", "a<b", "a<nan", "a<1 or b<2", "__import__('os')"]
)
def test_anything_else_is_refused_with_an_example(text):
    with pytest.raises(InvalidInput, match="valid_fraction_min<0"):
        parse_where(text)


@given(st.text(max_size=60))
def test_no_text_does_anything_but_parse_or_be_refused(text):
    try:
        assert parse_where(text).metric.isidentifier()
    except InvalidInput as error:
        assert "expected a condition" in str(error)


def test_a_metric_that_no_output_has_is_refused_with_those_that_exist():
    with pytest.raises(InvalidInput, match=r"\(slope_max, slope_p50\), found sloop"):
        quality_of([made(1, slope_p50=1, slope_max=2)], where=[Where("sloop", "<", 1)])


def test_every_condition_must_hold_and_a_tile_without_the_metric_does_not_fulfil_it():
    rows = [made(1, a=1, b=1), made(2, a=1, b=5), made(3, b=1), made(4, a=9, b=1)]

    found = quality_of(rows, where=[Where("a", "<", 5), Where("b", "<", 5)])

    assert [one.row.x_tile for one in found.tiles] == [1]
    assert found.tiles[0].reasons == ("a 1 (< 5)", "b 1 (< 5)")


def test_the_furthest_beyond_a_condition_come_first():
    rows = [made(number, a=number) for number in range(1, 5)]

    assert [one.row.x_tile for one in quality_of(rows, where=[Where("a", ">", 2)]).tiles] == [4, 3]
    assert [one.row.x_tile for one in quality_of(rows, where=[Where("a", "<", 3)]).tiles] == [1, 2]


def test_a_metric_is_told_by_its_percentiles():
    (spread,) = quality_of([made(number, a=number) for number in range(101)]).metrics

    assert (spread.tiles, spread.minimum, spread.p5, spread.p50, spread.p95, spread.maximum) == (101, 0, 5, 50, 95, 100)


def test_only_numbers_of_outputs_that_were_made_count():
    rows = [made(1, a=1.0, direction="ascending", whole=True), make_row(state=State.FAILED, digest={"a": 9.0})]

    assert [(one.metric, one.maximum) for one in quality_of(rows).metrics] == [("a", 1.0)]


def test_without_conditions_the_tiles_with_most_against_them_come_first():
    rows = [
        made(1, valid_fraction_min=0.99, product=Product.S1),
        made(2, valid_fraction_min=0.5, product=Product.S1),
        made(3, valid_fraction_min=0.5, flags=("partial",), product=Product.S1),
    ]

    found = quality_of(rows)

    assert [one.row.x_tile for one in found.tiles] == [3, 2]
    assert found.tiles[0].reasons == ("partial", "valid_fraction_min 0.5 (< 0.9)")
    assert found.flags == {Product.S1: {"partial": 1}}


def test_only_the_products_that_were_asked_for_count():
    rows = [made(1, a=1), made(2, a=2, product=Product.S1)]

    assert [one.product for one in quality_of(rows, products=[Product.S1]).metrics] == [Product.S1]


def test_the_csv_has_a_column_per_metric_and_no_commands_for_a_terminal():
    found = quality_of([made(1, a=1, flags=("\x1b[2J",)), made(2, b=2, flags=("x",))])

    first, second = csv.DictReader(io.StringIO(quality_csv(found)))

    assert (first["a"], first["b"], second["a"], second["b"]) == ("1", "", "", "2")
    assert first["flags"] == "\\x1b[2J"
