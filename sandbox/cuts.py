"""Edges of swaths and strips: half planes of longitudes and latitudes that a product is cut by."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ring = tuple[tuple[float, float], ...]  # longitudes and latitudes of corners; the first is not repeated


@dataclass(frozen=True, slots=True)
class Cut:
    """Half of the plane of longitudes and latitudes: where ``east * lon + north * lat >= limit``."""

    east: float
    north: float
    limit: float

    def side(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
        """At least 0 on the half that is kept."""
        return np.asarray(self.east * lon + self.north * lat - self.limit)


def cut_ring(corners: Sequence[tuple[float, float]], cuts: Iterable[Cut]) -> Ring:
    """The corners of what cuts leave of a convex ring (Sutherland and Hodgman 1974, CACM 17(1))."""
    ring = tuple(corners)
    for cut in cuts:
        ring = _cut_once(ring, cut)
    return ring


def _cut_once(corners: Ring, cut: Cut) -> Ring:
    ring: list[tuple[float, float]] = []
    for (lon, lat), (next_lon, next_lat) in zip(corners, (*corners[1:], *corners[:1]), strict=True):
        here, there = (float(cut.side(np.array(x), np.array(y))) for x, y in ((lon, lat), (next_lon, next_lat)))
        if here >= 0:
            ring.append((lon, lat))
        if (here >= 0) != (there >= 0):
            share = here / (here - there)
            ring.append((lon + share * (next_lon - lon), lat + share * (next_lat - lat)))
    return tuple(ring)
