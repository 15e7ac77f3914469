"""Values for tests: valid by default, each field open to change."""

from datetime import UTC, datetime
from typing import Any

import numpy as np

from ard.adapters.stac_item import Provenance
from ard.grid import Bounds
from ard.product import SPECS, Format, Layer, Product, TileData
from ard.rows import Command, JobRow, TaskRow
from ard.scene import Scene
from ard.states import State
from ard.task import TileTask
from ard.tile import Tile
from ard.transitions import Delivery
from loaders.dem import BANDS

GOLDEN = Tile(x=1000, y=871, lon=-54.4722, lat=-5.1389)
NOW = datetime(2024, 5, 17, 12, 30, tzinfo=UTC).timestamp()


def make_task(**overrides: Any) -> TileTask:
    fields: dict[str, Any] = {
        "job_id": "2023-1t-0123456789",
        "product": Product.DEM,
        "year": 2023,
        "x_tile": GOLDEN.x,
        "y_tile": GOLDEN.y,
        "lon": GOLDEN.lon,
        "lat": GOLDEN.lat,
        "dest": "s3://tof-output/ttc",
    }
    return TileTask(**fields | overrides)


def make_scene(**overrides: Any) -> Scene:
    fields: dict[str, Any] = {
        "id": "Copernicus_DSM_COG_10_S06_00_W055_00_DEM",
        "collection": "cop-dem-glo-30",
        "href": "https://catalogue.test/items/S06W055",
        "bounds": Bounds(-55, -6, -54, -5),
        "geometry": {"type": "Point", "coordinates": [-54.5, -5.5]},
        "acquired_at": datetime(2021, 4, 22, tzinfo=UTC),
        "properties": {},
        "assets": {"data": "memory:cell"},
    }
    return Scene(**fields | overrides)


def make_dem(**overrides: Any) -> TileData:
    """A product with a unique value in every pixel, so that nothing passes by symmetry."""
    tile = overrides.get("tile", GOLDEN)
    height, width = tile.grid(10).shape
    ramp = np.arange(height * width, dtype=np.float32).reshape(height, width)
    pixels = np.stack([ramp / 100, ramp[::-1] / ramp.max() * 80])
    fields: dict[str, Any] = {
        "product": Product.DEM,
        "tile": tile,
        "year": 2023,
        "layers": (Layer(name="dem", spec=SPECS[Product.DEM]["dem"], bands=BANDS, pixels=pixels),),
        "metrics": {"slope_p50": 12.5},
        "flags": frozenset({"filled_glo90"}),
        "sources": (make_scene(),),
        "parameters": {"upsampling": "bilinear"},
        "start": datetime(2023, 1, 1, tzinfo=UTC),
        "end": datetime(2023, 12, 31, 23, 59, 59, tzinfo=UTC),
    }
    return TileData(**fields | overrides)


def make_provenance(**overrides: Any) -> Provenance:
    fields: dict[str, Any] = {"job_id": "2023-1t-0123456789", "git_sha": "abc1234", "created": NOW}
    return Provenance(**fields | overrides)


def make_job(**overrides: Any) -> JobRow:
    fields: dict[str, Any] = {
        "job_id": "2023-1t-0123456789",
        "command": Command.OPEN,
        "created_at": NOW,
        "digest": "0123456789",
        "request_key": "requests/a.json",
        "dest": "s3://tof-output/ttc",
        "formats": (Format.COG,),
        "overwrite": False,
        "max_attempts": 4,
        "totals": {Product.DEM: 1},
        "shards": 1,
        "chunks": 1,
        "estimate_usd": 0.5,
    }
    return JobRow(**fields | overrides)


def make_row(**overrides: Any) -> TaskRow:
    fields: dict[str, Any] = {
        "job_id": "2023-1t-0123456789",
        "shard": 0,
        "product": Product.DEM,
        "year": 2023,
        "x_tile": GOLDEN.x,
        "y_tile": GOLDEN.y,
        "lon": GOLDEN.lon,
        "lat": GOLDEN.lat,
        "state": State.QUEUED,
        "updated_at": NOW,
        "check_after": NOW + 3600,
    }
    return TaskRow(**fields | overrides)


def make_delivery(**overrides: Any) -> Delivery:
    fields: dict[str, Any] = {
        "owner": "request-1",
        "now": NOW,
        "lease_until": NOW + 135,
        "fence": None,
        "max_attempts": 4,
        "gb": 1.0,
    }
    return Delivery(**fields | overrides)
