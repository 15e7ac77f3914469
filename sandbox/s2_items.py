"""STAC items and collections shaped as Earth Search's are for Sentinel-2."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from sandbox.cuts import Ring
from sandbox.s2_granules import GRANULE_METRES, Granule
from sandbox.s2_plan import C1, L2A, Shot
from sandbox.s2_surface import BANDS

if TYPE_CHECKING:
    from affine import Affine

_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_OFFSET_FROM_BASELINE = "04.00"
# Title, central wavelength and full width at half maximum in micrometres, of Sentinel-2A.
_OPTICS = {
    "blue": ("Blue (band 2)", 0.49, 0.098),
    "green": ("Green (band 3)", 0.56, 0.045),
    "red": ("Red (band 4)", 0.665, 0.038),
    "nir": ("NIR 1 (band 8)", 0.842, 0.145),
    "rededge1": ("Red edge 1 (band 5)", 0.704, 0.019),
    "rededge2": ("Red edge 2 (band 6)", 0.74, 0.018),
    "rededge3": ("Red edge 3 (band 7)", 0.783, 0.028),
    "nir08": ("NIR 2 (band 8A)", 0.865, 0.033),
    "swir16": ("SWIR 1 (band 11)", 1.61, 0.143),
    "swir22": ("SWIR 2 (band 12)", 2.19, 0.242),
}
_CLASS_PROPERTIES = {
    1: "saturated_defective_pixel",
    2: "dark_features",
    3: "cloud_shadow",
    4: "vegetation",
    5: "not_vegetated",
    6: "water",
    7: "unclassified",
    8: "medium_proba_clouds",
    9: "high_proba_clouds",
    10: "thin_cirrus",
    11: "snow_ice",
}
_CLOUDS = (8, 9, 10)
_OBLIQUITY_DEGREES = 23.44
_SOLSTICE_DAY = 172.0  # of the year


def product_id(shot: Shot, granule: Granule, year: int) -> str:
    """Such as ``S2A_22MAV_20230517_0_L2A``, or ``S2A_T22MAV_20230517T135118_L2A`` in the other collection."""
    satellite = f"S2{shot.satellite.upper()}"
    if shot.collection == C1:
        return f"{satellite}_T{granule.name}_{_stamp(shot.strip_at(year))}_L2A"
    return f"{satellite}_{granule.name}_{shot.date(year):%Y%m%d}_{shot.sequence}_L2A"


def product_folder(shot: Shot, granule: Granule, year: int) -> str:
    """Where the files of a product lie, relative to the archive, as in the real buckets."""
    name, day = granule.name, shot.date(year)
    place = f"{int(name[:2])}/{name[2]}/{name[3:]}/{day.year}/{day.month}"
    return f"{shot.collection}/{place}/{product_id(shot, granule, year)}"


def item(
    shot: Shot, granule: Granule, *, year: int, base: str, ring: Ring, shares: Mapping[int, float]
) -> dict[str, object]:
    """The item of one product.

    Args:
        shot: The product.
        granule: Its square.
        year: The archive's.
        base: What addresses begin with.
        ring: The footprint's corners, in degrees; the first is not repeated.
        shares: Of every scene class, 0 to 1, nodata (0) included.
    """
    identifier, href = product_id(shot, granule, year), f"{base}/{product_folder(shot, granule, year)}"
    lons, lats = [lon for lon, _ in ring], [lat for _, lat in ring]
    collection = f"{base}/{shot.collection}/collection.json"
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            f"https://stac-extensions.github.io/{name}/schema.json"
            for name in ("eo/v1.1.0", "grid/v1.1.0", "mgrs/v1.0.0", "projection/v1.1.0", "raster/v1.1.0", "view/v1.0.0")
        ],
        "id": identifier,
        "collection": shot.collection,
        "geometry": {"type": "Polygon", "coordinates": [[list(corner) for corner in (*ring, ring[0])]]},
        "bbox": [min(lons), min(lats), max(lons), max(lats)],
        "properties": {
            **_description(shot, granule, year),
            **_identity(shot, granule, year),
            **_shares(shares),
            **_view(shot.acquired_at(year), lon=sum(lons) / len(lons), lat=sum(lats) / len(lats)),
            **_provider(shot),
        },
        "links": [
            {"rel": "self", "type": "application/geo+json", "href": f"{href}/{identifier}.json"},
            {"rel": "collection", "type": "application/json", "href": collection},
            {"rel": "parent", "type": "application/json", "href": collection},
        ],
        "assets": {
            **{key: _band_asset(key, href, shot, granule) for key in BANDS if key not in shot.missing},
            "scl": {
                **_asset(href, "SCL", "Scene classification map (SCL)", granule, 20),
                "raster:bands": [{"nodata": 0, "data_type": "uint8", "spatial_resolution": 20}],
                "roles": ["data"],
            },
        },
    }


def collection(name: str, *, base: str) -> dict[str, object]:
    """The collection object that the items of a name belong to."""
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": name,
        "description": "A made-up landscape, as Sentinel-2 Level-2A would show it.",
        "license": "Apache-2.0",
        "extent": {
            "spatial": {"bbox": [[-180, -80, 180, 84]]},
            "temporal": {"interval": [["2015-06-27T10:25:31.456000Z", None]]},
        },
        "links": [{"rel": "self", "type": "application/json", "href": f"{base}/{name}/collection.json"}],
    }


def _description(shot: Shot, granule: Granule, year: int) -> dict[str, object]:
    return {
        "datetime": _iso(shot.acquired_at(year)),
        "created": _iso(shot.generated_at(year)),
        "platform": f"sentinel-2{shot.satellite}",
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "proj:epsg": granule.epsg,
        "proj:code": f"EPSG:{granule.epsg}",
        "mgrs:utm_zone": granule.zone,
        "mgrs:latitude_band": granule.name[2],
        "mgrs:grid_square": granule.name[3:],
        "grid:code": f"MGRS-{granule.name}",
    }


def _identity(shot: Shot, granule: Granule, year: int) -> dict[str, object]:
    """What tells products apart: datatake, datastrip, processing."""
    satellite, baseline = f"S2{shot.satellite.upper()}", shot.baseline
    taken, made = _stamp(shot.taken_at(year)), _stamp(shot.generated_at(year))
    orbit = f"{shot.absolute_orbit(year):06d}"
    strip = _stamp(shot.strip_at(year))
    return {
        "s2:product_type": "S2MSI2A",
        "s2:processing_baseline": baseline,
        "s2:product_uri": f"{satellite}_MSIL2A_{taken}_N{baseline.replace('.', '')}"
        f"_R{shot.relative_orbit(year):03d}_T{granule.name}_{made}.SAFE",
        "s2:generation_time": _iso(shot.generated_at(year)),
        "s2:datatake_id": f"G{satellite}_{taken}_{orbit}_N{baseline}",
        "s2:datatake_type": "INS-NOBS",
        "s2:datastrip_id": f"{satellite}_OPER_MSI_L2A_DS_2{shot.satellite.upper()}PS_{made}_S{strip}_N{baseline}",
        "s2:granule_id": f"{satellite}_OPER_MSI_L2A_TL_2{shot.satellite.upper()}PS_{made}"
        f"_A{orbit}_T{granule.name}_N{baseline}",
        "s2:degraded_msi_data_percentage": 0,
    }


def _shares(shares: Mapping[int, float]) -> dict[str, object]:
    """Percentages of the pixels that hold something, as ESA counts."""
    nodata = shares.get(0, 0.0)
    valid = {code: 100 * share / (1 - nodata) if nodata < 1 else 0.0 for code, share in shares.items() if code}
    return {
        "eo:cloud_cover": round(sum(valid.get(code, 0.0) for code in _CLOUDS), 6),
        "s2:nodata_pixel_percentage": round(100 * nodata, 6),
        **{f"s2:{name}_percentage": round(valid.get(code, 0.0), 6) for code, name in _CLASS_PROPERTIES.items()},
    }


def _view(moment: datetime, *, lon: float, lat: float) -> dict[str, object]:
    """Where the sun and the satellite stand; the sun to about a degree (no equation of time)."""
    day = moment.timetuple().tm_yday
    declination = math.radians(_OBLIQUITY_DEGREES * math.cos(2 * math.pi * (day - _SOLSTICE_DAY) / 365.25))
    solar_hour = moment.hour + moment.minute / 60 + moment.second / 3600 + lon / 15
    hour_angle, latitude = math.radians(15 * (solar_hour - 12)), math.radians(lat)
    sine = math.sin(latitude) * math.sin(declination) + math.cos(latitude) * math.cos(declination) * math.cos(
        hour_angle
    )
    north = math.sin(declination) * math.cos(latitude) - math.cos(declination) * math.sin(latitude) * math.cos(
        hour_angle
    )
    east = -math.cos(declination) * math.sin(hour_angle)
    return {
        "view:sun_azimuth": round(math.degrees(math.atan2(east, north)) % 360, 6),
        "view:sun_elevation": round(math.degrees(math.asin(sine)), 6),
        "view:azimuth": 286.4 if day % 2 else 103.9,
        "view:incidence_angle": 3.1 + day % 6,
    }


def _provider(shot: Shot) -> dict[str, object]:
    if shot.collection == C1:
        return {"storage:platform": "AWS", "storage:region": "us-west-2", "storage:requester_pays": False}
    return {"s2:sequence": str(shot.sequence), "earthsearch:boa_offset_applied": shot.flag}


def _band_asset(key: str, href: str, shot: Shot, granule: Granule) -> dict[str, object]:
    band, (title, wavelength, width) = BANDS[key], _OPTICS[key]
    # The catalogue says so of every such product, the offset being in the pixels or not.
    offset = -0.1 if shot.baseline >= _OFFSET_FROM_BASELINE else 0
    return {
        **_asset(href, band.name, f"{title} - {band.metres}m", granule, band.metres),
        "gsd": band.metres,
        "eo:bands": [
            {
                "name": key if shot.collection == L2A else band.name,
                "common_name": "rededge" if key.startswith("rededge") else key,
                "center_wavelength": wavelength,
                "full_width_half_max": width,
            }
        ],
        "raster:bands": [
            {
                "nodata": 0,
                "data_type": "uint16",
                "spatial_resolution": band.metres,
                "scale": 0.0001,
                "offset": offset,
            }
        ],
        "roles": ["data", "reflectance"],
    }


def _asset(href: str, name: str, title: str, granule: Granule, metres: int) -> dict[str, object]:
    transform: Affine = granule.transform(metres)
    size = GRANULE_METRES // metres
    return {
        "href": f"{href}/{name}.tif",
        "type": _COG,
        "title": title,
        "proj:shape": [size, size],
        "proj:transform": [int(value) for value in transform[:6]],
    }


def _stamp(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%S}"


def _iso(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
