"""The sandbox's Sentinel-2 archive."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pystac
import pytest
import rasterio
from numpy.typing import NDArray
from pystac.stac_object import STACObjectType
from pystac.validation import JsonSchemaSTACValidator
from rasterio.warp import transform
from rasterio.windows import Window
from rio_cogeo import cog_validate

from ard.adapters.catalog import StacCatalog
from ard.errors import InvalidInput
from ard.scene import Interval
from ard.tile import Tile
from sandbox.catalogue import serve_catalogue
from sandbox.s2_granules import Granule, granules_over, zone_of
from sandbox.s2_plan import C1, L2A, shot_of, shots_of
from sandbox.s2_scenes import is_cloud, reflectance, write_s2_scenes, write_zone_border_scenes
from sandbox.s2_sky import SHADOW_SOUTH_METRES, SHADOW_WEST_METRES
from sandbox.s2_surface import BANDS

YEAR = 2024  # a leap year
# Hills, parcels, a river and the sea.
TILE = Tile(x=1010, y=872, lon=-53.9167, lat=-5.0833)
BORDER_TILE = Tile(x=1, y=1, lon=-54.0, lat=-5.0833)
REAL = "stac/earth-search-v1"
CLEAR_GROUND, CLOUDS, SHADOW = (2, 4, 5, 6), (8, 9, 10), 3


class Pixels(NamedTuple):
    """A window of a file: values, and the centres of the pixels."""

    values: NDArray
    lon: NDArray
    lat: NDArray


@pytest.fixture(scope="session")
def archive(tmp_path_factory) -> Path:
    return write_s2_scenes(tmp_path_factory.mktemp("s2"), [TILE], year=YEAR)


@pytest.fixture(scope="session")
def border(tmp_path_factory) -> Path:
    return write_zone_border_scenes(tmp_path_factory.mktemp("border"), BORDER_TILE, year=YEAR)


def items_of(path: Path) -> list[dict]:
    return json.loads(path.read_text())["features"]


def items_on(path: Path, case: str) -> list[dict]:
    """The items of the granule that holds the tiles, of the day of a case."""
    day = shot_of(case).date(YEAR).isoformat()
    return [item for item in items_of(path) if item["properties"]["datetime"].startswith(day) and "22MAV" in item["id"]]


def item_of(path: Path, case: str) -> dict:
    shot = shot_of(case)
    return next(
        item
        for item in items_on(path, case)
        if item["collection"] == shot.collection
        and item["properties"].get("s2:sequence", "0") == str(shot.sequence)
        and item["properties"]["platform"] == f"sentinel-2{shot.satellite}"
    )


def near(item: dict, asset: str, tile: Tile = TILE) -> Pixels:
    """The pixels in the tile's box, and their centres as the file itself places them."""
    with rasterio.open(item["assets"][asset]["href"]) as file:
        bounds = tile.grid(10).bounds
        corners = ([bounds.west, bounds.east, bounds.west, bounds.east], [bounds.south] * 2 + [bounds.north] * 2)
        x, y = transform("EPSG:4326", file.crs, *corners)
        # Corners of whole 20 m pixels, so that windows of both resolutions coincide.
        left, top = (round(value / 20) * 20 for value in (min(x), max(y)))
        height, width = (round(span / 20) * 20 / file.res[0] for span in (max(y) - min(y), max(x) - min(x)))
        column, row = (round(value) for value in ~file.transform * (left, top))
        window = Window(column, row, round(width), round(height))
        values = file.read(1, window=window)
        columns, rows = np.meshgrid(column + np.arange(width) + 0.5, row + np.arange(height) + 0.5)
        easting, northing = file.transform * (columns, rows)
        lon, lat = transform(file.crs, "EPSG:4326", easting.ravel(), northing.ravel())
    return Pixels(values, np.reshape(lon, values.shape), np.reshape(lat, values.shape))


def classes(item: dict, metres: int = 20, tile: Tile = TILE) -> NDArray[np.uint8]:
    factor = 20 // metres
    return near(item, "scl", tile).values.repeat(factor, axis=0).repeat(factor, axis=1)


def truth(pixels: Pixels, band: str, item: dict) -> NDArray[np.int64]:
    day = datetime.fromisoformat(item["properties"]["datetime"]).date()
    return np.rint(reflectance(pixels.lon, pixels.lat, band, day) * 10_000).astype(np.int64)


def assert_equal_almost_everywhere(one, other):
    """Centres come from two transformations; where they round differently, a value may fall on the other side."""
    assert one.size > 1000
    assert (one != other).mean() < 0.001


# What there is


def test_dates_cover_the_year_its_ends_and_its_shoulders(archive):
    dates = sorted(date.fromisoformat(item["properties"]["datetime"][:10]) for item in items_of(archive))

    assert dates[0].year == YEAR - 1 and dates[0].month == 11
    assert dates[-1].year == YEAR + 1 and dates[-1].month == 1
    assert {date(YEAR, 1, 1), date(YEAR, 2, 29), date(YEAR, 12, 31)} <= set(dates)
    assert {day.month for day in dates if day.year == YEAR} == set(range(1, 13))


def test_leap_day_is_in_leap_years_alone():
    assert (2, 29) in {(shot.month, shot.day) for shot in shots_of(2024)}
    assert (2, 29) not in {(shot.month, shot.day) for shot in shots_of(2023)}
    assert (2, 29) not in {(shot.month, shot.day) for shot in shots_of(2100)}


def test_ids_are_unique_and_spelled_as_the_real_ones(archive):
    ids = [item["id"] for item in items_of(archive)]

    assert len(set(ids)) == len(ids)
    assert "S2A_22MAV_20240517_0_L2A" in ids
    assert "S2B_T22MAV_20240709T135118_L2A" in ids


@pytest.mark.parametrize(
    ("granule", "name", "corner"),
    [
        (Granule(29, False, 2, 27), "29RKH", (199_980, 2_800_020)),
        (Granule(12, False, 5, 32), "12RWT", (499_980, 3_300_000)),
        (Granule(38, False, 5, 80), "38XNF", (499_980, 8_100_000)),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_squares_are_named_and_placed_as_the_real_ones(granule, name, corner):
    assert (granule.name, (granule.left, granule.top)) == (name, corner)


@pytest.mark.parametrize(
    ("real", "case"),
    [("baselines/S2A_12RWT_20240106_0_L2A.json", "clear"), ("S2B_T38XNF_20250422T091553_L2A.json", "c1")],
)
def test_item_is_shaped_as_the_real_item_is(shared_data, archive, real, case):
    theirs, ours = json.loads((shared_data / REAL / real).read_text()), item_of(archive, case)
    newer = {"proj:code", "s2:dark_features_percentage", "s2:granule_id", "view:azimuth", "view:incidence_angle"}

    assert set(ours) == set(theirs)
    assert set(ours["properties"]) <= set(theirs["properties"]) | newer
    assert set(ours["assets"]) <= set(theirs["assets"])
    for key, asset in ours["assets"].items():
        assert set(asset) <= set(theirs["assets"][key])
        expected = {name: value for name, value in theirs["assets"][key]["raster:bands"][0].items() if name[0] != "b"}
        assert asset["raster:bands"] == [expected]
        assert Path(asset["href"]).name == Path(theirs["assets"][key]["href"]).name
    for name, value in ours["properties"].items():
        assert isinstance(value, type(theirs["properties"].get(name, value)) | int | float), name


def test_items_are_valid_stac_and_say_where_they_are(archive):
    for feature in items_of(archive):
        item = pystac.Item.from_dict(feature)

        JsonSchemaSTACValidator().validate_core(item.to_dict(), STACObjectType.ITEM, pystac.get_stac_version())
        links = {link["rel"]: Path(link["href"]) for link in feature["links"]}
        assert json.loads(links["self"].read_text()) == feature
        assert pystac.Collection.from_file(links["collection"]).id == feature["collection"]


def test_catalogue_serves_both_collections(archive):
    with serve_catalogue(archive) as url:
        catalog = StacCatalog(url)
        interval = Interval(datetime(YEAR, 7, 1, tzinfo=UTC), datetime(YEAR, 7, 10, tzinfo=UTC))
        found = {name: catalog.search(name, TILE.grid(10).bounds, interval) for name in (L2A, C1)}

    assert [len(found[L2A]), len(found[C1])] == [3, 2]


# Files


@pytest.mark.parametrize("asset", ["red", "swir16", "scl"])
@pytest.mark.parametrize("case", ["clear", "swath_edge", "average_scl"])
def test_files_are_valid_cloud_optimised_geotiffs(archive, case, asset):
    valid, errors, warnings = cog_validate(item_of(archive, case)["assets"][asset]["href"], strict=True, quiet=True)

    assert (valid, errors, warnings) == (True, [], [])


@pytest.mark.parametrize("asset", ["red", "swir16", "scl"])
def test_file_is_laid_out_as_the_real_file_is(shared_data, archive, asset):
    href = item_of(archive, "clear")["assets"][asset]["href"]
    with rasterio.open(shared_data / "s2_cog_29RKH" / Path(href).name) as real, rasterio.open(href) as ours:
        own = {"width", "height", "crs", "transform"}
        assert {k: v for k, v in ours.profile.items() if k not in own} == {
            k: v for k, v in real.profile.items() if k not in own
        }
        assert set(ours.tags()) == set(real.tags())
        assert ours.tags()["OVR_RESAMPLING_ALG"] == ("NEAREST" if asset == "scl" else "AVERAGE")
        assert ours.tags(ns="IMAGE_STRUCTURE") == real.tags(ns="IMAGE_STRUCTURE") | {"PREDICTOR": "2"} or (
            ours.tags(ns="IMAGE_STRUCTURE") == real.tags(ns="IMAGE_STRUCTURE")
        )
        assert ours.overviews(1) == ([2, 4, 8, 16] if asset == "red" else [2, 4, 8])


def test_georeferencing_lies_exactly_on_the_ten_metre_lattice(archive):
    for asset, metres in (("red", 10), ("nir08", 20), ("scl", 20)):
        entry = item_of(archive, "clear")["assets"][asset]
        with rasterio.open(entry["href"]) as file:
            assert file.crs.to_epsg() == 32722
            assert tuple(file.transform)[:6] == (metres, 0.0, 99_960.0, 0.0, -metres, 9_500_040.0)
            assert list(file.transform)[:6] == entry["proj:transform"]
            assert list(file.shape) == entry["proj:shape"] == [109_800 // metres] * 2


def test_overviews_are_what_gdal_would_make_of_the_pixels(archive):
    item = item_of(archive, "swath_edge")
    for asset, tolerance in (("blue", 2 * 4 * BANDS["blue"].step), ("scl", 0)):
        window = Window(*(3000, 2000, 1024, 1024) if asset == "scl" else (6000, 4000, 2048, 2048))
        with rasterio.open(item["assets"][asset]["href"]) as file:
            whole = file.read(1, window=window).astype(np.int64)
        with rasterio.open(item["assets"][asset]["href"], overview_level=0) as file:
            half = Window(*(value // 2 for value in (window.col_off, window.row_off, window.width, window.height)))
            overview = file.read(1, window=half).astype(np.int64)

        parts = np.stack([whole[row::2, column::2] for row in (0, 1) for column in (0, 1)])
        mean = parts.sum(axis=0) / np.maximum((parts > 0).sum(axis=0), 1)
        expected = mean if asset == "blue" else parts[0]
        assert overview.any() and not overview.all()
        np.testing.assert_array_equal(overview > 0, expected > 0)
        assert np.abs(overview - expected).max() <= tolerance


def test_scene_classes_hold_all_of_a_square_and_bands_what_lies_round_the_tile(archive):
    item = item_of(archive, "clear")
    with rasterio.open(item["assets"]["scl"]["href"]) as file:
        codes = file.read(1)
    with rasterio.open(item["assets"]["rededge1"]["href"]) as file:
        held = file.read(1) > 0

    assert codes.min() > 0
    assert 500 < np.flatnonzero(held.any(axis=0)).size < 560
    assert near(item, "rededge1").values.all()


# What is true of the pixels


@pytest.mark.parametrize("band", BANDS)
def test_pixels_are_the_truth_where_the_sky_is_clear(archive, band):
    item = next(item for item in items_of(archive) if item["id"] == "S2A_22MAV_20240724_0_L2A")
    pixels = near(item, band)
    clear = np.isin(classes(item, BANDS[band].metres), CLEAR_GROUND)

    assert 0.3 < clear.mean() < 1
    assert_equal_almost_everywhere(pixels.values[clear], truth(pixels, band, item)[clear])


@pytest.mark.parametrize("month_day", ["0121", "0406", "0724"])
def test_clouds_are_where_the_truth_says(archive, month_day):
    item = next(item for item in items_of(archive) if f"_{YEAR}{month_day}_" in item["id"])
    codes = near(item, "scl")

    clouds = is_cloud(codes.lon, codes.lat, datetime.fromisoformat(item["properties"]["datetime"]).date())
    assert 0.02 < clouds.mean() < 0.98
    assert_equal_almost_everywhere(np.isin(codes.values, CLOUDS), clouds)


def test_shadows_lie_south_west_of_clouds_and_are_dark(archive):
    item = next(item for item in items_of(archive) if "_20240724_" in item["id"])
    with rasterio.open(item["assets"]["scl"]["href"]) as file:
        codes = file.read(1)
    south, west = SHADOW_SOUTH_METRES // 20, SHADOW_WEST_METRES // 20

    casting = np.isin(codes[:-south, west:], CLOUDS)
    shadow = codes[south:, :-west] == SHADOW
    assert shadow.mean() > 0.01
    assert casting[shadow].mean() > 0.99
    nir = near(item, "nir")
    dark = classes(item, 10) == SHADOW
    assert dark.any()
    assert (nir.values[dark] < truth(nir, "nir", item)[dark]).mean() > 0.99


def test_thin_cirrus_hangs_over_some_days(archive):
    item = next(item for item in items_of(archive) if "_20240205_" in item["id"])
    with rasterio.open(item["assets"]["scl"]["href"]) as file:
        codes = file.read(1)

    assert 0.05 < (codes == 10).mean() < 0.5
    assert 5 < item["properties"]["s2:thin_cirrus_percentage"] < item["properties"]["eo:cloud_cover"]


def test_clouds_are_brighter_than_the_ground(archive):
    item = item_of(archive, "overcast")

    assert near(item, "blue").values.min() > 2000


@pytest.mark.parametrize(("case", "cover"), [("overcast", 100), ("clear", 0)])
def test_some_dates_are_all_cloud_and_some_are_clear(archive, case, cover):
    item = item_of(archive, case)

    assert item["properties"]["eo:cloud_cover"] == cover
    assert np.isin(classes(item), CLOUDS).mean() * 100 == cover


def test_cloud_cover_differs_between_dates(archive):
    covers = {item["properties"]["eo:cloud_cover"] for item in items_of(archive)}

    assert len([cover for cover in covers if cover < 20]) > 8
    assert len([cover for cover in covers if cover > 50]) >= 4
    assert len(covers) > 20


def test_image_equals_none_of_its_mirror_images_and_few_pixels_equal_their_neighbours(archive):
    image = near(item_of(archive, "clear"), "green").values[:600, :600].astype(np.int64)
    land = classes(item_of(archive, "clear"), 10)[:600, :600] != 6

    turned = [np.rot90(image, turns) for turns in (1, 2, 3)]
    assert min(np.abs(other - image).mean() for other in (*turned, image.T, *(turn.T for turn in turned))) > 20
    bands = [near(item_of(archive, "clear"), band).values[:600, :600] for band in ("blue", "green", "red", "nir")]
    for axis in (0, 1):
        alike = np.all([np.roll(band, 1, axis) == band for band in bands], axis=0)
        assert alike[land].mean() < 0.5


def test_forest_is_green_and_seasons_change_the_fields(archive):
    lon, lat = TILE.grid(20).lon()[None, :], TILE.grid(20).lat()[:, None]
    red, nir = (
        {month: reflectance(lon, lat, band, date(YEAR, month, 15)) for month in (3, 9)} for band in ("red", "nir")
    )
    index = {month: (nir[month] - red[month]) / (nir[month] + red[month]) for month in (3, 9)}

    assert np.percentile(index[3], 95) > 0.8
    assert np.percentile(index[3] - index[9], 99) > 0.2
    assert red[3].min() > 0


def test_ground_is_the_same_on_all_days_of_a_dekad():
    lon, lat = np.array([-53.93, -53.91]), np.array([-5.08, -5.07])

    first, second, third = (reflectance(lon, lat, "nir", date(YEAR, 7, day)) for day in (1, 10, 11))
    np.testing.assert_array_equal(first, second)
    assert (first != third).any() or (reflectance(lon, lat, "nir", date(YEAR, 10, 1)) != first).any()


# Special cases


def test_swath_edge_leaves_half_of_the_tile_empty(archive):
    item = item_of(archive, "swath_edge")
    codes = classes(item)

    assert 0.4 < (codes == 0).mean() < 0.6
    assert 0 < item["properties"]["s2:nodata_pixel_percentage"] < 100
    for band, metres in (("red", 10), ("swir22", 20)):
        np.testing.assert_array_equal(near(item, band).values == 0, classes(item, metres) == 0)
    assert len(item["geometry"]["coordinates"][0]) == 5
    assert item["bbox"][0] > item_of(archive, "clear")["bbox"][0] + 0.3


def test_split_day_has_two_datastrips_of_one_datatake_that_fill_the_tile_together(archive):
    north, south = item_of(archive, "strip_north"), item_of(archive, "strip_south")

    assert [north["properties"]["s2:sequence"], south["properties"]["s2:sequence"]] == ["0", "1"]
    assert north["properties"]["s2:datatake_id"] == south["properties"]["s2:datatake_id"]
    assert strip_start(north) != strip_start(south)
    held = [classes(item) > 0 for item in (north, south)]
    assert all(0.4 < part.mean() < 0.6 for part in held)
    assert (held[0] | held[1]).all()
    assert held[0][0].all() and held[1][-1].all()


def test_reprocessed_item_is_an_older_version_of_one_datastrip_with_wrong_pixels(archive):
    new, old = item_of(archive, "strip_north"), item_of(archive, "reprocessed")

    assert strip_start(old) == strip_start(new)
    assert old["properties"]["s2:datatake_id"][:-6] == new["properties"]["s2:datatake_id"][:-6]
    assert old["properties"]["s2:generation_time"] < new["properties"]["s2:generation_time"]
    right, wrong = (near(item, "blue").values.astype(int) for item in (new, old))
    np.testing.assert_array_equal((wrong - right)[right > 0], 400)


def strip_start(item: dict) -> str:
    return item["properties"]["s2:datastrip_id"].rpartition("_S")[2].partition("_N")[0]


def test_both_platforms_saw_one_day(archive):
    items = items_on(archive, "two_platforms")

    assert {item["properties"]["platform"] for item in items} == {"sentinel-2a", "sentinel-2b"}
    assert len({item["properties"]["s2:datatake_id"] for item in items}) == 2


def test_item_misses_an_asset_and_its_file(archive):
    item = item_of(archive, "missing_asset")

    assert "swir16" not in item["assets"]
    assert set(item["assets"]) == {*BANDS, "scl"} - {"swir16"}
    assert not (Path(item["assets"]["red"]["href"]).parent / "B11.tif").exists()


@pytest.mark.parametrize(
    ("case", "described", "added"),
    [
        ("harmonised", (L2A, "05.09", True, -0.1), 0),
        ("unharmonised", (L2A, "04.00", False, -0.1), 1000),
        ("plain", (L2A, "02.14", False, 0), 0),
        ("same_datatake_c1", (C1, "05.10", None, -0.1), 1000),
        ("c1", (C1, "05.10", None, -0.1), 1000),
    ],
)
def test_same_surface_and_sky_come_in_every_encoding(archive, case, described, added):
    reference, item = item_of(archive, "harmonised"), item_of(archive, case)

    properties, declared = item["properties"], item["assets"]["red"]["raster:bands"][0]["offset"]
    flag = properties.get("earthsearch:boa_offset_applied")
    assert (item["collection"], properties["s2:processing_baseline"], flag, declared) == described
    np.testing.assert_array_equal(classes(item), classes(reference))
    for band in ("blue", "swir22"):
        difference = near(item, band).values.astype(int) - near(reference, band).values
        np.testing.assert_array_equal(difference, added)


def test_products_of_one_acquisition_are_in_both_collections(archive):
    one, other = item_of(archive, "harmonised"), item_of(archive, "same_datatake_c1")

    assert one["properties"]["s2:datatake_id"][:-6] == other["properties"]["s2:datatake_id"][:-6]
    assert strip_start(one) == strip_start(other)


def test_one_scene_has_averages_of_class_codes_in_its_overviews(archive):
    href = item_of(archive, "average_scl")["assets"]["scl"]["href"]
    with rasterio.open(href) as file:
        full, tag = set(np.unique(file.read(1))), file.tags()["OVR_RESAMPLING_ALG"]
    with rasterio.open(href, overview_level=1) as file:
        coarse = set(np.unique(file.read(1)))

    assert tag == "AVERAGE"
    assert coarse - full


def test_neighbours_are_there_on_one_day_and_matter_to_the_screening_alone(archive):
    day = shot_of("neighbours").date(YEAR).isoformat()
    items = [item for item in items_of(archive) if item["properties"]["datetime"].startswith(day)]
    others = [item for item in items if "22MAV" not in item["id"]]

    assert {"MGRS-22MAV", "MGRS-22MBV"} <= {item["properties"]["grid:code"] for item in items}
    assert len({item["properties"]["s2:datatake_id"] for item in items}) == 1
    for item in others:
        with (
            rasterio.open(item["assets"]["scl"]["href"]) as codes,
            rasterio.open(item["assets"]["nir"]["href"]) as band,
        ):
            assert codes.read(1, out_shape=(343, 343)).min() > 0
            assert not band.read(1, out_shape=(687, 687)).any()


# A zone line


def test_ground_is_the_same_on_both_sides_of_a_zone_line(border):
    items = [item for item in items_of(border) if f"_{YEAR}0615_" in item["id"]]

    assert [item["properties"]["proj:epsg"] for item in items] == [32721, 32722]
    assert len({item["properties"]["s2:datatake_id"] for item in items}) == 1
    for item in items:
        for band in ("green", "swir16"):
            pixels = near(item, band, BORDER_TILE)
            assert_equal_almost_everywhere(pixels.values, truth(pixels, band, item))


def test_squares_that_end_at_the_zone_line_hold_half_of_the_tile_each(border):
    items = [item for item in items_of(border) if f"_{YEAR}0715_" in item["id"]]

    for item, east in zip(items, (False, True), strict=True):
        codes = near(item, "scl", BORDER_TILE)
        np.testing.assert_array_equal(codes.values > 0, (codes.lon >= -54) if east else (codes.lon <= -54))


def test_same_arguments_make_the_same_bytes(border, tmp_path):
    again = write_zone_border_scenes(tmp_path, BORDER_TILE, year=YEAR, base_href=str(border.parent))

    one, other = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (border.parent, again.parent)
    )
    assert one == other
    assert {path.suffix for path in one} == {".json", ".tif"}


def test_second_call_finds_everything_made(border):
    before = {file: file.stat().st_mtime_ns for file in border.parent.rglob("*")}

    again = write_zone_border_scenes(border.parent, BORDER_TILE, year=YEAR)

    assert again == border
    assert {file: file.stat().st_mtime_ns for file in border.parent.rglob("*")} == before


# What cannot be made


@pytest.mark.parametrize(
    "tiles",
    [[], [TILE, Tile(x=0, y=0, lon=-52.0, lat=-5.0833)], [Tile(x=0, y=0, lon=-53.9167, lat=0.0)]],
    ids=["none", "far apart", "on the equator"],
)
def test_tiles_that_cannot_be_covered_are_refused(tmp_path, tiles):
    with pytest.raises(InvalidInput):
        write_s2_scenes(tmp_path, tiles, year=YEAR)


def test_border_scenes_need_a_border(tmp_path):
    with pytest.raises(InvalidInput):
        write_zone_border_scenes(tmp_path, Tile(x=0, y=0, lon=-51.0, lat=-5.0), year=YEAR)


def test_sky_of_a_day_without_a_scene_is_refused():
    with pytest.raises(InvalidInput):
        is_cloud(np.array(-54.0), np.array(-5.0), date(YEAR, 1, 2))


@pytest.mark.parametrize(("lon", "zone"), [(-180.0, 1), (-54.001, 21), (-54.0, 22), (0.0, 31), (179.99, 60)])
def test_zones_begin_at_every_sixth_meridian(lon, zone):
    assert zone_of(lon) == zone


def test_tile_where_no_square_holds_it_alone_gets_every_square_that_it_touches():
    box = Tile(x=0, y=0, lon=-53.7, lat=-5.47).grid(10).bounds.buffered(0.02)

    granules = granules_over(box, zone=22)

    assert all(granule.window(box).height for granule in granules)
    assert granules[0].covers(box) or len(granules) > 1
