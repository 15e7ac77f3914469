from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ard.errors import InvalidInput
from producer.tile_index import TileIndex

GOLDEN = {
    (1000, 871): (-54.4722, -5.1389),
    (1000, 798): (-54.4722, -9.1944),
    (1274, 655): (-39.25, -17.1389),
}

small_id = st.integers(0, 30)
any_id = st.one_of(st.integers(-3, 33), st.integers(-(2**63), 2**63 - 1))


def make_index(tiles):
    columns = np.array([(*ids, *centre) for ids, centre in tiles.items()], dtype=np.float64)
    return TileIndex.from_columns(
        x_tile=columns[:, 0].astype(np.int64),
        y_tile=columns[:, 1].astype(np.int64),
        lon=columns[:, 2],
        lat=columns[:, 3],
    )


def write_parquet(path: Path, **changes):
    columns = {"X": [1.0, 2.0], "Y": [3.0, 4.0], "Y_tile": [5, 6], "X_tile": [7, 8], **changes}
    pq.write_table(pa.table({name: values for name, values in columns.items() if values is not None}), path)
    return path


def look_up(index, *tiles):
    ids = np.array(tiles, dtype=np.int64).reshape(-1, 2)
    lon, lat = index.lookup(ids[:, 0], ids[:, 1])
    return list(zip(lon.tolist(), lat.tolist(), strict=True))


@pytest.fixture(scope="module")
def real_index(shared_data):
    return TileIndex.open(shared_data / "tiledb.parquet")


def test_the_real_index_holds_every_tile(real_index):
    assert len(real_index) == 2_943_795


def test_the_real_index_knows_the_golden_tiles(real_index):
    assert look_up(real_index, *GOLDEN) == list(GOLDEN.values())


def test_the_real_index_tells_the_two_blocks_apart(real_index):
    (_, west), (_, east) = look_up(real_index, (1000, 871), (5000, 871))

    assert west == -5.1389
    assert np.isnan(east) or east != west


def test_an_index_is_opened_from_a_path_as_text(tmp_path):
    index = TileIndex.open(str(write_parquet(tmp_path / "index.parquet")))

    assert look_up(index, (7, 5), (8, 6)) == [(1.0, 3.0), (2.0, 4.0)]


def test_rows_may_come_in_any_order(tmp_path):
    index = TileIndex.open(write_parquet(tmp_path / "index.parquet", Y_tile=[6, 5]))

    assert look_up(index, (7, 6), (8, 5)) == [(1.0, 3.0), (2.0, 4.0)]


def test_a_column_in_many_row_groups_is_read_whole(tmp_path):
    ids = list(range(50))
    table = pa.table({"X": [i / 2 for i in ids], "Y": [i / 4 for i in ids], "Y_tile": ids, "X_tile": ids})
    pq.write_table(table, tmp_path / "index.parquet", row_group_size=7)
    index = TileIndex.open(tmp_path / "index.parquet")

    assert look_up(index, (49, 49), (20, 20)) == [(24.5, 12.25), (10.0, 5.0)]


def test_no_id_is_taken_for_another_tile():
    index = make_index({(5, 1): (1.0, 2.0)})

    assert np.isnan(look_up(index, (1_000_005, 0), (-999_995, 2), (5, 1 + 2**44), (-(2**63), 2**63 - 1))).all()


def test_looking_up_nothing_finds_nothing():
    assert look_up(make_index({(5, 1): (1.0, 2.0)})) == []


@settings(deadline=None)
@given(
    tiles=st.dictionaries(
        st.tuples(small_id, small_id), st.tuples(st.floats(-180, 180), st.floats(-72, 72)), min_size=1, max_size=40
    ),
    wanted=st.lists(st.tuples(any_id, any_id), max_size=40),
)
def test_lookup_equals_a_dictionary(tiles, wanted):
    wanted = [*wanted, *tiles]

    expected = [tiles.get(ids, (np.nan, np.nan)) for ids in wanted]

    np.testing.assert_array_equal(look_up(make_index(tiles), *wanted), expected)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InvalidInput, match=r"expected a tile index in Parquet at .*nowhere\.parquet"):
        TileIndex.open(tmp_path / "nowhere.parquet")


@pytest.mark.parametrize("content", [b"", b"X,Y,Y_tile,X_tile\n", b"PAR1" + bytes(100) + b"PAR1"])
def test_what_is_not_parquet_is_refused(tmp_path, content):
    path = tmp_path / "index.parquet"
    path.write_bytes(content)

    with pytest.raises(InvalidInput, match="expected a tile index in Parquet"):
        TileIndex.open(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"X_tile": None}, "expected the columns X_tile int64"),
        ({"X_tile": ["7", "8"]}, "expected the columns X_tile int64"),
        ({"Y_tile": [5.0, 6.0]}, "expected the columns Y_tile int64"),
        ({"X": [1, 2]}, "expected the columns X double"),
        ({"Y_tile": [5, None]}, "expected no nulls in Y_tile, found 1"),
        ({"Y_tile": [5, 5], "X_tile": [7, 7]}, "expected every tile once, found 7X5Y more than once"),
        ({"X_tile": [7, -1]}, "expected X_tile in 0..999999, found -1..7"),
        ({"Y_tile": [5, 1_000_000]}, "expected Y_tile in 0..999999"),
        ({"X": [1.0, float("nan")]}, "expected X in -180..180, found nan"),
        ({"Y": [3.0, 73.0]}, "expected Y in -72..72"),
    ],
)
def test_a_faulty_index_is_refused_with_the_reason(tmp_path, changes, message):
    path = write_parquet(tmp_path / "index.parquet", **changes)

    with pytest.raises(InvalidInput, match=r"index\.parquet.*" + message):
        TileIndex.open(path)


def test_an_index_without_tiles_is_refused(tmp_path):
    schema = pa.schema({"X": pa.float64(), "Y": pa.float64(), "Y_tile": pa.int64(), "X_tile": pa.int64()})
    pq.write_table(schema.empty_table(), tmp_path / "index.parquet")

    with pytest.raises(InvalidInput, match="expected at least one tile, found none"):
        TileIndex.open(tmp_path / "index.parquet")
