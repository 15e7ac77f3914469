"""Sentinel-2 pixels: gather, screening, offsets, mosaics."""

from datetime import UTC, datetime

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import rowcol
from rasterio.warp import transform

from ard.errors import AssetCorrupt
from ard.scene import Raster
from loaders.gather import Gather
from loaders.s2_items import granule_of
from loaders.s2_pixels import BANDS_10M, BANDS_20M, offset_of, read_classes, read_frame
from loaders.s2_screen import centre, cloud_grid, shares, view_clouds, within_tile
from tests.factories import GOLDEN
from tests.fakes_s2 import BANDS, FakeGranule, FakeS2, ground

NOON = datetime(2023, 5, 17, 13, 55, tzinfo=UTC)
BOX = GOLDEN.grid(10).bounds
MIDDLE_X, MIDDLE_Y = 780_240, 9_431_420


def read_with(archive):
    return lambda hrefs: [archive.window(href, BOX, margin=1) for href in hrefs]


def frame_of(*granules):
    archive = FakeS2(list(granules))
    parts = [granule_of(granule.scene()) for granule in granules]
    g10, g20 = Gather(GOLDEN.grid(10)), Gather(GOLDEN.grid(20))
    return read_frame(parts, g10=g10, g20=g20, read_all=read_with(archive))


def west_of_middle(x, y):
    return np.where((x < MIDDLE_X) & (y > 0), 4, 0).astype(np.uint8)


def east_of_middle(x, y):
    return np.where((x >= MIDDLE_X) & (y > 0), 4, 0).astype(np.uint8)


@pytest.mark.parametrize(
    ("metres", "crs", "origin"), [(10, "EPSG:32721", (776_000, 9_435_000)), (20, "EPSG:32722", (110_000, 9_436_000))]
)
def test_the_gather_takes_the_pixel_that_rasterio_finds_at_each_centre(metres, crs, origin):
    grid = GOLDEN.grid(metres)
    pixels = np.arange(900 * 1000, dtype=np.uint32).reshape(900, 1000) + 1
    raster = Raster(pixels=pixels, transform=Affine(metres, 0, origin[0], 0, -metres, origin[1]), crs=crs, nodata=0)
    lon, lat = np.meshgrid(grid.lon(), grid.lat())
    x, y = transform("EPSG:4326", crs, lon.ravel(), lat.ravel())
    rows, columns = (np.asarray(found).reshape(grid.shape) for found in rowcol(raster.transform, x, y))
    inside = (rows >= 0) & (rows < 900) & (columns >= 0) & (columns < 1000)
    oracle = np.where(inside, pixels[rows.clip(0, 899), columns.clip(0, 999)], 0)

    gathered = Gather(grid).nearest(raster)

    assert inside.any()
    assert (gathered == oracle).all()


def test_rasters_of_one_grid_share_one_table():
    gather = Gather(GOLDEN.grid(20))
    raster = FakeS2([FakeGranule(id="a", acquired_at=NOON)]).window("a|scl", BOX, margin=1)

    gather.nearest(raster)
    gather.nearest(raster)

    assert len(gather._tables) == 1


def test_the_cloud_grid_covers_the_box_of_the_training_data():
    grid = cloud_grid(GOLDEN)

    assert grid.shape == (145, 144)
    assert grid.bounds == pytest.approx(
        (GOLDEN.lon - 15 / 36, GOLDEN.lat - 15 / 36, GOLDEN.lon + 15 / 36, GOLDEN.lat + 15 / 36)
    )


def test_missing_pixels_are_neither_cloud_nor_clear():
    classes = np.array([[0, 1, 8], [4, 4, 3]], dtype=np.uint8)

    found = shares(classes)
    assert (found.nodata, found.cloud, found.shadow) == (pytest.approx(2 / 6), 0.25, 0.25)


@pytest.mark.parametrize("kind", [2, 7, 11])
def test_dark_ground_unclassified_pixels_and_snow_are_not_clouds(kind):
    assert shares(np.full((4, 4), kind, dtype=np.uint8)).cloud == 0


@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 60))
def test_the_centre_lies_in_the_middle(height, width, cells):
    rows, columns = np.divmod(np.arange(height * width).reshape(height, width), width)

    assert abs(float(centre(rows, cells).mean()) - (height - 1) / 2) <= 0.5
    assert abs(float(centre(columns, cells).mean()) - (width - 1) / 2) <= 0.5


def test_the_tile_lies_in_the_middle_of_its_cloud_grid():
    grid = cloud_grid(GOLDEN)
    lon, lat = np.meshgrid(grid.lon(), grid.lat())

    assert abs(within_tile(lon).mean() - GOLDEN.lon) < grid.lon_step
    assert abs(within_tile(lat).mean() - GOLDEN.lat) < grid.lat_step
    assert within_tile(lat).shape == (10, 10)


@pytest.mark.parametrize(
    ("overview", "source"), [("NEAREST", "NEAREST"), ("MODE", "MODE"), ("AVERAGE", "full"), ("UNKNOWN", "UNKNOWN")]
)
def test_averaged_class_overviews_are_not_believed(overview, source):
    granule = FakeGranule(id="a", acquired_at=NOON, overview=overview)
    grid = cloud_grid(GOLDEN)

    view = view_clouds([granule_of(granule.scene())], grid, Gather(grid), FakeS2([granule]))

    assert view.sources == {source}
    assert (view.classes == 4).all()


def test_two_halves_of_one_day_are_one_complete_pass():
    frame = frame_of(
        FakeGranule(id="a", acquired_at=NOON, classes=west_of_middle),
        FakeGranule(id="b", acquired_at=NOON, classes=east_of_middle, strip="S20230517T135999"),
    )
    whole = frame_of(FakeGranule(id="c", acquired_at=NOON))

    assert (frame.classes == 4).all()
    assert (frame.ten == whole.ten).all() and (frame.twenty == whole.twenty).all()


def test_pixels_are_the_grounds_within_half_a_source_pixel():
    frame = frame_of(
        FakeGranule(id="a", acquired_at=NOON, surface=lambda band, x, y: 500 + ((x - 700_000) // 10) % 9000 + 0 * y)
    )
    gather = Gather(GOLDEN.grid(10))
    x, _ = gather._projected("EPSG:32721")

    assert np.abs((frame.ten[0].astype(float) - 500) * 10 + 700_000 + 5 - x).max() <= 5.001


@pytest.mark.parametrize(
    "encoding",
    [
        {"baseline": "03.01", "flag": None},
        {"baseline": "05.09", "flag": True},
        {"baseline": "05.10", "flag": None, "collection": "sentinel-2-c1-l2a", "added": 1000},
        {"baseline": "04.00", "flag": False, "added": 1000},
        {"baseline": "04.00", "flag": False, "added": 0},
    ],
    ids=["before the offset", "taken out", "collection 1", "left in", "wrong flag"],
)
def test_one_surface_gives_the_same_pixels_however_it_is_encoded(encoding):
    def surface(band, x, y):
        return 50 + ground(band, x, y) // 3

    reference = frame_of(FakeGranule(id="r", acquired_at=NOON, surface=surface))

    frame = frame_of(FakeGranule(id="a", acquired_at=NOON, surface=surface, **encoding))

    assert (frame.ten == reference.ten).all() and (frame.twenty == reference.twenty).all()


def test_the_offset_is_told_with_its_evidence():
    granule = FakeGranule(id="a", acquired_at=NOON, baseline="04.00", flag=False, added=1000,
                          surface=lambda band, x, y: 50 + ground(band, x, y) // 3)  # fmt: skip

    offset = frame_of(granule).offsets["a"]

    assert (offset.value, offset.rule) == (-1000, "pixels")
    assert offset.evidence["dark_share"] == 0
    assert 1000 <= offset.evidence["p1_b12"] <= 1600


def test_a_bright_desert_that_tells_nothing_is_flagged():
    granule = FakeGranule(
        id="a", acquired_at=NOON, baseline="04.00", flag=False, surface=lambda band, x, y: 4000 + 0 * x * y
    )

    offset = frame_of(granule).offsets["a"]

    assert (offset.value, offset.uncertain) == (0, True)


def test_without_a_clear_pixel_the_offset_is_uncertain():
    scene = FakeGranule(id="a", acquired_at=NOON, baseline="04.00", flag=False).scene()
    clouded = np.full((4, 4), 9, dtype=np.uint8)

    offset = offset_of(granule_of(scene), np.ones((4, 8, 8), np.uint16), np.ones((6, 4, 4), np.uint16), clouded)

    assert offset.uncertain


def test_nodata_is_zero_in_all_bands_at_once_and_dark_water_is_not_nodata():
    def water(band, x, y):
        return np.where(band in {"nir", *BANDS_20M}, 5, 0) + 0 * (x + y).astype(int)

    frame = frame_of(FakeGranule(id="a", acquired_at=NOON, classes=west_of_middle, surface=water))
    seen = frame.classes != 0

    assert 0.3 < seen.mean() < 0.7
    assert ((frame.twenty == 0) == ~seen).all()
    assert ((frame.ten == 0) == ~seen.repeat(2, axis=0).repeat(2, axis=1)).all()
    assert set(np.unique(frame.ten[0])) == {0, 1}


def test_a_granule_with_a_broken_asset_is_left_out_and_named():
    frame = frame_of(
        FakeGranule(id="a", acquired_at=NOON, broken=frozenset({"swir16"})), FakeGranule(id="b", acquired_at=NOON)
    )

    assert frame.skipped == ("a",)
    assert (frame.classes == 4).all()


def test_a_pass_of_broken_granules_alone_is_corrupt():
    with pytest.raises(AssetCorrupt):
        frame_of(FakeGranule(id="a", acquired_at=NOON, broken=frozenset({"blue"})))


def test_bands_come_in_the_order_the_model_reads_them():
    frame = frame_of(
        FakeGranule(
            id="a", acquired_at=NOON, surface=lambda band, x, y: 1 + BANDS.index(band) + 0 * (x + y).astype(int)
        )
    )

    assert frame.ten[:, 0, 0].tolist() == [1, 2, 3, 4]
    assert frame.twenty[:, 0, 0].tolist() == [5, 6, 7, 8, 9, 10]
    assert (BANDS_10M[0], BANDS_20M[-1]) == ("blue", "swir22")


def test_classes_of_a_pass_are_those_of_its_first_granule_that_saw_something():
    one = FakeGranule(id="a", acquired_at=NOON, classes=west_of_middle)
    two = FakeGranule(
        id="b", acquired_at=NOON, classes=lambda x, y: np.full(np.broadcast_shapes(x.shape, y.shape), 9, np.uint8)
    )
    archive = FakeS2([one, two])

    classes = read_classes(
        [granule_of(g.scene()) for g in (one, two)], g20=Gather(GOLDEN.grid(20)), read_all=read_with(archive)
    )

    assert set(np.unique(classes)) == {4, 9}
    assert (classes[:, 0] == 4).all() and (classes[:, -1] == 9).all()
