"""Ground distances on the WGS84 ellipsoid."""

import numpy as np
from numpy.typing import NDArray

WGS84_SEMI_MAJOR_METRES = 6_378_137.0
WGS84_FLATTENING = 1 / 298.257223563
_E2 = WGS84_FLATTENING * (2 - WGS84_FLATTENING)


def metres_per_degree(lat: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Metres on the ground per degree of longitude and per degree of latitude.

    The radii of curvature of the prime vertical and of the meridian (Snyder 1987, USGS Professional Paper 1395,
    equations 4-20 and 4-18), times the length of a degree of arc.

    Args:
        lat: Geodetic latitudes, degrees.

    Returns:
        Two float64 arrays of the shape of ``lat``: along the parallel, along the meridian.
    """
    phi = np.radians(lat)
    w2 = 1 - _E2 * np.sin(phi) ** 2
    prime_vertical = WGS84_SEMI_MAJOR_METRES / np.sqrt(w2)
    meridian = WGS84_SEMI_MAJOR_METRES * (1 - _E2) / w2**1.5
    degree = np.pi / 180
    return prime_vertical * np.cos(phi) * degree, meridian * degree
