"""From an area to the tiles that it touches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import shapely
from numpy.typing import NDArray

from ard.tile import TILE_DEGREES
from producer.request import Limits, NamedTiles, Problems, rejected
from producer.tile_index import TileIndex

# The index rounds centres to four decimals, so that the boxes of neighbours may overlap by as much as this; a
# tile counts only if the area reaches farther into its box, or each tile's own box would select its neighbours.
OVERLAP_DEGREES = 1e-4 + 1e-9
TOUCH_DEGREES = 1e-9  # a shared edge is not a shared area
CELL_DEGREES = 16 * TILE_DEGREES
BOXES_AT_ONCE = 50_000
TOGETHER = 1_000  # polygons: to see whether they overlap takes time with the square of their number
MOST_LOOKS = 100_000_000  # at tiles, of several polygons together: a minute or two


def tiles_of_area(
    polygons: Sequence[Any],
    years: NDArray[np.int64],
    *,
    index: TileIndex,
    limits: Limits,
    place: str,
    problems: Problems,
) -> NamedTiles:
    """Every tile of the index that an area touches, for each of the years; a problem when there is none.

    Args:
        polygons: Valid polygons (shapely, degrees) whose union is the area; at least one.
        years: ``(year,)``, each once.
        index: Where the tiles lie.
        limits: How many tiles it may be, counting each year.
        place: The pointer to the area.
        problems: Takes what is wrong.

    Raises:
        RequestRejected: There are more tiles than the limit, or to find them would take too long.
    """
    looks = _looks(polygons)
    if looks > MOST_LOOKS and len(polygons) > 1:
        wanted = f"expected polygons whose boxes hold at most {MOST_LOOKS:,} tiles together, found {looks:,}"
        raise rejected(f"{wanted}; dissolve those that overlap", place=place)
    rows = touched_rows(polygons, index)
    count = len(rows) * len(years)
    if count > limits.max_tiles:
        raise rejected(f"expected an area of at most {limits.max_tiles:,} tiles, found {count:,}", place=place)
    if not count:
        west, south, east, north = shapely.total_bounds(np.array(polygons))
        problems.add(
            place,
            f"expected an area that touches tiles, found none of the tile index in it; it lies between "
            f"longitudes {west:.6g} and {east:.6g}, latitudes {south:.6g} and {north:.6g}",
        )
    x_tile, y_tile = index.ids(rows)
    return NamedTiles(
        year=np.repeat(years, len(rows)),
        x_tile=np.tile(x_tile, len(years)),
        y_tile=np.tile(y_tile, len(years)),
        place=lambda _: place,
    )


def _looks(polygons: Sequence[Any]) -> int:
    """How many tiles the boxes of the polygons hold, if there were tiles everywhere, each for itself."""
    west, south, east, north = shapely.bounds(np.array(polygons)).T
    return int((((east - west) / TILE_DEGREES + 1) * ((north - south) / TILE_DEGREES + 1)).sum())


def touched_rows(polygons: Sequence[Any], index: TileIndex) -> NDArray[np.intp]:
    """The rows of the index, ascending, whose boxes the inside of one of the polygons reaches into.

    To reach into a box is to go deeper than ``OVERLAP_DEGREES`` (11 m); of a polygon as narrow as the rims of two
    neighbours any overlap counts, as it may lie in those alone. Polygons must be valid, and may overlap.
    """
    shapes = np.array(polygons)
    chosen = np.zeros(len(index), dtype=np.bool_)
    cells = _Cells.around(_Box(*shapely.total_bounds(shapes)), index)
    for area in _areas(shapes):
        cells.choose(area, index, chosen=chosen)
    return np.flatnonzero(chosen)


class _Box(NamedTuple):
    """West, south, east and north in degrees: of one box, or of as many as the columns are long."""

    west: Any
    south: Any
    east: Any
    north: Any

    def meets(self, other: "_Box") -> Any:
        lon = (self.west <= other.east) & (self.east >= other.west)
        return lon & (self.south <= other.north) & (self.north >= other.south)


class _Area(NamedTuple):
    """A prepared polygon or valid multipolygon, and by how much the boxes that it is to touch are smaller."""

    shape: Any
    margin: float


def _areas(shapes: NDArray[np.object_]) -> Iterator[_Area]:
    west, south, east, north = shapely.bounds(shapes).T
    narrow = np.minimum(east - west, north - south) <= 2 * OVERLAP_DEGREES
    for part, margin in ((shapes[~narrow], OVERLAP_DEGREES), (shapes[narrow], TOUCH_DEGREES)):
        for start in range(0, len(part), TOGETHER):
            few = part[start : start + TOGETHER]
            together = shapely.multipolygons(few)
            # Where polygons overlap, many together are no valid shape and one would undo the other.
            for shape in [together] if shapely.is_valid(together) else few:
                shapely.prepare(shape)
                yield _Area(shape, margin)


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """Tiles by the cell of a coarse grid that their centres lie in: whole cells are in or out at one look.

    Attributes:
        rows: ``(tile,)`` rows of the index, cell by cell.
        starts: ``(cell + 1,)``, where each cell begins in ``rows``, and the end.
        box: ``(cell,)``, what the boxes of each cell's tiles span.
    """

    rows: NDArray[np.intp]
    starts: NDArray[np.intp]
    box: _Box

    @classmethod
    def around(cls, bounds: _Box, index: TileIndex) -> Self:
        """The cells of those tiles of the index whose boxes may meet the bounds."""
        rows = np.flatnonzero(_tile_boxes(index, slice(None), margin=0).meets(bounds))
        if not len(rows):
            none = np.zeros(0)
            return cls(rows, np.zeros(1, dtype=np.intp), _Box(none, none, none, none))
        lon, lat = (np.floor(degrees[rows] / CELL_DEGREES).astype(np.int32) for degrees in (index.lon, index.lat))
        cell = lat * 1000 + lon  # fewer than 1000 cells around the globe
        order = np.argsort(cell, kind="stable")
        rows, cell = rows[order], cell[order]
        first = np.flatnonzero(np.diff(cell, prepend=cell[0] - 1))
        west, south, east, north = _tile_boxes(index, rows, margin=0)
        return cls(
            rows,
            np.append(first, len(rows)),
            _Box(
                np.minimum.reduceat(west, first),
                np.minimum.reduceat(south, first),
                np.maximum.reduceat(east, first),
                np.maximum.reduceat(north, first),
            ),
        )

    def choose(self, area: _Area, index: TileIndex, *, chosen: NDArray[np.bool_]) -> None:
        """Mark the rows whose boxes the area touches."""
        near = np.flatnonzero(self.box.meets(_Box(*shapely.bounds(area.shape))))
        boxes = shapely.box(*(side[near] for side in self.box))
        near, boxes = near[met := shapely.intersects(area.shape, boxes)], boxes[met]
        whole = shapely.contains_properly(area.shape, boxes)
        chosen[self._rows_of(near[whole])] = True
        rows = self._rows_of(near[~whole])
        rows = rows[~chosen[rows]]
        for start in range(0, len(rows), BOXES_AT_ONCE):
            part = rows[start : start + BOXES_AT_ONCE]
            chosen[part] = shapely.intersects(area.shape, shapely.box(*_tile_boxes(index, part, margin=area.margin)))

    def _rows_of(self, cells: NDArray[np.intp]) -> NDArray[np.intp]:
        parts = [self.rows[self.starts[cell] : self.starts[cell + 1]] for cell in cells]
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.intp)


def _tile_boxes(index: TileIndex, rows: slice | NDArray[np.intp], *, margin: float) -> _Box:
    half = TILE_DEGREES / 2 - margin
    lon, lat = index.lon[rows], index.lat[rows]
    return _Box(lon - half, lat - half, lon + half, lat + half)
