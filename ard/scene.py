"""What the outside world gives a loader: catalogue items and windows of pixels."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from affine import Affine
from numpy.typing import NDArray
from pydantic import JsonValue

from ard.grid import Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One STAC item of a source catalogue, reduced to what loaders use.

    Attributes:
        href: Address of the item itself, for ``derived_from`` links.
        bounds: The item's bbox, in degrees.
        geometry: The footprint, a GeoJSON geometry in lon/lat.
        acquired_at: The item's datetime, UTC.
        properties: The item's remaining properties, as the catalogue spells them.
        assets: Addresses of the assets by their keys.
    """

    id: str
    collection: str
    href: str
    bounds: Bounds
    geometry: Mapping[str, JsonValue]
    acquired_at: datetime
    properties: Mapping[str, JsonValue]
    assets: Mapping[str, str]


class Interval(NamedTuple):
    """A span of time in UTC, both ends included."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Raster:
    """A window of an asset on the asset's own pixel grid.

    Attributes:
        pixels: ``(y, x)`` in the asset's dtype; size 0 where the asset does not reach the window.
        transform: Pixel ``(column, row)`` corners to coordinates in ``crs``.
        crs: Such as ``EPSG:32722``.
        nodata: The value that means "nothing here", when the asset declares one.
        overview: How the overview that the pixels come from was resampled (``NEAREST``, ``AVERAGE``, ... or
            ``UNKNOWN``); None when they are of full resolution.
    """

    pixels: NDArray[Any]
    transform: Affine
    crs: str
    nodata: float | None
    overview: str | None = None
