"""The sandbox's landscape, its tile index and its elevation scenes."""

import json
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pystac
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from pystac.stac_object import STACObjectType
from pystac.validation import JsonSchemaSTACValidator
from rio_cogeo import cog_validate

from ard.errors import InvalidInput
from ard.tile import TILE_DEGREES, Tile
from sandbox.scenes import GLO_30, GLO_90, write_dem_scenes
from sandbox.terrain import elevation
from sandbox.tiles import demo_tiles, index_tiles, write_index

SECOND = 1 / 3600
REAL_CELL = "dem_glo30/Copernicus_DSM_COG_10_N00_00_E006_00_DEM.tif"
# In the cell that only GLO-90 has, so that making it is quick.
COARSE_TILE = Tile(x=1010, y=869, lon=-53.9167, lat=-5.25)


@pytest.fixture(scope="session")
def demo(tmp_path_factory) -> Path:
    return write_dem_scenes(tmp_path_factory.mktemp("demo"), demo_tiles())


def items_of(path: Path) -> list[dict]:
    return json.loads(path.read_text())["features"]


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def heights(west: float, north: float, *, degrees: float, size: int) -> NDArray[np.float32]:
    steps = (np.arange(size) + 0.5) * (degrees / size)
    return elevation((west + steps)[None, :], (north - steps)[:, None])


def tile_heights(tile: Tile) -> NDArray[np.float32]:
    grid = tile.grid(10)
    return elevation(grid.lon()[None, :], grid.lat()[:, None])


# The landscape


@pytest.mark.parametrize("axis", ["lon", "lat"])
def test_land_has_no_step_where_cells_meet(axis):
    along = np.linspace(-1, 0, 2001) + (-5 if axis == "lon" else -54)
    near, far = np.array(-1e-9), np.array(1e-9)

    if axis == "lon":
        one, other = elevation(-54 + near, along), elevation(-54 + far, along)
    else:
        one, other = elevation(along, -5 + near), elevation(along, -5 + far)

    assert one.max() > 300
    np.testing.assert_allclose(one, other, atol=0.01)


def test_land_is_never_steeper_than_a_cliff_anywhere_along_a_walk():
    metre = 1 / 111_320
    walk = np.arange(40_000) * metre

    steps = np.diff(elevation(-54.2 + walk, -5.3 + 0.7 * walk))

    assert np.abs(steps).max() < 2.0


def test_landscape_equals_none_of_its_mirror_images_and_turns():
    image = heights(-54.12, -5.02, degrees=0.1, size=128)
    turned = [np.rot90(image, turns) for turns in (1, 2, 3)]
    mirrored = [image.T, *(turn.T for turn in turned)]

    assert min(np.abs(other - image).mean() for other in turned + mirrored) > 20


def test_sea_is_exactly_zero_and_land_rises_smoothly_from_it():
    image = heights(-54.11, -4.89, degrees=0.22, size=880)

    sea = image == 0
    shore = ~sea[:, 1:] & sea[:, :-1] | sea[:, 1:] & ~sea[:, :-1]
    assert 0.2 < sea.mean() < 0.6
    assert image.min() == 0
    assert np.abs(np.diff(image, axis=1))[shore].max() < 0.5
    assert 500 < image.max() < 700


@given(lon=st.floats(-180, 180), lat=st.floats(-60, 60))
def test_height_is_finite_and_within_the_hills_everywhere(lon, lat):
    height = elevation(np.array(lon), np.array(lat))

    assert 0 <= height <= 750


def test_height_of_a_point_does_not_depend_on_the_array_it_stands_in():
    lon, lat = -54.1 + np.arange(700) * SECOND / 3, -5.05 - np.arange(500) * SECOND / 3

    grid = elevation(lon[None, :], lat[:, None])

    assert grid.dtype == np.float32
    for row, column in ((0, 0), (499, 699), (123, 45), (300, 600)):
        assert grid[row, column] == elevation(lon[column], lat[row])
    np.testing.assert_array_equal(grid[200:300, 100:300], elevation(lon[None, 100:300], lat[200:300, None]))


def test_landscape_stays_what_it_was_when_the_generator_got_its_version():
    lon = np.array([-54.08, -54.05, -53.95, -54.25, -53.9, 12.34])
    lat = np.array([-5.08, -5.03, -5.09, -4.8, -4.9, 45.67])

    assert elevation(lon, lat) == pytest.approx([560.6277, 418.7, 112.8268, 349.5248, 0.0, 72.4584], abs=0.001)


# The tile index


def test_index_is_a_part_of_the_real_index(shared_data, tmp_path):
    write_index(tmp_path / "index.parquet")

    ours, real = pq.read_table(tmp_path / "index.parquet"), pq.read_table(shared_data / "tiledb.parquet")
    around = (pc.field("X") > -55) & (pc.field("X") < -53) & (pc.field("Y") > -6) & (pc.field("Y") < -4)
    assert ours.schema.equals(real.schema, check_metadata=False)
    assert {*map(tuple, (row.values() for row in ours.to_pylist()))} <= {
        *map(tuple, (row.values() for row in real.filter(around).to_pylist()))
    }


def test_index_is_sorted_and_holds_each_tile_once(tmp_path):
    write_index(tmp_path / "new" / "index.parquet")

    table = pq.read_table(tmp_path / "new" / "index.parquet")
    ids = list(zip(table["Y_tile"].to_pylist(), table["X_tile"].to_pylist(), strict=True))
    assert ids == sorted(set(ids))
    assert len(ids) == len(index_tiles()) == 100


def test_demonstration_has_sixteen_tiles_of_the_index_in_four_cells():
    tiles = demo_tiles()

    assert len(set(tiles)) == 16
    assert set(tiles) <= set(index_tiles())
    assert {(np.floor(tile.lon), np.floor(tile.lat)) for tile in tiles} == {(-55, -6), (-55, -5), (-54, -6), (-54, -5)}


def test_demonstration_has_inland_tiles_coastal_tiles_and_open_sea():
    land = {tile.key: float((tile_heights(tile) > 0).mean()) for tile in demo_tiles()}

    assert sum(share == 1 for share in land.values()) >= 4
    assert sum(0.05 < share < 0.95 for share in land.values()) >= 4
    assert land["1010X875Y"] == 0


# The scenes


def test_demonstration_has_two_fine_cells_one_coarse_cell_and_no_cell_at_sea(demo):
    ids = {(item["collection"], item["id"]) for item in items_of(demo)}

    assert ids == {
        (GLO_30, "Copernicus_DSM_COG_10_S05_00_W055_00_DEM"),
        (GLO_30, "Copernicus_DSM_COG_10_S06_00_W055_00_DEM"),
        (GLO_90, "Copernicus_DSM_COG_30_S06_00_W054_00_DEM"),
    }


def test_cell_without_a_file_is_all_sea():
    lon, lat = -54 + np.arange(0, 3600, 3) * SECOND, -4 - np.arange(0, 3600, 3) * SECOND

    assert not elevation(lon[None, :], lat[:, None]).any()


def test_open_sea_of_the_demonstration_touches_no_cell(demo):
    tile = next(tile for tile in demo_tiles() if tile.key == "1010X875Y")
    box = tile.grid(10).bounds.buffered(0.01)

    for item in items_of(demo):
        west, south, east, north = item["bbox"]
        assert box.west > east or box.east < west or box.south > north or box.north < south


def test_scenes_are_valid_cloud_optimised_geotiffs(demo):
    for item in items_of(demo):
        valid, errors, warnings = cog_validate(item["assets"]["data"]["href"], strict=True, quiet=True)

        assert (valid, errors, warnings) == (True, [], [])


def test_cell_is_laid_out_as_the_real_cell_is(shared_data, demo):
    href = next(item["assets"]["data"]["href"] for item in items_of(demo) if "S06_00_W055" in item["id"])

    with rasterio.open(shared_data / REAL_CELL) as real, rasterio.open(href) as ours:
        assert ours.profile | {"transform": None} == real.profile | {"transform": None}
        assert ours.overviews(1) == real.overviews(1)
        assert ours.tags() == real.tags()
        assert ours.tags(ns="IMAGE_STRUCTURE") | {"OVERVIEW_RESAMPLING": ""} == real.tags(ns="IMAGE_STRUCTURE") | {
            "OVERVIEW_RESAMPLING": ""
        }
        shift = rasterio.Affine.translation(-55 - 6, -6 - 0)
        assert ours.transform.almost_equals(shift * real.transform, precision=1e-9)


def test_item_is_shaped_as_the_real_item_is(shared_data, demo):
    real = items_of(shared_data / "stac/earth-search-v1/cop-dem-glo-30_10items.json")[0]
    ours = next(item for item in items_of(demo) if "S06_00_W055" in item["id"])

    assert set(ours) == set(real)
    assert set(ours["properties"]) <= set(real["properties"])
    assert ours["assets"]["data"] | {"href": ""} == real["assets"]["data"] | {"href": ""}
    for item, west, south in ((real, -180, -90), (ours, -55, -6)):
        lon_half = 0.5 / item["properties"]["proj:shape"][1]
        box = [west - lon_half, south + SECOND / 2, west + 1 - lon_half, south + 1 + SECOND / 2]
        assert item["bbox"] == pytest.approx(box, abs=1e-9)
        assert item["geometry"]["coordinates"][0][2] == pytest.approx([box[0], box[3]], abs=1e-9)
        assert [item["properties"]["proj:transform"][index] for index in (2, 5)] == pytest.approx([box[0], box[3]])


def test_items_are_valid_stac(demo):
    for feature in items_of(demo):
        item = pystac.Item.from_dict(feature)

        JsonSchemaSTACValidator().validate_core(item.to_dict(), STACObjectType.ITEM, pystac.get_stac_version())


def test_links_of_an_item_lead_to_the_item_and_its_collection(demo):
    for item in items_of(demo):
        links = {link["rel"]: Path(link["href"]) for link in item["links"]}

        assert json.loads(links["self"].read_text()) == item
        assert pystac.Collection.from_file(links["collection"]).id == item["collection"]


def test_item_says_what_its_file_is(demo):
    for item in items_of(demo):
        with rasterio.open(item["assets"]["data"]["href"]) as file:
            assert list(file.transform)[:6] == item["properties"]["proj:transform"]
            assert list(file.shape) == item["properties"]["proj:shape"]
            assert list(file.bounds) == pytest.approx(item["bbox"], abs=1e-12)


def test_pixels_are_the_heights_at_their_centres_round_the_tiles_and_zero_elsewhere(demo):
    reach = 2 * TILE_DEGREES + 0.02
    for item in items_of(demo):
        with rasterio.open(item["assets"]["data"]["href"]) as file:
            pixels, transform = file.read(1), file.transform
        lon = transform.c + (np.arange(pixels.shape[1]) + 0.5) * transform.a
        lat = transform.f + (np.arange(pixels.shape[0]) + 0.5) * transform.e
        half_pixel = transform.a / 2 + 1e-6
        columns = np.flatnonzero(np.abs(lon + 54) < reach - half_pixel)
        rows = np.flatnonzero(np.abs(lat + 5) < reach - half_pixel)
        window = np.ix_(rows, columns)

        np.testing.assert_allclose(pixels[window], elevation(lon[None, columns], lat[rows, None]), atol=0.01)
        pixels[np.ix_(np.abs(lat + 5) < reach + half_pixel, np.abs(lon + 54) < reach + half_pixel)] = 0
        assert not pixels.any()


def test_neighbouring_cells_continue_one_lattice_without_gap_or_overlap(tmp_path):
    tile = Tile(x=991, y=864, lon=-55 + TILE_DEGREES / 2, lat=-5.5 - TILE_DEGREES / 2)
    west_item, east_item = items_of(write_dem_scenes(tmp_path, [tile]))

    with rasterio.open(west_item["assets"]["data"]["href"]) as file:
        last_column, last_lon = file.read(1)[:, -1], file.xy(0, 3599)[0]
        end = file.bounds.right
    with rasterio.open(east_item["assets"]["data"]["href"]) as file:
        first_column, first_lon = file.read(1)[:, 0], file.xy(0, 0)[0]
        start, lat = file.bounds.left, np.array([file.xy(row, 0)[1] for row in range(3600)])

    filled = np.flatnonzero(first_column)
    assert first_lon == pytest.approx(-55, abs=1e-9)
    assert first_lon - last_lon == pytest.approx(SECOND, abs=1e-9)
    assert start == pytest.approx(end, abs=1e-9)
    assert filled.size == pytest.approx((TILE_DEGREES + 0.04) * 3600, abs=2)
    np.testing.assert_allclose(last_column[filled], elevation(np.array(-55 - SECOND), lat[filled]), atol=0.01)
    np.testing.assert_allclose(first_column[filled], elevation(np.array(-55.0), lat[filled]), atol=0.01)


def test_cell_beyond_fifty_degrees_has_two_thirds_of_the_columns(tmp_path):
    tile = Tile(x=0, y=1900, lon=-77.5, lat=52.5)

    (item,) = items_of(write_dem_scenes(tmp_path, [tile]))

    assert item["id"] == "Copernicus_DSM_COG_10_N52_00_W078_00_DEM"
    assert item["properties"]["proj:shape"] == [3600, 2400]
    assert item["bbox"][0] == pytest.approx(-78 - 0.5 / 2400)


def test_same_tiles_make_the_same_bytes_in_whatever_folder(tmp_path):
    for name in ("one", "other"):
        write_dem_scenes(tmp_path / name, [COARSE_TILE], base_href="s3://scenes/dem")

    made = bytes_of(tmp_path / "one")
    assert made == bytes_of(tmp_path / "other")
    assert {Path(name).suffix for name in made} == {".json", ".tif"}


def test_second_call_finds_everything_made(tmp_path):
    path = write_dem_scenes(tmp_path, [COARSE_TILE])
    before = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")}

    again = write_dem_scenes(tmp_path, [COARSE_TILE])

    assert again == path
    assert {file: file.stat().st_mtime_ns for file in tmp_path.rglob("*")} == before


def test_other_arguments_make_the_folder_anew(tmp_path):
    write_dem_scenes(tmp_path, [COARSE_TILE])

    (item,) = items_of(write_dem_scenes(tmp_path, [COARSE_TILE], base_href="s3://scenes/dem/"))

    assert item["assets"]["data"]["href"] == f"s3://scenes/dem/{GLO_90}/{item['id']}.tif"


def test_folder_that_was_left_half_made_is_made_anew(tmp_path):
    write_dem_scenes(tmp_path, [COARSE_TILE])
    whole = bytes_of(tmp_path)
    (tmp_path / "made.json").unlink()
    next(tmp_path.rglob("*.tif")).write_bytes(b"half a file")

    write_dem_scenes(tmp_path, [COARSE_TILE])

    assert bytes_of(tmp_path) == whole


def test_scenes_of_open_sea_alone_are_an_empty_list(tmp_path):
    sea = next(tile for tile in demo_tiles() if tile.key == "1010X875Y")

    assert items_of(write_dem_scenes(tmp_path, [sea])) == []


@pytest.mark.parametrize("tiles", [[], [Tile(x=0, y=0, lon=10.0, lat=59.98)]], ids=["none", "beyond 60 degrees"])
def test_tiles_that_cannot_be_covered_are_refused(tmp_path, tiles):
    with pytest.raises(InvalidInput):
        write_dem_scenes(tmp_path, tiles)
