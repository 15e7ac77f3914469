"""Reflectances of a pass on the tile's grids: ten bands, one mask, whatever baseline the counts come from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
from numpy.typing import NDArray

from ard.errors import AssetCorrupt
from ard.product import Band
from ard.scene import Raster
from loaders.gather import Gather
from loaders.s2_items import Collection, Granule
from loaders.s2_screen import SCL_ASSET, SCL_NODATA, SCL_SHADOW, Classes, first_valid, has_data, is_cloud

DIGITAL_NUMBER = 1e-4  # reflectance of one count

BANDS_10M = ("blue", "green", "red", "nir")  # B02 B03 B04 B08
BANDS_20M = ("rededge1", "rededge2", "rededge3", "nir08", "swir16", "swir22")  # B05 B06 B07 B8A B11 B12

# From baseline 04.00 on (25 January 2022) ESA adds 1000 to the counts. Earth Search takes it out again in
# sentinel-2-l2a and says so with earthsearch:boa_offset_applied, which is now and then wrong; sentinel-2-c1-l2a keeps
# ESA's counts.
ADDED_FROM_BASELINE = (4, 0)
ADDED_OFFSET = -1000
DARK_BELOW = 900  # counts that a surface with the offset in them hardly ever has
DARK_SHARE = 0.01
OFFSET_DARKEST = (1000, 1600)  # where the darkest percent lies when the offset is in the counts

Counts = NDArray[np.uint16]
_Part = tuple[Counts, Counts, Classes]
ReadAll = Callable[[Sequence[str]], list[Raster]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset:
    """What is added to a granule's counts, and why."""

    value: int
    rule: str
    evidence: Mapping[str, float] = field(default_factory=dict)

    @property
    def uncertain(self) -> bool:
        """Neither the item nor its pixels could tell."""
        return self.rule == "uncertain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """A pass on the tile's grids.

    Attributes:
        ten: ``(4, y, x)`` uint16 on the 10 m grid: reflectance times 10,000; 0 is nodata, in all ten bands at once.
        twenty: ``(6, y, x)`` uint16 on the 20 m grid.
        classes: ``(y, x)`` uint8 on the 20 m grid: the scene classification, 0 where the bands have no data.
        offsets: By item id.
        skipped: Ids of items that lack an asset or have a broken one.
    """

    ten: Counts
    twenty: Counts
    classes: Classes
    offsets: Mapping[str, Offset]
    skipped: tuple[str, ...] = ()


def band(date: str, name: str) -> Band:
    """The description of one date's band."""
    return Band(
        name=f"{date} {name}", unit="1", description=f"surface reflectance, {name}, {date}", scale=DIGITAL_NUMBER
    )


def read_frame(granules: Sequence[Granule], *, g10: Gather, g20: Gather, read_all: ReadAll) -> Frame:
    """The mosaic of a pass: the first granule that has counts for a pixel gives it.

    A pixel has data only where the classification and all ten bands have it, in whole pixels of 20 m.

    Args:
        granules: In the order in which they are laid.
        g10: Onto the 10 m grid.
        g20: Onto the 20 m grid.
        read_all: Reads the tile's window of assets, several at a time, in order.

    Raises:
        Unavailable: An asset cannot be reached.
    """
    parts: list[_Part] = []
    offsets: dict[str, Offset] = {}
    skipped: list[str] = []
    for granule in granules:
        try:
            ten, twenty, classes = _read_granule(granule, g10=g10, g20=g20, read_all=read_all)
        except AssetCorrupt:
            skipped.append(granule.id)
            continue
        offset = offsets[granule.id] = offset_of(granule, ten, twenty, classes)
        parts.append((harmonise(ten, offset), harmonise(twenty, offset), classes))
    if not parts:
        raise AssetCorrupt(f"no granule of the pass can be read: {', '.join(skipped)}")
    ten, twenty, classes = reduce(_under, parts)
    seen = (classes != SCL_NODATA) & twenty.any(axis=0) & _all_of_four(ten)
    return Frame(
        ten=np.where(_doubled(seen), ten, np.uint16(0)),
        twenty=np.where(seen, twenty, np.uint16(0)),
        classes=np.where(seen, classes, np.uint8(SCL_NODATA)),
        offsets=offsets,
        skipped=tuple(skipped),
    )


def offset_of(granule: Granule, ten: Counts, twenty: Counts, classes: Classes) -> Offset:
    """What to add to a granule's counts so that reflectance is counts times 1e-4.

    The collection, the baseline and the item's flag decide; where the flag says that the offset was left in, which is
    not always true, clear pixels do: with the offset in them hardly any is below 900, and the darkest percent of
    B02, B04 and B12 lies between 1000 and 1600.
    """
    if granule.collection is Collection.C1:
        return Offset(value=ADDED_OFFSET, rule="collection")
    if granule.baseline is not None and granule.baseline < ADDED_FROM_BASELINE:
        return Offset(value=0, rule="baseline")
    if granule.offset_applied:
        return Offset(value=0, rule="flag")
    return _offset_by_pixels(ten, twenty, classes)


def _offset_by_pixels(ten: Counts, twenty: Counts, classes: Classes) -> Offset:
    clear = has_data(classes) & ~is_cloud(classes) & (classes != SCL_SHADOW)
    samples = np.stack([ten[0, ::2, ::2][clear], ten[2, ::2, ::2][clear], twenty[5][clear]])
    samples = samples[:, samples.all(axis=0)]
    if samples.size == 0:
        return Offset(value=0, rule="uncertain")
    dark = float((samples.min(axis=0) < DARK_BELOW).mean())
    darkest = [float(value) for value in np.percentile(samples, 1, axis=1)]
    evidence = {"dark_share": dark, **dict(zip(("p1_b02", "p1_b04", "p1_b12"), darkest, strict=True))}
    if dark > DARK_SHARE:
        return Offset(value=0, rule="pixels", evidence=evidence)
    if all(OFFSET_DARKEST[0] <= value <= OFFSET_DARKEST[1] for value in darkest):
        return Offset(value=ADDED_OFFSET, rule="pixels", evidence=evidence)
    return Offset(value=0, rule="uncertain", evidence=evidence)


def harmonise(counts: Counts, offset: Offset) -> Counts:
    """Counts without the offset, ``(band, y, x)`` uint16: at least 1 where any band has a count, 0 elsewhere."""
    moved = np.maximum(counts.astype(np.int32) + offset.value, 1)
    return np.where(counts.any(axis=0), moved, 0).astype(np.uint16)


def read_classes(granules: Sequence[Granule], *, g20: Gather, read_all: ReadAll) -> Classes:
    """The classification of a pass on the 20 m grid, ``(y, x)`` uint8.

    Raises:
        AssetCorrupt: One is missing or unreadable.
        Unavailable: One cannot be reached.
    """
    return first_valid(g20.nearest(raster) for raster in read_all([granule.href(SCL_ASSET) for granule in granules]))


def _read_granule(granule: Granule, *, g10: Gather, g20: Gather, read_all: ReadAll) -> tuple[Counts, Counts, Classes]:
    rasters = read_all([granule.href(name) for name in (*BANDS_10M, *BANDS_20M, SCL_ASSET)])
    ten = np.stack([g10.nearest(raster) for raster in rasters[:4]])
    twenty = np.stack([g20.nearest(raster) for raster in rasters[4:10]])
    return ten.astype(np.uint16), twenty.astype(np.uint16), g20.nearest(rasters[10]).astype(np.uint8)


def _under(
    top: tuple[Counts, Counts, Classes], below: tuple[Counts, Counts, Classes]
) -> tuple[Counts, Counts, Classes]:
    """The pixels of one granule, and where it has none those of the one below it."""
    ten = np.where(top[0].any(axis=0), top[0], below[0])
    twenty = np.where(top[1].any(axis=0), top[1], below[1])
    return ten, twenty, first_valid([top[2], below[2]])


def _all_of_four(ten: Counts) -> NDArray[np.bool_]:
    """True where each of the four 10 m pixels of a 20 m pixel has a count, ``(y, x)``."""
    _, height, width = ten.shape
    some = ten.any(axis=0).reshape(height // 2, 2, width // 2, 2)
    return np.asarray(some.all(axis=(1, 3)), dtype=np.bool_)


def _doubled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return mask.repeat(2, axis=0).repeat(2, axis=1)
