"""What Sentinel-1 would see of the made-up landscape without speckle: the ground of the Sentinel-2 archive, by radar.

A value depends on the place, the day and the direction alone: slices, zones and passes agree wherever they meet.

Gamma nought: typical of C band over the Amazon, rounded; greenness moves it between soil and leaves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from sandbox.s1_plan import Direction
from sandbox.s2_surface import SCL_WATER, Ground, greenness, ground, in_chunks, scene_classes
from sandbox.terrain import Octave, elevation, noise

_GRADE_STEP_DEGREES = 0.0003
_METRES_PER_DEGREE = 111_320.0
_BRIGHTER_PER_GRADE = 0.35  # what flattening by the terrain leaves
_LEAST_FACING, _MOST_FACING = 0.7, 1.4
_BUILDINGS = Octave(0.00074, 41.0, (61.7, 18.4), 1.0)
_BUILT_ABOVE = 0.8

_Floats = NDArray[np.float64]
_Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Signature:
    """Gamma nought of a polarisation, linear: of water, of forest and parcels with and without leaves, of buildings."""

    water: float
    bare_forest: float
    forest: float
    soil: float
    crops: float
    building: float


_CO = Signature(water=0.012, bare_forest=0.12, forest=0.17, soil=0.055, crops=0.13, building=3.2)
_CROSS = Signature(water=0.0012, bare_forest=0.027, forest=0.043, soil=0.010, crops=0.031, building=0.55)
SIGNATURES: Mapping[str, Signature] = MappingProxyType({"VV": _CO, "VH": _CROSS, "HH": _CO, "HV": _CROSS})


@dataclass(frozen=True, slots=True)
class Landscape:
    """What does not change with the day, per point: the ground, how it rises to the east, and where it is built on."""

    ground: Ground
    water: NDArray[np.bool_]
    rise: _Values
    built: NDArray[np.bool_]


def backscatter(lon: _Floats, lat: _Floats, polarisation: str, *, day: date, direction: Direction) -> _Floats:
    """Gamma nought without speckle and noise, linear power, in the shape that the two arrays broadcast to.

    Water is dark, most so across polarisations; forest is bright; slopes that face the radar are a little brighter
    than level ground; a few buildings exceed 1. The season moves on the 1st, 11th and 21st of a month.

    Args:
        lon: Degrees east.
        lat: Degrees north.
        polarisation: A key of ``SIGNATURES``.
        day: Any.
        direction: In which the satellite flies: ascending looks to the east.
    """
    lon, lat = np.broadcast_arrays(np.asarray(lon, np.float64), np.asarray(lat, np.float64))
    place = landscape(lon.reshape(1, -1), lat.reshape(1, -1))
    return np.asarray(power(place, polarisation, day=day, direction=direction).reshape(lon.shape), np.float64)


def landscape(lon: _Floats, lat: _Floats) -> Landscape:
    """The landscape at some points; ``lon`` and ``lat`` are ``(y, x)`` degrees."""
    place = ground(lon, lat)
    water = scene_classes(place, place.green) == SCL_WATER
    rise = np.concatenate(in_chunks(_rise, lon, lat)).reshape(lon.shape)
    built = np.concatenate(in_chunks(_built, lon, lat)).reshape(lon.shape)
    return Landscape(place, water, rise, built & ~water)


def power(place: Landscape, polarisation: str, *, day: date, direction: Direction) -> _Values:
    """Gamma nought of a landscape, ``(y, x)``; see ``backscatter``."""
    signature, kinds = SIGNATURES[polarisation], place.ground.kinds
    bare = np.array([signature.water, signature.bare_forest, signature.soil], np.float32)
    leafy = np.array([signature.water, signature.forest, signature.crops], np.float32)
    first, more = bare.take(kinds, mode="clip"), (leafy - bare).take(kinds, mode="clip")
    # Without the light of the sun, shine is the texture of stands and parcels.
    texture = place.ground.shine / place.ground.light
    towards_radar = np.float32(_BRIGHTER_PER_GRADE if direction == "ascending" else -_BRIGHTER_PER_GRADE)
    facing = np.clip(1 + towards_radar * place.rise, _LEAST_FACING, _MOST_FACING)
    flat = (first + greenness(place.ground, day) * more) * texture
    seen = np.where(place.built, np.float32(signature.building), flat * facing)
    return np.asarray(seen, np.float32)


def _rise(lon: _Floats, lat: _Floats) -> _Values:
    """Metres of height per metre to the east."""
    ahead, behind = elevation(lon + _GRADE_STEP_DEGREES, lat), elevation(lon - _GRADE_STEP_DEGREES, lat)
    metres = 2 * _GRADE_STEP_DEGREES * _METRES_PER_DEGREE * np.cos(np.radians(lat))
    return np.asarray((ahead - behind) / metres, np.float32)


def _built(lon: _Floats, lat: _Floats) -> NDArray[np.bool_]:
    return np.asarray(noise(_BUILDINGS, lon, lat) > _BUILT_ABOVE)
