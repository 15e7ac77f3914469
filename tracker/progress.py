"""How far a job's tiles have come, product by product."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ard.product import Product
from ard.rows import Activity, JobRow
from ard.states import State

_WELL = {State.SUCCEEDED, State.SKIPPED, State.NO_DATA}
_BLOCKING = {State.FAILED, State.CANCELLED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiles:
    """Tiles and years: with every product, still in work, and blocked by a task that failed or was cancelled."""

    complete: int = 0
    in_progress: int = 0
    blocked: int = 0

    @property
    def total(self) -> int:
        """All tiles and years of the job."""
        return self.complete + self.in_progress + self.blocked


@dataclass(frozen=True, slots=True, kw_only=True)
class Oldest:
    """The task that has been running the longest, and for how long."""

    task_id: str
    seconds: float


def tiles_of(job: JobRow, by_product: Mapping[Product, Sequence[Activity]]) -> Tiles:
    """A job's tiles. Every product is made of the same ones; those without a row yet are in progress."""
    well: Counter[str] = Counter()
    seen: set[str] = set()
    blocked: set[str] = set()
    for rows in by_product.values():
        names = [row.task_id.rpartition("/")[0] for row in rows]
        seen.update(names)
        well.update(name for name, row in zip(names, rows, strict=True) if row.state in _WELL)
        blocked.update(name for name, row in zip(names, rows, strict=True) if row.state in _BLOCKING)
    wanted = sum(1 for total in job.totals.values() if total)
    complete = sum(count >= wanted for count in well.values())
    total = max(len(seen), *job.totals.values(), 0)
    return Tiles(complete=complete, blocked=len(blocked), in_progress=total - complete - len(blocked))


def oldest_of(rows: Iterable[Activity], now: float) -> Oldest | None:
    """The task that has been running the longest; None when none runs."""
    # A row that is RUNNING was changed last when its worker took it.
    running = [row for row in rows if row.state is State.RUNNING]
    if not running:
        return None
    first = min(running, key=lambda row: (row.updated_at, row.task_id))
    return Oldest(task_id=first.task_id, seconds=max(now - first.updated_at, 0.0))
