"""Backscatter onto the 40 m grid, passes into quarters, quarters without holes."""

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.enums import Resampling
from rasterio.transform import Affine as RasterioAffine
from rasterio.warp import reproject

from ard.scene import Raster
from ard.tile import Tile
from loaders.s1_composite import SubPixels, averaged, composite, filled, first_valid, masked
from tests.factories import GOLDEN
from tests.fakes_s1 import ground

G40 = GOLDEN.grid(40)
NAN = np.nan


def raster(pixels, transform=None, crs="EPSG:4326", nodata=None):
    return Raster(pixels=np.asarray(pixels), transform=transform or Affine.identity(), crs=crs, nodata=nodata)


def warped(source):
    """The oracle: GDAL's area average onto the 40 m grid."""
    destination = np.full(G40.shape, NAN, dtype=np.float32)
    reproject(
        source.pixels,
        destination,
        src_transform=RasterioAffine(*source.transform[:6]),
        src_crs=source.crs,
        src_nodata=NAN,
        dst_transform=G40.transform,
        dst_crs="EPSG:4326",
        dst_nodata=NAN,
        resampling=Resampling.average,
    )
    return destination


@pytest.mark.parametrize("bad", [-32768, 0, -0.001, NAN, np.inf, -np.inf, 7.5])
def test_what_is_no_backscatter_is_masked(bad):
    found = masked(raster(np.array([[0.2, bad]], dtype=np.float32), nodata=7.5))

    assert found[0, 0] == np.float32(0.2) and np.isnan(found[0, 1])


def test_missing_is_masked_although_the_asset_declares_no_nodata():
    assert np.isnan(masked(raster(np.array([[-32768.0]], dtype=np.float32)))).all()


def test_on_aligned_pixels_the_average_is_gdals():
    sub = SubPixels(G40).grid
    pixels = np.random.default_rng(1).gamma(4, 0.05, sub.shape).astype(np.float32)
    source = raster(pixels, sub.transform)

    found = averaged(SubPixels(G40).gather(source))

    assert np.allclose(found, warped(source), rtol=1e-5)


def test_on_utm_pixels_the_average_is_gdals_to_within_the_samples_that_differ():
    x = 775_000 + (np.arange(1100) + 0.5) * 10
    y = 9_437_000 - (np.arange(1100) + 0.5) * 10
    smooth = ground("vv", x[np.newaxis, :], y[:, np.newaxis])
    speckle = np.random.default_rng(2).gamma(4, 1 / 4, smooth.shape)
    source = raster((smooth * speckle).astype(np.float32), Affine(10, 0, 775_000, 0, -10, 9_437_000), "EPSG:32721")

    found, oracle = averaged(SubPixels(G40).gather(source)), warped(source)

    error = found / oracle - 1
    assert not np.isnan(found).any()
    assert abs(error.mean()) < 0.002
    assert error.std() < 0.06  # of one look's 0.5 that speckle has here


@pytest.mark.parametrize(("holes", "holds"), [(8, True), (9, False)])
def test_a_pixel_needs_half_of_its_sub_pixels(holes, holds):
    block = np.arange(1, 17, dtype=np.float64)
    block[:holes] = NAN

    (value,) = averaged(block.reshape(4, 4)).ravel()

    assert value == block[holes:].mean() if holds else np.isnan(value)


@pytest.mark.parametrize(
    "tile",
    [GOLDEN, Tile(5, 5, 100.03, -8.3), Tile(9, 9, -84.03, 49.97), Tile(8, 8, 20.0, 69.9)],
    ids=["west", "east", "north", "far north"],
)
def test_four_by_four_sub_pixels_cut_to_the_ten_metre_grid_are_that_grid(tile):
    sub, ten = SubPixels(tile.grid(40)).grid, tile.grid(10)

    assert np.allclose(sub.lon()[: ten.width], ten.lon(), rtol=0, atol=1e-12)
    assert np.allclose(sub.lat()[: ten.height], ten.lat(), rtol=0, atol=1e-12)
    assert 0 <= sub.width - ten.width < 4 and 0 <= sub.height - ten.height < 4


def test_the_first_that_holds_data_lies_on_top():
    assert first_valid([np.array([1.0, NAN, NAN]), np.array([2.0, 2.0, NAN])]).tolist()[:2] == [1, 2]


def test_passes_are_averaged_in_linear_power_over_those_that_saw_the_pixel():
    layers = [np.array([[[0.1, NAN]], [[0.5, NAN]]]), np.array([[[0.4, NAN]], [[NAN, 0.2]]])]

    found = composite(layers, (1, 2), "mean")

    assert found.power[0, 0, 0] == pytest.approx(0.25) and np.isnan(found.power[0, 0, 1])
    assert found.power[1, 0].tolist() == [0.5, 0.2]
    assert found.count.tolist() == [[[2, 0]], [[1, 1]]]
    assert found.valid_fraction == 1.0  # the second pixel was seen in VH


@given(arrays(np.float64, (5, 2, 3, 2), elements=st.one_of(st.floats(0.001, 2), st.just(NAN))))
def test_the_median_is_numpys(layers):
    found = composite(list(layers), (3, 2), "median")

    held = ~np.isnan(layers).all(axis=0)
    assert (np.isnan(found.power) == ~held).all()
    assert np.allclose(found.power[held], np.nanmedian(layers[:, held], axis=0))


def test_a_quarter_without_passes_is_empty():
    found = composite([], (2, 3), "mean")

    assert found.power.shape == (2, 2, 3) and np.isnan(found.power).all()
    assert found.valid_fraction == 0


@pytest.mark.parametrize(
    ("year", "expected"),
    [
        ([1, NAN, 3, 8], [1, 2, 3, 8]),
        ([NAN, 2, 3, 8], [2, 2, 3, 8]),  # the first quarter has one neighbour, not the last of the year
        ([1, NAN, NAN, 8], [1, 1, 8, 8]),  # what was filled fills nothing
        ([NAN, NAN, NAN, 8], [8, 8, 8, 8]),
        ([NAN, NAN, 3, 8], [5.5, 3, 3, 8]),  # no neighbour was seen: the whole year's mean
    ],
)
def test_holes_take_the_adjacent_quarters_and_then_the_years_mean(year, expected):
    power = np.array(year, dtype=np.float64).reshape(4, 1, 1, 1).repeat(2, axis=1)

    assert filled(power)[:, 0, 0, 0].tolist() == expected


def test_what_no_quarter_saw_stays_missing():
    assert np.isnan(filled(np.full((4, 2, 1, 1), NAN))).all()
