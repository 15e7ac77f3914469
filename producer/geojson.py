"""Areas in GeoJSON (RFC 7946): polygons in longitudes and latitudes of WGS84, each mistake with its place."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from producer.json_values import JsonObject, found, members, pointer
from producer.request import Limits, Problems, rejected

AREAS = ("Polygon", "MultiPolygon", "GeometryCollection")
RING_POSITIONS = 4
POSITION_NUMBERS = (2, 3)

# Names for longitude and latitude on WGS84 that programs write; RFC 7946 knows no other system.
_WGS84 = frozenset(
    {
        "urn:ogc:def:crs:ogc:1.3:crs84",
        "urn:ogc:def:crs:ogc::crs84",
        "http://www.opengis.net/def/crs/ogc/1.3/crs84",
        "https://www.opengis.net/def/crs/ogc/1.3/crs84",
        "ogc:crs84",
        "crs84",
        "urn:ogc:def:crs:epsg::4326",
        "http://www.opengis.net/def/crs/epsg/0/4326",
        "https://www.opengis.net/def/crs/epsg/0/4326",
        "epsg:4326",
    }
)
_AXES = (("longitude", 180), ("latitude", 90))


def is_geojson(value: object) -> bool:
    """Whether a value is meant as GeoJSON: an object that names its type."""
    return isinstance(value, JsonObject) and any(name == "type" for name, _ in value.members)


def read_area(value: object, place: str, *, limits: Limits, problems: Problems) -> list[Any]:
    """The valid polygons (shapely, degrees) of a geometry, feature or feature collection; all else is a problem.

    Args:
        value: As ``parse_json`` reads it.
        place: The pointer to it.
        limits: How many positions it may have.
        problems: Takes what is wrong with it.

    Raises:
        RequestRejected: It has more positions than the limit.
    """
    written = list(_polygons(value, place, allowed=(*AREAS, "Feature", "FeatureCollection"), problems=problems))
    count = sum(len(ring) for one in written for ring in one.rings if isinstance(ring, list))
    if count > limits.max_vertices:
        wanted = f"expected an area of at most {limits.max_vertices:,} positions, found {count:,}; simplify it"
        raise rejected(wanted, place=place)
    return [polygon for one in written if (polygon := _polygon(one, problems)) is not None]


@dataclass(frozen=True, slots=True)
class _Written:
    """A polygon as written: the pointer to its rings, and those."""

    place: str
    rings: list[object]


def _polygons(value: object, place: str, *, allowed: tuple[str, ...], problems: Problems) -> Iterator[_Written]:
    there = dict(members(value, place, problems))
    kind = _kind(there, place, allowed=allowed, problems=problems) if isinstance(value, JsonObject) else None
    if kind in {"Polygon", "MultiPolygon"}:
        yield from _written(there, place, problems)
    elif kind == "Feature" and "geometry" not in there:
        problems.add(place, "expected a geometry, found none")
    elif kind == "Feature":
        yield from _polygons(there["geometry"], place + pointer("geometry"), allowed=AREAS, problems=problems)
    elif kind is not None:
        name, inside = ("geometries", AREAS) if kind == "GeometryCollection" else ("features", ("Feature",))
        for number, item in enumerate(_items(there, name, place=place, problems=problems)):
            yield from _polygons(item, place + pointer(name, number), allowed=inside, problems=problems)


def _kind(there: dict[str, object], place: str, *, allowed: tuple[str, ...], problems: Problems) -> str | None:
    if "crs" in there:
        _check_crs(there["crs"], place + pointer("crs"), problems)
    kind = there.get("type")
    if isinstance(kind, str) and kind in allowed:
        return kind
    wanted = f"expected {allowed[0] if len(allowed) == 1 else ', '.join(allowed[:-1]) + ' or ' + allowed[-1]}"
    if "type" in there:
        problems.add(place + pointer("type"), f"{wanted}, found {found(kind)}")
    else:
        problems.add(place, f"{wanted}, found no type")
    return None


def _written(there: dict[str, object], place: str, problems: Problems) -> Iterator[_Written]:
    items = _items(there, "coordinates", place=place, problems=problems)
    inner = place + pointer("coordinates")
    if items and there["type"] == "Polygon":
        yield _Written(inner, items)
        return
    for number, rings in enumerate(items):
        if isinstance(rings, list) and rings:
            yield _Written(f"{inner}/{number}", rings)
        else:
            problems.add(f"{inner}/{number}", f"expected the rings of a polygon, found {_emptiness(rings)}")


def _items(there: dict[str, object], name: str, *, place: str, problems: Problems) -> list[object]:
    value = there.get(name)
    if isinstance(value, list) and value:
        return value
    if name in there:
        problems.add(place + pointer(name), f"expected a list with something in it, found {_emptiness(value)}")
    else:
        problems.add(place, f"expected {name}, found none")
    return []


def _polygon(written: _Written, problems: Problems) -> Any:
    before = problems.total
    rings = [_ring(ring, f"{written.place}/{number}", problems) for number, ring in enumerate(written.rings)]
    if problems.total > before:
        return None
    shell, *holes = (shapely.linearrings(ring) for ring in rings)
    polygon = shapely.polygons(shell, holes=holes or None)
    if not shapely.is_valid(polygon):
        problems.add(written.place, f"expected a valid polygon, found: {shapely.is_valid_reason(polygon)}")
        return None
    return polygon


def _ring(ring: object, place: str, problems: Problems) -> NDArray[np.float64] | None:
    """Longitudes and latitudes ``(position, 2)`` of a closed ring, or None and a problem."""
    if not isinstance(ring, list):
        problems.add(place, f"expected a list of positions, found {found(ring)}")
        return None
    if len(ring) < RING_POSITIONS:
        problems.add(place, f"expected a ring of at least {RING_POSITIONS} positions, found {len(ring)}")
        return None
    before = problems.total
    for number, position in enumerate(ring):
        if not _readable(position):
            _add_faults(position, f"{place}/{number}", problems)
    if problems.total > before:
        return None
    if ring[0][:2] != ring[-1][:2]:
        problems.add(place, f"expected a closed ring, found it from {ring[0][:2]} to {ring[-1][:2]}")
        return None
    _check_steps(ring, place, problems)
    return np.array([position[:2] for position in ring], dtype=np.float64)


def _readable(position: object) -> bool:
    return (
        isinstance(position, list)
        and len(position) in POSITION_NUMBERS
        and all(_is_number(value, most) for value, (_, most) in zip(position, _AXES, strict=False))
        and type(position[-1]) in {int, float}
    )


def _is_number(value: object, most: int) -> bool:
    # By its exact type, as true is no number; NaN and Infinity, which Python reads in JSON, are not in the range.
    return type(value) in {int, float} and -most <= value <= most  # type: ignore[operator]


def _add_faults(position: object, place: str, problems: Problems) -> None:
    if not (isinstance(position, list) and len(position) in POSITION_NUMBERS):
        what = f"{len(position)} values" if isinstance(position, list) else found(position)
        problems.add(place, f"expected a position [longitude, latitude], found {what}")
        return
    for number, (value, (axis, most)) in enumerate(zip(position, _AXES, strict=False)):
        if not _is_number(value, most):
            problems.add(f"{place}/{number}", f"expected a {axis} from -{most} to {most}, found {found(value)}")
    if type(position[-1]) not in {int, float} and len(position) > len(_AXES):
        problems.add(f"{place}/{len(_AXES)}", f"expected an altitude as a number, found {found(position[-1])}")


def _check_steps(ring: list[Any], place: str, problems: Problems) -> None:
    """Refuse an edge half around the globe: it was to cross the antimeridian, where polygons must be cut.

    An edge all around the globe cannot be meant so, and bounds whole belts of latitude.
    """
    for number, (one, next_one) in enumerate(pairwise(ring), start=1):
        if 180 < abs(next_one[0] - one[0]) < 360:  # noqa: PLR2004 - degrees of half the globe and of all of it
            problems.add(
                f"{place}/{number}",
                f"expected polygons cut at the antimeridian (RFC 7946, 3.1.9), found an edge from longitude {one[0]} "
                f"to {next_one[0]}; if this is meant, put a position between them",
            )


def _check_crs(crs: object, place: str, problems: Problems) -> None:
    properties = dict(crs.members).get("properties") if isinstance(crs, JsonObject) else None
    name = dict(properties.members).get("name") if isinstance(properties, JsonObject) else crs
    if not (isinstance(name, str) and name.casefold() in _WGS84):
        wanted = "expected longitudes and latitudes of WGS84 (CRS84 or EPSG:4326; best no crs at all)"
        problems.add(place, f"{wanted}, found {found(name)}")


def _emptiness(value: object) -> str:
    return "an empty list" if value == [] else found(value)
