"""The two ports of a loader under a deadline: a worker stops by itself before its time is over."""

from collections.abc import Callable
from dataclasses import dataclass

from ard.errors import OutOfTime
from ard.grid import Bounds
from ard.ports import Catalog, Reader
from ard.scene import Interval, Raster, Scene


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment, in seconds since the epoch."""

    at: float
    clock: Callable[[], float]

    def check(self) -> None:
        """Pass while there is time.

        Raises:
            OutOfTime: There is none left.
        """
        if self.clock() >= self.at:
            raise OutOfTime("the worker's time is nearly over")


@dataclass(frozen=True, slots=True)
class TimedCatalog:
    """A catalogue that is not asked after the deadline."""

    catalog: Catalog
    deadline: Deadline

    def search(self, collection: str, bounds: Bounds, interval: Interval | None = None) -> tuple[Scene, ...]:
        """See ``ard.ports.Catalog``; raises ``OutOfTime`` besides."""
        self.deadline.check()
        return self.catalog.search(collection, bounds, interval)


@dataclass(frozen=True, slots=True)
class TimedReader:
    """A reader that is not asked after the deadline."""

    reader: Reader
    deadline: Deadline

    def window(
        self, href: str, bounds: Bounds, *, margin: int = 0, pixel_size: float | None = None, overviews: bool = True
    ) -> Raster:
        """See ``ard.ports.Reader``; raises ``OutOfTime`` besides."""
        self.deadline.check()
        return self.reader.window(href, bounds, margin=margin, pixel_size=pixel_size, overviews=overviews)
