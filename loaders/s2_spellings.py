"""How catalogues spell what they know of a Sentinel-2 product: Earth Search v1 and v0, and Planetary Computer."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from ard.errors import InvalidInput
from ard.scene import Scene

# A product's name (https://sentiwiki.copernicus.eu/web/s2-products), of which catalogues drop some parts.
_PRODUCT = re.compile(
    r"S2[A-Z]_MSIL2A_(?P<start>\d{8}T\d{6})(?:_N(?P<baseline>\d{4}))?_R\d{3}_T(?P<square>\d{2}[C-X][A-Z]{2})"
    r"_(?P<made>\d{8}T\d{6})"
)
_PRODUCT_KEYS = ("s2:product_uri", "sentinel2:product_title", "sentinel:product_id")
_SQUARE = re.compile(r"(?:MGRS-)?T?(\d{1,2})([C-X][A-Z]{2})")
_SQUARE_IN_ID = re.compile(r"_T?(\d{1,2}[C-X][A-Z]{2})(?:_|$)")
_ABSOLUTE_ORBIT = re.compile(r"_A(\d{6})_")
_SENSING_START = re.compile(r"_S(\d{8}T\d{6})")
_BASELINE = re.compile(r"(\d{2})\.?(\d{2})")
_UTM = re.compile(r"(?:EPSG:)?(32[67](?:0[1-9]|[1-5]\d|60))")
_PLATFORM = re.compile(r"sentinel-2[a-z]")


def platform_of(scene: Scene) -> str:
    """The satellite, such as ``sentinel-2a``; from the item's id when no property names it.

    Raises:
        InvalidInput: Neither names one.
    """
    stated = (_text(scene, "platform") or "").lower()
    found = next((name for name in (stated, f"sentinel-{scene.id[1:3].lower()}") if _PLATFORM.fullmatch(name)), None)
    if found is None:
        raise InvalidInput(f"{scene.id}: expected a platform such as sentinel-2a, found {stated!r}")
    return found


def datatake_of(scene: Scene) -> str | None:
    """The datatake's id without its processing baseline, such as ``GS2A_20200305T103021_024558``.

    Where no property has it, it is put together as ESA does: from the product's start and the absolute orbit.
    """
    stated = _text(scene, "s2:datatake_id")
    if stated is not None:
        return stated.partition("_N")[0]
    start = _product(scene).get("start")
    orbit = _ABSOLUTE_ORBIT.search(_text(scene, "s2:granule_id", "s2:tile_id") or scene.id)
    return f"GS{platform_of(scene)[-2:].upper()}_{start}_{orbit[1]}" if start and orbit else None


def square_of(scene: Scene) -> str:
    """The MGRS square, such as ``01WCR``, always with two digits.

    Raises:
        InvalidInput: No property, product name or id tells it.
    """
    in_id = _SQUARE_IN_ID.search(scene.id)
    spellings = (
        _text(scene, "grid:code", "s2:mgrs_tile"),
        _square_in_parts(scene, "mgrs"),
        _square_in_parts(scene, "sentinel"),
        _product(scene).get("square"),
        in_id[1] if in_id else None,
    )
    text = next((spelling for spelling in spellings if spelling), "")
    square = _SQUARE.fullmatch(text)
    if square is None:
        raise InvalidInput(f"{scene.id}: expected an MGRS square such as 01WCR, found {text!r}")
    return f"{square[1]:0>2}{square[2]}"


def sensing_start_of(scene: Scene) -> datetime | None:
    """When the datastrip began, UTC: the one part of its id that no reprocessing changes."""
    found = _SENSING_START.search(_text(scene, "s2:datastrip_id") or "")
    return _moment(found[1]) if found else None


def generated_at_of(scene: Scene) -> datetime | None:
    """When the product was made, UTC."""
    stated = _text(scene, "s2:generation_time", "sentinel2:generation_time")
    return _moment(stated) or _moment(_product(scene).get("made"))


def baseline_of(scene: Scene) -> tuple[int, int] | None:
    """The processing baseline, ``(5, 9)`` for 05.09."""
    stated = _text(scene, "s2:processing_baseline", "sentinel2:processing_baseline")
    found = _BASELINE.fullmatch(stated or _product(scene).get("baseline", ""))
    return (int(found[1]), int(found[2])) if found else None


def offset_applied_of(scene: Scene) -> bool | None:
    """Whether the catalogue says that ESA's offset was already taken out of the pixels; None when it does not say."""
    stated = [scene.properties.get(f"{prefix}:boa_offset_applied") for prefix in ("earthsearch", "sentinel")]
    return next((flag for flag in stated if isinstance(flag, bool)), None)


def epsg_of(scene: Scene) -> int:
    """The UTM zone of the pixels, such as 32622.

    Raises:
        InvalidInput: Neither ``proj:code`` nor ``proj:epsg`` names a UTM zone on WGS84.
    """
    stated = _text(scene, "proj:code", "proj:epsg")
    found = _UTM.fullmatch(stated or "")
    if found is None:
        raise InvalidInput(f"{scene.id}: expected proj:code or proj:epsg with a UTM zone on WGS84, found {stated!r}")
    return int(found[1])


def _text(scene: Scene, *keys: str) -> str | None:
    """The first of these properties that is there, as text."""
    return next((str(value) for key in keys if (value := scene.properties.get(key)) is not None), None)


def _product(scene: Scene) -> Mapping[str, str]:
    """The parts of the product's name, as far as the item tells it."""
    names = (*(_text(scene, key) or "" for key in _PRODUCT_KEYS), scene.id)
    found = next((match for name in names if (match := _PRODUCT.search(name))), None)
    return {part: text for part, text in found.groupdict().items() if text} if found else {}


def _square_in_parts(scene: Scene, prefix: str) -> str | None:
    parts = [_text(scene, f"{prefix}:{part}") for part in ("utm_zone", "latitude_band", "grid_square")]
    return "".join(part for part in parts if part) if all(parts) else None


def _moment(text: str | None) -> datetime | None:
    """A moment in UTC, from ISO 8601 with or without punctuation; None for what is not one."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
