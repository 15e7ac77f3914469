from decimal import Decimal

import pytest
from boto3.dynamodb.types import TypeDeserializer
from hypothesis import given
from hypothesis import strategies as st

from ard.adapters.wire import deserialise, serialise

NUMBERS = st.integers(-(10**30), 10**30).map(Decimal) | st.floats(-1e100, 1e100, allow_nan=False).map(
    lambda number: Decimal(repr(number)) if abs(number) > 1e-100 else Decimal(0)
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.text(max_size=20) | NUMBERS,
    lambda part: st.lists(part, max_size=4) | st.dictionaries(st.text(min_size=1, max_size=8), part, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.text(min_size=1, max_size=8), VALUES, max_size=6))
def test_an_item_is_read_as_boto3_reads_it(item):
    wire = serialise(item)

    assert deserialise(wire) == {name: TypeDeserializer().deserialize(value) for name, value in wire.items()} == item


def test_a_kind_that_is_not_ours_is_left_to_boto3():
    assert deserialise({"a": {"SS": ["x", "y"]}}) == {"a": {"x", "y"}}


@pytest.mark.parametrize("value", [{}, {"?": 1}])
def test_a_value_without_a_known_type_is_an_error(value):
    with pytest.raises((ValueError, TypeError)):
        deserialise({"a": value})
