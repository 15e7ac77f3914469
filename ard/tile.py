"""A tile of the TTC grid: 1/18 degree square, named by two ids that are looked up and never computed."""

import math
import re
from dataclasses import dataclass
from typing import Literal

from ard.errors import InvalidInput
from ard.grid import Grid

TILE_DEGREES = 1 / 18
# A sphere of WGS84's equatorial radius, as the training data were gridded: metres per degree / 18 / 10 m.
SPHERICAL_METRES_PER_DEGREE = 111_319.4908
PIXELS_PER_TILE = SPHERICAL_METRES_PER_DEGREE * TILE_DEGREES / 10

_KEY = re.compile(r"(0|[1-9][0-9]{0,5})X(0|[1-9][0-9]{0,5})Y")

Metres = Literal[10, 20, 40]


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile: its ids in the tile index and the centre of its box, in degrees."""

    x: int
    y: int
    lon: float
    lat: float

    @property
    def key(self) -> str:
        """The name of the tile, such as ``1000X871Y``."""
        return tile_key(self.x, self.y)

    def grid(self, metres: Metres) -> Grid:
        """The one grid of this tile at about 10, 20 or 40 metres; all three share their upper-left corner.

        The 10 m grid fills the tile's box exactly and has even sides: ``2 * round(K / 2)`` rows and
        ``2 * round(K * cos(lat) / 2)`` columns, K = 618.44 (the layout of the model's training data).
        """
        height = 2 * round(PIXELS_PER_TILE / 2)
        width = 2 * round(PIXELS_PER_TILE * math.cos(math.radians(self.lat)) / 2)
        ten_metres = Grid(
            west=self.lon - TILE_DEGREES / 2,
            north=self.lat + TILE_DEGREES / 2,
            lon_step=TILE_DEGREES / width,
            lat_step=TILE_DEGREES / height,
            height=height,
            width=width,
        )
        return ten_metres.coarsened(metres // 10)


def tile_key(x: int, y: int) -> str:
    """The name of a tile, such as ``1000X871Y``."""
    return f"{x}X{y}Y"


def parse_tile_key(text: str) -> tuple[int, int]:
    """The ids ``(x, y)`` that a tile's name such as ``1000X871Y`` holds.

    Raises:
        InvalidInput: The text is not two plain numbers of at most six digits, written as ``{x}X{y}Y``.
    """
    match = _KEY.fullmatch(text)
    if match is None:
        raise InvalidInput(f"expected a tile such as 1000X871Y, found {text[:40]!r}")
    return int(match[1]), int(match[2])
