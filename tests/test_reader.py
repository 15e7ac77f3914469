"""Pixels through rasterio, and GDAL's errors as ours."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.windows import Window

from ard.adapters.gdal import read_options
from ard.adapters.reader import RasterioReader
from ard.errors import AssetCorrupt, Auth, Unavailable
from ard.grid import Bounds
from ard.settings import AwsSettings
from tests.servers import Answer, file_answers, serving

OPTIONS = read_options(AwsSettings())
QUICK = OPTIONS | {"GDAL_HTTP_MAX_RETRY": "0", "GDAL_HTTP_TIMEOUT": "5"}


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """A UTM image in which every pixel is unique and none is its mirror image."""
    path = tmp_path_factory.mktemp("image") / "image.tif"
    pixels = (np.arange(200 * 300, dtype=np.uint32).reshape(200, 300) * 7 + 3).astype(np.uint32)
    with rasterio.open(
        path, "w", driver="GTiff", dtype="uint32", count=1, height=200, width=300, nodata=0, crs="EPSG:32722",
        transform=Affine(10, 0, 300_000, 0, -10, 9_400_000), tiled=True,
        blockxsize=64, blockysize=64, compress="deflate",
    ) as dataset:  # fmt: skip
        dataset.write(pixels, 1)
    return path


def degrees(path, window):
    with rasterio.open(path) as dataset:
        return Bounds(*rasterio.warp.transform_bounds("EPSG:32722", "EPSG:4326", *dataset.window_bounds(window)))


def test_a_window_equals_rasterios_own_and_knows_where_it_lies(image):
    box = degrees(image, Window(100, 50, 40, 30))

    raster = RasterioReader(OPTIONS).window(str(image), box)

    with rasterio.open(image) as dataset:
        column, row = (round(v) for v in ~dataset.transform * (raster.transform.c, raster.transform.f))
        height, width = raster.pixels.shape
        assert (dataset.read(1, window=Window(column, row, width, height)) == raster.pixels).all()
    assert column <= 100 and row <= 50 and column + width >= 140 and row + height >= 80
    assert height < 36 and width < 46
    assert (raster.crs, raster.nodata) == ("EPSG:32722", 0)


def test_a_margin_widens_the_window_on_every_side(image):
    reader, box = RasterioReader(OPTIONS), degrees(image, Window(100, 50, 40, 30))

    plain, wide = reader.window(str(image), box), reader.window(str(image), box, margin=3)

    assert np.array(wide.pixels.shape) - plain.pixels.shape == pytest.approx([6, 6])
    assert (wide.pixels[3:-3, 3:-3] == plain.pixels).all()


def test_a_window_at_the_image_edge_is_cut_and_one_beyond_is_empty(image):
    reader = RasterioReader(OPTIONS)
    corner = degrees(image, Window(290, 190, 50, 50))

    assert reader.window(str(image), corner).pixels[-1, -1] == (200 * 300 - 1) * 7 + 3
    assert reader.window(str(image), Bounds(10, 10, 10.1, 10.1)).pixels.size == 0


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    """A class image with overviews whose every pixel tells its row and column."""

    def make(resampling, tag):
        path = tmp_path_factory.mktemp("classes") / f"{resampling}.tif"
        pixels = (np.arange(256)[:, np.newaxis] * 300 + np.arange(256)).astype(np.uint32)
        transform = Affine(20, 0, 300_000, 0, -20, 9_400_000)
        profile = {"driver": "GTiff", "dtype": "uint32", "count": 1, "height": 256, "width": 256, "tiled": True}
        with rasterio.open(path, "w", **profile, crs="EPSG:32722", transform=transform) as dataset:
            dataset.write(pixels, 1)
            if tag:
                dataset.update_tags(OVR_RESAMPLING_ALG=tag)
            dataset.build_overviews([2, 4, 8], rasterio.enums.Resampling[resampling])
        return path

    return make


@pytest.mark.parametrize(
    ("resampling", "tag", "told"),
    [("nearest", "NEAREST", "NEAREST"), ("average", "AVERAGE", "AVERAGE"), ("nearest", None, "UNKNOWN")],
)
def test_coarser_pixels_come_from_an_overview_that_is_named(classes, resampling, tag, told):
    path = classes(resampling, tag)

    raster = RasterioReader(OPTIONS).window(str(path), degrees(path, Window(32, 64, 64, 64)), pixel_size=90)

    assert raster.overview == told
    assert raster.transform.a == 80
    assert 16 <= raster.pixels.shape[0] <= 20


def test_coarser_pixels_without_overviews_are_pixels_of_full_resolution(classes):
    path = classes("average", "AVERAGE")
    reader, box = RasterioReader(OPTIONS), degrees(path, Window(32, 64, 64, 64))

    raster = reader.window(str(path), box, pixel_size=90, overviews=False)

    assert raster.overview is None
    assert raster.transform.a == 80
    rows, columns = np.divmod(raster.pixels.astype(int), 300)
    x, _ = raster.transform * (np.arange(raster.pixels.shape[1]) + 0.5, np.zeros(raster.pixels.shape[1]))
    assert np.abs((x - 300_000) / 20 - (columns[0] + 0.5)).max() <= 0.5
    assert (np.diff(rows[:, 0]) == 4).all()


def test_pixels_come_over_http(image):
    box = degrees(image, Window(100, 50, 40, 30))
    with serving(file_answers(image.read_bytes())) as url:
        remote = RasterioReader(OPTIONS).window(f"{url}/image.tif", box)

    assert (remote.pixels == RasterioReader(OPTIONS).window(str(image), box).pixels).all()


@pytest.mark.parametrize(
    ("status", "error"),
    [(404, AssetCorrupt), (403, Auth), (401, Auth), (429, Unavailable), (500, Unavailable), (503, Unavailable)],
)
def test_an_http_status_decides_the_error(status, error):
    with serving(lambda *_: Answer(status)) as url, pytest.raises(error) as raised:
        RasterioReader(QUICK).window(f"{url}/tile-{status}.tif?sig=secret", Bounds(0, 0, 1, 1))

    assert type(raised.value) is error
    assert "secret" not in str(raised.value)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """An image whose blocks lie beyond the first bytes that are fetched with its header."""
    path = tmp_path_factory.mktemp("large") / "large.tif"
    pixels = np.random.default_rng(1).random((1, 1024, 1024), dtype=np.float32)
    profile = {"driver": "GTiff", "dtype": "float32", "count": 1, "height": 1024, "width": 1024, "tiled": True}
    profile |= {"blockxsize": 256, "blockysize": 256, "compress": "deflate", "crs": "EPSG:4326"}
    with rasterio.open(path, "w", **profile, transform=Affine(0.001, 0, 0, 0, -0.001, 1)) as dataset:
        dataset.write(pixels)
    return path


def answers_of(path, within):
    """A server of a file; ``within(answer)`` says what comes instead of its blocks."""
    whole = file_answers(path.read_bytes())

    def answer(method, url, headers):
        first = int(headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        found = whole(method, url, headers)
        return found if first < 100_000 else within(found)

    return answer


@pytest.mark.parametrize(
    ("status", "error"), [(404, AssetCorrupt), (403, Auth), (429, Unavailable), (500, Unavailable), (503, Unavailable)]
)
def test_a_status_in_the_middle_of_a_file_decides_the_error_as_at_its_beginning(large, status, error):
    answer = answers_of(large, lambda _: Answer(status))
    with serving(answer) as url, pytest.raises(error) as raised:
        RasterioReader(QUICK).window(f"{url}/within-{status}.tif?sig=secret", Bounds(0.3, 0.3, 0.7, 0.7))

    assert type(raised.value) is error
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("part", [0, 0.5])
def test_a_connection_that_breaks_in_the_middle_of_a_file_is_unavailable_and_not_a_corrupt_file(large, part):
    answer = answers_of(large, lambda whole: replace(whole, cut_at=int(len(whole.body) * part)))
    with serving(answer) as url, pytest.raises(Unavailable):
        RasterioReader(QUICK).window(f"{url}/broken-{part}.tif", Bounds(0.3, 0.3, 0.7, 0.7))


@pytest.mark.parametrize("reply", [Answer(503), Answer(429)])
def test_an_outage_that_begins_once_the_size_of_a_file_is_known_is_no_corrupt_file(large, reply):
    asked = []

    def answer(*request):
        asked.append(request)
        return file_answers(large.read_bytes())(*request) if len(asked) == 1 else reply

    with serving(answer) as url, pytest.raises(Unavailable):
        RasterioReader(QUICK | {"GDAL_HTTP_MAX_RETRY": "1"}).window(
            f"{url}/sized-{reply.status}.tif", Bounds(0.3, 0.3, 0.7, 0.7)
        )


def test_an_answer_that_breaks_off_once_is_read_again(large):
    broken = []

    def once(whole):
        if broken:
            return whole
        broken.append(whole)
        return replace(whole, cut_at=len(whole.body) // 2)

    box = Bounds(0.48, 0.48, 0.5, 0.5)
    with serving(answers_of(large, once)) as url:
        raster = RasterioReader(QUICK).window(f"{url}/once.tif", box)

    assert broken
    assert np.array_equal(raster.pixels, RasterioReader(OPTIONS).window(str(large), box).pixels)


def test_what_goes_wrong_in_another_thread_does_not_decide_here(large, tmp_path):
    damaged = tmp_path / "damaged.tif"
    damaged.write_bytes(large.read_bytes()[:100_000] + b"\xff" * 4_000_000)
    reading, done = threading.Event(), threading.Event()

    def refused(_):
        reading.set()
        done.wait(10)
        return Answer(500)

    with serving(answers_of(large, refused)) as url, ThreadPoolExecutor(1) as pool:
        elsewhere = pool.submit(RasterioReader(QUICK).window, f"{url}/other.tif", Bounds(0.3, 0.3, 0.7, 0.7))
        reading.wait(10)
        with pytest.raises(AssetCorrupt):
            RasterioReader(OPTIONS).window(str(damaged), Bounds(0.3, 0.3, 0.7, 0.7))
        done.set()

        with pytest.raises(Unavailable):
            elsewhere.result()


def test_nobody_listening_is_unavailable():
    with serving(lambda *_: Answer()) as url:
        pass

    with pytest.raises(Unavailable):
        RasterioReader(QUICK).window(f"{url}/500-403.tif", Bounds(0, 0, 1, 1))


def test_a_file_that_is_not_there_or_no_image_is_corrupt(tmp_path, image):
    damaged = tmp_path / "damaged.tif"
    damaged.write_bytes(image.read_bytes()[:3000] + b"\xff" * 5000)
    for name in (tmp_path / "absent.tif", damaged):
        with pytest.raises(AssetCorrupt):
            RasterioReader(OPTIONS).window(str(name), degrees(image, Window(100, 50, 40, 30)))


def test_a_local_aws_is_spelled_out_for_gdal():
    options = read_options(AwsSettings(endpoint_url="http://127.0.0.1:4566"))

    assert options["AWS_S3_ENDPOINT"] == "127.0.0.1:4566"
    assert (options["AWS_HTTPS"], options["AWS_VIRTUAL_HOSTING"]) == ("NO", "FALSE")
    assert "AWS_S3_ENDPOINT" not in read_options(AwsSettings(endpoint_url=None))
