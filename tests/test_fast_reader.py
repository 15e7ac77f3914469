"""Pixels through ranges of bytes: the same as through rasterio, or rasterio's own."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.windows import Window

from ard.adapters import fast_reader
from ard.adapters.byte_ranges import ByteRanges, Patience
from ard.adapters.fast_reader import LAYOUT_SECONDS, FastReader
from ard.adapters.gdal import read_options
from ard.adapters.reader import RasterioReader
from ard.errors import AssetCorrupt, Auth, Transient, Unavailable
from ard.grid import Bounds
from ard.settings import AwsSettings
from tests.servers import Answer, file_answers, serving

NOWHERE = AwsSettings(endpoint_url=None)
ORACLE = RasterioReader(read_options(NOWHERE))
IMPATIENT = Patience(connect_seconds=2, request_seconds=5, retries=2)
UTM, DEGREES = "EPSG:32722", "EPSG:4326"
TRANSFORMS = {UTM: Affine(10, 0, 300_000, 0, -10, 9_400_000), DEGREES: Affine(0.0003, 0, 6.1, 0, -0.0002, 1.3)}


class NoOther:
    """Stands for rasterio where it must not be needed."""

    def window(self, href, *args, **options):
        raise AssertionError(f"another reader was asked for {href}")


class Counting:
    """Stands for rasterio where it must be needed."""

    def __init__(self):
        self.asked = []

    def window(self, href, bounds, **options):
        self.asked.append(href)
        return ORACLE.window(href, bounds, **options)


def fast(*, otherwise=None, aws=NOWHERE, patience=IMPATIENT, sleep=lambda _: None, clock=lambda: 0.0):
    return FastReader(ByteRanges(aws, sleep=sleep, patience=patience), otherwise=otherwise or NoOther(), clock=clock)


def pixels_of(dtype, shape, *, seed=1):
    """A surface that compresses as the ground does, every row and column of it different, with a hole of zeros."""
    rows, columns = np.indices(shape)
    noise = np.random.default_rng(seed).integers(0, 40, shape)
    surface = 300 + rows * 3.7 + columns * 1.3 + noise
    surface[shape[0] // 3 : shape[0] // 2, shape[1] // 4 : shape[1] // 2] = 0
    return surface.astype(dtype)


def write(path, pixels, *, crs=UTM, overviews=(), resampling="average", **profile):
    height, width = pixels.shape
    options = {"driver": "GTiff", "count": 1, "dtype": pixels.dtype, "height": height, "width": width, "nodata": 0}
    options |= {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate", "crs": crs}
    with rasterio.open(path, "w", **(options | {"transform": TRANSFORMS[crs]} | profile)) as dataset:
        dataset.write(pixels, 1)
        if overviews:
            dataset.build_overviews(list(overviews), rasterio.enums.Resampling[resampling])
            dataset.update_tags(OVR_RESAMPLING_ALG=resampling.upper())
    return path


def box_of(path, window=None):
    with rasterio.open(path) as dataset:
        bounds = dataset.bounds if window is None else dataset.window_bounds(window)
        return Bounds(*rasterio.warp.transform_bounds(dataset.crs, DEGREES, *bounds))


def assert_same(found, wanted):
    assert found.pixels.dtype == wanted.pixels.dtype
    assert np.array_equal(found.pixels, wanted.pixels, equal_nan=found.pixels.dtype.kind == "f")
    assert tuple(found.transform) == tuple(wanted.transform)
    assert (found.crs, found.overview) == (wanted.crs, wanted.overview)
    assert found.nodata == wanted.nodata or (np.isnan(found.nodata) and np.isnan(wanted.nodata))


def assert_as_rasterio(path, window=None, **options):
    box = box_of(path, window)
    assert_same(fast().window(str(path), box, **options), ORACLE.window(str(path), box, **options))


LAYOUTS = {
    "uint8": ("uint8", {}),
    "uint8 with differences": ("uint8", {"predictor": 2}),
    "uint16 with differences": ("uint16", {"predictor": 2}),
    "uint16 plain": ("uint16", {"compress": "none"}),
    "uint16 of the other byte order": ("uint16", {"predictor": 2, "ENDIANNESS": "BIG"}),
    "int16": ("int16", {"predictor": 2, "nodata": -7}),
    "uint32": ("uint32", {"predictor": 2}),
    "float32": ("float32", {}),
    "float32 of the other byte order": ("float32", {"predictor": 3, "ENDIANNESS": "BIG"}),
    "float32 with differences": ("float32", {"predictor": 2}),
    "float32 with floating point differences": ("float32", {"predictor": 3, "nodata": -32768}),
    "float64 with floating point differences": ("float64", {"predictor": 3, "nodata": float("nan")}),
    "no nodata": ("uint16", {"nodata": None}),
    "wide blocks": ("uint16", {"blockxsize": 256, "blockysize": 16, "predictor": 2}),
    "one block": ("uint16", {"blockxsize": 512, "blockysize": 512}),
    "strips": ("uint16", {"tiled": False, "blockysize": 7, "blockxsize": None, "predictor": 2}),
    "float strips": ("float32", {"tiled": False, "blockysize": 50, "blockxsize": None, "predictor": 3}),
    "one strip": ("uint8", {"tiled": False, "blockysize": 200, "blockxsize": None}),
    "BigTIFF": ("uint16", {"BIGTIFF": "YES", "predictor": 2}),
    "BigTIFF strips": ("float32", {"BIGTIFF": "YES", "tiled": False, "blockysize": 9, "blockxsize": None}),
    "degrees": ("float32", {"crs": DEGREES, "predictor": 3}),
    "points": ("float32", {"crs": DEGREES, "AREA_OR_POINT": "Point"}),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Makes the file of a layout, once."""
    folder, made = tmp_path_factory.mktemp("layouts"), {}

    def make(name):
        if name not in made:
            dtype, profile = LAYOUTS[name]
            kept = {key: value for key, value in profile.items() if key != "AREA_OR_POINT"}
            path = write(folder / f"{len(made)}.tif", pixels_of(dtype, (200, 300)), overviews=(2, 4, 8), **kept)
            if "AREA_OR_POINT" in profile:
                with rasterio.open(path, "r+") as dataset:
                    dataset.update_tags(AREA_OR_POINT=profile["AREA_OR_POINT"])
            made[name] = path
        return made[name]

    return make


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_layout_gives_rasterios_pixels(files, name):
    path = files(name)

    assert_as_rasterio(path)
    assert_as_rasterio(path, Window(100, 50, 70, 30))
    assert_as_rasterio(path, Window(290, 190, 50, 50), margin=3)


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("factor", [2.5, 4, 7.9, 8, 100])
def test_every_overview_gives_rasterios_pixels(files, name, factor):
    path = files(name)
    with rasterio.open(path) as dataset:
        size = dataset.transform.a * factor

    assert_as_rasterio(path, Window(30, 20, 190, 150), pixel_size=size)
    assert_as_rasterio(path, Window(30, 20, 190, 150), pixel_size=size, overviews=False, margin=1)


@settings(max_examples=60, deadline=None)
@given(
    name=st.sampled_from(["uint16 with differences", "float32 with floating point differences", "strips", "degrees"]),
    place=st.tuples(st.floats(-20, 310), st.floats(-20, 210), st.floats(0.1, 200), st.floats(0.1, 200)),
    margin=st.integers(0, 5),
    coarser=st.tuples(st.none() | st.floats(1, 20), st.booleans()),
)
def test_any_window_gives_rasterios_pixels(files, name, place, margin, coarser):
    factor, overviews = coarser
    path = files(name)
    with rasterio.open(path) as dataset:
        size = None if factor is None else dataset.transform.a * factor

    assert_as_rasterio(path, Window(*place), margin=margin, pixel_size=size, overviews=overviews)


def test_a_window_beyond_the_image_is_empty(files):
    raster = fast().window(str(files("uint16 plain")), Bounds(10, 10, 10.1, 10.1))

    assert raster.pixels.size == 0 and raster.pixels.dtype == np.uint16


@pytest.mark.parametrize("nodata", [0, 65535, None])
def test_blocks_that_are_not_in_the_file_are_nodata(tmp_path, nodata):
    path, pixels = tmp_path / "sparse.tif", pixels_of("uint16", (256, 256))
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint16", "height": 256, "width": 256, "tiled": True}
    profile |= {"blockxsize": 64, "blockysize": 64, "crs": UTM, "compress": "deflate", "SPARSE_OK": True}
    with rasterio.open(path, "w", **profile, transform=TRANSFORMS[UTM], nodata=nodata) as dataset:
        dataset.write(pixels[64:128, 64:192], 1, window=Window(64, 64, 128, 64))

    assert_as_rasterio(path)
    assert_as_rasterio(path, Window(10, 10, 20, 20))


@pytest.mark.parametrize("resampling", ["nearest", "average"])
def test_a_cloud_optimised_file_tells_how_its_overviews_were_made(tmp_path, files, resampling):
    path = tmp_path / "cog.tif"
    rasterio.shutil.copy(
        files("uint8"),
        path,
        driver="COG",
        COMPRESS="DEFLATE",
        BLOCKSIZE=128,
        OVERVIEW_RESAMPLING=resampling,
        OVERVIEWS="IGNORE_EXISTING",
        OVERVIEW_COUNT=2,
    )

    assert_as_rasterio(path, Window(30, 20, 100, 100), pixel_size=25)


@pytest.mark.parametrize("seed", range(3))
def test_rows_that_compress_worse_than_those_below_are_fetched_whole(tmp_path, seed):
    pixels = np.zeros((512, 512), np.uint16)
    pixels[:200] = np.random.default_rng(seed).integers(1, 60_000, (200, 512))
    path = write(tmp_path / "uneven.tif", pixels, blockxsize=512, blockysize=512, crs=DEGREES)
    box, logged = box_of(path, Window(0, 0, 400, 190)), Logged(path)
    with serving(logged) as url:
        found = fast().window(f"{url}/uneven.tif", box)

    (_, header), first, rest = logged.ranges
    assert header <= first[1] == rest[0]
    assert rest[1] == path.stat().st_size
    assert_same(found, ORACLE.window(str(path), box))


OTHERS = {
    "another codec": {"compress": "lzw"},
    "two bands": {"count": 2},
    "another projection": {"crs": "EPSG:3857"},
    "64-bit numbers": {"dtype": "int64"},
}


@pytest.mark.parametrize("name", OTHERS)
def test_files_of_other_kinds_are_rasterios(tmp_path, name):
    path = tmp_path / "other.tif"
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint16", "height": 90, "width": 80, "crs": UTM, "nodata": 0}
    with rasterio.open(
        path, "w", **({**profile, "transform": TRANSFORMS[UTM], "compress": "deflate"} | OTHERS[name])
    ) as d:
        for band in d.indexes:
            d.write(pixels_of(d.dtypes[0], (90, 80)), band)
    other, box = Counting(), box_of(path)
    reader = fast(otherwise=other)

    for _ in range(2):
        assert_same(reader.window(str(path), box, margin=1), ORACLE.window(str(path), box, margin=1))
    assert other.asked == [str(path)] * 2


@pytest.mark.parametrize("name", ["a b.tif", "é.tif", "100%.tif"])
def test_addresses_with_unusual_characters_are_rasterios(tmp_path, files, name):
    path = tmp_path / name
    path.write_bytes(files("uint8").read_bytes())
    other = Counting()

    fast(otherwise=other).window(str(path), box_of(path))

    assert other.asked == [str(path)]


def test_a_server_without_ranges_is_rasterios(files):
    path = files("uint8")
    other = Counting()
    with serving(lambda *_: Answer(body=path.read_bytes())) as url:
        found = fast(otherwise=other).window(f"{url}/whole.tif", box_of(path))

    assert len(other.asked) == 1
    assert_same(found, ORACLE.window(str(path), box_of(path)))


def test_real_files_give_rasterios_pixels(shared_data):
    paths = sorted(
        path for folder in ("s2_cog_29RKH", "mini", "dem_glo30") for path in (shared_data / folder).rglob("*.tif")
    )
    for path in paths:
        with rasterio.open(path) as dataset:
            height, width = dataset.shape
            size = dataset.transform.a * 4.2
        middle = Window(width * 0.3, height * 0.4, width * 0.3, height * 0.25)

        assert_as_rasterio(path, middle, margin=1)
        assert_as_rasterio(path, middle, pixel_size=size)
        assert_as_rasterio(path, middle, pixel_size=size, overviews=False)
    assert len(paths) > 10


class Logged:
    """A server of one file that notes what it is asked; ``change`` alters its answers."""

    def __init__(self, path, change=None):
        self.ranges, self.paths, self._lock = [], [], threading.Lock()
        self._answer, self._change = file_answers(path.read_bytes()), change

    def __call__(self, method, path, headers):
        first, last = headers["Range"].removeprefix("bytes=").split("-")
        with self._lock:
            self.ranges.append((int(first), int(last) + 1))
            self.paths.append(path)
        found = self._answer(method, path, headers)
        return self._change(int(first), found) if self._change else found


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """An image whose blocks lie far beyond the first bytes that are fetched."""
    pixels = np.random.default_rng(1).random((1024, 1024), dtype=np.float32)
    return write(tmp_path_factory.mktemp("large") / "large.tif", pixels, crs=DEGREES, blockxsize=256, blockysize=256)


MIDDLE = Window(300, 300, 400, 400)


def test_a_header_is_fetched_once_and_no_byte_twice(large):
    box, logged = box_of(large, MIDDLE), Logged(large)
    with serving(logged) as url:
        reader = fast()
        reader.window(f"{url}/a.tif", box)
        first = sorted(logged.ranges)
        reader.window(f"{url}/a.tif", box)

    assert first[0] == (0, fast_reader.HEADER_BYTES)
    assert len(first) == 3, "the header and a run of blocks for each of two rows of blocks"
    assert all(end <= start for (_, end), (start, _) in pairwise(first))
    assert sorted(logged.ranges[3:]) == first[1:]


def test_many_threads_share_one_header_request(large):
    box, logged = box_of(large, MIDDLE), Logged(large)
    with serving(logged) as url, ThreadPoolExecutor(8) as pool:
        reader = fast()
        found = list(pool.map(lambda _: reader.window(f"{url}/a.tif", box), range(16)))

    assert sum(start == 0 for start, _ in logged.ranges) == 1
    wanted = ORACLE.window(str(large), box)
    for raster in found:
        assert_same(raster, wanted)


def test_rows_below_the_window_are_not_fetched(large):
    box, logged = box_of(large, Window(10, 10, 100, 20)), Logged(large)
    with serving(logged) as url:
        fast().window(f"{url}/a.tif", box)

    assert sum(end - start for start, end in logged.ranges[1:]) < 256 * 256 * 4 / 4


def test_a_small_overview_comes_with_the_header(tmp_path, files):
    path = tmp_path / "cog.tif"
    rasterio.shutil.copy(
        files("uint8"),
        path,
        driver="COG",
        COMPRESS="DEFLATE",
        BLOCKSIZE=128,
        OVERVIEW_RESAMPLING="nearest",
        OVERVIEW_COUNT=2,
    )
    logged = Logged(path)
    with serving(logged) as url:
        raster = fast().window(f"{url}/a.tif", box_of(path), pixel_size=25)

    assert raster.transform.a == pytest.approx(20)
    assert len(logged.ranges) == 1


def test_another_signature_reads_with_the_header_that_is_known_until_it_is_old(large):
    box, logged, now = box_of(large, MIDDLE), Logged(large), [0.0]
    with serving(logged) as url:
        reader = fast(clock=lambda: now[0])
        for signature in ("one", "t%2Fwo%3D"):
            reader.window(f"{url}/a.tif?sig={signature}", box)
        now[0] = LAYOUT_SECONDS + 1
        reader.window(f"{url}/a.tif?sig=three", box)

    assert [path for path, (start, _) in zip(logged.paths, logged.ranges, strict=True) if start == 0] == [
        "/a.tif?sig=one",
        "/a.tif?sig=three",
    ]
    assert logged.paths.count("/a.tif?sig=t%2Fwo%3D") == 2


def test_objects_of_a_local_aws_are_read_without_a_signature(large):
    box, seen = box_of(large, MIDDLE), []

    def answer(method, path, headers):
        seen.append((path, headers.get("Authorization")))
        return file_answers(large.read_bytes())(method, path, headers)

    with serving(answer) as url:
        found = fast(aws=AwsSettings(endpoint_url=url)).window("s3://scenes/dir/a.tif", box)

    assert set(seen) == {("/scenes/dir/a.tif", None)}
    assert_same(found, ORACLE.window(str(large), box))


STATUSES = [
    (400, Transient),
    (401, Auth),
    (403, Auth),
    (404, AssetCorrupt),
    (408, Unavailable),
    (410, AssetCorrupt),
    (416, AssetCorrupt),
    (429, Unavailable),
    (500, Unavailable),
    (503, Unavailable),
]


@pytest.mark.parametrize(("status", "error"), STATUSES)
@pytest.mark.parametrize("within", [False, True], ids=["at the beginning", "in the middle"])
def test_an_http_status_decides_the_error(large, caplog, status, error, within):
    caplog.set_level(logging.DEBUG)
    logged = Logged(large, lambda first, whole: Answer(status) if first > 0 or not within else whole)
    with serving(logged) as url, pytest.raises(Transient if error is not AssetCorrupt else AssetCorrupt) as raised:
        fast().window(f"{url}/a.tif?sig=secret&se=1", box_of(large, MIDDLE))

    assert type(raised.value) is error
    assert f"{url}/a.tif: " in str(raised.value)
    assert "secret" not in str(raised.value) + caplog.text
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


@pytest.mark.parametrize("part", [0, 0.5])
@pytest.mark.parametrize("within", [False, True], ids=["at the beginning", "in the middle"])
def test_a_connection_that_breaks_is_unavailable(large, part, within):
    logged = Logged(
        large,
        lambda first, whole: whole if within and first == 0 else replace(whole, cut_at=int(len(whole.body) * part)),
    )
    with serving(logged) as url, pytest.raises(Unavailable):
        fast().window(f"{url}/a.tif", box_of(large, MIDDLE))


def test_nobody_listening_is_unavailable(large):
    with serving(lambda *_: Answer()) as url:
        pass

    with pytest.raises(Unavailable):
        fast().window(f"{url}/500-403.tif", Bounds(0, 0, 1, 1))


def test_a_provider_that_recovers_is_asked_again_after_growing_waits(large):
    answers, waits = iter([Answer(503), Answer(429)]), []
    logged = Logged(large, lambda _, whole: next(answers, whole))
    with serving(logged) as url:
        found = fast(sleep=waits.append).window(f"{url}/a.tif", box_of(large, MIDDLE))

    assert waits == [1, 2]
    assert_same(found, ORACLE.window(str(large), box_of(large, MIDDLE)))


def test_a_provider_that_does_not_recover_is_left_in_peace(large):
    waits, logged = [], Logged(large, lambda *_: Answer(503))
    with serving(logged) as url, pytest.raises(Unavailable):
        fast(sleep=waits.append, patience=Patience()).window(f"{url}/a.tif", box_of(large, MIDDLE))

    assert waits == [1, 2, 4, 8]
    assert len(logged.ranges) == 5


def test_a_refusal_is_not_repeated(large):
    logged = Logged(large, lambda *_: Answer(403))
    with serving(logged) as url, pytest.raises(Auth):
        fast().window(f"{url}/a.tif", box_of(large, MIDDLE))

    assert len(logged.ranges) == 1


def test_a_file_that_could_not_be_opened_is_opened_by_who_asks_next(large):
    answers = iter([Answer(403)])
    logged = Logged(large, lambda _, whole: next(answers, whole))
    with serving(logged) as url:
        reader = fast()
        with pytest.raises(Auth):
            reader.window(f"{url}/a.tif?sig=old", box_of(large, MIDDLE))

        assert reader.window(f"{url}/a.tif?sig=new", box_of(large, MIDDLE)).pixels.size


@pytest.mark.parametrize("bytes_", [b"\xff" * 4_000_000, b"", b"\0" * 4_000_000])
def test_damaged_blocks_are_corrupt(tmp_path, large, bytes_):
    damaged = tmp_path / "damaged.tif"
    damaged.write_bytes(large.read_bytes()[:100_000] + bytes_)

    with pytest.raises(AssetCorrupt, match=r"damaged\.tif"):
        fast().window(str(damaged), box_of(large, MIDDLE))


class Refusing:
    """Stands for rasterio where a file is nothing for this reader."""

    def window(self, href, *args, **options):
        raise AssetCorrupt(href)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("damaged")


@settings(max_examples=300, deadline=None)
@given(
    name=st.sampled_from(["uint16 with differences", "strips", "degrees", "BigTIFF"]),
    changes=st.lists(st.tuples(st.integers(0, 1200), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.none() | st.integers(0, 3000),
)
def test_no_damage_breaks_the_reader(files, folder, name, changes, cut):
    content = bytearray(files(name).read_bytes())
    for place, value in changes:
        content[place] = value
    path = folder / "damaged.tif"
    path.write_bytes(content[:cut])

    with suppress(AssetCorrupt):
        raster = fast(otherwise=Refusing()).window(str(path), box_of(files(name)), pixel_size=30)
        assert raster.pixels.ndim == 2


def test_a_file_that_is_not_there_or_no_image_is_corrupt(tmp_path, large):
    nothing = tmp_path / "nothing.tif"
    nothing.write_bytes(b"\xff" * 5000)
    for path in (tmp_path / "absent.tif", nothing, tmp_path):
        with pytest.raises(AssetCorrupt):
            fast(otherwise=ORACLE).window(str(path), box_of(large, MIDDLE))


def test_a_file_that_was_replaced_since_is_read_as_it_is_now(tmp_path, large):
    path, reader = tmp_path / "a.tif", fast()
    path.write_bytes(large.read_bytes())
    reader.window(str(path), box_of(path, MIDDLE))
    write(path, np.arange(1024 * 1024, dtype=np.uint32).reshape(1024, 1024), crs=DEGREES, predictor=2)

    assert_same(reader.window(str(path), box_of(path, MIDDLE)), ORACLE.window(str(path), box_of(path, MIDDLE)))
