"""Very many tiles as pictures of pixels, in the page itself."""

import base64
import struct
import zlib
from collections.abc import Iterator
from math import ceil

import numpy as np
from numpy.typing import NDArray

from ard.tile import TILE_DEGREES
from tracker.report.facts import PRODUCTS, STANDINGS
from tracker.report.mapped import ABSENT, MAP_WIDTH, Frame, Tiles
from tracker.report.markup import Html, element

_PIXELS = 500  # of a picture's longer side
_MOST_PICTURES = 24


def pictures(tiles: Tiles, frame: Frame) -> Iterator[Html]:
    """A picture for each choice of a year and a product, and for all."""
    years, products = pictured(tiles)
    cell = max(TILE_DEGREES, max(frame.width, frame.height) / _PIXELS)
    columns, rows = ceil(frame.width / cell), ceil(frame.height / cell)
    column = ((tiles.lon - frame.west) * frame.narrowing / cell).astype(np.int64)
    row = ((frame.north - tiles.lat) / cell).astype(np.int64)
    for year in (None, *years):
        for product in (None, *products):
            chosen = [at for at, (y, p) in enumerate(tiles.combinations) if year in {None, y} and product in {None, p}]
            pixels = np.full((rows, columns), ABSENT, dtype=np.uint8)
            worst = tiles.ranks[:, chosen].min(axis=1, initial=ABSENT)
            np.minimum.at(pixels, (row, column), worst)
            yield element(
                "image",
                href=f"data:image/png;base64,{base64.b64encode(png(pixels)).decode()}",
                width=f"{columns * cell / frame.width * MAP_WIDTH:.6g}",
                height=f"{rows * cell / frame.width * MAP_WIDTH:.6g}",
                class_=None if (year, product) == (None, None) else "hidden",
                data_counts=" ".join(map(str, np.bincount(worst, minlength=ABSENT)[:ABSENT])),
                data_year=year or "",
                data_product="" if product is None else str(PRODUCTS[product]),
            )


def pictured(tiles: Tiles) -> tuple[list[int], list[int]]:
    """The years and the products that have pictures of their own; no years where that would be too many pictures."""
    years, products = tiles.years, tiles.products
    return years if (len(years) + 1) * (len(products) + 1) <= _MOST_PICTURES else [], products


def png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG picture of ranks ``(y, x)`` in the colours of ``STANDINGS``; ABSENT is transparent."""
    height, width = pixels.shape
    palette = b"".join(bytes.fromhex(standing.colour[1:]) for standing in STANDINGS) + bytes(3)
    rows = np.concatenate([np.zeros((height, 1), dtype=np.uint8), pixels], axis=1)
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", palette),
        (b"tRNS", b"\xff" * ABSENT + b"\x00"),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    )
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)
