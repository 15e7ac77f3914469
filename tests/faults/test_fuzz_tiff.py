"""Whatever bytes a scene's file has, a window of it is pixels or one of our errors, in bounded memory and time."""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import assume, given
from hypothesis import strategies as st
from rasterio.errors import RasterioError
from rasterio.io import MemoryFile

from ard.adapters.fast_reader import FastReader
from ard.adapters.gdal import read_options
from ard.adapters.reader import RasterioReader
from ard.errors import ArdError
from ard.grid import Bounds
from ard.settings import AwsSettings
from tests.faults.fuzzing import examples, run_limited

OPTIONS = read_options(AwsSettings())
SIDE = 128
TILE_OFFSETS = struct.pack("<H", 324)
BOX = Bounds(-54.0, -5.06, -53.95, -5.0)  # 50 by 60 of its pixels


def cog(**changed):
    """A small tiled image with overviews, in degrees."""
    profile = {
        "driver": "GTiff", "dtype": "uint16", "count": 1, "height": SIDE, "width": SIDE, "nodata": 0,
        "crs": "EPSG:4326", "transform": Affine(0.001, 0, -54.0, 0, -0.001, -5.0), "tiled": True,
        "blockxsize": 32, "blockysize": 32, "compress": "deflate", "predictor": 2,
    }  # fmt: skip
    pixels = np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE)
    with MemoryFile() as memory:
        with memory.open(**profile | changed) as dataset:
            dataset.write(pixels, 1)
            dataset.build_overviews([2, 4], rasterio.enums.Resampling.nearest)
        return bytes(memory.read())


class FileRanges:
    """Bytes of local files, as a server gives them."""

    def fetch(self, href, ranges):
        content = Path(href).read_bytes()
        return [memoryview(content[start:end]) for start, end in ranges]


def make_reader(name):
    plain = RasterioReader(OPTIONS)
    return plain if name == "rasterio" else FastReader(FileRanges(), otherwise=plain, clock=lambda: 0.0)


WHOLE = cog()
EXTREMES = [0, 1, 2, 7, 255, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1]


def entries(content: bytes) -> Iterator[int]:
    """Where the entries of the first directory begin, and last where the next directory is named."""
    (first,) = struct.unpack_from("<I", content, 4)
    (count,) = struct.unpack_from("<H", content, first)
    yield from range(first + 2, first + 2 + 12 * count + 1, 12)


@st.composite
def damaged_files(draw):
    """Tags, offsets, lengths and single bytes replaced; the end cut off."""
    content = bytearray(WHOLE)
    places = list(entries(WHOLE))[:-1]
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.sampled_from(places))
        field = draw(st.sampled_from(["value", "count", "type", "tag"]))
        value = draw(st.sampled_from([*EXTREMES, *places, places[0] - 2]))
        if field in {"value", "count"}:
            struct.pack_into("<I", content, at + (8 if field == "value" else 4), value)
        else:
            struct.pack_into("<H", content, at + (2 if field == "type" else 0), value % 2**16)
    for _ in range(draw(st.integers(0, 3))):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    if draw(st.integers(0, 4)) == 0:
        del content[draw(st.integers(0, len(content))) :]
    return bytes(content)


def has_crs(path) -> bool:
    try:
        with rasterio.open(path) as dataset:
            return dataset.crs is not None
    except RasterioError:
        return True


@pytest.mark.filterwarnings("ignore")  # GDAL and rasterio warn of much that is odd
@examples(300)
@given(content=damaged_files(), pixel_size=st.sampled_from([None, 0.0021, 0.005]))
def test_a_damaged_file_is_pixels_or_an_error_of_ours(tmp_path_factory, content, pixel_size):
    path = tmp_path_factory.getbasetemp() / "damaged.tif"
    path.write_bytes(content)
    assume(has_crs(path))  # for those without one there is a test below

    try:
        raster = make_reader("rasterio").window(str(path), BOX, margin=2, pixel_size=pixel_size)
    except ArdError:
        return

    assert raster.pixels.ndim == 2 and raster.pixels.nbytes < 2**20


@pytest.mark.parametrize("name", ["rasterio", "fast"])
@pytest.mark.parametrize(
    "odd",
    [
        {"crs": None},
        {"transform": Affine(0.001, 0.0005, -54, 0, -0.001, -5)},
        {"transform": Affine(1e-320, 0, -54, 0, -1e-320, -5)},
    ],
)
def test_a_file_on_no_grid_is_an_error_of_ours(tmp_path, name, odd):
    (tmp_path / "odd.tif").write_bytes(cog(**odd))

    with pytest.raises(ArdError):
        make_reader(name).window(str(tmp_path / "odd.tif"), BOX)


BOMB = """
import sys
import numpy as np
from ard.errors import AssetCorrupt
from ard.grid import Bounds
from tests.faults.test_fuzz_tiff import BOX, make_reader

def main():
    name, path = sys.argv[1].split("|")
    try:
        raster = make_reader(name).window(path, BOX)
    except AssetCorrupt as error:
        return str(error)[:300]
    return list(raster.pixels.shape)
"""


def bomb(path, *, side, block, pixel, filled=False):
    """An image of so many pixels whose file is small: no block is there, or one that is all zeros."""
    profile = {
        "driver": "GTiff", "dtype": "uint8", "count": 1, "height": side, "width": side, "crs": "EPSG:4326",
        "transform": Affine(pixel, 0, -54.0, 0, -pixel, -5.0), "tiled": True, "blockxsize": block, "blockysize": block,
        "compress": "deflate", "BIGTIFF": "YES", "SPARSE_OK": "TRUE",
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as dataset:
        if filled:
            dataset.write(np.ones((1, block, block), np.uint8), window=((0, block), (0, block)))
    return path


@pytest.mark.parametrize("name", ["rasterio", "fast"])
@pytest.mark.parametrize("pixel", [pytest.param(0.001, id="a small window"), pytest.param(1e-7, id="most of it")])
def test_a_million_by_a_million_pixels_stay_small(tmp_path, name, pixel):
    path = bomb(tmp_path / "bomb.tif", side=1_000_000, block=2_048, pixel=pixel)

    run = run_limited(BOMB, megabytes=3_000, argument=f"{name}|{path}")

    assert run.told and run.megabytes < 250 and run.seconds < 5


@pytest.mark.parametrize("name", ["rasterio", "fast"])
@pytest.mark.parametrize("filled", [False, True])
def test_a_block_that_inflates_to_hundreds_of_megabytes_stays_small(tmp_path, name, filled):
    path = bomb(tmp_path / "bomb.tif", side=16_384, block=16_384, pixel=0.001, filled=filled)

    run = run_limited(BOMB, megabytes=3_000, argument=f"{name}|{path}")

    assert run.told and run.megabytes < 150


@pytest.mark.parametrize("name", ["rasterio", "fast"])
def test_a_tag_of_four_billion_values_is_an_error_of_ours(tmp_path, name):
    content = bytearray(WHOLE)
    struct.pack_into(
        "<I", content, next(at for at in entries(WHOLE) if content[at : at + 2] == TILE_OFFSETS) + 4, 2**32 - 1
    )
    (tmp_path / "tag.tif").write_bytes(content)

    run = run_limited(BOMB, megabytes=1_500, seconds=4, argument=f"{name}|{tmp_path / 'tag.tif'}")

    assert run.told and run.megabytes < 250


@pytest.mark.parametrize("name", ["rasterio", "fast"])
def test_a_directory_that_names_itself_as_the_next_ends(tmp_path, name):
    *_, last = entries(WHOLE)
    content = bytearray(WHOLE)
    content[last : last + 4] = content[4:8]
    (tmp_path / "loop.tif").write_bytes(content)

    run = run_limited(BOMB, megabytes=1_500, seconds=4, argument=f"{name}|{tmp_path / 'loop.tif'}")

    assert run.told and run.megabytes < 250
