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

    def window(self, href: str, bounds: Bounds, *, margin: int = 0) -> Raster:
        """The pixels of the first band whose areas touch the box, and ``margin`` more on every side.

        Raises:
            AssetCorrupt: The asset does not exist or cannot be decoded.
            Unavailable: The asset cannot be reached now.
            Auth: The asset's provider refuses our credentials.
        """
        ...
