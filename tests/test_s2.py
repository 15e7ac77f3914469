"""A year of Sentinel-2: what is kept, replaced, refused, and what the model gets."""

import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import h5py
import hickle
import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.io import MemoryFile
from rasterio.warp import transform
from rio_cogeo.cogeo import cog_validate

from ard.adapters.catalog import scene_of
from ard.adapters.cog import cog_bytes
from ard.adapters.gdal import read_options
from ard.adapters.hkl import hkl_files
from ard.adapters.outputs import find, publish
from ard.adapters.reader import RasterioReader
from ard.adapters.store import Store
from ard.errors import NoData, Unavailable
from ard.product import Product, check
from ard.settings import AwsSettings
from ard.tile import Tile
from loaders.gather import Gather
from loaders.s2 import load_s2
from loaders.s2_items import ASSETS, granule_of
from loaders.s2_pixels import read_frame
from tests.factories import make_provenance, make_task
from tests.fakes_s2 import FakeGranule, FakeS2, clear, year_of_granules

TASK = make_task(product=Product.S2)


def load(granules):
    archive = FakeS2(list(granules))
    return load_s2(TASK, archive, archive)


def clouded(share):
    """Classes of a pass that is clouded over that share of every 5 km."""

    def classes(x, y):
        return np.where((x % 5000 + 0 * y) < 5000 * share, 9, 4).astype(np.uint8)

    return classes


def dates_of(data):
    return [date["date"] for date in data.metrics["dates"]]


@pytest.fixture(scope="module")
def year():
    return load(year_of_granules())


def test_a_clear_year_gives_whole_products_on_the_tiles_grids(year):
    check(year)

    count = year.metrics["dates_kept"]
    assert 9 <= count <= 16
    assert year.layer("s2_10m").pixels.shape == (4 * count, 618, 616)
    assert year.layer("s2_20m").pixels.shape == (6 * count, 309, 308)
    assert year.layer("s2_cloudmask").pixels.shape == (count, 309, 308)
    assert year.flags == frozenset()
    assert all(n <= 2 for n in year.metrics["dates_per_month"])
    assert year.layer("s2_10m").bands[0].name.endswith(" blue")


def test_dates_ascend_and_are_as_many_as_the_arrays(year):
    days = year.extras["dates"].tolist()

    assert days == sorted(set(days))
    assert len(days) == year.metrics["dates_kept"]
    assert dates_of(year) == sorted(dates_of(year))


def test_the_same_archive_gives_the_same_bytes_in_any_order(year):
    again = load(reversed(year_of_granules()))

    assert all(cog_bytes(a, year) == cog_bytes(b, again) for a, b in zip(year.layers, again.layers, strict=True))
    assert year.metrics == again.metrics


def test_a_search_that_fails_is_never_no_data():
    archive = FakeS2([], error=Unavailable("503"))

    with pytest.raises(Unavailable):
        load_s2(TASK, archive, archive)


@pytest.mark.parametrize(
    "granules", [[], year_of_granules(classes=clouded(0.97)), year_of_granules(classes=lambda x, y: 0 * clear(x, y))]
)
def test_nothing_usable_is_no_data_with_a_reason(granules):
    with pytest.raises(NoData, match=f"{len(granules)} items"):
        load(granules)


def test_a_date_that_is_too_cloudy_gives_way_to_a_clear_one_of_its_month():
    cloudy = [replace(g, classes=clouded(0.9)) if g.acquired_at.day < 20 else g for g in year_of_granules(every_days=5)]

    data = load(cloudy)

    assert all(int(date[-2:]) >= 20 for date in dates_of(data))
    assert data.flags == frozenset()


def test_a_half_clouded_tile_is_not_refused_for_its_quality():
    # The surroundings are clear, so screening lets it pass; over the tile the model removes clouds itself.
    def over_the_tile(x, y):
        here = (abs(x - 780_248) < 4000) & (abs(y - 9_431_428) < 4000) & (x % 100 < 60)
        return np.where(here, 9, 4).astype(np.uint8)

    data = load([replace(g, classes=over_the_tile) for g in year_of_granules(every_days=30)])

    assert all(0.5 < date["cloud"] < 0.7 for date in data.metrics["dates"])


def test_a_cloudy_year_is_relaxed_and_flagged():
    data = load(year_of_granules(classes=clouded(0.55)))

    assert "relaxed_clouds" in data.flags
    assert data.metrics["dates_kept"] >= 3


def test_two_dates_are_few_and_flagged():
    data = load(year_of_granules()[10:12])

    assert data.flags == {"few_dates"}
    assert data.metrics["max_gap_days"] == 355
    assert data.metrics["clear_views_too_few_fraction"] == 1


def test_a_date_with_a_missing_or_broken_asset_is_replaced_and_flagged():
    granules = year_of_granules(every_days=10)
    granules[12] = replace(granules[12], without=frozenset({"swir16"}))
    granules[15] = replace(granules[15], broken=frozenset({"nir"}))

    data = load(granules)

    lost = {granules[n].acquired_at.date().isoformat() for n in (12, 15)}
    assert not lost & set(dates_of(data))
    assert data.flags == {"asset_corrupt"}
    assert data.metrics["unreadable_items"] == [granules[12].id]


def test_an_asset_that_cannot_be_reached_is_an_outage_not_a_missing_date():
    class Down(FakeS2):
        def window(self, href, *args, **kwargs):
            if href.endswith("|nir"):
                raise Unavailable("503")
            return super().window(href, *args, **kwargs)

    archive = Down(year_of_granules(every_days=30))

    with pytest.raises(Unavailable):
        load_s2(TASK, archive, archive)


def test_an_uncertain_offset_is_flagged():
    def desert(band, x, y):
        return 4000 + 0 * x * y

    data = load(year_of_granules(every_days=30, baseline="04.00", flag=False, surface=desert))

    assert data.flags == {"offset_uncertain"}


def test_the_edges_of_the_year_have_their_day_numbers():
    moments = [datetime(2022, 12, 20, 14, tzinfo=UTC), datetime(2023, 1, 1, 14, tzinfo=UTC),
               datetime(2023, 12, 31, 14, tzinfo=UTC), datetime(2024, 1, 9, 14, tzinfo=UTC)]  # fmt: skip

    data = load([FakeGranule(id=f"g{n}", acquired_at=moment) for n, moment in enumerate(moments)])

    days = dict(zip(dates_of(data), data.extras["dates"].tolist(), strict=True))
    assert days["2023-01-01"] == 1
    assert days["2023-12-31"] == 365
    assert set(days.values()) <= {-11, 1, 365, 374}


def test_passes_of_two_utm_zones_are_one_date():
    # West of the meridian from one zone, east of it from the other: neither alone covers the tile.
    def west(x, y):
        return np.where((x < 780_240) & (y > 0), 4, 0).astype(np.uint8)

    take = "GS2A_20230615T135500_012345"
    noon = datetime(2023, 6, 15, 13, 55, tzinfo=UTC)
    halves = [
        FakeGranule(id="a", acquired_at=noon, datatake=take, classes=west),
        FakeGranule(id="b", acquired_at=noon, datatake=take, epsg=32722, west=70_000, north=9_490_020, mgrs="22MAA"),
    ]

    data = load(halves)

    assert dates_of(data) == ["2023-06-15"]
    assert [scene.id for scene in data.sources] == ["a", "b"]
    assert data.metrics["dates"][0]["nodata"] < 0.01


_ARCHIVES = st.lists(
    st.tuples(
        st.integers(-40, 400), st.sampled_from([0.0, 0.2, 0.35, 0.6, 0.95]), st.sampled_from("ab"), st.booleans()
    ),
    min_size=1,
    max_size=14,
    unique_by=lambda one: (one[0], one[2]),
)


@settings(max_examples=12, deadline=None)
@given(_ARCHIVES)
def test_whatever_the_archive_dates_ascend_are_unique_and_fit_the_arrays(found):
    start = datetime(2023, 1, 1, 13, 55, tzinfo=UTC)
    granules = [
        FakeGranule(id=f"S2{sat}_{day}", acquired_at=start + timedelta(days=day), platform=f"sentinel-2{sat}",
                    classes=clouded(cloud), broken=frozenset({"red"} if broken else ()))
        for day, cloud, sat, broken in found
    ]  # fmt: skip
    try:
        data = load(granules)
    except NoData:
        return

    check(data)
    days = data.extras["dates"]
    assert (np.diff(days) > 0).all()
    assert len(days) * 4 == data.layer("s2_10m").pixels.shape[0]
    assert len(days) == len(data.metrics["dates"])


def test_the_cogs_are_valid_and_named_by_date_and_band(year):
    for layer in year.layers:
        with MemoryFile(cog_bytes(layer, year), ext=".tif") as file:
            valid, errors, _ = cog_validate(file.name, strict=True)
            assert valid, errors
            with file.open() as dataset:
                assert (dataset.read() == layer.pixels).all()
                assert dataset.descriptions == tuple(band.name for band in layer.bands)
                assert dataset.nodata == layer.spec.nodata


def test_a_year_is_published_and_found_again(year):
    store, task = Store.in_memory(), make_task(product=Product.S2, formats=("cog", "hkl"))

    published = publish(year, task, store, provenance=make_provenance(), still_ours=lambda: None)

    assert find(task, store) == published
    assert published.item_key == "2023/ard/1000/871/s2.json"
    assert {key.rpartition("/")[2] for key in store.list("2023/raw")} == {
        f"{name}1000X871Y.hkl" for name in ("clouds_", "cloudmask_", "clean_steps_", "s2_dates_", "")
    }


def test_the_legacy_files_keep_the_models_contract(year):
    arrays = {name: _loaded(content) for name, _, content in hkl_files(year)}
    dates, ten, twenty = arrays["hkl_misc_s2_dates"], arrays["hkl_s2_10"], arrays["hkl_s2_20"]

    assert len(dates) == len(ten) == len(twenty) >= 3
    assert dates.dtype == np.int64
    assert (np.diff(dates) > 0).all()
    assert ten.shape[1:] == (618, 616, 4)
    assert twenty.shape[1:] == (309, 308, 6)
    assert ten.shape[1:3] == (2 * twenty.shape[1], 2 * twenty.shape[2])
    assert ten.dtype == twenty.dtype == np.uint16
    assert arrays["hkl_clouds_cloudmask"].shape == twenty.shape[:3]
    assert arrays["hkl_clouds_clouds"].dtype == np.float32
    assert arrays["hkl_clouds_clouds"].shape[0] == year.metrics["passes"]
    reflectance = year.layer("s2_10m").pixels[:4].transpose(1, 2, 0) / 10_000
    assert np.abs(ten[0] / 65_535 - reflectance).max() < 1e-5


def test_saturated_counts_are_clipped_for_the_model_alone():
    bright = load(year_of_granules(every_days=30, surface=lambda band, x, y: 12_000 + 0 * x * y))

    arrays = {name: _loaded(content) for name, _, content in hkl_files(bright)}

    assert (bright.layer("s2_10m").pixels == 12_000).all()
    assert (arrays["hkl_s2_10"] == 65_535).all()


def _loaded(content):
    with h5py.File(io.BytesIO(content)) as file:
        return hickle.load(file)


def test_every_source_item_is_named_and_none_twice(year):
    names = [scene.id for scene in year.sources]

    assert names == sorted(set(names))
    assert len(names) == year.metrics["dates_kept"]


def test_real_pixels_are_those_that_rasterio_samples(shared_data):
    folder = shared_data / "s2_cog_29RKH"
    (item,) = folder.glob("*.json")
    document = json.loads(item.read_text())
    files = {name: str(folder / f"{name}.tif") for name in ("B02", "B05", "SCL")}
    document["assets"] = {name: {"href": str(folder / f"{name}.tif")} for name in ASSETS.values()}
    document["properties"] |= {"datetime": "2020-02-19T11:33:50Z"}
    granule = granule_of(scene_of(document))
    with rasterio.open(files["B02"]) as blue:
        middle = blue.transform * (blue.width // 2, blue.height // 2)
        (lon,), (lat,) = transform(blue.crs, "EPSG:4326", [middle[0]], [middle[1]])
    tile = Tile(x=1, y=1, lon=lon, lat=lat)
    reader = RasterioReader(read_options(AwsSettings()))
    bounds = tile.grid(10).bounds

    frame = read_frame(
        [granule], g10=Gather(tile.grid(10)), g20=Gather(tile.grid(20)),
        read_all=lambda hrefs: [reader.window(href, bounds, margin=1) for href in hrefs],
    )  # fmt: skip

    assert frame.offsets[granule.id].rule == "baseline"
    for path, grid, found in (
        (files["B02"], tile.grid(10), frame.ten[0]),
        (files["B05"], tile.grid(20), frame.twenty[0]),
    ):
        lons, lats = np.meshgrid(grid.lon(), grid.lat())
        with rasterio.open(path) as source:
            x, y = transform("EPSG:4326", source.crs, lons.ravel(), lats.ravel())
            sampled = np.array([value[0] for value in source.sample(zip(x, y, strict=True))]).reshape(grid.shape)
        assert (np.where(found > 0, np.maximum(sampled, 1), 0) == found).all()
        assert (found > 0).mean() > 0.9
