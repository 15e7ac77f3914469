"""STAC items and the collection, shaped as the Planetary Computer's are for Sentinel-1 RTC."""

from datetime import UTC, datetime

from sandbox.cuts import Ring
from sandbox.s1_frames import PIXEL_METRES, Frame
from sandbox.s1_plan import Overpass

COLLECTION = "sentinel-1-rtc"
NODATA = -32_768
LOOKS = 4.4  # the equivalent number, of mode IW

_COG = "image/tiff; application=geotiff; profile=cloud-optimized"
_WAVES = {"V": "vertical", "H": "horizontal"}
_RESOLUTION_METRES = {"IW": (20, 22), "EW": (50, 50)}
_PRODUCTS = {"IW": "GRDH", "EW": "GRDM"}


def item_id(overpass: Overpass, year: int, *, number: int) -> str:
    """Such as ``S1A_IW_GRDH_1SDV_20230117T213341_20230117T213406_046832_05AEA4_rtc``."""
    moments = (moment(year, number=number) for moment in (overpass.starts_at, overpass.ends_at))
    start, end = (f"{moment:%Y%m%dT%H%M%S}" for moment in moments)
    orbit = f"{overpass.absolute_orbit(year):06d}_{overpass.datatake(year):06X}"
    return f"S1A_{overpass.mode}_{_PRODUCTS[overpass.mode]}_1S{_pair(overpass)}_{start}_{end}_{orbit}_rtc"


def asset_path(overpass: Overpass, year: int, polarisation: str, *, number: int) -> str:
    """Where an asset lies, relative to the archive: much as in the real container."""
    day, mode = overpass.date(year), overpass.mode
    folder = f"{COLLECTION}/{day.year}/{day.month}/{day.day}/{mode}/{_pair(overpass)}"
    name = f"{mode}-{polarisation}".lower()
    return f"{folder}/{item_id(overpass, year, number=number)}/{name}.rtc.tif"


def item_path(overpass: Overpass, year: int, *, number: int) -> str:
    """Where the item lies, relative to the archive."""
    return f"{COLLECTION}/items/{item_id(overpass, year, number=number)}.json"


def item(overpass: Overpass, *, year: int, number: int, base: str, frame: Frame, ring: Ring) -> dict[str, object]:
    """The item of one slice.

    Args:
        overpass: The pass.
        year: The archive's.
        number: The slice's, 0 or 1.
        base: What addresses begin with.
        frame: Where its pixels lie.
        ring: The footprint's corners, in degrees; the first is not repeated.
    """
    lons, lats = [lon for lon, _ in ring], [lat for _, lat in ring]
    collection_href = f"{base}/{COLLECTION}/collection.json"
    return {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [
            f"https://stac-extensions.github.io/{name}/schema.json"
            for name in ("sar/v1.0.0", "sat/v1.0.0", "projection/v1.1.0", "file/v2.0.0", "raster/v1.1.0")
        ],
        "id": item_id(overpass, year, number=number),
        "collection": COLLECTION,
        "geometry": {"type": "Polygon", "coordinates": [[list(corner) for corner in (*ring, ring[0])]]},
        "bbox": [min(lons), min(lats), max(lons), max(lats)],
        "properties": {
            **_acquisition(overpass, year, number),
            **_instrument(overpass),
            **_pixels(frame),
        },
        "links": [
            {
                "rel": "self",
                "type": "application/geo+json",
                "href": f"{base}/{item_path(overpass, year, number=number)}",
            },
            {"rel": "collection", "type": "application/json", "href": collection_href},
            {"rel": "parent", "type": "application/json", "href": collection_href},
        ],
        "assets": {
            polarisation.lower(): _asset(
                f"{base}/{asset_path(overpass, year, polarisation, number=number)}", polarisation
            )
            for polarisation in overpass.polarisations
        },
    }


def collection(*, base: str) -> dict[str, object]:
    """The collection object that the items belong to."""
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": COLLECTION,
        "description": "A made-up landscape, as terrain-corrected Sentinel-1 backscatter would show it.",
        "license": "Apache-2.0",
        "extent": {
            "spatial": {"bbox": [[-180, -80, 180, 84]]},
            "temporal": {"interval": [["2014-10-10T00:28:21Z", None]]},
        },
        "links": [{"rel": "self", "type": "application/json", "href": f"{base}/{COLLECTION}/collection.json"}],
    }


def _pair(overpass: Overpass) -> str:
    """``DV`` or ``DH``: both polarisations of one transmitted wave."""
    return f"D{overpass.polarisations[0][0]}"


def _acquisition(overpass: Overpass, year: int, number: int) -> dict[str, object]:
    start, end = overpass.starts_at(year, number=number), overpass.ends_at(year, number=number)
    return {
        "datetime": _iso(start + (end - start) / 2),
        "start_datetime": str(start),  # with a space, as the real ones
        "end_datetime": str(end),
        "created": _iso(overpass.made_at(year)),
        "platform": "SENTINEL-1A",
        "constellation": "Sentinel-1",
        "sat:platform_international_designator": "2014-016A",
        "sat:orbit_state": overpass.direction,
        "sat:absolute_orbit": overpass.absolute_orbit(year),
        "sat:relative_orbit": overpass.relative_orbit(year),
        "s1:datatake_id": str(overpass.datatake(year)),
        "s1:slice_number": str(number + 1),
        "s1:total_slices": str(overpass.slices),
        "s1:orbit_source": "RESORB",
        "s1:processing_level": "1",
        "s1:product_timeliness": "Fast-24h",
        "s1:instrument_configuration_ID": "7",
    }


def _instrument(overpass: Overpass) -> dict[str, object]:
    in_range, in_azimuth = _RESOLUTION_METRES[overpass.mode]
    return {
        "sar:instrument_mode": overpass.mode,
        "sar:polarizations": list(overpass.polarisations),
        "sar:product_type": "GRD",
        "sar:frequency_band": "C",
        "sar:center_frequency": 5.405,
        "sar:observation_direction": "right",
        "sar:looks_range": 5,
        "sar:looks_azimuth": 1,
        "sar:looks_equivalent_number": LOOKS,
        "sar:resolution_range": in_range,
        "sar:resolution_azimuth": in_azimuth,
        "sar:pixel_spacing_range": PIXEL_METRES,
        "sar:pixel_spacing_azimuth": PIXEL_METRES,
        "s1:resolution": "high" if overpass.mode == "IW" else "medium",
    }


def _pixels(frame: Frame) -> dict[str, object]:
    return {
        "proj:epsg": frame.epsg,
        "proj:bbox": [float(edge) for edge in frame.box],
        "proj:shape": [frame.height, frame.width],
        "proj:transform": [float(value) for value in frame.transform],
        "s1:shape": [frame.width, frame.height],
    }


def _asset(href: str, polarisation: str) -> dict[str, object]:
    sent, received = (_WAVES[letter] for letter in polarisation)
    return {
        "href": href,
        "type": _COG,
        "title": f"{polarisation}: {sent} transmit, {received} receive",
        "raster:bands": [{"nodata": NODATA, "data_type": "float32", "spatial_resolution": float(PIXEL_METRES)}],
        "roles": ["data"],
    }


def _iso(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
