"""Pictures of products that people can look at."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from rasterio.io import MemoryFile

from ard.adapters.gdal import gdal_environment
from ard.product import Product, TileData

Picture = NDArray[np.uint8]  # (3, y, x): red, green, blue

# Heights above the lowest land of the tile, as a fraction of its relief, and their colours.
_TINTS = np.array([0.0, 0.25, 0.5, 0.75, 1.0])
_TINT_COLOURS = np.array(
    [[88, 137, 92], [160, 186, 118], [221, 207, 152], [176, 131, 91], [245, 240, 234]], dtype=np.float64
)
_SEA_COLOUR = np.array([92, 140, 186], dtype=np.float64)
_BRIGHT_COUNTS = 2500.0  # reflectance 0.25 is white
_GAMMA = 1 / 1.6
_DB = ((-18.0, -2.0), (-25.0, -8.0), (2.0, 14.0))  # of VV, VH and their ratio: black and full colour
_DARKEST = 1e-6  # linear power, -60 dB
_LEAST_RELIEF_METRES = 40.0  # a flat tile is not blown up into mountains


def thumbnail_png(data: TileData) -> bytes:
    """A picture of the product as PNG, at half the size of its 10 m grid."""
    picture = _PICTURES[data.product](data)[:, ::2, ::2]
    profile = {
        "driver": "PNG",
        "dtype": "uint8",
        "count": 3,
        "height": picture.shape[1],
        "width": picture.shape[2],
        "transform": data.tile.grid(20).transform,  # never written: PNG has no place for it, and side files are off
    }
    with gdal_environment({"GDAL_PAM_ENABLED": "NO"}), MemoryFile(ext=".png") as png:
        with png.open(**profile) as dataset:
            dataset.write(picture)
        return bytes(png.getbuffer())


def _dem_picture(data: TileData) -> Picture:
    """Tinted elevation under a light from the north-west; the sea is blue."""
    elevation, slope = data.layer("dem").pixels.astype(np.float64)
    sea = (elevation == 0) & (slope == 0)
    lowest = elevation[~sea].min(initial=elevation.max())
    relief = max(elevation.max() - lowest, _LEAST_RELIEF_METRES)
    height = np.clip((elevation - lowest) / relief, 0, 1)
    tint = np.stack([np.interp(height, _TINTS, _TINT_COLOURS[:, channel]) for channel in range(3)])
    tint = np.where(sea, _SEA_COLOUR[:, np.newaxis, np.newaxis], tint)
    south, east = np.gradient(elevation, 10.0)
    # Lambert: the normal (-east, south, 1) with a light from 315 degrees at 45 degrees, doubled in height to be seen.
    shade = (1 + 2 * (east + south) / np.sqrt(2)) / np.sqrt(2 * (1 + 4 * (east**2 + south**2)))
    lit = tint * np.clip(0.35 + 0.92 * shade, 0.25, 1.15)
    return np.asarray(np.clip(lit, 0, 255), dtype=np.uint8)


def _s2_picture(data: TileData) -> Picture:
    """Natural colours of the clearest date: reflectance up to 0.25, lightened; nodata is black."""
    shown = int(data.extras["clearest"])
    bands = data.layer("s2_10m").pixels[4 * shown : 4 * shown + 4].astype(np.float64)
    red_green_blue = bands[[2, 1, 0]] / _BRIGHT_COUNTS
    return np.asarray(255 * np.clip(red_green_blue, 0, 1) ** _GAMMA, dtype=np.uint8)


def _s1_picture(data: TileData) -> Picture:
    """False colours of the year's mean: VV is red, VH green and VV / VH blue, each in dB; nodata is black."""
    pixels = data.layer("s1").pixels
    quarters = pixels.reshape(-1, 2, *pixels.shape[1:]).astype(np.float64)
    held = ~np.isnan(quarters)
    mean = np.where(held, quarters, 0).sum(axis=0) / np.maximum(held.sum(axis=0), 1)
    vv, vh = 10 * np.log10(np.maximum(mean, _DARKEST))
    shown = np.stack(
        [np.interp(channel, limits, (0, 255)) for channel, limits in zip((vv, vh, vv - vh), _DB, strict=True)]
    )
    shown[:, ~held.any(axis=0).all(axis=0)] = 0
    height, width = data.tile.grid(10).shape
    return shown.astype(np.uint8).repeat(4, axis=1).repeat(4, axis=2)[:, :height, :width]


_PICTURES: Mapping[Product, Callable[[TileData], Picture]] = {
    Product.DEM: _dem_picture,
    Product.S1: _s1_picture,
    Product.S2: _s2_picture,
}
