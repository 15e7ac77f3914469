"""Pixels from the blocks of a TIFF: which are needed, and what their bytes mean."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray

from ard.adapters.tiff_layout import UNCOMPRESSED, Level
from ard.adapters.windows import Part

# Of a block only the first rows may be needed. They are taken to hold their share of its bytes, and a little more:
# where that is not enough, the rest is fetched.
_PREFIX_FACTOR, _PREFIX_BYTES = 1.04, 8192

FLOATING_POINT, HORIZONTAL = 3, 2


class BrokenBlock(Exception):
    """A block does not hold what its place in the file promises."""


@dataclass(frozen=True, slots=True)
class Block:
    """What a window needs of a block.

    Attributes:
        start: Where it begins in the file.
        size: Its bytes; 0 when it holds nothing but nodata.
        likely: How many of them likely hold the rows that are needed.
        part: The rows and columns that are needed, of the block.
        row: Where they go in the window.
        column: Where they go in the window.
    """

    start: int
    size: int
    likely: int
    part: Part
    row: int
    column: int


def blocks_of(level: Level, window: Part) -> Iterator[Block]:
    """The blocks that a window touches, row by row."""
    rows, columns = level.block
    for down in range(window.top // rows, -(-window.bottom // rows)):
        present = min(rows, level.shape[0] - down * rows)  # rows below the image compress to nearly nothing
        for along in range(window.left // columns, -(-window.right // columns)):
            number = down * level.across + along
            top, left = down * rows, along * columns
            part = Part(
                max(window.top - top, 0),
                min(window.bottom - top, rows),
                max(window.left - left, 0),
                min(window.right - left, columns),
            )
            size = int(level.sizes[number])
            likely = min(size, int(size * part.bottom / present * _PREFIX_FACTOR) + _PREFIX_BYTES)
            yield Block(
                start=int(level.offsets[number]),
                size=size,
                likely=likely,
                part=part,
                row=top + part.top - window.top,
                column=left + part.left - window.left,
            )


def decode(data: memoryview, level: Level, block: Block) -> NDArray[Any] | None:
    """The needed pixels of a block, ``(y, x)``; None when they are not all in the first bytes that are given.

    Raises:
        BrokenBlock: The bytes are not what they should be, or too few though they are all.
    """
    width, part = level.block[1], block.part
    wanted = part.bottom * width * level.dtype.itemsize
    raw = data[:wanted] if level.compression == UNCOMPRESSED else _inflated(data, wanted)
    if len(raw) < wanted:
        if len(data) < block.size:
            return None
        raise BrokenBlock(f"expected {wanted} bytes of pixels, found {len(raw)}")
    return _predicted(raw, level, part)


def _inflated(data: memoryview, wanted: int) -> bytes:
    try:
        return isal_zlib.decompressobj().decompress(data, wanted)
    except isal_zlib.IsalError as error:  # type: ignore[misc] # its stub declares an instance
        raise BrokenBlock(f"expected DEFLATE: {error}") from error


def _predicted(raw: bytes | memoryview, level: Level, part: Part) -> NDArray[Any]:
    """The pixels of a part from the bytes of the rows down to its last one; predictors of TIFF 6.0."""
    width, dtype = level.block[1], level.dtype
    size, native = dtype.itemsize, dtype.newbyteorder("=")
    count = part.bottom * width
    if level.predictor == FLOATING_POINT:
        # Each row: the highest bytes of all its numbers, then the next ones, and so on, as differences.
        steps = np.frombuffer(raw, np.uint8, count * size).reshape(part.bottom, size, width)
        planes = _summed(steps[part.top :], part)
        return np.ascontiguousarray(planes.transpose(0, 2, 1)).view(f">f{size}")[:, :, 0].astype(native)
    if level.predictor == HORIZONTAL:
        steps = np.frombuffer(raw, f"{dtype.byteorder}u{size}", count).reshape(part.bottom, 1, width)
        return _summed(steps[part.top :], part)[:, 0].view(native)
    pixels = np.frombuffer(raw, dtype, count).reshape(part.bottom, width)
    return pixels[part.top :, part.left : part.right].astype(native)


def _summed(steps: NDArray[Any], part: Part) -> NDArray[Any]:
    """Running sums over rows of ``(row, plane, column)``, whose planes continue each other, at the part's columns.

    Sums alone are made of what lies before them: they take a tenth of the time of running sums.
    """
    native = steps.dtype.newbyteorder("=")
    wanted = steps[:, :, part.left : part.right].astype(native)
    wanted[:, :, 0] += steps[:, :, : part.left].sum(axis=2, dtype=native)
    if steps.shape[1] > 1:
        planes = steps.sum(axis=2, dtype=native)
        wanted[:, 1:, 0] += np.cumsum(planes, axis=1, dtype=native)[:, :-1]
    return np.cumsum(wanted, axis=2, dtype=native, out=wanted)
