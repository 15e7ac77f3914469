"""The sandbox's Sentinel-1 archive."""

import json
import math
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
from rasterio.features import geometry_mask
from rasterio.warp import transform, transform_bounds, transform_geom
from rasterio.windows import Window
from rio_cogeo import cog_validate
from scipy.ndimage import maximum_filter, minimum_filter

from ard.adapters.catalog import StacCatalog, scene_of
from ard.adapters.gdal import read_options
from ard.adapters.reader import RasterioReader
from ard.errors import InvalidInput
from ard.grid import Bounds
from ard.product import Product, check
from ard.scene import Interval
from ard.settings import AwsSettings
from ard.tile import Tile
from loaders.s1 import load_s1
from loaders.s1_composite import SubPixels, averaged
from sandbox.catalogue import serve_catalogue
from sandbox.s1_backscatter import landscape, power
from sandbox.s1_frames import lattice_over
from sandbox.s1_items import COLLECTION, LOOKS, NODATA
from sandbox.s1_plan import OVERPASSES, overpass_of
from sandbox.s1_scenes import backscatter, write_s1_scenes
from sandbox.s2_surface import SCL_VEGETATION, SCL_WATER, ground, scene_classes
from sandbox.scenes import FILLED_BEYOND_TILES_DEGREES
from sandbox.terrain import elevation
from tests.factories import make_task

YEAR = 2023
# Hills, parcels, a river and the sea.
TILE = Tile(x=1010, y=872, lon=-53.9167, lat=-5.0833)
TILE_BOX = TILE.grid(10).bounds
FIELDS = TILE_BOX.buffered(-0.018)
REAL = "stac/planetary-computer/sentinel-1-rtc-pc.json"
WINDOWS = [("0115", "0315"), ("0415", "0615"), ("0715", "0915"), ("1015", "1215")]


class Pixels(NamedTuple):
    """A window of a file: values, and the centres of the pixels."""

    values: NDArray
    lon: NDArray
    lat: NDArray


class Found:
    """A catalogue of the items in a file."""

    def __init__(self, path):
        self.scenes = [scene_of(item) for item in items_of(path)]

    def search(self, collection, bounds, interval=None):
        west, south, east, north = bounds
        found = [
            scene
            for scene in self.scenes
            if scene.collection == collection
            and scene.bounds.west < east
            and west < scene.bounds.east
            and scene.bounds.south < north
            and south < scene.bounds.north
            and interval.start <= scene.acquired_at <= interval.end
        ]
        return tuple(sorted(found, key=lambda scene: scene.id))


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    return write_s1_scenes(tmp_path_factory.mktemp("s1"), [TILE], year=YEAR)


@pytest.fixture(scope="module")
def loaded(archive):
    task = make_task(product=Product.S1, year=YEAR, x_tile=TILE.x, y_tile=TILE.y, lon=TILE.lon, lat=TILE.lat)
    return load_s1(task, Found(archive), RasterioReader(read_options(AwsSettings())))


@pytest.fixture(scope="module")
def place():
    """The landscape at the sub-pixels of the tile's 40 m grid."""
    grid = SubPixels(TILE.grid(40)).grid
    return landscape(*np.meshgrid(grid.lon(), grid.lat()))


def items_of(path: Path) -> list[dict]:
    return json.loads(path.read_text())["features"]


def items_on(path: Path, case: str) -> list[dict]:
    """The items of a case, in the order of their slices."""
    overpass = overpass_of(case)
    return [
        item
        for item in items_of(path)
        if item["properties"]["sat:absolute_orbit"] == overpass.absolute_orbit(YEAR)
        and datetime.fromisoformat(item["properties"]["created"]) == overpass.made_at(YEAR)
    ]


def item_of(path: Path, case: str) -> dict:
    return items_on(path, case)[0]


def started(item: dict) -> datetime:
    return datetime.fromisoformat(item["properties"]["start_datetime"])


def near(item: dict, asset: str = "vv", box: Bounds = TILE_BOX) -> Pixels:
    """The pixels in the tile's box, and their centres as the file itself places them."""
    with rasterio.open(item["assets"][asset]["href"]) as file:
        west, south, east, north = transform_bounds("EPSG:4326", file.crs, *box)
        (left, top), (right, bottom) = ~file.transform * (west, north), ~file.transform * (east, south)
        column, row = math.floor(left), math.floor(top)
        width, height = math.ceil(right) - column, math.ceil(bottom) - row
        values = file.read(1, window=Window(column, row, width, height))
        columns, rows = np.meshgrid(column + np.arange(width) + 0.5, row + np.arange(height) + 0.5)
        x, y = file.transform * (columns, rows)
        lon, lat = transform(file.crs, "EPSG:4326", x.ravel(), y.ravel())
    return Pixels(values, np.reshape(lon, values.shape), np.reshape(lat, values.shape))


def land(pixels: Pixels) -> NDArray[np.bool_]:
    place = ground(pixels.lon, pixels.lat)
    return scene_classes(place, place.green) != SCL_WATER


def alike(values: NDArray) -> NDArray[np.bool_]:
    """Where no edge is near: a cell of 20 m may lie on the other side of one than the middle of its pixels."""
    return maximum_filter(values, 5) < 1.3 * minimum_filter(values, 5)


def truth(pixels: Pixels, polarisation: str, item: dict) -> NDArray[np.float64]:
    day, direction = started(item).date(), item["properties"]["sat:orbit_state"]
    return backscatter(pixels.lon, pixels.lat, polarisation, day=day, direction=direction)


# What there is


def test_every_window_but_the_third_has_three_to_six_ascending_passes_of_use(archive):
    useful = {
        (item["properties"]["sat:absolute_orbit"], f"{started(item):%m%d}")
        for item in items_of(archive)
        if item["properties"]["sat:orbit_state"] == "ascending"
        and item["properties"]["sar:instrument_mode"] == "IW"
        and item["properties"]["sar:polarizations"] == ["VV", "VH"]
    }
    counts = [sum(first <= day <= last for _, day in useful) for first, last in WINDOWS]

    assert counts[2] == 0
    assert all(3 <= count <= 6 for count in (counts[0], counts[1], counts[3]))
    assert sum(counts) < len(useful)


def test_third_window_has_nothing_in_both_polarisations_and_the_usual_mode(archive):
    first, last = WINDOWS[2]
    within = [item["properties"] for item in items_of(archive) if first <= f"{started(item):%m%d}" <= last]

    assert {(one["sar:instrument_mode"], *one["sar:polarizations"]) for one in within} == {
        ("IW", "HH", "HV"),
        ("EW", "VV", "VH"),
    }


def test_ids_are_unique_and_spelled_as_the_real_ones(archive, shared_data):
    ids = [item["id"] for item in items_of(archive)]
    real = [item["id"] for item in json.loads((shared_data / REAL).read_text())]

    assert len(set(ids)) == len(ids)
    assert {tuple(map(len, one.split("_"))) for one in ids} == {tuple(map(len, one.split("_"))) for one in real}


def test_item_is_shaped_as_the_real_item_is(shared_data, archive):
    theirs, ours = json.loads((shared_data / REAL).read_text())[0], item_of(archive, "reprocessed")

    assert set(ours) == set(theirs)
    assert set(ours["properties"]) == set(theirs["properties"]) | {"created"}
    assert set(ours["assets"]) == {"vv", "vh"}
    for key, asset in ours["assets"].items():
        assert set(asset) <= set(theirs["assets"][key])
        assert asset["raster:bands"] == theirs["assets"][key]["raster:bands"]
    for name, value in theirs["properties"].items():
        assert isinstance(ours["properties"][name], type(value)), name
    assert len(ours["properties"]["start_datetime"].split(" ")) == 2


def test_orbits_are_numbered_as_the_real_ones(shared_data):
    real = json.loads((shared_data / REAL).read_text())[0]["properties"]
    overpass = overpass_of("reprocessed")
    days = (overpass.starts_at(YEAR) - datetime.fromisoformat(real["start_datetime"])).total_seconds() / 86_400

    orbit = overpass.absolute_orbit(YEAR)
    assert orbit - real["sat:absolute_orbit"] == pytest.approx(days * 175 / 12, abs=0.5)
    assert (overpass.relative_orbit(YEAR) - real["sat:relative_orbit"]) % 175 == (
        orbit - real["sat:absolute_orbit"]
    ) % 175


def test_items_are_valid_stac_and_say_where_they_are(archive):
    for feature in items_of(archive):
        item = pystac.Item.from_dict(feature)

        JsonSchemaSTACValidator().validate_core(item.to_dict(), STACObjectType.ITEM, pystac.get_stac_version())
        links = {link["rel"]: Path(link["href"]) for link in feature["links"]}
        assert json.loads(links["self"].read_text()) == feature
        assert pystac.Collection.from_file(links["collection"]).id == feature["collection"] == COLLECTION


def test_catalogue_serves_them(archive):
    interval = Interval(datetime(YEAR, 12, 1, tzinfo=UTC), datetime(YEAR, 12, 31, 23, 59, 59, tzinfo=UTC))

    with serve_catalogue(archive) as url:
        found = StacCatalog(url).search(COLLECTION, TILE.grid(40).bounds, interval)

    assert [scene.acquired_at.date().isoformat() for scene in found] == [f"{YEAR}-12-16", f"{YEAR}-12-31"]
    assert all(isinstance(scene.properties["sat:absolute_orbit"], int) for scene in found)


# Files


def test_every_asset_is_a_cloud_optimised_geotiff_of_real_layout(archive):
    for item in items_of(archive):
        for asset in item["assets"].values():
            valid, errors, _ = cog_validate(asset["href"], quiet=True)
            with rasterio.open(asset["href"]) as file:
                assert (valid, errors) == (True, [])
                assert (file.dtypes, file.nodata, file.res, file.block_shapes) == (
                    ("float32",),
                    NODATA,
                    (10, 10),
                    [(512, 512)],
                )
                assert file.tags(ns="IMAGE_STRUCTURE")["PREDICTOR"] == "3"
                assert list(file.shape) == item["properties"]["proj:shape"]
                assert list(file.transform) == item["properties"]["proj:transform"]
                assert list(file.bounds) == item["properties"]["proj:bbox"]
                assert file.crs.to_epsg() == item["properties"]["proj:epsg"]


def test_every_raster_holds_the_ground_round_the_tile(archive):
    box = TILE_BOX.buffered(FILLED_BEYOND_TILES_DEGREES)
    for item in items_of(archive):
        with rasterio.open(item["assets"][next(iter(item["assets"]))]["href"]) as file:
            west, south, east, north = transform_bounds("EPSG:4326", file.crs, *box, densify_pts=21)

            assert file.bounds.left <= west and file.bounds.right >= east
            assert file.bounds.bottom <= south and file.bounds.top >= north


def test_rasters_keep_to_no_common_lattice(archive):
    origins = {tuple(item["properties"]["proj:bbox"][::3]) for item in items_of(archive)}

    assert len(origins) > 5
    assert len({x % 20 for x, _ in origins}) == len({y % 20 for _, y in origins}) == 2


@pytest.mark.parametrize("case", ["two_slices", "half_swath", "half_desc", "reprocessed", "other_zone"])
def test_footprints_enclose_what_holds_data_and_nothing_else(archive, case):
    for item in items_on(archive, case):
        with rasterio.open(item["assets"]["vv"]["href"]) as file:
            held = file.read(1) != NODATA
            footprint = transform_geom("EPSG:4326", file.crs, item["geometry"])
            inside = ~geometry_mask([footprint], file.shape, file.transform)

        assert held.any()
        assert (held == inside).mean() > 0.99


# What is true of the pixels


@pytest.mark.parametrize("polarisation", ["VV", "VH"])
@pytest.mark.parametrize("case", ["reprocessed", "descending", "other_zone"])
def test_pixels_are_the_truth_times_speckle(archive, case, polarisation):
    item = item_of(archive, case)
    pixels = near(item, polarisation.lower(), FIELDS)
    expected = truth(pixels, polarisation, item)

    ratio = (pixels.values / expected)[land(pixels) & alike(expected)]
    assert ratio.size > 10_000
    assert ratio.mean() == pytest.approx(1, abs=0.02)
    assert ratio.std() == pytest.approx(1 / math.sqrt(LOOKS), rel=0.25)


def test_speckle_differs_between_passes_and_between_polarisations(archive):
    one, other = item_of(archive, "reprocessed"), item_of(archive, "descending")
    ratios = []
    for item, name in ((one, "VV"), (one, "VH"), (other, "VV")):
        pixels = near(item, name.lower(), FIELDS)
        expected = truth(pixels, name, item)
        ratios.append(np.where(land(pixels) & alike(expected), pixels.values / expected, np.nan))
    height, width = (min(sizes) for sizes in zip(*(ratio.shape for ratio in ratios), strict=True))

    stack = np.stack([ratio[:height, :width].ravel() for ratio in ratios])
    stack = np.minimum(stack[:, ~np.isnan(stack).any(axis=0)], 4)  # a corner of a building would outweigh all
    assert stack.shape[1] > 10_000
    assert abs(np.corrcoef(stack)[np.triu_indices(3, 1)]).max() < 0.05


def test_power_of_calm_water_is_often_below_zero_across_polarisations(archive):
    pixels = near(item_of(archive, "reprocessed"), "vh")
    water = ~land(pixels)

    assert 0.1 < (pixels.values[water] <= 0).mean() < 0.6
    assert (pixels.values[~water] <= 0).mean() < 0.001


def test_a_few_pixels_exceed_one(archive):
    values = near(item_of(archive, "reprocessed")).values

    assert 0 < (values > 1).mean() < 0.005


def test_water_is_where_the_optical_archive_has_it_and_dark():
    grid = TILE.grid(40)
    lon, lat = np.meshgrid(grid.lon(), grid.lat())
    place = ground(lon, lat)
    codes = scene_classes(place, place.green)

    for polarisation in ("VV", "VH"):
        seen = backscatter(lon, lat, polarisation, day=date(YEAR, 2, 1), direction="ascending")
        assert seen[codes == SCL_WATER].max() < seen[codes != SCL_WATER].min()
        assert np.median(seen[codes == SCL_VEGETATION]) > 5 * np.median(seen[codes == SCL_WATER])


def test_slopes_that_face_the_radar_are_brighter():
    grid, step = TILE.grid(40), 0.0003
    lon, lat = np.meshgrid(grid.lon(), grid.lat())
    rise = elevation(lon + step, lat) - elevation(lon - step, lat)
    looking_east, looking_west = (
        backscatter(lon, lat, "VH", day=date(YEAR, 2, 1), direction=direction)
        for direction in ("ascending", "descending")
    )

    assert (looking_east > looking_west)[rise > 5].mean() > 0.95
    assert (looking_east < looking_west)[rise < -5].mean() > 0.95
    assert np.abs(looking_east / looking_west - 1).max() < 1


def test_seasons_change_the_fields_more_than_the_forest():
    grid = TILE.grid(40)
    lon, lat = np.meshgrid(grid.lon(), grid.lat())
    march, september = (
        backscatter(lon, lat, "VH", day=date(YEAR, month, 15), direction="ascending") for month in (3, 9)
    )
    place = ground(lon, lat)
    swing = np.hypot(place.green_cosine, place.green_sine)

    change = np.abs(march / september - 1)
    assert np.median(change[swing > 0.2]) > 0.2
    assert np.median(change[(swing > 0) & (swing < 0.1)]) < 0.1


# Special cases


def test_two_slices_start_25_seconds_apart_and_overlap_by_a_kilometre(archive):
    south, north = items_on(archive, "two_slices")
    held = [near(item).values != NODATA for item in (south, north)]
    both = held[0] & held[1]

    assert (started(north) - started(south)).total_seconds() == 25
    assert south["properties"]["sat:absolute_orbit"] == north["properties"]["sat:absolute_orbit"]
    assert (held[0] | held[1]).all()
    assert held[1][0].all() and held[0][-1].all()
    assert both.sum(axis=0).mean() * 10 == pytest.approx(1000, rel=0.1)
    np.testing.assert_array_equal(near(south).values[both], near(north).values[both])


def test_older_version_tells_the_same_slice_and_has_wrong_pixels(archive):
    new, old = item_of(archive, "reprocessed"), item_of(archive, "older_version")

    for name in ("platform", "sat:absolute_orbit", "start_datetime"):
        assert old["properties"][name] == new["properties"][name]
    assert old["properties"]["created"] < new["properties"]["created"]
    assert old["id"] != new["id"]
    right, wrong = near(new), near(old)
    assert np.median((wrong.values / right.values)[land(right)]) == pytest.approx(2, rel=0.05)


def test_swath_edge_leaves_half_of_the_tile_empty(archive):
    held = near(item_of(archive, "half_swath")).values != NODATA
    whole, cut = item_of(archive, "reprocessed"), item_of(archive, "half_swath")

    assert 0.4 < held.mean() < 0.6
    assert not held[:, 0].any() and held[:, -1].all()
    assert cut["bbox"][0] > whole["bbox"][0] + 0.03


def test_holes_lie_within_the_swath(archive):
    pixels = near(item_of(archive, "holes"))
    on_land = land(pixels)

    assert 0.03 < (pixels.values == NODATA)[on_land].mean() < 0.3
    assert 0.03 < ((pixels.values <= 0) & (pixels.values > -1))[on_land].mean() < 0.3


def test_one_pass_comes_in_the_neighbouring_zone(archive):
    zones = {item["properties"]["proj:epsg"] for item in items_of(archive)}

    assert item_of(archive, "other_zone")["properties"]["proj:epsg"] == 32721
    assert zones == {32721, 32722}


@pytest.mark.parametrize(("lon", "zones"), [(-53.9, (22, 21)), (-48.1, (22, 23)), (179.9, (60, 1)), (-179.9, (1, 60))])
def test_neighbouring_zone_is_the_nearest(lon, zones):
    box = Tile(x=0, y=0, lon=lon, lat=5.0).grid(10).bounds

    assert tuple(lattice_over(box, other_zone=other).epsg - 32600 for other in (False, True)) == zones


def test_items_to_ignore_are_readable_and_hold_power(archive):
    other, wide = item_of(archive, "other_pols"), item_of(archive, "wide_mode")

    assert set(other["assets"]) == {"hh", "hv"}
    assert (wide["properties"]["sar:instrument_mode"], set(wide["assets"])) == ("EW", {"vv", "vh"})
    assert np.median(near(other, "hv").values) > 0.005
    assert np.median(near(wide, "vh").values) > 0.005


def test_passes_lie_within_seconds_of_the_ends_of_windows(archive):
    late = item_of(archive, "last_minute")["properties"]

    assert late["start_datetime"].startswith(f"{YEAR}-12-15 23:59:50")
    assert late["datetime"].startswith(f"{YEAR}-12-16T00:00:02")
    assert started(item_of(archive, "day_after")).date() == date(YEAR, 3, 16)
    assert started(item_of(archive, "day_before")).date() == date(YEAR, 7, 14)


# What becomes of it


def test_loader_makes_four_quarters_seen_by_ascending_passes_and_flags_the_missing_one(loaded):
    check(loaded)

    assert loaded.metrics["direction"] == "ascending"
    assert loaded.flags == {"filled_quarters", "few_passes"}
    assert [quarter["n_passes"] for quarter in loaded.metrics["quarters"]] == [5, 5, 0, 4]
    assert [quarter["valid_fraction"] for quarter in loaded.metrics["quarters"]] == [1, 1, 0, 1]
    assert loaded.metrics["warnings"] == []
    assert f"{YEAR}-12-15" in loaded.metrics["quarters"][3]["dates"]


def test_loader_ignores_other_modes_polarisations_versions_and_times(archive, loaded):
    used = {scene.id for scene in loaded.sources}
    unwanted = ("other_pols", "wide_mode", "older_version", "day_after", "day_before", "descending")

    assert loaded.metrics["items_ignored"] == 2
    assert not used & {item["id"] for case in unwanted for item in items_on(archive, case)}
    assert {item["id"] for case in ("two_slices", "reprocessed") for item in items_on(archive, case)} <= used


@pytest.mark.parametrize("number", [1, 2, 4])
@pytest.mark.parametrize("polarisation", ["VV", "VH"])
def test_composite_is_the_truth_within_what_speckle_leaves(loaded, place, number, polarisation):
    dates = [date.fromisoformat(day) for day in loaded.metrics["quarters"][number - 1]["dates"]]
    names = [band.name for band in loaded.layers[0].bands]

    seen = [power(place, polarisation, day=day, direction="ascending") for day in dates]
    expected, water = averaged(np.mean(seen, axis=0)), averaged(place.water.astype(float))
    ratio = (loaded.layers[0].pixels[names.index(f"Q{number} {polarisation}")] / expected)[water == 0]
    assert ratio.size > 5000
    assert np.median(ratio) == pytest.approx(1, abs=0.02)
    assert ratio.std() < 0.2


# Making it


def test_same_arguments_make_the_same_bytes(archive, tmp_path):
    again = write_s1_scenes(tmp_path, [TILE], year=YEAR, base_href=str(archive.parent))

    one, other = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (archive.parent, again.parent)
    )
    assert one == other
    assert {path.suffix for path in one} == {".json", ".tif"}


def test_other_addresses_need_no_other_pixels(tmp_path, archive):
    folder = archive.parent
    before, text = {file: file.stat().st_mtime_ns for file in folder.rglob("*.tif")}, archive.read_text()
    try:
        write_s1_scenes(folder, [TILE], year=YEAR, base_href="http://127.0.0.1:4321/")
        hrefs = {asset["href"] for item in items_of(archive) for asset in item["assets"].values()}
    finally:
        write_s1_scenes(folder, [TILE], year=YEAR)

    expected = {f"http://127.0.0.1:4321/{file.relative_to(folder)}" for file in before}
    assert hrefs == expected
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*.tif")} == before
    assert archive.read_text() == text


@pytest.mark.parametrize("tiles", [[], [TILE, Tile(x=0, y=0, lon=-52.0, lat=-5.0833)]], ids=["none", "far apart"])
def test_tiles_that_cannot_be_covered_are_refused(tmp_path, tiles):
    with pytest.raises(InvalidInput):
        write_s1_scenes(tmp_path, tiles, year=YEAR)


def test_unknown_case_is_refused():
    with pytest.raises(InvalidInput, match="no_such"):
        overpass_of("no_such")


def test_every_case_of_the_plan_has_items(archive):
    cases = {overpass.case for overpass in OVERPASSES} - {""}

    assert all(len(items_on(archive, case)) == overpass_of(case).slices for case in cases)
