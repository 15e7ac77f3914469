"""The clouds over the made-up landscape: a pattern per day, thick hearts with thin rims, their shadows, thin cirrus."""

from dataclasses import dataclass
from datetime import date
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ard.errors import InvalidInput
from sandbox.s2_plan import BORDER_SHOTS, SHOTS
from sandbox.s2_surface import in_chunks, summed
from sandbox.terrain import Octave

SCL_SHADOW, SCL_CLOUD_MEDIUM, SCL_CLOUD_HIGH, SCL_CIRRUS = 3, 8, 9, 10
# Where a cloud's shadow falls, in metres; whole pixels of 20 m and blocks of 320 m.
SHADOW_WEST_METRES, SHADOW_SOUTH_METRES = 960, 640

_CUMULUS = (
    Octave(0.171, 14.0, (3.7, 51.2), 1.0),
    Octave(0.0653, 71.0, (120.9, 8.3), 0.62),
    Octave(0.0261, 43.0, (66.4, 171.0), 0.40),
    Octave(0.0103, 27.0, (18.8, 93.5), 0.24),
    Octave(0.0047, 58.0, (209.1, 33.3), 0.12),
)
_CIRRUS = (Octave(0.221, 80.0, (61.0, 2.2), 1.0), Octave(0.083, 9.0, (8.1, 140.6), 0.4))
_SPREADS = (0.385, 0.335)  # standard deviations of the two sums
_DRIFT_DEGREES = (0.731, 0.417)  # from pattern to pattern: more than a cloud's size
_HIGH_FROM_THICKNESS = 0.12
_RIM_OPACITY, _HEART_THICKNESS = 0.35, 0.22
_SHADOW_LIGHT = 0.45
_OPACITY_STEPS = 8
_BRIGHTNESS_STEP = 768  # 1/10000

_Floats = NDArray[np.float64]
_Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sky:
    """What hangs over a day."""

    cover: float
    cirrus: float
    pattern: int


@dataclass(frozen=True, slots=True)
class Clouds:
    """Clouds over some pixels, ``(y, x)``.

    Attributes:
        codes: Scene classes of cloud, cirrus and shadow; 0 where the ground lies in plain light.
        opacity: 0 where the ground is seen, 1 where it is hidden.
        brightness: The cloud's reflectance, in 1/10000.
    """

    codes: NDArray[np.uint8]
    opacity: _Values
    brightness: _Values

    def finer(self, factor: int) -> "Clouds":
        """The same clouds over pixels ``factor`` times as small."""
        if factor == 1:
            return self
        opacity, brightness = (
            part.repeat(factor, axis=0).repeat(factor, axis=1) for part in (self.opacity, self.brightness)
        )
        return Clouds(self.codes.repeat(factor, axis=0).repeat(factor, axis=1), opacity, brightness)

    def rows(self, rows: slice) -> "Clouds":
        """The clouds over some rows."""
        return Clouds(self.codes[rows], self.opacity[rows], self.brightness[rows])

    def over(self, reflected: _Values) -> _Values:
        """What a satellite sees of ground of that reflectance (1/10000), to the last bit where the sky is clear."""
        shaded = np.where(self.codes == SCL_SHADOW, reflected * np.float32(_SHADOW_LIGHT), reflected)
        return np.asarray(shaded * (1 - self.opacity) + self.brightness * self.opacity, np.float32)


def sky_of(day: date) -> Sky:
    """The sky of a day of the archive, whatever its year.

    Raises:
        InvalidInput: The archive has no scene of that day.
    """
    for shot in (*SHOTS, *BORDER_SHOTS):
        if (shot.month, shot.day) == (day.month, day.day):
            return Sky(shot.cover, shot.cirrus, shot.pattern or 100 * day.month + day.day)
    raise InvalidInput(f"expected a day with a scene (see sandbox.s2_plan), found {day}")


def is_cloud(lon: _Floats, lat: _Floats, day: date) -> NDArray[np.bool_]:
    """Whether cloud or cirrus hangs over a point, in the shape that the two arrays broadcast to.

    Raises:
        InvalidInput: The archive has no scene of that day.
    """
    lon, lat = np.broadcast_arrays(np.asarray(lon, np.float64), np.asarray(lat, np.float64))
    thickness, veil = _thickness(lon, lat, sky_of(day))
    return np.asarray((thickness > 0) | (veil > 0))


def clouds(lon: _Floats, lat: _Floats, sky: Sky, *, metres: int) -> Clouds | None:
    """The clouds over pixels of some size, without the margin that shadows come from; nothing under a clear sky.

    Args:
        lon: Pixel centres, ``(y, x)`` degrees, with ``margin(metres)`` pixels more on every side.
        lat: The same of the latitudes.
        sky: What to make.
        metres: The size of a pixel.
    """
    if sky.cover == 0 and sky.cirrus == 0:
        return None
    south, west, edge = SHADOW_SOUTH_METRES // metres, SHADOW_WEST_METRES // metres, margin(metres)
    height, width = lon.shape
    inner = slice(edge, height - edge), slice(edge, width - edge)
    whole, veil = _thickness(lon, lat, sky)
    thickness, veil = whole[inner], veil[inner]
    casting = whole[edge - south : height - edge - south, edge + west : width - edge + west] > 0
    codes = np.zeros(thickness.shape, np.uint8)
    codes[casting] = SCL_SHADOW
    codes[veil > 0] = SCL_CIRRUS
    codes[thickness > 0] = SCL_CLOUD_MEDIUM
    codes[thickness > _HIGH_FROM_THICKNESS] = SCL_CLOUD_HIGH
    cloud = thickness > 0
    rounded = _RIM_OPACITY + (1 - _RIM_OPACITY) * np.clip(thickness / _HEART_THICKNESS, 0, 1)
    opacity = np.where(cloud, rounded, np.where(veil > 0, 0.08 + np.clip(veil, 0, 1) * 0.5, 0))
    lit = np.clip(thickness - whole[edge - 2 : height - edge - 2, edge + 2 : width - edge + 2], -0.12, 0.12)
    brightness = np.where(cloud, 5200 + 4200 * np.sqrt(np.clip(thickness, 0, 1)) + 4000 * lit, 5000)
    # In steps, which the eye does not see, so that files stay small.
    brightness = np.rint(brightness / _BRIGHTNESS_STEP) * _BRIGHTNESS_STEP
    opacity = np.rint(opacity * _OPACITY_STEPS) / _OPACITY_STEPS
    return Clouds(codes, opacity.astype(np.float32), brightness.astype(np.float32))


def margin(metres: int) -> int:
    """How many pixels round a window its shadows may come from."""
    return SHADOW_WEST_METRES // metres


def _thickness(lon: _Floats, lat: _Floats, sky: Sky) -> tuple[_Values, _Values]:
    """Of cloud and of cirrus, above 0 where there is any."""
    east, north = (sky.pattern * drift for drift in _DRIFT_DEGREES)
    shares = (sky.cover, sky.cirrus)
    thickness, veil = (
        _above(octaves, lon + east, lat + north, share=share, spread=spread)
        for octaves, share, spread in zip((_CUMULUS, _CIRRUS), shares, _SPREADS, strict=True)
    )
    return thickness, veil


def _above(octaves: tuple[Octave, ...], lon: _Floats, lat: _Floats, *, share: float, spread: float) -> _Values:
    """How far noise rises above the level that a share of its values exceeds."""
    if share == 0:
        return np.full(lon.shape, -1, np.float32)
    values = np.concatenate(in_chunks(lambda *part: summed(octaves, *part), lon, lat)).reshape(lon.shape)
    if share == 1:
        return np.asarray(np.clip(values + 0.6, 0.05, None), np.float32)
    return np.asarray(values - np.float32(spread * NormalDist().inv_cdf(1 - share)), np.float32)
