"""How much of a box the footprints of scenes cover: plain polygons in longitude and latitude."""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray
from pydantic import JsonValue

from ard.errors import InvalidInput
from ard.grid import Bounds

Ring = tuple[tuple[float, float], ...]
"""Corners ``(lon, lat)`` in degrees, the first not repeated; longitudes run on past 180 instead of jumping."""

Footprint = tuple[tuple[Ring, ...], ...]
"""Polygons; of each the outer ring, then its holes."""

SAMPLES = 64  # points along each side of a box; enough to tell shares apart by 0.001
_DECIMALS = 6  # of a share: finer differences are rounding, and must not decide an order

_LON, _LAT = 0, 1
_FARTHEST = (540.0, 90.0)  # degrees; longitudes may run on over the antimeridian


def footprint_of(geometry: Mapping[str, JsonValue]) -> Footprint:
    """The polygons of a GeoJSON Polygon or MultiPolygon; one that jumps over the antimeridian is joined there.

    Raises:
        InvalidInput: The geometry is of another type, or its coordinates are not rings of at least three corners.
    """
    kind = geometry.get("type")
    if kind not in ("Polygon", "MultiPolygon"):
        raise InvalidInput(f"expected a Polygon or MultiPolygon, found {kind!r}")
    try:
        coordinates = cast("list[list[list[list[float]]]]", geometry["coordinates"])
        polygons = [coordinates] if kind == "Polygon" else coordinates
        footprint = tuple(tuple(_ring(cast("list[list[float]]", ring)) for ring in polygon) for polygon in polygons)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise InvalidInput(f"expected rings of lon/lat corners, found {geometry!r:.200}") from error
    if not all(footprint):
        raise InvalidInput(f"expected polygons with a ring, found {geometry!r:.200}")
    return footprint


def box_footprint(bounds: Bounds) -> Footprint:
    """The footprint that fills a box (also one over the antimeridian), for a scene that has nothing better."""
    west, south, east, north = bounds
    return ((_ring([[west, south], [east, south], [east, north], [west, north]]),),)


def covered_share(footprint: Footprint, box: Bounds) -> float:
    """The share of the box's area in degrees that the polygons cover, 0 to 1; exact while they do not overlap."""
    area = sum(
        sign * abs(_area(ring, box))
        for polygon in footprint
        for sign, ring in zip([1, *[-1] * (len(polygon) - 1)], _clipped(polygon, box), strict=True)
    )
    share = area / ((box.east - box.west) * (box.north - box.south))
    return min(max(round(share, _DECIMALS), 0.0), 1.0)


def covered_points(footprint: Footprint, box: Bounds, *, samples: int = SAMPLES) -> NDArray[np.bool_]:
    """Which points of a regular lattice over the box lie in the polygons.

    Returns:
        ``(y, x)`` bool of ``samples`` x ``samples`` cell centres, north first; True is covered.
    """
    steps = (np.arange(samples) + 0.5) / samples
    lon = box.west + steps * (box.east - box.west)
    lat = box.north - steps * (box.north - box.south)
    covered = np.zeros((samples, samples), dtype=np.bool_)
    for polygon in footprint:
        inside = np.zeros_like(covered)
        for ring in _clipped(polygon, box):
            inside ^= _inside(ring, lon, lat)
        covered |= inside
    return covered


def _ring(corners: Sequence[Sequence[float]]) -> Ring:
    places = np.array([(float(corner[_LON]), float(corner[_LAT])) for corner in corners]).reshape(-1, 2)
    if not (np.abs(places) <= _FARTHEST).all():  # nor is NaN
        raise ValueError(f"corners beyond {_FARTHEST} degrees")
    lon = np.unwrap(places[:, _LON], period=360)
    points = tuple((float(x), float(y)) for x, y in zip(lon, places[:, _LAT], strict=True))
    points = points[:-1] if points[:1] == points[-1:] else points
    if len(points) < 3:  # noqa: PLR2004 - a triangle
        raise ValueError(f"a ring needs three corners, got {len(points)}")
    return points


def _clipped(polygon: Sequence[Ring], box: Bounds) -> list[Ring]:
    """Each ring cut to the box by Sutherland and Hodgman (1974), CACM 17(1): areas stay exact for concave rings too.

    Where a concave ring falls into parts, they stay joined by edges on the box's border, which enclose nothing.
    """
    outer = [lon for lon, _ in polygon[0]]
    turns = round(((box.west + box.east) - (min(outer) + max(outer))) / 2 / 360)
    moved = [tuple((lon + 360 * turns, lat) for lon, lat in ring) for ring in polygon]
    return [_cut_to(ring, box) for ring in moved]


def _cut_to(ring: Ring, box: Bounds) -> Ring:
    for axis, limit, sign in ((_LON, box.west, 1), (_LON, box.east, -1), (_LAT, box.south, 1), (_LAT, box.north, -1)):
        ring = _cut(ring, axis=axis, limit=limit, sign=sign)
    return ring


def _cut(ring: Ring, *, axis: int, limit: float, sign: int) -> Ring:
    """The part of a ring on one side of a line: above the limit for sign 1, below it for -1."""
    kept: list[tuple[float, float]] = []
    for start, end in zip((*ring[-1:], *ring[:-1]), ring, strict=True):
        start_inside = sign * (start[axis] - limit) >= 0
        end_inside = sign * (end[axis] - limit) >= 0
        if start_inside != end_inside:
            along = (limit - start[axis]) / (end[axis] - start[axis])
            other = start[1 - axis] + along * (end[1 - axis] - start[1 - axis])
            kept.append((limit, other) if axis == _LON else (other, limit))
        if end_inside:
            kept.append(end)
    return tuple(kept)


def _area(ring: Ring, box: Bounds) -> float:
    """Signed area in square degrees; measured from the box's corner, where small differences keep their digits."""
    points = [(lon - box.west, lat - box.south) for lon, lat in ring]
    return sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip((*points[-1:], *points[:-1]), points, strict=True)) / 2


def _inside(ring: Ring, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.bool_]:
    """``(y, x)`` bool: an odd number of the ring's edges lies east of the point."""
    inside = np.zeros((lat.size, lon.size), dtype=np.bool_)
    for (x0, y0), (x1, y1) in zip((*ring[-1:], *ring[:-1]), ring, strict=True):
        rows = (y0 > lat) != (y1 > lat)
        crossing = x0 + (lat[rows] - y0) / (y1 - y0) * (x1 - x0) if rows.any() else lat[rows]
        inside[rows] ^= crossing[:, np.newaxis] > lon
    return inside
