"""What a report tells of a job's tasks besides their counts, gathered in one pass over their rows."""

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ard.product import Product
from ard.rows import TaskRow
from ard.states import State
from ard.tile import tile_key
from tracker.report.endings import Ending, ending
from tracker.summary import STALLED_AFTER_SECONDS

_ENDINGS = {kind: number for number, kind in enumerate(Ending)}
NO_CAUSE = 0
PRODUCTS = tuple(Product)


class Standing(Enum):
    """How a task stands, the worst first, with a colour each (Okabe and Ito 2008, safe for the colour-blind)."""

    FAILED = "failed", "#D55E00"
    STALLED = "stalled", "#CC79A7"
    RETRYING = "retrying", "#E69F00"
    RUNNING = "running", "#F0E442"
    QUEUED = "queued", "#BDBDBD"
    CANCELLED = "cancelled", "#6E6E6E"
    NO_DATA = "no data", "#56B4E9"
    DONE = "done", "#009E73"
    SKIPPED = "skipped", "#0072B2"

    @property
    def colour(self) -> str:
        """As #RRGGBB."""
        return self.value[1]

    @property
    def words(self) -> str:
        """As a person says it."""
        return self.value[0]


STANDINGS = tuple(Standing)
_RANKS = {standing: rank for rank, standing in enumerate(STANDINGS)}
_OF_STATE = {
    State.QUEUED: Standing.QUEUED,
    State.RUNNING: Standing.RUNNING,
    State.RETRYING: Standing.RETRYING,
    State.SUCCEEDED: Standing.DONE,
    State.SKIPPED: Standing.SKIPPED,
    State.NO_DATA: Standing.NO_DATA,
    State.FAILED: Standing.FAILED,
    State.CANCELLED: Standing.CANCELLED,
}


class Extreme(NamedTuple):
    """A number and the tile that has it."""

    value: float
    year: int
    tile: str


@dataclass(slots=True, kw_only=True)
class Numbers:
    """One number of a product's quality digests, over its tasks."""

    values: "array[float]" = field(default_factory=lambda: array("d"))
    lowest: Extreme | None = None
    highest: Extreme | None = None

    def add(self, value: float, row: TaskRow) -> None:
        """One task's."""
        self.values.append(value)
        if self.lowest is None or value < self.lowest.value:
            self.lowest = Extreme(value, row.year, tile_key(row.x_tile, row.y_tile))
        if self.highest is None or value > self.highest.value:
            self.highest = Extreme(value, row.year, tile_key(row.x_tile, row.y_tile))


@dataclass(slots=True, kw_only=True)
class Flagged:
    """The tasks of one product that carry a flag; ``sample`` is the first of them."""

    tasks: int
    sample: str


@dataclass(slots=True, kw_only=True)
class Executions:
    """The attempts of one region, as columns; times in seconds since the epoch."""

    started: "array[float]" = field(default_factory=lambda: array("d"))
    ended: "array[float]" = field(default_factory=lambda: array("d"))
    kinds: "array[int]" = field(default_factory=lambda: array("b"))
    tasks: int = 0
    most: int = 0  # of one task

    def spans(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int8]]:
        """Starts, ends (never before the start: clocks differ) and the numbers of their endings, in ``Ending``."""
        started, ended = np.array(self.started), np.array(self.ended)
        return started, np.maximum(started, ended), np.array(self.kinds, dtype=np.int8)


@dataclass(slots=True, kw_only=True)
class Places:
    """Every task with its tile, as columns; ``causes`` are numbers of ``names``, NO_CAUSE for none."""

    x: "array[int]" = field(default_factory=lambda: array("i"))
    y: "array[int]" = field(default_factory=lambda: array("i"))
    lon: "array[float]" = field(default_factory=lambda: array("d"))
    lat: "array[float]" = field(default_factory=lambda: array("d"))
    year: "array[int]" = field(default_factory=lambda: array("i"))
    product: "array[int]" = field(default_factory=lambda: array("b"))
    rank: "array[int]" = field(default_factory=lambda: array("b"))
    cause: "array[int]" = field(default_factory=lambda: array("i"))
    names: list[str] = field(default_factory=lambda: [""])


@dataclass(slots=True, kw_only=True)
class Facts:
    """All of it; ``add`` takes a row at a time.

    Attributes:
        now: The moment that tells a stalled task from a running one.
        regions: Where each product is made.
        last_change: Of any row; None before the first.
    """

    now: float
    regions: Mapping[Product, str]
    last_change: float | None = None
    places: Places = field(default_factory=Places)
    seconds: "dict[Product, array[float]]" = field(default_factory=dict)
    executions: dict[str, Executions] = field(default_factory=dict)
    flags: dict[tuple[Product, str], Flagged] = field(default_factory=dict)
    numbers: dict[tuple[Product, str], Numbers] = field(default_factory=dict)
    _causes: dict[str, int] = field(default_factory=lambda: {"": NO_CAUSE})

    def add(self, row: TaskRow) -> None:
        """One task."""
        self.last_change = max(self.last_change or row.updated_at, row.updated_at)
        self._place(row, standing_of(row, now=self.now))
        if row.seconds is not None:
            self.seconds.setdefault(row.product, array("d")).append(row.seconds)
        if row.attempts:
            self._executed(row)
        for flag in row.flags:
            flagged = self.flags.setdefault((row.product, flag), Flagged(tasks=0, sample=row.task_id))
            flagged.tasks += 1
        for name, value in row.digest.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                self.numbers.setdefault((row.product, name), Numbers()).add(float(value), row)

    def _place(self, row: TaskRow, standing: Standing) -> None:
        places, cause = self.places, row.cause or ""
        if cause not in self._causes:
            self._causes[cause] = len(places.names)
            places.names.append(cause)
        places.x.append(row.x_tile)
        places.y.append(row.y_tile)
        places.lon.append(row.lon)
        places.lat.append(row.lat)
        places.year.append(row.year)
        places.product.append(PRODUCTS.index(row.product))
        places.rank.append(_RANKS[standing])
        places.cause.append(self._causes[cause])

    def _executed(self, row: TaskRow) -> None:
        executions = self.executions.setdefault(self.regions.get(row.product, "unknown"), Executions())
        executions.tasks += 1
        executions.most = max(executions.most, len(row.attempts))
        for attempt in row.attempts:
            executions.started.append(attempt.started)
            executions.ended.append(attempt.ended)
            executions.kinds.append(_ENDINGS[ending(attempt)])


def standing_of(row: TaskRow, *, now: float) -> Standing:
    """How a task stands; RUNNING with a lease long over is stalled."""
    if row.state is State.RUNNING and (row.lease_until or 0) + STALLED_AFTER_SECONDS < now:
        return Standing.STALLED
    return _OF_STATE[row.state]
