"""The two ports of a loader: a catalogue that finds scenes and a reader that brings pixels."""

from typing import Protocol

from ard.grid import Bounds
from ard.scene import Interval, Raster, Scene


class Catalog(Protocol):
    """Finds scenes."""

    def search(self, collection: str, bounds: Bounds, interval: Interval | None = None) -> tuple[Scene, ...]:
        """Every item of a collection that touches the box (and interval), ordered by id; complete or an error.

        Raises:
            Unavailable: The catalogue cannot be reached, throttles, fails or answers with half a page.
            Auth: The catalogue refuses our credentials.
            InvalidInput: The catalogue refuses the search itself.
        """
        ...


class Reader(Protocol):
    """Reads pixels."""

    def window(
        self, href: str, bounds: Bounds, *, margin: int = 0, pixel_size: float | None = None, overviews: bool = True
    ) -> Raster:
        """The pixels of the first band whose areas touch the box, and ``margin`` more on every side.

        Args:
            href: The asset.
            bounds: The box, degrees.
            margin: Further pixels on every side.
            pixel_size: Coarser pixels will do, up to this size in units of the asset's CRS.
            overviews: Whether they may come from an overview; else every n-th pixel of full resolution is taken.

        Raises:
            AssetCorrupt: The asset does not exist or cannot be decoded.
            Unavailable: The asset cannot be reached now.
            Auth: The asset's provider refuses our credentials.
        """
        ...
