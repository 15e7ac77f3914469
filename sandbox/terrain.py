"""A made-up landscape: hills, valleys and a coast, the same at every place on every machine.

The height at a point depends on that point alone, so windows, cells and resolutions agree wherever they meet.
"""

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# The coast runs from north-west to south-east past this point, where four one-degree cells meet.
COAST_LON, COAST_LAT = -54.0, -5.0
COAST_HEADING_DEGREES = 37.0  # the way out to sea, counter-clockwise from east
COAST_DISTANCE_DEGREES = 0.004  # how far inland of the point the coast lies, before bays and capes
COAST_PERIOD_DEGREES = 6.0  # lands and seas alternate with this spacing

_RISE_DEGREES = 0.045  # from the shore to where hills stand at full height
_PLAIN_METRES = 14.0
_RANGE_METRES = 330.0
_LATTICE = 256  # nodes per side of the lattice, which repeats
_SAMPLES_AT_ONCE = 1 << 15  # few enough that the intermediate arrays stay in the processor's cache

_Floats = NDArray[np.float64]
_Heights = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Octave:
    """Smooth noise of one wavelength, on a lattice turned and moved so that no two octaves line up."""

    wavelength_degrees: float
    turn_degrees: float
    move: tuple[float, float]
    weight: float


# Bays and capes, in degrees of shift of the coast.
_COAST = (
    Octave(0.143, 21.0, (156.2, 226.9), 0.072),
    Octave(0.047, 68.0, (174.0, 133.9), 0.020),
    Octave(0.0163, 40.0, (201.7, 119.3), 0.0075),
)
# Bends of the ranges, in degrees of shift east and north.
_BENDS = (
    Octave(0.083, 11.0, (31.9, 64.2), 0.021),
    Octave(0.097, 57.0, (140.6, 22.8), 0.021),
)
# Ranges, ridges, spurs, gullies and roughness.
_RELIEF = (
    Octave(0.061, 33.0, (5.27, 71.9), 1.0),
    Octave(0.0313, 74.0, (88.4, 13.6), 0.60),
    Octave(0.0163, 17.0, (119.8, 203.1), 0.32),
    Octave(0.0082, 49.0, (61.3, 37.7), 0.14),
    Octave(0.0041, 82.0, (9.91, 144.2), 0.06),
    Octave(0.0022, 28.0, (77.7, 50.5), 0.02),
)


def elevation(lon: _Floats, lat: _Floats) -> _Heights:
    """Heights above the sea in metres, float32, in the shape that the two arrays broadcast to.

    Land is above 0 and at most about 700 m; the sea is exactly 0. Continuous everywhere but at 180 degrees.

    Args:
        lon: Degrees east; ``(1, x)`` for a grid.
        lat: Degrees north; ``(y, 1)`` for a grid.
    """
    shape = np.broadcast_shapes(lon.shape, lat.shape)
    if not shape:
        return elevation(lon.reshape(1), lat.reshape(1)).reshape(())
    heights = np.empty(shape, np.float32)
    rows_at_once = max(1, _SAMPLES_AT_ONCE // max(1, math.prod(shape[1:])))
    for start in range(0, shape[0], rows_at_once):
        rows = slice(start, start + rows_at_once)
        heights[rows] = _heights(_rows(lon, rows, shape), _rows(lat, rows, shape))
    return heights


def _rows(degrees: _Floats, rows: slice, shape: tuple[int, ...]) -> _Floats:
    follows_first_axis = degrees.ndim == len(shape) and degrees.shape[0] == shape[0]
    return degrees[rows] if follows_first_axis else degrees


def _heights(lon: _Floats, lat: _Floats) -> _Heights:
    inland = inland_degrees(lon, lat)
    if not (inland > 0).any():
        return np.zeros(inland.shape, np.float32)
    share = np.clip(inland / np.float32(_RISE_DEGREES), 0, 1)
    rise = share * share * (3 - 2 * share)
    return np.asarray(rise * (_PLAIN_METRES + _RANGE_METRES * _relief(lon, lat)), dtype=np.float32)


def inland_degrees(lon: _Floats, lat: _Floats) -> _Heights:
    """Distance from the shore, in degrees and roughly: positive on land."""
    heading = math.radians(COAST_HEADING_DEGREES)
    out_to_sea = (lon - COAST_LON) * math.cos(heading) + (lat - COAST_LAT) * math.sin(heading)
    phase = (out_to_sea + COAST_DISTANCE_DEGREES) / COAST_PERIOD_DEGREES + 0.25
    straight = (np.abs(phase - np.floor(phase) - 0.5) - 0.25) * COAST_PERIOD_DEGREES
    shift = sum((octave.weight * noise(octave, lon, lat) for octave in _COAST), np.float32(0))
    return np.asarray(straight + shift, dtype=np.float32)


def _relief(lon: _Floats, lat: _Floats) -> _Heights:
    """Height of the hills, 0 to about 1.6: ridged noise, rough on the heights and smooth in the valleys.

    The sum is the ridged multifractal of Musgrave (Texturing and Modeling, 2nd edition, 1998, chapter 12).
    """
    east, north = (octave.weight * noise(octave, lon, lat) for octave in _BENDS)
    lon, lat = lon + east, lat + north
    height = np.float32(0)
    roughness = np.float32(1)
    for octave in _RELIEF:
        crest = 1 - np.sqrt(np.square(noise(octave, lon, lat)) + np.float32(0.002))
        ridge = np.square(np.maximum(crest, 0)) * roughness
        roughness = np.minimum(ridge * np.float32(1.6), 1)
        height = height + octave.weight * ridge
    return np.asarray(height, dtype=np.float32)


def noise(octave: Octave, lon: _Floats, lat: _Floats) -> _Heights:
    """Gradient noise with a quintic fade, about -1 to 1 (Perlin, Improving Noise, SIGGRAPH 2002)."""
    turn = math.radians(octave.turn_degrees)
    along, across = math.cos(turn) / octave.wavelength_degrees, math.sin(turn) / octave.wavelength_degrees
    u = lon * along + (lat * across + octave.move[0])
    v = lat * along + (octave.move[1] - lon * across)
    u_floor, v_floor = np.floor(u), np.floor(v)
    du, dv = (u - u_floor).astype(np.float32), (v - v_floor).astype(np.float32)
    last = _LATTICE - 1
    node = (v_floor.astype(np.intp) & last) * (_LATTICE + 1) + (u_floor.astype(np.intp) & last)
    u_share, v_share = _fade(du), _fade(dv)
    du_east, dv_north = du - 1, dv - 1
    south = _mixed(_height(node, 0, du, dv), _height(node, 1, du_east, dv), u_share)
    north = _mixed(_height(node, _LATTICE + 1, du, dv_north), _height(node, _LATTICE + 2, du_east, dv_north), u_share)
    return _mixed(south, north, v_share) * np.float32(math.sqrt(2))


def _height(node: NDArray[np.intp], neighbour: int, du: _Heights, dv: _Heights) -> _Heights:
    gradient = _gradients()[neighbour:].take(node)
    return gradient.real * du + gradient.imag * dv


def _fade(share: _Heights) -> _Heights:
    return share * share * share * (share * (share * 6 - 15) + 10)


def _mixed(first: _Heights, second: _Heights, share: _Heights) -> _Heights:
    return first + share * (second - first)


@functools.cache
def _gradients() -> NDArray[np.complex64]:
    """A direction per node of the lattice, ``u + iv`` of length 1, scattered by an integer hash.

    Flat, row after row; the first row and column stand at the end again, so that every node has its neighbours.
    """
    bits = np.arange(_LATTICE * _LATTICE, dtype=np.uint32) + np.uint32(0x9E3779B9)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):  # the finaliser of MurmurHash3
        bits = (bits ^ (bits >> np.uint32(shift))) * np.uint32(factor)
    angles = ((bits ^ (bits >> np.uint32(16))) * (2 * math.pi / 2**32)).reshape(_LATTICE, _LATTICE)
    directions = np.pad(np.cos(angles) + 1j * np.sin(angles), (0, 1), mode="wrap")
    return np.asarray(directions.ravel(), dtype=np.complex64)
