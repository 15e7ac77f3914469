"""Pixels of cloud-optimised GeoTIFFs with few requests, few bytes and little work; rasterio reads all other files."""

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray

from ard.adapters.byte_ranges import ByteRanges, NotServed
from ard.adapters.tiff_blocks import Block, BrokenBlock, blocks_of, decode
from ard.adapters.tiff_directories import UnknownLayout
from ard.adapters.tiff_layout import Layout, Level, read_layout
from ard.adapters.windows import Part, box_in, coarsening, every_nth, touching
from ard.errors import ArdError, AssetCorrupt
from ard.grid import Bounds
from ard.ports import Reader
from ard.scene import Raster

HEADER_BYTES = 32 * 1024  # of a first request: holds the headers of most assets
OVERVIEW_BYTES = 128 * 1024  # when coarse pixels are wanted, which lie right behind them
MOST_GAP_BYTES = 64 * 1024  # that are fetched in vain to save a request
MOST_BATCH_BYTES = 16 * 1024 * 1024  # of a window that are held at once, still compressed
MOST_LAYOUTS = 1024
LAYOUT_SECONDS = 900.0  # for so long a file is taken to be the same

_NOTHING = memoryview(b"")


class FastReader:
    """The ``Reader`` port over ranges of bytes; one per process, for any number of threads."""

    def __init__(self, ranges: ByteRanges, *, otherwise: Reader, clock: Callable[[], float]) -> None:
        """Nothing is opened yet.

        Args:
            ranges: Fetches bytes.
            otherwise: Reads the files that are not laid out as this reader knows them.
            clock: Seconds.
        """
        self._ranges = ranges
        self._otherwise = otherwise
        self._layouts = _Layouts(clock)

    def window(
        self, href: str, bounds: Bounds, *, margin: int = 0, pixel_size: float | None = None, overviews: bool = True
    ) -> Raster:
        """The pixels of the first band whose areas touch the box; see ``ard.ports.Reader``.

        Only what looks corrupt twice is: the file may be another one since its layout was read.
        """
        read = partial(self._window, href, bounds, margin, pixel_size=pixel_size, overviews=overviews)
        try:
            return read()
        except (BrokenBlock, AssetCorrupt):
            self._layouts.forget(_name(href))
        try:
            return read()
        except BrokenBlock as error:
            raise AssetCorrupt(f"{_name(href)}: {error}") from None

    def _window(self, href: str, bounds: Bounds, margin: int, *, pixel_size: float | None, overviews: bool) -> Raster:
        first_bytes = OVERVIEW_BYTES if pixel_size is not None and overviews else HEADER_BYTES
        layout, head = self._layouts.get(_name(href), partial(self._open, href, first_bytes))
        if layout is None:
            return self._otherwise.window(href, bounds, margin=margin, pixel_size=pixel_size, overviews=overviews)
        factors = layout.factors
        factor = coarsening(layout.transform.a, factors[1:], pixel_size, overviews=overviews)
        stride, number = (1, factors.index(factor)) if overviews else (factor, 0)
        level = layout.levels[number]
        transform = layout.transform_of(level)
        part = touching(transform, level.shape, box_in(layout.crs, bounds), margin * stride)
        pixels = self._pixels(href, level, part, head=head, nodata=layout.nodata)
        transform = transform * Affine.translation(part.left, part.top)
        if stride > 1:
            pixels, transform = every_nth(pixels, transform, stride)
        coarse = layout.overviews if number else None
        return Raster(pixels=pixels, transform=transform, crs=layout.crs, nodata=layout.nodata, overview=coarse)

    def _open(self, href: str, first_bytes: int) -> tuple[Layout, memoryview]:
        """A file's layout, and its first bytes."""
        parts: list[memoryview] = []

        def read(start: int, end: int) -> bytes:
            parts.extend(self._ranges.fetch(href, [(start, end)]))
            return bytes(parts[-1])

        layout = read_layout(read, first_bytes=first_bytes)
        return layout, parts[0]

    def _pixels(self, href: str, level: Level, part: Part, *, head: memoryview, nodata: float | None) -> NDArray[Any]:
        dtype = level.dtype.newbyteorder("=")
        if 0 in part.shape:
            return np.empty((0, 0), dtype=dtype)
        pixels = np.full(part.shape, nodata or 0, dtype=dtype)
        blocks = [block for block in blocks_of(level, part) if block.size]
        likely = [(block.start, block.start + block.likely) for block in blocks]
        short: list[tuple[Block, memoryview]] = []
        for block, data in zip(blocks, self._data(href, likely, head), strict=True):
            values = decode(data, level, block)
            if values is None:
                short.append((block, data))
            else:
                _put(values, block, pixels)
        rests = [(block.start + len(data), block.start + block.size) for block, data in short]
        for (block, data), rest in zip(short, self._data(href, rests, head), strict=True):
            values = decode(memoryview(b"".join((data, rest))), level, block)
            if values is None:
                raise BrokenBlock(f"expected {block.size} bytes at {block.start}, found {len(data) + len(rest)}")
            _put(values, block, pixels)
        return pixels

    def _data(self, href: str, places: Sequence[tuple[int, int]], head: memoryview) -> Iterator[memoryview]:
        """The bytes at each place, from the file's head or in as few requests as is worth it; a batch at a time."""
        for batch in _batches(places):
            runs = _runs([place for place in batch if place[1] > len(head)])
            found = self._ranges.fetch(href, runs) if runs else []
            starts = [start for start, _ in runs]
            for start, end in batch:
                if end <= len(head):
                    yield head[start:end]
                else:
                    number = bisect_right(starts, start) - 1
                    yield found[number][start - starts[number] : end - starts[number]]


class _Layouts:
    """The layouts of the files that were read last: None for those that another reader must read."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[float, Future[Layout | None]]] = OrderedDict()

    def get(self, name: str, make: Callable[[], tuple[Layout, memoryview]]) -> tuple[Layout | None, memoryview]:
        """The layout, and the first bytes if they have been read for it just now; who asks meanwhile waits for it."""
        now = self._clock()
        with self._lock:
            until, future = self._kept.get(name, (now, Future[Layout | None]()))
            mine = until <= now
            if mine:
                future = Future()
                self._kept[name] = now + LAYOUT_SECONDS, future
            self._kept.move_to_end(name)
            if len(self._kept) > MOST_LAYOUTS:
                self._kept.popitem(last=False)
        return self._made(name, make, future) if mine else (future.result(), _NOTHING)

    def forget(self, name: str) -> None:
        """Have it read again by who asks next."""
        with self._lock:
            self._kept.pop(name, None)

    def _made(
        self, name: str, make: Callable[[], tuple[Layout, memoryview]], future: "Future[Layout | None]"
    ) -> tuple[Layout | None, memoryview]:
        try:
            layout, head = make()
            future.set_result(layout)
        except (NotServed, UnknownLayout):
            future.set_result(None)
            return None, _NOTHING
        except ArdError as error:
            self.forget(name)
            future.set_exception(error)
            raise
        finally:
            future.cancel()  # in case that nothing of all that happened: nobody must wait for ever
        return layout, head


def _name(href: str) -> str:
    """What an asset is known by: its address without the query, which may be a signature."""
    return href.partition("?")[0]


def _put(values: NDArray[Any], block: Block, pixels: NDArray[Any]) -> None:
    height, width = values.shape
    pixels[block.row : block.row + height, block.column : block.column + width] = values


def _batches(places: Sequence[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """The places in groups of a bounded size, but of one at least."""
    batch: list[tuple[int, int]] = []
    size = 0
    for start, end in places:
        if batch and size + end - start > MOST_BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append((start, end))
        size += end - start
    if batch:
        yield batch


def _runs(places: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges that hold all places, those together that lie close, in order."""
    runs: list[tuple[int, int]] = []
    for start, end in sorted(places):
        if runs and start - runs[-1][1] <= MOST_GAP_BYTES:
            runs[-1] = runs[-1][0], max(end, runs[-1][1])
        else:
            runs.append((start, end))
    return runs
