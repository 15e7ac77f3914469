"""A scene that is listed before it is there, seen by the loader that meets it."""

import json
from pathlib import Path

import numpy as np
import pytest

from ard.adapters.catalog import StacCatalog
from ard.adapters.gdal import read_options
from ard.adapters.reader import RasterioReader
from ard.errors import AssetCorrupt, InvalidInput
from ard.product import TileData
from ard.settings import AwsSettings
from ard.tile import Tile
from loaders.dem import load_dem
from sandbox.catalogue import serve_catalogue
from sandbox.late_scene import announce_late_scene
from sandbox.scenes import write_dem_scenes
from sandbox.tiles import demo_tiles
from tests.factories import make_task

LATE, NEIGHBOUR = demo_tiles()[0], demo_tiles()[1]


@pytest.fixture(scope="module")
def items(tmp_path_factory) -> Path:
    return write_dem_scenes(tmp_path_factory.mktemp("scenes"), [LATE, NEIGHBOUR])


def load(tile: Tile, url: str) -> TileData:
    task = make_task(x_tile=tile.x, y_tile=tile.y, lon=tile.lon, lat=tile.lat)
    return load_dem(task, StacCatalog(url), RasterioReader(read_options(AwsSettings())))


def test_only_its_own_tile_needs_it_and_is_the_same_once_it_is_there(items, tmp_path):
    late = announce_late_scene(items, LATE, tmp_path)
    with serve_catalogue(items) as url:
        without = load(LATE, url)

    with serve_catalogue(items, late.items) as url:
        with pytest.raises(AssetCorrupt, match=r"update\.tif"):
            load(LATE, url)
        load(NEIGHBOUR, url)
        late.deliver()
        delivered = load(LATE, url)

    assert len(delivered.sources) == len(without.sources) + 1
    assert np.array_equal(delivered.layers[0].pixels, without.layers[0].pixels)


def test_announcing_it_again_takes_the_file_away(items, tmp_path):
    announce_late_scene(items, LATE, tmp_path).deliver()

    assert not announce_late_scene(items, LATE, tmp_path).asset.exists()


def test_tile_without_a_cell_has_no_late_scene(tmp_path):
    nothing = tmp_path / "items.json"
    nothing.write_text(json.dumps({"type": "FeatureCollection", "features": []}))

    with pytest.raises(InvalidInput, match="found none among 0"):
        announce_late_scene(nothing, LATE, tmp_path)
