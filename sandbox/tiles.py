"""The sandbox's tile index: a hundred rows of the real one, round a corner of four one-degree cells."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from ard.tile import TILE_DEGREES, Tile

DEMO_YEAR = 2023  # of the made-up Sentinel-2 archive

# The corner of four cells of the Copernicus DEM, and the ids of the tile whose south-west corner it is.
_CORNER_LON, _CORNER_LAT = -54, -5
_CORNER_X, _CORNER_Y = 1009, 874
_INDEX_REACH = 5  # tiles on every side of the corner
_DEMO_REACH = 2
_DECIMALS = 4  # as the real index rounds


def demo_tiles() -> tuple[Tile, ...]:
    """Sixteen tiles of the index: hills, coast and, in the north-east, open sea without any elevation cell."""
    return _block(_DEMO_REACH)


def index_tiles() -> tuple[Tile, ...]:
    """Every tile of the sandbox's index, by ``(y, x)``; the demonstration's are in its middle."""
    return _block(_INDEX_REACH)


def write_index(path: Path) -> None:
    """Write the sandbox's tile index as Parquet, in the layout of the real index.

    Columns ``X``, ``Y`` (double, degrees rounded to 4 decimals), ``Y_tile``, ``X_tile`` (int64), sorted by
    ``(Y_tile, X_tile)``.
    """
    tiles = index_tiles()
    table = pa.table(
        {
            "X": pa.array([tile.lon for tile in tiles], pa.float64()),
            "Y": pa.array([tile.lat for tile in tiles], pa.float64()),
            "Y_tile": pa.array([tile.y for tile in tiles], pa.int64()),
            "X_tile": pa.array([tile.x for tile in tiles], pa.int64()),
        }
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)


def _block(reach: int) -> tuple[Tile, ...]:
    steps = range(-reach, reach)
    return tuple(
        Tile(
            x=_CORNER_X + column,
            y=_CORNER_Y + row,
            lon=round(_CORNER_LON + (column + 0.5) * TILE_DEGREES, _DECIMALS),
            lat=round(_CORNER_LAT + (row + 0.5) * TILE_DEGREES, _DECIMALS),
        )
        for row in steps
        for column in steps
    )
