"""The DEM: lattice, seams, holes, slope."""

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Geod
from rasterio.warp import Resampling, reproject
from scipy.ndimage import map_coordinates

from ard.adapters.gdal import read_options
from ard.adapters.reader import RasterioReader
from ard.errors import AssetCorrupt, Unavailable
from ard.geodesy import metres_per_degree
from ard.grid import Bounds, Grid
from ard.product import check
from ard.scene import Raster
from ard.settings import AwsSettings
from loaders.dem import GLO30, GLO90, load_dem, slope_degrees
from loaders.lattice import Lattice, bilinear, extend, mosaic
from tests.factories import make_task
from tests.fakes import FakeDem

WGS84 = Geod(ellps="WGS84")
GRADE = 0.3  # 16.70 degrees


def around(lon, lat):
    """The four cells that meet at a corner of whole degrees."""
    return {(lon + dx, lat + dy) for dx in (-1, 0) for dy in (-1, 0)}


def task_at(lon, lat):
    return make_task(lon=lon, lat=lat)


def ramp_east(lon0, lat0):
    """A plane that rises eastwards, true at latitude lat0 (distances by pyproj, not by the code under test)."""
    metres = WGS84.inv(lon0, lat0, lon0 + 0.01, lat0)[2] / 0.01
    return lambda lon, lat: 1000 + GRADE * (lon - lon0) * metres + 0 * lat


def ramp_north(lon0, lat0):
    metres = WGS84.inv(lon0, lat0 - 0.005, lon0, lat0 + 0.005)[2] / 0.01
    return lambda lon, lat: 1000 + GRADE * (lat - lat0) * metres + 0 * lon


def slope_of(data):
    return data.layer("dem").pixels[1]


@pytest.mark.parametrize("ramp", [ramp_east, ramp_north])
@pytest.mark.parametrize(
    ("lon", "lat", "corner"),
    [
        (10.5, 0.5, (10, 0)),
        (10.5, 45.5, (10, 45)),
        (20.0, 45.0, (20, 45)),
        (20.0, 0.0, (20, 0)),
        (20.0, 50.0, (20, 50)),
    ],
    ids=["equator", "45 degrees", "four cells at 45", "four cells at 0", "where the step changes at 50"],
)
def test_the_slope_of_a_plane_is_true_everywhere_and_across_seams(ramp, lon, lat, corner):
    dem = FakeDem(ramp(lon, lat), {GLO30: around(*corner) | {corner}})

    slope = slope_of(load_dem(task_at(lon, lat), dem, dem))

    assert np.abs(slope - np.degrees(np.arctan(GRADE))).max() < 0.05


def test_elevation_is_the_interpolated_surface_not_a_shifted_one():
    surface = lambda lon, lat: 200 + 5000 * (lon - 10.4) - 9000 * (lat - 0.6)  # noqa: E731
    dem = FakeDem(surface, {GLO30: {(10, 0)}})
    task = task_at(10.5, 0.5)

    elevation = load_dem(task, dem, dem).layer("dem").pixels[0]

    grid = task.tile.grid(10)
    assert np.abs(elevation - surface(grid.lon()[np.newaxis, :], grid.lat()[:, np.newaxis])).max() < 0.01


def rough(lon, lat):
    return 300 + 120 * np.sin(lon * 900 + lat * 300) + 80 * np.cos(lat * 1700 - lon * 500) + 40 * np.sin(lon * 5000)


def test_interpolation_equals_gdals_bilinear_warp():
    dem = FakeDem(rough, {GLO30: {(10, 0)}})
    task = task_at(10.5, 0.5)
    halo = task.tile.grid(10)
    cell = dem.window(f"{GLO30}|10|0", halo.bounds, margin=5)
    oracle = np.empty(halo.shape, dtype=np.float32)

    elevation = load_dem(task, dem, dem).layer("dem").pixels[0]

    reproject(cell.pixels, oracle, src_transform=cell.transform, src_crs="EPSG:4326", dst_transform=halo.transform,
              dst_crs="EPSG:4326", resampling=Resampling.bilinear, tolerance=0)  # fmt: skip
    assert np.abs(elevation - oracle).max() < 0.05


def test_interpolation_equals_scipys():
    rng = np.random.default_rng(3)
    lattice = Lattice(values=rng.random((9, 7), dtype=np.float32), lon_rate=10, lat_rate=10, column=3, row=-5)
    lon, lat = np.array([0.3, 0.37, 0.811]), np.array([0.5, 0.444, -0.29])
    rows, columns = np.meshgrid(-lat * 10 + 5, lon * 10 - 3, indexing="ij")

    values = bilinear(lattice, lon, lat)

    assert values == pytest.approx(map_coordinates(lattice.values, [rows, columns], order=1), abs=1e-5)


def test_slope_equals_numpys_gradient_inside():
    grid = Grid(west=10, north=30, lon_step=1e-4, lat_step=9e-5, height=40, width=30)
    z = rough(grid.lon()[np.newaxis, :], grid.lat()[:, np.newaxis]).astype(np.float32)
    dx = WGS84.inv(10, grid.lat()[20], 10.01, grid.lat()[20])[2] * 1e-4 / 0.01
    dy = WGS84.inv(10, 29.995, 10, 30)[2] * 9e-5 / 0.005
    south, east = np.gradient(z.astype(np.float64), dy, dx)

    slope = slope_degrees(z, grid)

    oracle = np.degrees(np.arctan(np.hypot(south, east)))
    assert np.abs(slope - oracle)[1:-1, 1:-1].max() < 0.02


@pytest.mark.parametrize("lat", [0.0, 23.5, 45.0, -54.75])
def test_ground_distances_equal_pyprojs(lat):
    per_lon, per_lat = metres_per_degree(np.array([lat]))

    assert per_lon[0] == pytest.approx(WGS84.inv(10, lat, 10.001, lat)[2] * 1000, rel=1e-6)
    assert per_lat[0] == pytest.approx(WGS84.inv(10, lat - 0.0005, 10, lat + 0.0005)[2] * 1000, rel=1e-6)


def test_a_barely_sloping_surface_is_raised_and_a_flat_one_stays_flat():
    grid = Grid(west=10, north=1, lon_step=1e-4, lat_step=1e-4, height=20, width=20)
    flat = np.zeros(grid.shape, dtype=np.float32)
    barely = flat + np.arange(20, dtype=np.float32) * 1e-3

    assert not slope_degrees(flat, grid).any()
    assert np.unique(slope_degrees(barely, grid)) == pytest.approx([0.02])


@pytest.mark.parametrize(("lon", "lat"), [(11 - 1 / 36, 0.5), (10.5, 1 / 36)], ids=["east edge", "south edge"])
def test_a_degree_line_without_a_neighbour_leaves_no_hole_and_no_cliff(lon, lat):
    dem = FakeDem(ramp_east(lon, lat), {GLO30: {(10, 0)}})

    data = load_dem(task_at(lon, lat), dem, dem)

    check(data)
    assert slope_of(data).max() < np.degrees(np.arctan(GRADE)) + 0.05, (
        "the nearest sample continues: no cliff to the sea"
    )
    assert np.abs(slope_of(data)[:-4, :-4] - np.degrees(np.arctan(GRADE))).max() < 0.05
    assert 0 < data.metrics["filled_seam_fraction"] < 0.01
    assert data.metrics["filled_ocean_fraction"] == 0
    assert dem.searched == [GLO30], "a seam alone needs no second collection"


def test_open_ocean_is_flat_and_flagged():
    dem = FakeDem(rough, {})

    data = load_dem(task_at(10.5, 0.5), dem, dem)

    check(data)
    assert data.flags == {"all_ocean"}
    assert not data.layer("dem").pixels.any()
    assert data.metrics["filled_ocean_fraction"] == 1
    assert dem.searched == [GLO30, GLO90]


def test_a_cell_that_only_glo90_has_is_taken_from_there():
    dem = FakeDem(ramp_east(10.5, 0.5), {GLO90: {(10, 0)}})

    data = load_dem(task_at(10.5, 0.5), dem, dem)

    assert data.flags == {"filled_glo90"}
    assert data.metrics["filled_glo90_fraction"] == 1
    assert np.abs(slope_of(data) - np.degrees(np.arctan(GRADE))).max() < 0.05
    assert [scene.collection for scene in data.sources] == [GLO90]


def test_a_tile_astride_land_and_sea_is_whole():
    dem = FakeDem(lambda lon, lat: 50 + 0 * lon * lat, {GLO30: {(10, 0)}})

    data = load_dem(task_at(11.0, 0.5), dem, dem)

    check(data)
    assert data.metrics["filled_ocean_fraction"] == pytest.approx(0.5, abs=0.02)
    assert data.layer("dem").pixels[0][:, 0] == pytest.approx(50)
    assert data.layer("dem").pixels[0][:, -1] == pytest.approx(0)


def test_the_last_tile_before_the_antimeridian_is_whole():
    dem = FakeDem(ramp_north(179.9722, 0.5), {GLO30: {(179, 0)}})

    data = load_dem(task_at(179.9722, 0.5), dem, dem)

    assert np.abs(slope_of(data) - np.degrees(np.arctan(GRADE))).max() < 0.05


def test_a_failed_search_is_never_an_ocean():
    dem = FakeDem(rough, {}, error=Unavailable("503"))

    with pytest.raises(Unavailable):
        load_dem(task_at(10.5, 0.5), dem, dem)


def test_compat_repeats_samples_and_takes_ten_metres_everywhere():
    lat = 45.5
    dem = FakeDem(ramp_north(10.5, lat), {GLO30: {(10, 45)}})

    data = load_dem(task_at(10.5, lat), dem, dem, compat="legacy")

    elevation = data.layer("dem").pixels[0]
    assert np.unique(elevation[:, 5]).size < elevation.shape[0] / 2.5
    assert data.parameters["upsampling"] == "nearest"
    one_step_in_twenty_metres = np.degrees(np.arctan(GRADE * WGS84.inv(10, lat, 10, lat + 1 / 3600)[2] / 20))
    assert slope_of(data).max() == pytest.approx(one_step_in_twenty_metres, abs=0.05)
    assert slope_of(data).min() == 0


def test_nodata_of_a_cell_is_a_hole_not_a_depth():
    pixels = np.full((4, 4), 7, dtype=np.float32)
    pixels[1, 2] = -32767
    raster = Raster(pixels=pixels, transform=Affine(0.1, 0, 9.95, 0, -0.1, 1.05), crs="EPSG:4326", nodata=-32767)

    (lattice,) = mosaic([raster], Bounds(10, 0.7, 10.3, 1))

    inside = lattice.values[1:5, 1:5]
    assert np.argwhere(np.isnan(inside)).tolist() == [[1, 2]]
    assert np.nanmin(inside) == 7


def test_a_cell_off_the_lattice_is_refused():
    raster = Raster(
        pixels=np.zeros((4, 4), np.float32), transform=Affine(0.1, 0, 10, 0, -0.1, 1), crs="EPSG:4326", nodata=None
    )

    with pytest.raises(AssetCorrupt, match="centred on multiples"):
        mosaic([raster], Bounds(10, 0.7, 10.3, 1))


def test_extension_reaches_as_far_as_asked_and_takes_the_nearest():
    line = np.array([[np.nan, np.nan, np.nan, 5, np.nan, 7, np.nan]], dtype=np.float32)

    assert extend(line, 2).tolist()[0][1:] == [5, 5, 5, 5, 7, 7]
    assert np.isnan(extend(line, 2)[0, 0])


def test_a_real_cell_gives_the_same_elevation_as_gdal(shared_data):
    path = shared_data / "dem_glo30" / "Copernicus_DSM_COG_10_N00_00_E006_00_DEM.tif"
    catalog = FakeDem(rough, {GLO30: {(6, 0)}}, href=str(path))
    task = task_at(6.6, 0.2)
    grid = task.tile.grid(10)
    oracle = np.empty(grid.shape, dtype=np.float32)

    data = load_dem(task, catalog, RasterioReader(read_options(AwsSettings())))

    with rasterio.open(path) as source:
        reproject(rasterio.band(source, 1), oracle, dst_transform=grid.transform, dst_crs="EPSG:4326",
                  resampling=Resampling.bilinear, tolerance=0)  # fmt: skip
    assert np.abs(data.layer("dem").pixels[0] - oracle).max() < 0.05
    assert 5 < data.metrics["slope_p50"] < 40
