"""Where a TIFF's pixels lie, from its headers: parsed by async-tiff, kept as arrays."""

import asyncio
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine
from async_tiff import TIFF, ImageFileDirectory
from numpy.typing import NDArray

from ard.adapters.tiff_directories import UnknownLayout, check_directories
from ard.errors import ArdError

MOST_BLOCK_PIXELS = 2**26  # of one that is decoded at once
UNCOMPRESSED, DEFLATE, OLD_DEFLATE = 1, 8, 32946

_PREDICTORS = {"u": {1, 2}, "i": {1, 2}, "f": {1, 2, 3}}
_KINDS = {1: "u", 2: "i", 3: "f"}
_DTYPES = {"u1", "u2", "u4", "i1", "i2", "i4", "f4", "f8"}
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_PROJECTED, _GEOGRAPHIC, _DEGREE, _METRE = 1, 2, 9102, 9001
_PIXEL_IS_POINT = 2
_WGS84 = 4326
_UTM = (range(32601, 32661), range(32701, 32761))
_NOTED = ("OVR_RESAMPLING_ALG", "OVERVIEW_RESAMPLING")  # the Sentinel-2 archive's, and that of COGs
_READ_AHEAD_FACTOR = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Full resolution or an overview, in blocks: tiles, or strips as wide as the image.

    Attributes:
        shape: Rows and columns of pixels.
        block: Rows and columns of a block; tiles at the lower and right edge may reach beyond the image.
        dtype: In the file's byte order.
        offsets: ``(block,)`` int64, row by row: where each lies in the file.
        sizes: ``(block,)`` int64 bytes; 0 where the block is nothing but nodata.
    """

    shape: tuple[int, int]
    block: tuple[int, int]
    dtype: np.dtype[Any]
    compression: int
    predictor: int
    offsets: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @property
    def across(self) -> int:
        """How many blocks there are in a row."""
        return -(-self.shape[1] // self.block[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A file: its levels, finest first, and what its pixels mean.

    Attributes:
        transform: Of full resolution: pixel ``(column, row)`` corners to coordinates in ``crs``, north up.
        nodata: When the file declares one.
        overviews: How they were resampled, in capitals, as noted by who made them, else ``UNKNOWN``.
    """

    levels: tuple[Level, ...]
    transform: Affine
    crs: str
    nodata: float | None
    overviews: str

    @property
    def factors(self) -> tuple[int, ...]:
        """By how much each level is coarser than full resolution."""
        return tuple(round(self.levels[0].shape[1] / level.shape[1]) for level in self.levels)

    def transform_of(self, level: Level) -> Affine:
        """The transform of an overview, whose pixels need not be a whole number of times as large."""
        (height, width), (rows, columns) = self.levels[0].shape, level.shape
        return self.transform * Affine.scale(width / columns, height / rows)


def read_layout(read: Callable[[int, int], bytes], *, first_bytes: int) -> Layout:
    """The layout of the file that ``read(start, end)`` gives bytes of, fewer where it ends before.

    What ``read`` raises comes through; it is called for ``first_bytes`` first, and seldom again.

    Raises:
        UnknownLayout: It is no TIFF of one band of numbers on a north-up WGS 84 or UTM grid, plain or DEFLATE.
    """
    head = read(0, first_bytes)

    def read_on(start: int, end: int) -> bytes:
        whole = len(head) < first_bytes  # the file ends with its head
        return head[start:end] if whole or end <= len(head) else read(start, end)

    check_directories(read_on)
    source = _Source(read_on)
    tiff = asyncio.run(_open(source, first_bytes))
    if source.error is not None:
        raise source.error
    if not isinstance(tiff, TIFF):
        raise UnknownLayout(f"no TIFF: {tiff}")
    try:
        return _layout(tiff)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise UnknownLayout(f"a header that contradicts itself: {error}") from error


def _layout(tiff: TIFF) -> Layout:
    order = "<" if tiff.endianness == 0 else ">"
    images = [ifd for ifd in tiff.ifds if not (ifd.new_subfile_type or 0) & _MASK]
    full = images[0]
    overviews = [ifd for ifd in images[1:] if (ifd.new_subfile_type or 0) & _REDUCED]
    levels = tuple(_level(ifd, order) for ifd in (full, *overviews))
    return Layout(
        levels=levels,
        transform=_transform(full),
        crs=_crs(full),
        nodata=_nodata(full, levels[0].dtype),
        overviews=_resampling(full.gdal_metadata or ""),
    )


async def _open(source: "_Source", first_bytes: int) -> TIFF | BaseException:
    opening = TIFF.open("", store=source, prefetch=first_bytes, multiplier=_READ_AHEAD_FACTOR)
    # The type of what the parser raises has no public name to catch it by.
    (found,) = await asyncio.gather(opening, return_exceptions=True)
    return found


class _Source:
    """A file as async-tiff asks for it; the parser hides errors, so ours are kept."""

    def __init__(self, read: Callable[[int, int], bytes]) -> None:
        self._read = read
        self.error: ArdError | UnknownLayout | None = None

    async def get_range_async(
        self, path: str, *, start: int, end: int | None = None, length: int | None = None
    ) -> bytes:
        del path
        try:
            return self._read(start, start + (length or 0) if end is None else end)
        except (ArdError, UnknownLayout) as error:
            self.error = error
            raise

    async def get_ranges_async(
        self,
        path: str,
        *,
        starts: Sequence[int],
        ends: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
    ) -> list[bytes]:
        stops = ends or [start + length for start, length in zip(starts, lengths or (), strict=True)]
        return [
            await self.get_range_async(path, start=start, end=end) for start, end in zip(starts, stops, strict=True)
        ]


def _level(ifd: ImageFileDirectory, order: str) -> Level:
    if ifd.samples_per_pixel != 1 or (ifd.orientation or 1) != 1:
        raise UnknownLayout(f"{ifd.samples_per_pixel} bands, orientation {ifd.orientation}")
    name = f"{_KINDS.get(int(ifd.sample_format[0]), '?')}{ifd.bits_per_sample[0] // 8}"
    predictor = int(ifd.predictor or 1)
    compression = int(ifd.compression)
    known = name in _DTYPES and ifd.bits_per_sample[0] % 8 == 0 and predictor in _PREDICTORS[name[0]]
    if not known or compression not in {UNCOMPRESSED, DEFLATE, OLD_DEFLATE}:
        raise UnknownLayout(f"dtype {name}, compression {compression}, predictor {predictor}")
    height, width = ifd.image_height, ifd.image_width
    offsets, sizes = ifd.tile_offsets, ifd.tile_byte_counts
    block = (ifd.tile_height or 0, ifd.tile_width or 0)
    if offsets is None:
        block = (min(ifd.rows_per_strip or height, height), width)
        offsets, sizes = ifd.strip_offsets, ifd.strip_byte_counts
    blocks = -(-height // max(block[0], 1)) * -(-width // max(block[1], 1))
    if math.prod(block) > MOST_BLOCK_PIXELS or height * width <= 0:
        raise UnknownLayout(f"blocks of {block} pixels in an image of {height} x {width}")
    if not offsets or not sizes or len(offsets) != blocks or len(sizes) != blocks or 0 in block:
        raise UnknownLayout(f"expected {blocks} blocks, found {len(offsets or ())} places of {len(sizes or ())}")
    return Level(
        shape=(height, width),
        block=block,
        dtype=np.dtype(order + name),
        compression=compression,
        predictor=predictor,
        offsets=np.array(offsets, dtype=np.int64),
        sizes=np.array(sizes, dtype=np.int64),
    )


def _transform(ifd: ImageFileDirectory) -> Affine:
    scale, tie, keys = ifd.model_pixel_scale, ifd.model_tiepoint, ifd.geo_key_directory
    if ifd.model_transformation or not scale or not tie or len(tie) != 6 or min(scale[:2]) <= 0 or keys is None:  # noqa: PLR2004
        raise UnknownLayout("no pixel scale with one tie point")
    width, height = scale[0], -scale[1]
    west, north = tie[3] - tie[0] * width, tie[4] - tie[1] * height
    if keys.raster_type == _PIXEL_IS_POINT:  # the tie point is then the middle of a pixel
        west, north = west - width * 0.5, north - height * 0.5
    return Affine(width, 0.0, west, 0.0, height, north)


def _crs(ifd: ImageFileDirectory) -> str:
    keys = ifd.geo_key_directory
    if keys is not None and keys.vertical is None:
        if keys.model_type == _PROJECTED and keys.proj_linear_units in {None, _METRE}:
            zone = keys.projected_type
            if zone is not None and any(zone in zones for zones in _UTM):
                return f"EPSG:{zone}"
        degrees = keys.model_type == _GEOGRAPHIC and keys.geog_angular_units in {None, _DEGREE}
        if degrees and keys.geographic_type == _WGS84:
            return "EPSG:4326"
    raise UnknownLayout("neither WGS 84 nor UTM")


def _nodata(ifd: ImageFileDirectory, dtype: np.dtype[Any]) -> float | None:
    if ifd.gdal_nodata is None:
        return None
    value = float(ifd.gdal_nodata.strip("\0 "))
    with np.errstate(over="ignore", invalid="ignore"):
        kept = float(np.array(value).astype(dtype)) if dtype.kind == "f" or value.is_integer() else None
    if kept is None or not (kept == value or (np.isnan(kept) and np.isnan(value))):
        raise UnknownLayout(f"nodata {ifd.gdal_nodata!r} of {dtype}")
    return value


def _resampling(metadata: str) -> str:
    for name in _NOTED:
        found = re.search(rf'<Item name="{name}"[^>]*>([^<]+)</Item>', metadata)
        if found:
            return found[1].upper()
    return "UNKNOWN"
