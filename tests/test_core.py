"""The values and contracts of the core."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ard.errors import ArdError, Auth, InvalidInput, InvalidProduct, NoData, Permanent, Transient, Unavailable
from ard.grid import Bounds, Grid
from ard.keys import data_key, item_key, legacy_key, relative_href, resolve_href
from ard.product import Format, Product, check
from ard.states import State
from ard.task import MESSAGE_BYTES, ChunkMessage, TileTask
from ard.tile import TILE_DEGREES, Tile, parse_tile_key
from tests.factories import GOLDEN, make_dem, make_task

CONTRACTS = Path(__file__).parent / "contracts"


@pytest.mark.parametrize(
    ("lat", "shape"),
    [(-5.1389, (618, 616)), (-9.1944, (618, 610)), (-17.1389, (618, 590)), (0.0, (618, 618)), (49.97, (618, 398))],
)
def test_the_ten_metre_grid_has_the_shape_of_the_training_data(lat, shape):
    assert Tile(x=1, y=1, lon=0, lat=lat).grid(10).shape == shape


@given(st.floats(-56, 56), st.floats(-179.9, 179.9))
def test_all_grids_of_a_tile_share_their_corner_and_nest(lat, lon):
    tile = Tile(x=1, y=1, lon=lon, lat=lat)
    g10, g20, g40 = (tile.grid(metres) for metres in (10, 20, 40))

    assert (g10.height, g10.width) == (2 * g20.height, 2 * g20.width)
    assert g40.shape == (-(-g10.height // 4), -(-g10.width // 4))
    assert {(grid.west, grid.north) for grid in (g10, g20, g40)} == {(g10.west, g10.north)}
    assert g10.bounds == pytest.approx(
        (lon - TILE_DEGREES / 2, lat - TILE_DEGREES / 2, lon + TILE_DEGREES / 2, lat + TILE_DEGREES / 2)
    )


def test_a_grown_grid_keeps_the_pixel_centres():
    grid = GOLDEN.grid(10)

    assert grid.grown(4).lon()[4:-4] == pytest.approx(grid.lon())
    assert grid.grown(4).lat()[4:-4] == pytest.approx(grid.lat())
    assert grid.lat()[0] > grid.lat()[-1]


def test_a_grid_without_pixels_is_refused():
    with pytest.raises(ValueError, match="positive"):
        Grid(west=0, north=0, lon_step=0.1, lat_step=0.1, height=0, width=1)


def test_buffered_bounds_stay_on_the_globe():
    assert Bounds(179.9, -89, 180, 89.99).buffered(0.5) == (179.4, -89.5, 180, 90)


@pytest.mark.parametrize("text", ["1035X727Y", "0X0Y", "7294X1616Y"])
def test_a_tile_name_comes_back_from_its_ids(text):
    x, y = parse_tile_key(text)

    assert f"{x}X{y}Y" == text


@pytest.mark.parametrize("text", ["", "1035x727y", "-1X2Y", "01X2Y", "1X2", "1X2Y ", "1e3X2Y", "٣X1Y", "1X2Y\n"])
def test_a_malformed_tile_name_is_refused_and_quoted(text):
    with pytest.raises(InvalidInput, match="expected a tile such as"):
        parse_tile_key(text)


def test_the_message_of_version_1_is_the_committed_one():
    golden = (CONTRACTS / "tile_task_v1.json").read_text().strip()

    assert make_task().model_dump_json() == golden
    assert TileTask.model_validate_json(golden) == make_task()


def test_the_schema_of_version_1_is_the_committed_one():
    golden = json.loads((CONTRACTS / "tile_task_v1.schema.json").read_text())

    assert TileTask.model_json_schema() == golden


def test_the_chunk_message_of_version_1_is_the_committed_one():
    golden = (CONTRACTS / "chunk_message_v1.json").read_text().strip()

    assert ChunkMessage(job_id="2023-1t-0123456789", number=7).model_dump_json() == golden


def test_the_longest_message_fits_its_limit():
    task = make_task(
        job_id="j" * 80,
        x_tile=999_999,
        y_tile=999_999,
        dest="s3://" + "b" * 63 + "/" + "p" * 331,
        formats=("hkl", "cog"),
        overwrite=True,
        max_attempts=100,
        lon=-123.4567891234,
        lat=-12.3456789123,
    )

    assert len(task.model_dump_json().encode()) < MESSAGE_BYTES


@pytest.mark.parametrize(
    "change",
    [{"product": "s3"}, {"year": 1899}, {"year": 2101}, {"x_tile": -1}, {"lat": 80}, {"extra": 1}, {"version": 2},
     {"dest": "relative/folder"}, {"dest": "s3://bucket/../other"}, {"dest": "https://x.y"}, {"formats": ()},
     {"max_attempts": 0}, {"job_id": "UPPER"}, {"job_id": ""}, {"lon": float("nan")}],
)  # fmt: skip
def test_a_message_outside_its_contract_is_refused(change):
    with pytest.raises(ValidationError):
        make_task(**change)


def test_formats_and_destination_have_one_spelling():
    task = make_task(formats=("hkl", "cog", "hkl"), dest="s3://tof-output/ttc/")

    assert task.formats == (Format.COG, Format.HKL)
    assert task == make_task(formats=("cog", "hkl"))


def test_a_task_is_named_by_year_tile_and_product():
    assert make_task().task_id == "2023/1000X871Y/dem"


def test_keys_are_spelled_as_the_contract_says():
    digest = "ab12cd34" + "0" * 56

    assert item_key(2023, GOLDEN, Product.DEM) == "2023/ard/1000/871/dem.json"
    assert data_key(2023, GOLDEN, name="dem", sha256=digest, suffix="tif") == "2023/ard/1000/871/dem_ab12cd34.tif"
    assert legacy_key(2023, GOLDEN, kind="misc/dem_") == "2023/raw/1000/871/raw/misc/dem_1000X871Y.hkl"


_KEYS = st.lists(st.sampled_from(["a", "b", "cc", "1"]), min_size=1, max_size=5).map("/".join)


@given(_KEYS, _KEYS)
def test_a_relative_address_leads_back_to_its_key(here, there):
    assert resolve_href(here, relative_href(here, there)) == there


def test_every_state_but_three_is_terminal_and_failed_alone_is_not_settled():
    assert {state for state in State if not state.terminal} == {State.QUEUED, State.RUNNING, State.RETRYING}
    assert {state for state in State if state.terminal and not state.settled} == {State.FAILED}


def test_errors_are_told_apart_by_type_and_each_has_a_cause():
    assert issubclass(Auth, Unavailable) and issubclass(Unavailable, Transient) and issubclass(InvalidInput, Permanent)
    assert not issubclass(NoData, Permanent | Transient)
    causes = [error.cause for error in _descendants(ArdError) if error.__module__ == "ard.errors"]
    assert len(causes) == len(set(causes))


def _descendants(error):
    return [error, *(below for child in error.__subclasses__() for below in _descendants(child))]


def test_a_whole_product_passes_its_check():
    check(make_dem())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda pixels: pixels[:, 1:], "expected .band, y, x."),
        (lambda pixels: pixels.astype(np.float64), "expected float32"),
        (lambda pixels: np.where(pixels == pixels.max(), np.float32(np.nan), pixels), "outside"),
        (lambda pixels: pixels + 9000, "outside"),
        (lambda pixels: pixels[:1], "expected .band, y, x."),
    ],
)
def test_a_damaged_product_is_refused(damage, message):
    whole = make_dem()
    layer = whole.layers[0]
    broken = type(layer)(name=layer.name, spec=layer.spec, bands=layer.bands, pixels=damage(layer.pixels))

    with pytest.raises(InvalidProduct, match=message):
        check(make_dem(layers=(broken,)))


def test_a_product_without_its_layer_is_refused():
    with pytest.raises(InvalidProduct, match="expected layers"):
        check(make_dem(layers=()))
