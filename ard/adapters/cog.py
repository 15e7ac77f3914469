"""A layer as a cloud-optimised GeoTIFF, made in memory."""

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.enums import Resampling
from rasterio.io import MemoryFile

from ard.adapters.gdal import gdal_environment
from ard.grid import CRS
from ard.product import Layer, TileData

BLOCK_SIZE = 256
OVERVIEW_FACTORS = (2, 4)
COMPRESSION = "ZSTD"  # lossless; chosen by measurement, see docs/adr/0004-cog-codec.md
COMPRESSION_LEVEL = 1


def cog_bytes(layer: Layer, data: TileData) -> bytes:
    """The layer as one COG with overviews: band names, units and scales set, deterministic to the byte.

    Bands are stored one after the other, so that a reader of one date or band fetches no other. (GDAL's own COG driver
    can do that only from 3.11 on; a GeoTIFF copied with its overviews has the same layout.)
    """
    grid = data.grid(layer)
    profile = {
        "driver": "GTiff",
        "dtype": layer.spec.dtype,
        "count": len(layer.bands),
        "height": grid.height,
        "width": grid.width,
        "crs": CRS,
        "transform": grid.transform,
        "nodata": layer.spec.nodata,
        "interleave": "band",
    }
    with gdal_environment({}), MemoryFile(ext=".tif") as plain, MemoryFile(ext=".tif") as cog:
        with plain.open(**profile) as dataset:
            dataset.write(layer.pixels)
            dataset.descriptions = tuple(band.name for band in layer.bands)
            dataset.units = tuple(band.unit for band in layer.bands)
            dataset.scales = tuple(band.scale for band in layer.bands)
            dataset.build_overviews(OVERVIEW_FACTORS, Resampling[layer.spec.overviews])
        with plain.open() as dataset:
            rasterio.shutil.copy(dataset, cog.name, driver="GTiff", **_creation_options(layer))
        return bytes(cog.getbuffer())


def _creation_options(layer: Layer) -> dict[str, str | int]:
    floating = np.issubdtype(layer.pixels.dtype, np.floating)
    return {
        "COPY_SRC_OVERVIEWS": "YES",
        "TILED": "YES",
        "BLOCKXSIZE": BLOCK_SIZE,
        "BLOCKYSIZE": BLOCK_SIZE,
        "INTERLEAVE": "BAND",
        "COMPRESS": COMPRESSION,
        "ZSTD_LEVEL": COMPRESSION_LEVEL,
        "PREDICTOR": 3 if floating else 2,
        "BIGTIFF": "IF_SAFER",
    }
