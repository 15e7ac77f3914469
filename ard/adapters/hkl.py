"""The legacy hickle layout that the model's prediction step reads; its scaling and clipping live here alone."""

from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import Any

import h5py
import hickle
import numpy as np
from numpy.typing import NDArray

from ard.keys import legacy_key
from ard.product import Product, TileData

_S1_DAYS = (45, 135, 225, 315)  # of the year: the middles of the quarters


def hkl_files(data: TileData) -> Iterator[tuple[str, str, bytes]]:
    """The product's hickle files (a bare array each, gzip, hickle 5): asset name, object key, content."""
    for kind, array in _LAYOUTS[data.product](data).items():
        name = "hkl_" + kind.strip("/_").replace("/", "_")
        yield name, legacy_key(data.year, data.tile, kind=kind), _hickle(array)


def _hickle(array: NDArray[Any]) -> bytes:
    buffer = BytesIO()
    with h5py.File(buffer, "w") as file:
        hickle.dump(np.ascontiguousarray(array), file, compression="gzip")
    return buffer.getvalue()


def _dem_arrays(data: TileData) -> dict[str, NDArray[Any]]:
    """``dem``: slope (not elevation) in degrees, ``(y, x)`` float32, no nodata."""
    return {"misc/dem_": data.layer("dem").pixels[1]}


def _s2_arrays(data: TileData) -> dict[str, NDArray[Any]]:
    """Sentinel-2 as the model reads it.

    ``s2_10 (time, y, x, 4)`` and ``s2_20 (time, y, x, 6)`` uint16: reflectance clipped to 1, times 65535, 0 is nodata;
    ``s2_dates`` and ``clean_steps`` int64 days from 1 January of the year, which is 1; ``clouds`` float32 0 or 1 on the
    640 m grid, NaN without data; ``cloudmask`` uint8 0 or 1 on the 20 m grid.
    """
    dates = data.extras["dates"].astype(np.int64)
    return {
        "clouds/clouds_": data.extras["clouds"].astype(np.float32),
        "clouds/cloudmask_": data.layer("s2_cloudmask").pixels,
        "clouds/clean_steps_": dates,
        "misc/s2_dates_": dates,
        "s2_10/": _times_65535(data.layer("s2_10m").pixels, bands=4),
        "s2_20/": _times_65535(data.layer("s2_20m").pixels, bands=6),
    }


def _times_65535(pixels: NDArray[Any], *, bands: int) -> NDArray[np.uint16]:
    """Reflectance times 10,000, ``(time * band, y, x)``, to times 65,535, ``(time, y, x, band)``; 0 stays 0."""
    counts = np.minimum(pixels, 10_000).astype(np.uint32)
    scaled = ((counts * 65_535 + 5_000) // 10_000).astype(np.uint16)
    times, (height, width) = pixels.shape[0] // bands, pixels.shape[1:]
    return np.ascontiguousarray(scaled.reshape(times, bands, height, width).transpose(0, 2, 3, 1))


def _s1_arrays(data: TileData) -> dict[str, NDArray[Any]]:
    """Sentinel-1 as the model reads it.

    ``s1 (12, y, x, 2)`` uint16 on the 10 m grid: linear power of VV and VH clipped to 1, times 65535, cut off; what is
    darker than that is 1, because 0 is nodata. Each quarter stands three times and each 40 m pixel 4 x 4 times, cut to
    the grid. ``s1_dates`` int64: the middle days of the quarters.
    """
    pixels = data.layer("s1").pixels
    power = pixels.reshape(len(_S1_DAYS), 2, *pixels.shape[1:]).transpose(0, 2, 3, 1).astype(np.float64)
    missing = np.isnan(power)
    scaled = np.clip(np.where(missing, 0, power), 0, 1) * 65_535
    counts = np.where(missing, 0, np.maximum(scaled, 1)).astype(np.uint16)
    height, width = data.tile.grid(10).shape
    fine = counts.repeat(4, axis=1).repeat(4, axis=2)[:, :height, :width]
    return {
        "misc/s1_dates_": np.repeat(np.array(_S1_DAYS, dtype=np.int64), 3),
        "s1/": np.ascontiguousarray(fine.repeat(3, axis=0)),
    }


_LAYOUTS: Mapping[Product, Callable[[TileData], dict[str, NDArray[Any]]]] = {
    Product.DEM: _dem_arrays,
    Product.S1: _s1_arrays,
    Product.S2: _s2_arrays,
}
