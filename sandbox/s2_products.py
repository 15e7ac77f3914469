"""Writes one Sentinel-2 product: its bands, its scene classes and its item."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ard.grid import Bounds
from sandbox.cuts import Cut, cut_ring
from sandbox.s2_cog import Patch, write_cog
from sandbox.s2_granules import COARSE_METRES, GRANULE_METRES, Granule, Window
from sandbox.s2_items import item, product_folder, product_id
from sandbox.s2_plan import Shot
from sandbox.s2_sky import Clouds, clouds, margin, sky_of
from sandbox.s2_surface import BANDS, Band, Ground, digital_numbers, greenness, ground, scene_classes, surface
from sandbox.scenes import json_text, write_text

_FINE_METRES = 20  # of the scene classes, and of everything in the sky
_SCL = "SCL"
_ROWS_AT_ONCE = 16
_OVERVIEW_STEPS = 4  # averages are rounded so much more coarsely than pixels
_BLOCK_PIXELS = COARSE_METRES // _FINE_METRES

_Degrees = NDArray[np.float64]
_Codes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Product:
    """What to write.

    Attributes:
        folder: The archive's.
        base: What addresses begin with.
        shot: When and how it was taken.
        granule: Of what.
        year: The archive's.
        box: What the bands must hold, in degrees.
        cut: What it holds of its square; everything unless given.
    """

    folder: Path
    base: str
    shot: Shot
    granule: Granule
    year: int
    box: Bounds
    cut: Cut | None


@dataclass(frozen=True, slots=True)
class _Place:
    """Pixels: their centres with the margin that shadows need, and the ground in them."""

    metres: int
    lon: _Degrees
    lat: _Degrees
    ground: Ground

    def holds(self, cut: Cut | None) -> NDArray[np.bool_]:
        """Where a product has something, ``(y, x)``."""
        inner = _inner(self.lon, margin(self.metres)), _inner(self.lat, margin(self.metres))
        return np.ones(inner[0].shape, np.bool_) if cut is None else cut.side(*inner) >= 0


@dataclass(frozen=True, slots=True)
class _Site:
    """A square: all of it in coarse blocks, and the window in which the bands are filled, if there is one."""

    window: Window
    coarse: _Place
    fine: _Place | None
    ground: Mapping[int, Ground]


def write_product(product: Product) -> dict[str, object]:
    """Write the files of a product and return its item."""
    shot, granule = product.shot, product.granule
    folder = product.folder / product_folder(shot, granule, product.year)
    site = _site(granule, product.box)
    codes, shares = _scene_classes(product, site)
    _write(folder / f"{_SCL}.tif", product, patch=Patch(codes, 0, 0), metres=_FINE_METRES)
    if site.fine is not None:
        _write_bands(folder, product, site.fine, site)
    else:
        nothing = Patch(np.zeros((0, 0), np.uint16), 0, 0)
        for band in (band for key, band in BANDS.items() if key not in shot.missing):
            _write(folder / f"{band.name}.tif", product, patch=nothing, metres=band.metres)
    ring = cut_ring(granule.corners(), [product.cut] if product.cut else [])
    made = item(shot, granule, year=product.year, base=product.base, ring=ring, shares=shares)
    write_text(folder / f"{product_id(shot, granule, product.year)}.json", json_text(made))
    return made


@functools.lru_cache(maxsize=1)
def _site(granule: Granule, box: Bounds) -> _Site:
    window = granule.window(box)
    blocks = -(-GRANULE_METRES // COARSE_METRES)
    coarse = _place(granule, Window(0, 0, blocks, blocks), COARSE_METRES)
    if not (window.height and window.width):
        return _Site(window, coarse, None, {})
    fine = _place(granule, window, _FINE_METRES)
    grounds = {_FINE_METRES: fine.ground, 10: ground(*granule.lon_lat(window.finer(), 10))}
    return _Site(window, coarse, fine, grounds)


def _place(granule: Granule, window: Window, metres: int) -> _Place:
    edge = margin(metres)
    lon, lat = granule.lon_lat(window.grown(edge), metres)
    return _Place(metres, lon, lat, ground(_inner(lon, edge), _inner(lat, edge)))


def _inner(pixels: _Degrees, edge: int) -> _Degrees:
    return pixels[edge : pixels.shape[0] - edge, edge : pixels.shape[1] - edge]


def _clouds(product: Product, place: _Place) -> Clouds | None:
    return clouds(place.lon, place.lat, sky_of(product.shot.date(product.year)), metres=place.metres)


def _scene_classes(product: Product, site: _Site) -> tuple[_Codes, dict[int, float]]:
    """The codes of all of a square at 20 m, ``(y, x)``, and the share of each."""
    coarse = _codes(product, site.coarse)
    size = GRANULE_METRES // _FINE_METRES
    codes = coarse.repeat(_BLOCK_PIXELS, axis=0)[:size].repeat(_BLOCK_PIXELS, axis=1)[:, :size]
    row, column, height, width = site.window
    if site.fine is not None:
        codes[row : row + height, column : column + width] = _codes(product, site.fine)
    numbers, counts = np.unique(coarse, return_counts=True)
    return codes, {int(number): int(count) / coarse.size for number, count in zip(numbers, counts, strict=True)}


def _codes(product: Product, place: _Place) -> _Codes:
    seen = scene_classes(place.ground, greenness(place.ground, product.shot.date(product.year)))
    above = _clouds(product, place)
    if above is not None:
        seen = np.where(above.codes > 0, above.codes, seen)
    return np.where(place.holds(product.cut), seen, np.uint8(0))


def _write_bands(folder: Path, product: Product, fine: _Place, site: _Site) -> None:
    above, holds = _clouds(product, fine), fine.holds(product.cut)
    added = np.uint16(product.shot.offset + product.shot.error)
    for metres, place in site.ground.items():
        factor = _FINE_METRES // metres
        green = greenness(place, product.shot.date(product.year))
        over = above.finer(factor) if above is not None else None
        held = holds.repeat(factor, axis=0).repeat(factor, axis=1)
        for key, band in BANDS.items():
            if band.metres != metres or key in product.shot.missing:
                continue
            pixels = np.where(held, _pixels(place, green, band=band, over=over) + added, np.uint16(0))
            patch = Patch(pixels, site.window.row * factor, site.window.column * factor)
            _write(folder / f"{band.name}.tif", product, patch=patch, metres=metres, step=_OVERVIEW_STEPS * band.step)


def _pixels(place: Ground, green: NDArray[np.float32], *, band: Band, over: Clouds | None) -> NDArray[np.uint16]:
    """What a band sees, in 1/10000, ``(y, x)``; a few rows at a time, which stay in the processor's cache."""
    pixels = np.empty(green.shape, np.uint16)
    for first in range(0, len(pixels), _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        seen = surface(place.rows(rows), green[rows], band=band)
        pixels[rows] = digital_numbers(seen if over is None else over.rows(rows).over(seen), band)
    return pixels


def _write(path: Path, product: Product, *, patch: Patch, metres: int, step: int = 1) -> None:
    write_cog(
        path,
        patch,
        size=GRANULE_METRES // metres,
        transform=product.granule.transform(metres),
        epsg=product.granule.epsg,
        overviews=product.shot.scl_overviews if path.stem == _SCL else "AVERAGE",
        step=step,
    )
