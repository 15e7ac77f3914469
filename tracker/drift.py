"""Where the rows of a job and its outputs tell different stories. Nothing is changed here."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby

from ard.adapters.outputs import Listing, Output, look, named_objects
from ard.adapters.store import Store
from ard.keys import column_prefix, is_data_key, tile_prefix
from ard.product import Product
from ard.rows import JobRow, TaskRow, task_of
from ard.shards import shard_of
from ard.states import State
from ard.tile import Tile
from ard.transitions import PATIENCE_SECONDS
from tracker.letters import Letter, sift
from tracker.services import Tasks

ORPHANED_AFTER_SECONDS = 24 * 3600.0  # far beyond any worker's life
_COLUMN_FROM_TILES = 13  # from there on, one listing of a column costs less than one of each tile
_SIDE_BY_SIDE = 16
Written = tuple[int, float]  # an object's size, and when it was last written

_RECORDED = {State.SUCCEEDED, State.SKIPPED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A row that says there is an output, and what speaks against it."""

    row: TaskRow
    damage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Unrecorded:
    """A complete output, and the row that does not know of it."""

    row: TaskRow
    output: Output


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A data object of a tile that no item names; ``modified`` is when it was last written, seconds since the epoch."""

    key: str
    size: int
    modified: float

    @property
    def folder(self) -> str:
        """What the keys of its tile begin with."""
        return self.key[: self.key.rindex("/") + 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What does not fit together.

    Attributes:
        checked: Tasks whose outputs were looked for.
        stale_letters: Dead letters by product of tasks that are not FAILED, or have failed again since.
    """

    checked: int
    lost: tuple[Lost, ...] = ()
    unrecorded: tuple[Unrecorded, ...] = ()
    orphans: tuple[Orphan, ...] = ()
    stale_letters: Mapping[Product, int] = field(default_factory=dict)

    @property
    def found(self) -> int:
        """How many things do not fit."""
        return len(self.lost) + len(self.unrecorded) + len(self.orphans) + sum(self.stale_letters.values())


def find_drift(rows: Iterable[TaskRow], job: JobRow, tasks: Tasks, store: Store, *, now: float) -> Drift:
    """Hold the rows of a job against its outputs and dead letters.

    Raises:
        Unavailable: Something could not be checked, which is not the same as "missing".
        Auth: The store refuses.
    """
    ordered = sorted(rows, key=lambda row: (row.year, row.x_tile, row.y_tile))
    columns = [list(column) for _, column in groupby(ordered, key=lambda row: (row.year, row.x_tile))]
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        found = list(pool.map(lambda column: _of_column(column, job, store, now=now), columns))
    return Drift(
        checked=sum(one.checked for one in found),
        lost=tuple(lost for one in found for lost in one.lost),
        unrecorded=tuple(unrecorded for one in found for unrecorded in one.unrecorded),
        orphans=tuple(orphan for one in found for orphan in one.orphans),
        stale_letters=see_to_letters(job, tasks, delete=False),
    )


def see_to_letters(job: JobRow, tasks: Tasks, *, delete: bool) -> dict[Product, int]:
    """How many dead letters of a job are stale, by product; they are deleted if wanted.

    Raises:
        Unavailable: A queue or the table cannot be asked.
    """

    def stale(letter: Letter) -> bool:
        if letter.task.job_id != job.job_id:
            return False
        shard = shard_of(letter.task.tile.key, job.shards)
        row = tasks.table.task(job.job_id, shard, letter.task.task_id)
        return row is not None and (row.state is not State.FAILED or letter.fence < row.fence)

    counts = {
        product: sift(lane.dlq, stale, delete=delete) for product, lane in tasks.lanes.items() if product in job.totals
    }
    return {product: count for product, count in counts.items() if count}


def orphans_in(listed: Mapping[str, Written], store: Store, *, now: float) -> Iterator[Orphan]:
    """The data objects of one tile's folder, as listed, that no item there names, and that nobody can be writing.

    Raises:
        Unavailable: An item cannot be read.
    """
    old = {
        key: Orphan(key=key, size=size, modified=modified)
        for key, (size, modified) in listed.items()
        if is_data_key(key) and modified <= now - ORPHANED_AFTER_SECONDS
    }
    for key in listed if old else ():
        if key.endswith(".json"):
            content = store.get(key)
            named = None if content is None else named_objects(key, content)
            if named is None:
                return  # it went, or cannot be read: nobody knows what it names
            for name in named:
                old.pop(name, None)
    yield from old.values()


def _of_column(rows: Sequence[TaskRow], job: JobRow, store: Store, *, now: float) -> Drift:
    """The drift of the tasks of one year and x; their letters are looked at elsewhere."""
    listed = _listed(rows, store)
    sizes = {key: size for objects in listed.values() for key, (size, _) in objects.items()}
    listing = Listing(prefixes=tuple(listed), sizes=sizes)
    lost: list[Lost] = []
    unrecorded: list[Unrecorded] = []
    checked = [row for row in rows if row.state in _RECORDED or _may_be_unrecorded(row, now)]
    for row in checked:
        seen = look(task_of(row, job), store, listing=listing)
        if row.state in _RECORDED and seen.output is None:
            lost.append(Lost(row=row, damage=seen.damage or "its item is not there, or lacks a format"))
        elif row.state not in _RECORDED and seen.output and _is_of(job, seen.output):
            unrecorded.append(Unrecorded(row=row, output=seen.output))
    orphans = [orphan for objects in listed.values() for orphan in orphans_in(objects, store, now=now)]
    return Drift(checked=len(checked), lost=tuple(lost), unrecorded=tuple(unrecorded), orphans=tuple(orphans))


def _listed(rows: Sequence[TaskRow], store: Store) -> dict[str, dict[str, Written]]:
    """The objects of each tile of a column, by the prefix of its keys; listed together where that costs less."""
    tiles = {tile_prefix(row.year, Tile(row.x_tile, row.y_tile, row.lon, row.lat)) for row in rows}
    if len(tiles) < _COLUMN_FROM_TILES:
        return {tile: store.modified(tile) for tile in sorted(tiles)}
    listed: dict[str, dict[str, Written]] = {tile: {} for tile in sorted(tiles)}
    for key, written in store.modified(column_prefix(rows[0].year, rows[0].x_tile)).items():
        tile = key[: key.rindex("/") + 1]
        if tile in listed:
            listed[tile][key] = written
    return listed


def _is_of(job: JobRow, output: Output) -> bool:
    """Whether the output is what the job asked for: one that is to be overwritten is not."""
    return not job.overwrite or output.job_id == job.job_id


def _may_be_unrecorded(row: TaskRow, now: float) -> bool:
    """A row that a complete output would contradict: no worker is on its way to record it."""
    gone = row.state is State.RUNNING and (row.lease_until or 0) + PATIENCE_SECONDS < now
    return gone or row.state in {State.FAILED, State.NO_DATA}
