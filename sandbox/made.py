"""What the makers of the sandbox's scenes share: the ground to fill round some tiles, and processes that fill it."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.connection import wait
from typing import TypeVar

from ard.errors import InvalidInput
from ard.grid import Bounds
from ard.tile import Tile
from sandbox.scenes import FILLED_BEYOND_TILES_DEGREES

WIDEST_DEGREES = 1.0

_MOST_WORKERS = 4  # each takes up to 0.8 GB

T = TypeVar("T")
R = TypeVar("R")


def box_round(tiles: Sequence[Tile]) -> Bounds:
    """The box that scenes of some tiles must hold, in degrees: theirs, and 0.02 more on every side.

    Raises:
        InvalidInput: There are no tiles, or they lie more than a degree apart.
    """
    if not tiles:
        raise InvalidInput("expected tiles to make scenes for, found none")
    wests, souths, easts, norths = zip(*(tile.grid(10).bounds for tile in tiles), strict=True)
    box = Bounds(min(wests), min(souths), max(easts), max(norths)).buffered(FILLED_BEYOND_TILES_DEGREES)
    if max(box.east - box.west, box.north - box.south) > WIDEST_DEGREES:
        raise InvalidInput(f"expected tiles within {WIDEST_DEGREES:g} degree of each other, found them over {box}")
    return box


def middle_tile(tiles: Sequence[Tile]) -> Tile:
    """The tile nearest to the mean of all centres."""
    lon, lat = (sum(values) / len(tiles) for values in zip(*((tile.lon, tile.lat) for tile in tiles), strict=True))
    return min(tiles, key=lambda tile: ((tile.lon - lon) ** 2 + (tile.lat - lat) ** 2, tile.y, tile.x))


def in_processes(function: Callable[[T], R], jobs: Sequence[T]) -> list[R]:
    """What a function makes of each job, in their order; other processes do it, and end when this one does.

    They are spawned, not forked: a process with threads, as the sandbox is, must not fork.
    """
    workers = min(_MOST_WORKERS, os.cpu_count() or 1, len(jobs))
    with ProcessPoolExecutor(
        workers, mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent
    ) as pool:
        return list(pool.map(function, jobs))


def _end_with_parent() -> None:
    """Have this process end when its parent has, however that ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
