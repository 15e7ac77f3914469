"""What the loaders are measured on: the sandbox's archives of a year, and a catalogue of them that takes no time."""

import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.windows import Window

from ard.adapters.catalog import scene_of
from ard.adapters.windows import box_in, touching
from ard.grid import Bounds
from ard.product import Product
from ard.scene import Interval, Scene
from ard.task import TileTask
from ard.tile import Tile
from sandbox.made import in_processes
from sandbox.s1_scenes import write_s1_scenes
from sandbox.s2_cog import Patch, write_cog
from sandbox.s2_scenes import write_s2_scenes
from sandbox.scenes import write_dem_scenes
from sandbox.tiles import DEMO_YEAR, demo_tiles, index_tiles

_ALIGNED = 1024  # pixels: blocks as of the real archive
_NOISE = 400  # counts
_PLACEHOLDER = "http://scenes"  # what addresses begin with in the files, since ports differ from run to run


def make_archives(folder: Path) -> None:
    """Write the archives, large ones for a minute or more; a second call finds them made."""
    tiles = demo_tiles()
    write_dem_scenes(folder / "dem", index_tiles(), base_href=f"{_PLACEHOLDER}/dem")
    write_s2_scenes(folder / "s2", tiles, year=DEMO_YEAR, base_href=f"{_PLACEHOLDER}/s2")
    write_s1_scenes(folder / "s1", tiles, year=DEMO_YEAR, base_href=f"{_PLACEHOLDER}/s1")


def task(product: Product) -> TileTask:
    """The tile that is made: one in the middle of the demonstration's, so that every block around it is filled."""
    tiles = demo_tiles()
    lon, lat = (sum(values) / len(tiles) for values in zip(*((one.lon, one.lat) for one in tiles), strict=True))

    def distance(tile: Tile) -> float:
        return math.hypot(tile.lon - lon, tile.lat - lat)

    tile = min(tiles, key=distance)
    return TileTask(
        job_id="bench",
        product=product,
        year=DEMO_YEAR,
        x_tile=tile.x,
        y_tile=tile.y,
        lon=tile.lon,
        lat=tile.lat,
        dest="/bench",
    )


def roughen(folder: Path, files: Sequence[Path]) -> None:
    """Give bands the blocks and the entropy of real ones, about 1.4 bytes a pixel, around the tile; the rest goes.

    The landscape of the sandbox is smooth, and inflating it would cost next to nothing.
    """
    marker, made = folder / "rough.json", (folder / "made.json").stat().st_mtime
    names = sorted(str(file) for file in files)
    if marker.is_file() and marker.stat().st_mtime > made and json.loads(marker.read_text()) == names:
        return
    in_processes(_roughen, [Path(name) for name in names])
    marker.write_text(json.dumps(names))


def _roughen(file: Path) -> None:
    bounds = task(Product.S2).tile.grid(10).bounds
    with rasterio.open(file) as dataset:
        if dataset.block_shapes[0] == (_ALIGNED, _ALIGNED):
            return  # done before
        box = box_in(dataset.crs.to_string(), bounds)
        part = touching(dataset.transform, dataset.shape, box, 1)
        top, left = (first // _ALIGNED * _ALIGNED for first in (part.top, part.left))
        bottom, right = (min(-(-last // _ALIGNED) * _ALIGNED, dataset.width) for last in (part.bottom, part.right))
        pixels = dataset.read(1, window=Window.from_slices((top, bottom), (left, right)))
        transform, epsg, size = dataset.transform, dataset.crs.to_epsg(), dataset.width
    noise = np.random.default_rng(zlib.crc32(file.as_posix().encode())).integers(0, _NOISE, pixels.shape, np.uint16)
    rough = np.where(pixels > 0, pixels + noise, pixels)
    patch = Patch(rough, top, left)
    write_cog(file, patch, size=size, transform=transform, epsg=epsg, overviews="AVERAGE", block=_ALIGNED)


@dataclass(frozen=True)
class Items:
    """The ``Catalog`` port over an archive's list of items; ``features`` are the items themselves."""

    features: tuple[dict[str, Any], ...]
    scenes: tuple[Scene, ...]

    @classmethod
    def of(cls, product: Product, folder: Path, *, base: str) -> "Items":
        """The items of a product's sources, their assets under ``base``."""
        text = (folder / product / "items.json").read_text().replace(f"{_PLACEHOLDER}/", f"{base}/")
        features = json.loads(text)["features"]
        return cls(features=tuple(features), scenes=tuple(map(scene_of, features)))

    def search(self, collection: str, bounds: Bounds, interval: Interval | None = None) -> tuple[Scene, ...]:
        """See ``ard.ports.Catalog``."""
        found = (
            scene
            for scene in self.scenes
            if scene.collection == collection
            and scene.bounds.west <= bounds.east
            and scene.bounds.east >= bounds.west
            and scene.bounds.south <= bounds.north
            and scene.bounds.north >= bounds.south
            and (interval is None or interval.start <= scene.acquired_at <= interval.end)
        )
        return tuple(sorted(found, key=lambda scene: scene.id))
