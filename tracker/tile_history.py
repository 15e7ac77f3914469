"""One tile and year, product by product, in one job or in the newest that have it."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from ard.adapters.item_facts import ItemFacts, read_item
from ard.adapters.status_table import StatusTable
from ard.adapters.store import Store
from ard.errors import ArdError, InvalidInput
from ard.keys import item_key
from ard.product import Product
from ard.rows import JobRow, OddRow, TaskRow
from ard.shards import shard_of
from ard.states import State
from ard.task import task_id
from ard.tile import Tile, tile_key
from tracker.next_steps import task_step
from tracker.summary import STALLED_AFTER_SECONDS

JOBS_SEARCHED = 100
_SIDE_BY_SIDE = 8
_MADE = {State.SUCCEEDED, State.SKIPPED}


@dataclass(frozen=True, slots=True, kw_only=True)
class TileTaskView:
    """A tile's task in one job.

    Attributes:
        stalled: Its worker is gone.
        output: What the item of its output says; None when that was not read or there is none.
        trouble: Why the item could not be read.
        next_step: What to type; None when nothing needs to be done.
    """

    job: JobRow
    row: TaskRow
    stalled: bool
    output: ItemFacts | None = None
    trouble: str | None = None
    next_step: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TileHistory:
    """A tile's tasks by product, those of the newest job first; ``odd`` rows could not be read."""

    tile: str
    year: int
    tasks: tuple[TileTaskView, ...]
    odd: tuple[OddRow, ...]
    jobs_searched: int


def tile_history(
    table: StatusTable,
    jobs: Sequence[JobRow],
    tile: tuple[int, int],
    year: int,
    *,
    now: float,
    odd: Sequence[OddRow] = (),
) -> TileHistory:
    """What the rows of these jobs say about a tile and year; ``odd`` rows are known already.

    Raises:
        Unavailable: The table cannot be asked.
    """
    key = tile_key(*tile)
    wanted = [(job, product) for job in jobs for product in sorted(job.totals)]

    def look(one: tuple[JobRow, Product]) -> TileTaskView | OddRow | None:
        job, product = one
        name = task_id(year, *tile, product)
        try:
            row = table.task(job.job_id, shard_of(key, job.shards), name)
        except InvalidInput as error:
            return OddRow(key=f"{job.job_id} {name}", reason=str(error))
        return _view(job, row, now) if row else None

    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        found = list(pool.map(look, wanted))
    tasks = [one for one in found if isinstance(one, TileTaskView)]
    return TileHistory(
        tile=key,
        year=year,
        tasks=tuple(sorted(tasks, key=lambda one: (one.row.product, -one.job.created_at))),
        odd=(*odd, *(one for one in found if isinstance(one, OddRow))),
        jobs_searched=len(jobs),
    )


def explained(history: TileHistory, open_store: Callable[[str], Store]) -> TileHistory:
    """The history with what the items of the outputs say; what cannot be read says why."""
    return replace(history, tasks=tuple(_explain(history.tasks, open_store)))


def _explain(tasks: Sequence[TileTaskView], open_store: Callable[[str], Store]) -> Iterator[TileTaskView]:
    for one in tasks:
        if one.row.state not in _MADE:
            yield one
            continue
        row = one.row
        key = row.item or item_key(row.year, Tile(x=row.x_tile, y=row.y_tile, lon=row.lon, lat=row.lat), row.product)
        try:
            output = read_item(open_store(one.job.dest), key)
        except ArdError as error:
            yield replace(one, trouble=str(error))
        else:
            gone = None if output else f"expected the item {key} under {one.job.dest}, found nothing"
            yield replace(one, output=output, trouble=gone)


def _view(job: JobRow, row: TaskRow, now: float) -> TileTaskView:
    stalled = row.state is State.RUNNING and (row.lease_until or 0) + STALLED_AFTER_SECONDS < now
    return TileTaskView(job=job, row=row, stalled=stalled, next_step=task_step(row, stalled=stalled))
