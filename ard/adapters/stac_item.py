"""The STAC Item of an output: what it is, what it was made from and by what, and the checksums of its objects."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pystac
import rasterio
from pystac.extensions.file import FileExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.raster import DataType, NoDataStrings, RasterBand, RasterExtension

from ard import __version__
from ard.grid import CRS
from ard.keys import relative_href
from ard.product import Band, Layer, LayerSpec, TileData

PROCESSING_EXTENSION = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
MULTIHASH_SHA256 = "1220"  # code of SHA-256 and its length, as the file extension asks


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """One data object of an output; ``name`` is its asset key in the item."""

    name: str
    key: str
    size: int
    sha256: str
    media_type: str
    roles: tuple[str, ...]
    layer: Layer | None = None
    fixed_name: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Who made an output, and when (seconds since the epoch)."""

    job_id: str
    git_sha: str
    created: float


def build_item(
    data: TileData, *, item_key: str, objects: Sequence[StoredObject], formats: Sequence[str], provenance: Provenance
) -> pystac.Item:
    """The item of an output, its assets addressed relative to ``item_key``."""
    west, south, east, north = data.tile.grid(10).bounds
    item = pystac.Item(
        id=f"{data.tile.key}-{data.year}-{data.product}",
        geometry={
            "type": "Polygon",
            "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
        },
        bbox=[west, south, east, north],
        datetime=None,
        start_datetime=data.start,
        end_datetime=data.end,
        properties={
            "created": f"{datetime.fromtimestamp(provenance.created, UTC):%Y-%m-%dT%H:%M:%SZ}",
            "processing:lineage": f"{data.product} of one tile, from the items linked as derived_from",
            "processing:software": _software(provenance.git_sha),
            "ttc:flags": sorted(data.flags),
            "ttc:formats": list(formats),
            "ttc:job_id": provenance.job_id,
            "ttc:metrics": dict(data.metrics),
            "ttc:parameters": dict(data.parameters),
            "ttc:tile": data.tile.key,
            "ttc:year": data.year,
        },
    )
    item.stac_extensions.append(PROCESSING_EXTENSION)
    ProjectionExtension.ext(item, add_if_missing=True).apply(code=CRS)
    for stored in objects:
        _add_asset(item, stored, data, item_key)
    for scene in data.sources:
        item.add_link(
            pystac.Link(pystac.RelType.DERIVED_FROM, scene.href, media_type="application/geo+json", title=scene.id)
        )
    return item


def _add_asset(item: pystac.Item, stored: StoredObject, data: TileData, item_key: str) -> None:
    asset = pystac.Asset(
        href=relative_href(item_key, stored.key), media_type=stored.media_type, roles=list(stored.roles)
    )
    item.add_asset(stored.name, asset)
    FileExtension.ext(asset, add_if_missing=True).apply(size=stored.size, checksum=MULTIHASH_SHA256 + stored.sha256)
    if stored.layer is None:
        return
    grid = data.grid(stored.layer)
    ProjectionExtension.ext(asset).apply(
        code=CRS, shape=list(grid.shape), transform=list(grid.transform)[:6], bbox=list(grid.bounds)
    )
    # Names are core STAC 1.1; types, units and scales stay in raster:bands, which today's readers know.
    bands = stored.layer.bands
    asset.extra_fields["bands"] = [{"name": band.name, "description": band.description} for band in bands]
    RasterExtension.ext(asset, add_if_missing=True).apply([_raster_band(band, stored.layer.spec) for band in bands])


def _raster_band(band: Band, spec: LayerSpec) -> RasterBand:
    not_a_number = spec.nodata is not None and math.isnan(spec.nodata)
    return RasterBand.create(
        data_type=DataType(spec.dtype),
        nodata=NoDataStrings.NAN if not_a_number else spec.nodata,
        unit=band.unit,
        scale=band.scale,
        offset=0.0,
        spatial_resolution=float(spec.metres),
    )


def _software(git_sha: str) -> dict[str, str]:
    return {
        "ttc-tile-pipeline": f"{__version__}+{git_sha}",
        "gdal": rasterio.__gdal_version__,
        "numpy": np.__version__,
        "rasterio": rasterio.__version__,
    }
