"""A year of Sentinel-1: four quarters always, flagged where they are not their own."""

import io
import json
from dataclasses import replace
from datetime import UTC, datetime

import h5py
import hickle
import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from rasterio.io import MemoryFile
from rio_cogeo.cogeo import cog_validate

from ard.adapters.cog import cog_bytes
from ard.adapters.gdal import read_options
from ard.adapters.hkl import hkl_files
from ard.adapters.outputs import find, publish
from ard.adapters.reader import RasterioReader
from ard.adapters.store import Store
from ard.adapters.thumbnail import thumbnail_png
from ard.errors import NoData, Unavailable
from ard.product import Format, Product, check
from ard.scene import Raster
from ard.settings import AwsSettings
from loaders.s1 import BANDS, load_s1
from loaders.s1_composite import SubPixels, averaged
from tests.factories import GOLDEN, make_provenance, make_task
from tests.fakes_s1 import EPSG, FakeS1, FakeSlice, between, flat, ground, year_of_slices

TASK = make_task(product=Product.S1)
CENTRE = 780_248, 9_431_428  # of the golden tile, UTM metres
FILE_TRANSFORM = Affine(10, 0, 774_000, 0, -10, 9_438_000)
Q1, Q2, Q3, Q4 = ((1, 15), (3, 15)), ((4, 15), (6, 15)), ((7, 15), (9, 15)), ((10, 15), (12, 15))


def load(slices, **options):
    archive = FakeS1(list(slices))
    return load_s1(TASK, archive, archive, **options)


def without(slices, *windows):
    gone = [one for window in windows for one in between(slices, *window)]
    return [one for one in slices if one not in gone]


def band(data, name):
    return data.layers[0].pixels[[one.name for one in data.layers[0].bands].index(name)]


def quarter(data, number):
    return data.metrics["quarters"][number - 1]


def hkl(data):
    contents = {key: content for _, key, content in hkl_files(data)}
    return {
        key.split("/raw/")[-1]: hickle.load(h5py.File(io.BytesIO(content), "r")) for key, content in contents.items()
    }


@pytest.fixture(scope="module")
def year():
    return load(year_of_slices())


def test_a_whole_year_gives_four_quarters_of_both_polarisations(year):
    check(year)

    assert [one.name for one in year.layers[0].bands] == [f"Q{q} {p}" for q in (1, 2, 3, 4) for p in ("VV", "VH")]
    assert year.layers[0].pixels.shape == (8, 155, 154)
    assert year.flags == frozenset()
    assert year.metrics["warnings"] == []
    assert year.metrics["direction"] == "ascending"
    assert all(quarter(year, q)["n_passes"] >= 5 for q in (1, 2, 3, 4))


def test_each_pixel_is_the_mean_of_the_source_where_it_lies(year):
    grid = SubPixels(GOLDEN.grid(40))
    x = 774_000 + (np.arange(1200) + 0.5) * 10
    y = 9_438_000 - (np.arange(1200) + 0.5) * 10
    source = Raster(
        pixels=ground("vh", x[np.newaxis, :], y[:, np.newaxis]).astype(np.float32),
        transform=FILE_TRANSFORM,
        crs=f"EPSG:{EPSG}",
        nodata=None,
    )

    assert np.allclose(band(year, "Q3 VH"), averaged(grid.gather(source)), rtol=1e-6)


def test_no_pass_is_no_data_with_a_reason():
    with pytest.raises(NoData, match="0 items"):
        load([])
    with pytest.raises(NoData, match="31 items, 31 of another mode"):
        load(year_of_slices(polarisations=("HH", "HV")))


def test_a_search_that_fails_is_never_no_data():
    archive = FakeS1([], error=Unavailable("503"))

    with pytest.raises(Unavailable):
        load_s1(TASK, archive, archive)


@pytest.mark.parametrize("gone", [[Q1], [Q2], [Q4], [Q2, Q3], [Q1, Q2, Q4]])
def test_a_missing_quarter_is_filled_from_the_others_and_flagged(gone):
    data = load(without(year_of_slices(every_days=20), *gone))

    check(data)
    assert data.layers[0].pixels.shape[0] == 8
    assert not np.isnan(data.layers[0].pixels).any()
    assert data.flags == {"filled_quarters", "few_passes"}


def test_a_quarter_whose_assets_cannot_be_read_is_filled_and_flagged():
    slices = year_of_slices()
    for one in between(slices, *Q2):
        one.broken = frozenset({"vh"})

    data = load(slices)

    assert data.flags == {"filled_quarters", "few_passes", "asset_corrupt"}
    assert (quarter(data, 2)["n_passes"], quarter(data, 2)["filled_fraction"]) == (0, 1.0)
    assert len(quarter(data, 2)["skipped_items"]) == 5
    assert not {one.id for one in between(slices, *Q2)} & {scene.id for scene in data.sources}


def test_a_quarter_takes_the_mean_of_its_neighbours_and_not_of_the_year_before():
    powers = {Q1: 0.1, Q3: 0.3, Q4: 0.8}
    slices = [
        replace(one, power=flat(power, power / 4))
        for window, power in powers.items()
        for one in between(year_of_slices(), *window)
    ]

    second = load(slices)
    first = load([one for one in slices if one.started_at.month > 3])

    assert np.allclose(band(second, "Q2 VV"), 0.2)
    assert np.allclose(band(first, "Q2 VV"), 0.3) and np.allclose(band(first, "Q1 VV"), 0.55)


def test_items_of_other_polarisations_change_nothing(year):
    others = year_of_slices(polarisations=("HH", "HV"), orbit=41, power=flat(9, 9))

    data = load([*year_of_slices(), *others])

    assert (data.layers[0].pixels == year.layers[0].pixels).all()
    assert data.metrics["items_ignored"] == len(others)


@pytest.mark.parametrize("bad", [-32768, 0, -0.5, np.nan, np.inf])
def test_pixels_that_are_no_backscatter_never_enter_a_mean(bad):
    def spoilt(polarisation, x, y):
        return np.where((x // 40 + y // 40) % 2 == 0, bad, flat(0.2, 0.05)(polarisation, x, y))

    slices = year_of_slices(every_days=20)
    slices = [replace(one, power=spoilt, nodata=None) if i % 2 else replace(one, power=flat(0.2, 0.05))
              for i, one in enumerate(slices)]  # fmt: skip

    data = load(slices)

    assert np.allclose(band(data, "Q1 VV"), 0.2) and np.allclose(band(data, "Q4 VH"), 0.05)


def test_the_last_day_of_a_window_is_used_to_its_end():
    late = FakeSlice(started_at=datetime(2023, 12, 15, 23, 59, 55, tzinfo=UTC), power=flat(0.4, 0.1), id="late")
    after = FakeSlice(started_at=datetime(2023, 12, 16, 0, 0, 5, tzinfo=UTC), power=flat(0.4, 0.1), id="after")
    slices = without(year_of_slices(), Q4)

    assert quarter(load([*slices, late]), 4)["dates"] == ["2023-12-15"]
    assert quarter(load([*slices, after]), 4)["dates"] == []


def test_a_quarter_that_lacks_the_years_direction_takes_the_other_and_says_so():
    descending = year_of_slices(direction="descending", orbit=112, power=flat(0.3, 0.06))
    ascending = [*without(year_of_slices(every_days=6), Q3)]

    data = load([*ascending, *without(descending, Q1)])

    directions = [quarter(data, q)["direction"] for q in (1, 2, 3, 4)]
    assert directions == ["ascending", "ascending", "descending", "ascending"]
    assert data.flags == {"other_orbit"}
    assert np.allclose(band(data, "Q3 VV"), 0.3)


def test_all_quarters_are_seen_from_one_direction_although_the_other_exists(year):
    descending = year_of_slices(direction="descending", orbit=112, power=flat(0.9, 0.3))

    data = load([*year_of_slices(), *descending])

    assert (data.layers[0].pixels == year.layers[0].pixels).all()


def test_one_pass_a_quarter_is_flagged():
    slices = year_of_slices()

    data = load([between(slices, *window)[0] for window in (Q1, Q2, Q3, Q4)])

    assert data.flags == {"few_passes"}


def test_at_most_six_passes_of_a_quarter_are_read_while_they_leave_no_holes():
    archive = FakeS1(year_of_slices(every_days=3))

    data = load_s1(TASK, archive, archive)

    assert [quarter(data, q)["n_passes"] for q in (1, 2, 3, 4)] == [6, 6, 6, 6]
    assert len(archive.reads) == 6 * 4 * 2


def test_further_passes_are_read_while_holes_remain():
    # Full footprints, but only one pass of each quarter shows the eastern half.
    def half(polarisation, x, y):
        return np.where(x < CENTRE[0], ground(polarisation, x, y), -32768)

    slices = year_of_slices(every_days=4)
    for window in (Q1, Q2, Q3, Q4):
        for number, one in enumerate(between(slices, *window)):
            one.power = ground if number == 5 else half

    data = load(slices)

    assert data.metrics["valid_fraction_min"] == 1.0
    assert data.flags == frozenset()


def test_a_pass_of_two_slices_is_whole_across_their_seam(year):
    seam = 9_431_420
    halves = []
    for one in year_of_slices():
        upper = replace(one, id=one.id + "_a", height=(9_530_000 - seam) // 10)
        lower = replace(one, id=one.id + "_b", north=seam)
        halves += [upper, lower]
    for number, one in enumerate(halves):
        one.absolute_orbit += number  # two slices start at different times; here their numbers tell them apart

    data = load(halves)

    assert (data.layers[0].pixels == year.layers[0].pixels).all()
    assert quarter(data, 1)["n_items"] == 2 * quarter(data, 1)["n_passes"]


def test_slices_of_two_zones_make_one_pass():
    x, y = Transformer.from_crs(4326, 32722, always_xy=True).transform(GOLDEN.lon, GOLDEN.lat)
    slices = []
    for one in year_of_slices(power=flat(0.2, 0.04)):
        west = replace(one, width=int((CENTRE[0] - one.west) // 10))
        east = replace(one, id=one.id + "_z22", epsg=32722, west=round(x, -1) - 20, north=round(y, -1) + 90_000)
        east.absolute_orbit += 1
        slices += [west, east]

    data = load(slices)

    assert not np.isnan(data.layers[0].pixels).any()
    assert np.allclose(band(data, "Q2 VV"), 0.2)


def test_half_a_tile_in_every_quarter_is_no_data_and_three_quarters_of_it_are_kept():
    def up_to(east):
        return lambda p, x, y: np.where(x < east, ground(p, x, y), -32768)

    with pytest.raises(NoData, match="two thirds"):
        load(year_of_slices(power=up_to(CENTRE[0])))
    data = load(year_of_slices(power=up_to(CENTRE[0] + 1500)))

    assert 0.2 < data.metrics["nodata_fraction"] < 0.3
    check(data)


def test_water_below_the_noise_in_vh_does_not_lose_the_tile():
    def calm(polarisation, x, y):
        return flat(0.01, -0.001)(polarisation, x, y) if polarisation == "vv" else np.where(
            x < CENTRE[0], -0.001 + 0 * y, 0.02
        )  # fmt: skip

    data = load(year_of_slices(power=calm))

    assert np.allclose(band(data, "Q1 VV"), 0.01)
    assert 0.4 < quarter(data, 1)["VH"]["valid_fraction"] < 0.6
    assert hkl(data)[f"s1/{GOLDEN.key}.hkl"].shape == (12, 618, 616, 2)


def test_unusual_backscatter_is_warned_of_and_written():
    data = load(year_of_slices(power=flat(1.5, 1.7)))

    check(data)
    assert data.metrics["warnings"][0] == "Q1: VV median 1.8 dB outside -20..-3 dB"
    assert "Q4: VH below VV in 0% of the pixels only" in data.metrics["warnings"]
    assert quarter(data, 1)["VV"]["saturated_fraction"] == 1.0


def test_brighter_than_thirty_decibels_is_thirty_decibels():
    data = load(year_of_slices(power=flat(5000, 0.1)))

    check(data)
    assert band(data, "Q1 VV").max() == 1000


def test_the_median_is_an_option():
    slices = year_of_slices(power=flat(0.1, 0.02))
    for window in (Q1, Q2, Q3, Q4):
        between(slices, *window)[0].power = flat(0.9, 0.2)

    assert np.allclose(band(load(slices, statistic="median"), "Q1 VV"), 0.1)
    assert band(load(slices), "Q1 VV").min() > 0.2


def test_hickle_files_are_what_the_model_reads(year):
    files = hkl(year)
    s1, dates = files[f"s1/{GOLDEN.key}.hkl"], files[f"misc/s1_dates_{GOLDEN.key}.hkl"]

    assert (s1.shape, s1.dtype) == ((12, 618, 616, 2), np.uint16)
    assert (dates.dtype, dates.tolist()) == (np.int64, [45] * 3 + [135] * 3 + [225] * 3 + [315] * 3)
    assert (s1[0] == s1[2]).all() and (s1[3] != s1[2]).any() == (band(year, "Q1 VV") != band(year, "Q2 VV")).any()
    row, column = np.indices((618, 616)) // 4
    expected = np.trunc(band(year, "Q4 VH").astype(np.float64) * 65_535)
    assert (s1[11, :, :, 1] == expected[row, column]).all()


def test_in_hickle_files_bright_is_65535_dark_is_1_and_missing_is_0():
    def power(polarisation, x, y):
        dark = np.where(x < CENTRE[0] - 1500, -32768, np.where(y < CENTRE[1], 1.2, 1e-7))
        return dark if polarisation == "vv" else flat(0, 0.02)("vh", x, y)

    s1 = hkl(load(year_of_slices(power=power)))[f"s1/{GOLDEN.key}.hkl"]

    assert set(np.unique(s1[..., 0])) <= {0, 1, 65_535} | set(np.unique(s1[:, 308:316, :, 0]))
    assert (
        (s1[:, 400:, 500:, 0] == 65_535).all() and (s1[:, :200, 500:, 0] == 1).all() and (s1[:, :, :20, 0] == 0).all()
    )


def test_the_output_is_a_valid_cog_with_its_item_and_is_found_again(year):
    store = Store.in_memory()
    task = make_task(product=Product.S1, formats=(Format.COG, Format.HKL))

    output = publish(year, task, store, provenance=make_provenance(), still_ours=lambda: None)

    item = json.loads(store.get(output.item_key))
    asset = item["assets"]["s1"]
    assert find(task, store) == output
    assert [one["name"] for one in asset["bands"]] == [one.name for one in BANDS]
    assert asset["raster:bands"][0]["nodata"] == "nan"
    links = [link["title"] for link in item["links"] if link["rel"] == "derived_from"]
    assert links == sorted(scene.id for scene in year.sources)
    assert thumbnail_png(year)[:4] == b"\x89PNG"


def test_the_cog_is_valid_and_holds_the_pixels(year, tmp_path):
    path = tmp_path / "s1.tif"
    path.write_bytes(cog_bytes(year.layers[0], year))

    assert cog_validate(path, quiet=True, strict=True)[0]
    with MemoryFile(path.read_bytes()) as file, file.open() as dataset:
        assert (dataset.read() == year.layers[0].pixels).all()
        assert np.isnan(dataset.nodata)
        assert dataset.descriptions[:2] == ("Q1 VV", "Q1 VH")


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Real files of a year: 12 km of UTM pixels around the tile, as the archive has them."""
    folder = tmp_path_factory.mktemp("rtc")
    slices = [between(year_of_slices(west=774_000, north=9_438_000, width=1200, height=1200), *w)[0]
              for w in (Q1, Q2, Q3, Q4)]  # fmt: skip
    x = 774_000 + (np.arange(1200) + 0.5) * 10
    y = 9_438_000 - (np.arange(1200) + 0.5) * 10
    profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "height": 1200, "width": 1200, "tiled": True,
               "blockxsize": 512, "blockysize": 512, "compress": "deflate", "nodata": -32768,
               "crs": f"EPSG:{EPSG}", "transform": FILE_TRANSFORM}  # fmt: skip
    for one in slices:
        for polarisation in ("vv", "vh"):
            with rasterio.open(folder / f"{one.id}_{polarisation}.tif", "w", **profile) as dataset:
                dataset.write(ground(polarisation, x[np.newaxis, :], y[:, np.newaxis]).astype(np.float32), 1)
    return slices, folder


def test_files_read_through_gdal_give_the_same_pixels(scenes):
    slices, folder = scenes

    class Files(FakeS1):
        def window(self, href, bounds, *, margin=0, pixel_size=None, overviews=True):
            name, polarisation = href.split("|")
            return RasterioReader(read_options(AwsSettings())).window(
                str(folder / f"{name}_{polarisation}.tif"), bounds, margin=margin
            )

    files = Files(slices)

    from_files = load_s1(TASK, files, files)

    assert (from_files.layers[0].pixels == load(slices).layers[0].pixels).all()


@st.composite
def archives(draw):
    days = draw(st.lists(st.integers(0, 364), min_size=1, max_size=6, unique=True))
    slices = []
    for day in days:
        one = year_of_slices(every_days=1)[min(day, 360)]
        slices.append(
            replace(
                one,
                id=f"{day:03}",
                direction=draw(st.sampled_from(["ascending", "descending"])),
                orbit=draw(st.sampled_from([39, 112])),
                west=draw(st.sampled_from([680_000, 779_000])),
                broken=draw(st.sampled_from([frozenset(), frozenset(), frozenset({"vv"})])),
                power=draw(st.sampled_from([ground, flat(0.2, 0.04)])),
            )
        )
    return slices


@settings(max_examples=8, deadline=None)
@given(archives(), st.randoms())
def test_any_archive_gives_four_quarters_in_order_or_no_data_whatever_its_order(slices, random):
    def outcome(archive):
        try:
            return load(archive)
        except NoData as error:
            return str(error)

    shuffled = list(slices)
    random.shuffle(shuffled)
    one, other = outcome(slices), outcome(shuffled)

    if isinstance(one, str):
        assert one == other
        return
    check(one)
    assert tuple(band.name for band in one.layers[0].bands) == tuple(band.name for band in BANDS)
    assert one.layers[0].pixels.tobytes() == other.layers[0].pixels.tobytes()
    assert (one.metrics, one.flags) == (other.metrics, other.flags)
    json.dumps(dict(one.metrics), allow_nan=False)
