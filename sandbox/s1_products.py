"""Writes the pixels of one Sentinel-1 pass: backscatter with speckle and noise, cut into slices."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray

from ard.grid import Bounds
from ard.tile import Tile
from sandbox.cuts import Cut
from sandbox.s1_backscatter import Landscape, landscape, power
from sandbox.s1_frames import CELL_PIXELS, Frame, Lattice, cuts_of, lattice_over
from sandbox.s1_items import LOOKS, NODATA, asset_path
from sandbox.s1_plan import Overpass
from sandbox.s2_surface import in_chunks
from sandbox.terrain import Octave, noise

# The instrument's own, linear (-25 dB); its mean is taken out again, which leaves negative power over calm water.
NOISE = 0.003

_BLOCK = 512
_KEPT_BITS = 4  # of the mantissa: steps of 3 to 6 %, far below speckle, keep the files small
_MANTISSA_BITS = 23
_HOLES = Octave(0.0171, 27.0, (42.3, 118.9), 1.0)
_HOLE_BEYOND = 0.4
_NEGATIVE_POWER = -0.002

_Floats = NDArray[np.float64]
_Values = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Product:
    """What to write: a pass in the archive of a year, over a box in degrees; cut, if it is, through a tile."""

    folder: Path
    overpass: Overpass
    year: int
    box: Bounds
    tile: Tile


@dataclass(frozen=True, slots=True)
class _Site:
    """The cells of a lattice: their centres in degrees, and the landscape in them."""

    lon: _Floats
    lat: _Floats
    place: Landscape


def write_product(product: Product) -> None:
    """Write the files of a pass: one for each polarisation of each slice."""
    overpass, year = product.overpass, product.year
    lattice, orbit = lattice_over(product.box, other_zone=overpass.other_zone), overpass.absolute_orbit(year)
    site, frame, (row, column) = _site(lattice), lattice.frame(orbit), lattice.shift(orbit)
    for polarisation in overpass.polarisations:
        cells = _measured(product, site, polarisation)
        for number in range(overpass.slices):
            held = _held(site, cuts_of(overpass, product.tile, number=number))
            seen = np.where(held, cells, np.float32(NODATA)).repeat(CELL_PIXELS, axis=0).repeat(CELL_PIXELS, axis=1)
            pixels = seen[row : row + frame.height, column : column + frame.width]
            _write_cog(product.folder / asset_path(overpass, year, polarisation, number=number), pixels, frame)


@functools.lru_cache(maxsize=1)
def _site(lattice: Lattice) -> _Site:
    lon, lat = lattice.lon_lat()
    return _Site(lon, lat, landscape(lon, lat))


def _measured(product: Product, site: _Site, polarisation: str) -> _Values:
    """What the instrument makes of the landscape, ``(y, x)`` per cell: power times speckle, less the mean noise."""
    overpass = product.overpass
    truth = power(site.place, polarisation, day=overpass.date(product.year), direction=overpass.direction)
    seed = (overpass.absolute_orbit(product.year), *polarisation.encode())
    speckle = np.random.default_rng(seed).standard_gamma(LOOKS, truth.shape, dtype=np.float32) / np.float32(LOOKS)
    noisy = truth * np.float32(overpass.brightness) + np.float32(NOISE)
    measured = _coarsened(noisy * speckle - np.float32(NOISE))
    if not overpass.holes:
        return measured
    depth = np.concatenate(in_chunks(lambda lon, lat: noise(_HOLES, lon, lat), site.lon, site.lat))
    depth = depth.reshape(truth.shape)
    negative = np.where(depth < -_HOLE_BEYOND, np.float32(_NEGATIVE_POWER), measured)
    return np.where(depth > _HOLE_BEYOND, np.float32(NODATA), negative)


def _coarsened(values: _Values) -> _Values:
    """Values rounded to the first bits of their mantissa."""
    dropped = _MANTISSA_BITS - _KEPT_BITS
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + np.uint32(1 << (dropped - 1))) & np.uint32(~((1 << dropped) - 1) & 0xFFFFFFFF)
    return rounded.view(np.float32)


def _held(site: _Site, cuts: Sequence[Cut]) -> NDArray[np.bool_]:
    held = np.ones(site.lon.shape, np.bool_)
    for cut in cuts:
        held &= cut.side(site.lon, site.lat) >= 0
    return held


def _write_cog(path: Path, pixels: _Values, frame: Frame) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    with rasterio.open(
        path.stem,
        "w",
        driver="MEM",
        height=frame.height,
        width=frame.width,
        count=1,
        dtype="float32",
        crs=f"EPSG:{frame.epsg}",
        transform=frame.transform,
        nodata=NODATA,
    ) as memory:
        memory.write(pixels, 1)
        rasterio.shutil.copy(
            memory,
            partial,
            driver="COG",
            COMPRESS="DEFLATE",
            PREDICTOR="FLOATING_POINT",
            BLOCKSIZE=_BLOCK,
            OVERVIEWS="NONE",
        )
    partial.replace(path)
