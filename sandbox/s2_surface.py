"""What Sentinel-2 would see of the made-up landscape without an atmosphere: forest, parcels, rivers and sea by season.

A value depends on the place and the day alone: granules, zones and resolutions agree wherever they meet.

Reflectances: typical of the Amazon in Level-2A products, rounded; greenness moves them between soil and leaves.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import date
from types import MappingProxyType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sandbox.terrain import Octave, elevation, inland_degrees, noise

_WATER, _FOREST, _PARCEL = 0, 1, 2
SCL_DARK, SCL_VEGETATION, SCL_BARE, SCL_WATER = 2, 4, 5, 6

_BARE_BELOW_GREENNESS = 0.42
_DARK_BELOW_LIGHT = 0.62
_DN_PER_UNIT = 10_000
_GREENEST_DAY = 75  # of the year: the end of the rains
_DAYS_PER_YEAR = 365.25
_DEKADS = (1, 11, 21)  # days of the month on which the season moves on
_SAMPLES_AT_ONCE = 1 << 15  # as in sandbox.terrain

_LIGHT_STEP_DEGREES = 0.0003  # towards the sun in the north-east
_METRES_PER_DEGREE = 111_320.0
_RIVERS = (Octave(0.171, 23.0, (14.3, 201.7), 1.0), Octave(0.0431, 61.0, (91.2, 47.9), 0.22))
_CLEARED = (Octave(0.0713, 37.0, (33.1, 12.8), 1.0), Octave(0.0237, 8.0, (171.4, 88.6), 0.55))
_STANDS = (Octave(0.0127, 19.0, (4.4, 66.1), 0.6), Octave(0.0031, 51.0, (77.0, 140.2), 0.4))
_COARSE_TEXTURE, _FINE_TEXTURE = Octave(0.00121, 63.0, (19.3, 5.5), 1.0), Octave(0.00034, 29.0, (55.7, 99.1), 1.0)
_FINE_WEIGHT = 0.5
_PARCEL_TURN_DEGREES, _PARCEL_DEGREES = 24.0, (0.0052, 0.0023)

_Floats = NDArray[np.float64]
_Values = NDArray[np.float32]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Band:
    """One band: its name in file names, its pixel, its reflectances in 1/10000, and the step that they are rounded to.

    The steps keep the files small; they lie below what the atmosphere leaves uncertain in real products.
    """

    name: str
    metres: int
    forest: int
    parcel: int
    soil: int
    deep_water: int
    turbid_water: int
    step: int


# By the asset keys of Earth Search.
BANDS: Mapping[str, Band] = MappingProxyType(
    {
        "blue": Band("B02", 10, 230, 430, 760, 340, 720, 16),
        "green": Band("B03", 10, 440, 800, 1130, 270, 960, 16),
        "red": Band("B04", 10, 270, 560, 1640, 130, 900, 16),
        "nir": Band("B08", 10, 3150, 3500, 2500, 90, 380, 96),
        "rededge1": Band("B05", 20, 740, 1230, 1960, 120, 760, 48),
        "rededge2": Band("B06", 20, 2280, 2640, 2160, 110, 430, 96),
        "rededge3": Band("B07", 20, 2900, 3240, 2360, 100, 410, 96),
        "nir08": Band("B8A", 20, 3330, 3690, 2700, 80, 370, 96),
        "swir16": Band("B11", 20, 1500, 2300, 3640, 40, 90, 48),
        "swir22": Band("B12", 20, 640, 1260, 2930, 30, 60, 48),
    }
)


@dataclass(frozen=True, slots=True)
class Ground:
    """What does not change with the day, per point: kind, light, texture, and the greenness over the year."""

    kinds: NDArray[np.uint8]
    light: _Values
    shine: _Values
    green: _Values
    green_cosine: _Values
    green_sine: _Values

    def rows(self, rows: slice) -> "Ground":
        """The ground in some rows."""
        return Ground(*(getattr(self, field.name)[rows] for field in fields(self)))


def reflectance(lon: _Floats, lat: _Floats, band: str, day: date) -> NDArray[np.float64]:
    """The clear-sky surface reflectance, in the shape that the two arrays broadcast to; never 0.

    The season moves on the 1st, 11th and 21st of a month, so the ground is the same on all days between.

    Args:
        lon: Degrees east.
        lat: Degrees north.
        band: A key of ``BANDS``.
        day: Any.
    """
    lon, lat = np.broadcast_arrays(np.asarray(lon, np.float64), np.asarray(lat, np.float64))
    place = ground(lon.reshape(1, -1), lat.reshape(1, -1))
    numbers = digital_numbers(surface(place, greenness(place, day), band=BANDS[band]), BANDS[band])
    return np.asarray(numbers.reshape(lon.shape) / _DN_PER_UNIT)


def ground(lon: _Floats, lat: _Floats) -> Ground:
    """The ground at some points; ``lon`` and ``lat`` are ``(y, x)`` degrees."""
    parts = in_chunks(_ground, lon, lat)
    names = [field.name for field in fields(Ground)]
    return Ground(
        **{name: np.concatenate([getattr(part, name) for part in parts]).reshape(lon.shape) for name in names}
    )


def greenness(place: Ground, day: date) -> _Values:
    """How much of the ground leaves hide, 0 to 1; of water: how turbid it is."""
    first = day.replace(day=max(dekad for dekad in _DEKADS if dekad <= day.day))
    angle = 2 * math.pi * ((first - date(first.year, 1, 1)).days - _GREENEST_DAY) / _DAYS_PER_YEAR
    cosine, sine = np.float32(math.cos(angle)), np.float32(math.sin(angle))
    return np.asarray(np.clip(place.green + cosine * place.green_cosine + sine * place.green_sine, 0, 1), np.float32)


def surface(place: Ground, green: _Values, *, band: Band) -> _Values:
    """Reflectances in 1/10000, not yet rounded, in the shape of the ground; see ``digital_numbers``."""
    bare = np.array([band.deep_water, band.soil, band.soil], np.float32)
    leafy = np.array([band.turbid_water, band.forest, band.parcel], np.float32)
    kinds = place.kinds
    return np.asarray(
        (bare.take(kinds, mode="clip") + green * (leafy - bare).take(kinds, mode="clip")) * place.shine, np.float32
    )


def digital_numbers(reflected: _Values, band: Band) -> NDArray[np.uint16]:
    """Reflectances in 1/10000, rounded to the band's step, and never 0."""
    steps = np.rint(reflected * np.float32(1 / band.step))
    return np.asarray(np.maximum(steps, 1) * band.step, np.uint16)


def scene_classes(place: Ground, green: _Values) -> NDArray[np.uint8]:
    """The codes of the scene classification that clear ground gets: dark, vegetation, bare or water."""
    leafy = np.where(green < _BARE_BELOW_GREENNESS, np.uint8(SCL_BARE), np.uint8(SCL_VEGETATION))
    land = np.where(place.light < _DARK_BELOW_LIGHT, np.uint8(SCL_DARK), leafy)
    return np.where(place.kinds == _WATER, np.uint8(SCL_WATER), land)


def in_chunks(function: Callable[[_Floats, _Floats], T], lon: _Floats, lat: _Floats) -> list[T]:
    """What a function makes of consecutive points, few enough at once to stay in the processor's cache."""
    lon, lat = lon.ravel(), lat.ravel()
    starts = range(0, lon.size, _SAMPLES_AT_ONCE)
    return [function(lon[start : start + _SAMPLES_AT_ONCE], lat[start : start + _SAMPLES_AT_ONCE]) for start in starts]


def summed(octaves: tuple[Octave, ...], lon: _Floats, lat: _Floats) -> _Values:
    """The weighted sum of octaves of noise."""
    return np.asarray(sum(octave.weight * noise(octave, lon, lat) for octave in octaves), np.float32)


def _ground(lon: _Floats, lat: _Floats) -> Ground:
    height = elevation(lon, lat)
    texture, fine = noise(_COARSE_TEXTURE, lon, lat), noise(_FINE_TEXTURE, lon, lat)
    sea = height == 0
    course = np.abs(summed(_RIVERS, lon, lat))
    river = ~sea & (height < 120) & (course < 0.006 + 0.02 * np.exp(-height / 12))  # noqa: PLR2004 - widths of rivers
    cleared = summed(_CLEARED, lon, lat) + (70 - height) / 260 > 0.1  # noqa: PLR2004 - the plains are settled first
    kept, phase, vigour = _parcels(lon, lat)
    parcel = ~sea & ~river & cleared & (kept > 0.17)  # noqa: PLR2004 - a sixth of the parcels keeps its trees
    kinds = np.where(sea | river, _WATER, np.where(parcel, _PARCEL, _FOREST)).astype(np.uint8)
    dry = np.clip((height - 280) / 260, 0, 1) * 0.2
    forest = 0.90 + 0.09 * summed(_STANDS, lon, lat) - dry
    murk = np.exp(np.minimum(inland_degrees(lon, lat) * 70, 50))  # of the sea alone: inland it would overflow
    turbid = np.where(sea, 0.75 * murk + 0.03 * texture, 0.8 + 0.1 * texture)
    green = np.select([kinds == _PARCEL, kinds == _FOREST], [0.12 + 0.6 * vigour, forest], turbid)
    swing = np.select([kinds == _PARCEL, kinds == _FOREST], [0.14 + 0.3 * kept, 0.05 + dry], 0)
    light = np.where(kinds == _WATER, 1, _light(height, lon, lat)).astype(np.float32)
    rough = np.select([kinds == _PARCEL, kinds == _FOREST], [0.03, 0.045], 0.005)
    tone = np.where(kinds == _PARCEL, 0.86 + 0.3 * phase, 1)
    shine = light * tone * (1 + rough * (texture + _FINE_WEIGHT * fine))
    late = np.where(kinds == _PARCEL, 2 * math.pi * 0.16 * (phase - 0.5), 0)
    values = (light, shine, green, swing * np.cos(late), swing * np.sin(late))
    return Ground(kinds, *(np.asarray(value, np.float32) for value in values))


def _light(height: _Values, lon: _Floats, lat: _Floats) -> _Values:
    """The share of light that a slope gets: 1 on level ground, more towards the north-east."""
    ahead = elevation(lon + _LIGHT_STEP_DEGREES, lat + _LIGHT_STEP_DEGREES)
    grade = (height - ahead) / np.float32(_LIGHT_STEP_DEGREES * _METRES_PER_DEGREE * math.sqrt(2))
    return np.asarray(np.clip(1 + np.float32(0.95) * grade, 0.5, 1.4), np.float32)


def _parcels(lon: _Floats, lat: _Floats) -> tuple[_Values, _Values, _Values]:
    """Three numbers from 0 to 1 that are the same throughout a parcel of land."""
    turn = math.radians(_PARCEL_TURN_DEGREES)
    along, across = _PARCEL_DEGREES
    u = np.floor((lon * math.cos(turn) + lat * math.sin(turn)) / along).astype(np.int64)
    v = np.floor((lat * math.cos(turn) - lon * math.sin(turn)) / across).astype(np.int64)
    bits = (u * 0x1F123BB5 + v * 0x5A8F39C7).astype(np.uint64).astype(np.uint32)
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):  # the finaliser of MurmurHash3
        bits = (bits ^ (bits >> np.uint32(shift))) * np.uint32(factor)
    bits ^= bits >> np.uint32(16)
    digits = ((bits >> np.uint32(shift) & np.uint32(0x3FF)).astype(np.float32) for shift in (0, 10, 20))
    first, second, third = (digit / np.float32(0x3FF) for digit in digits)
    return first, second, third
