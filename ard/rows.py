"""The rows of the status table, as values. Times are seconds since the epoch, UTC."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import JsonValue

from ard.product import Format, Product
from ard.shards import shard_of
from ard.states import State
from ard.task import TileTask, task_id
from ard.tile import tile_key


class Command(StrEnum):
    """What a job's owner wants of it. Progress is never stored here."""

    OPEN = "open"
    AWAITING_APPROVAL = "awaiting_approval"
    PAUSED = "paused"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRow:
    """One job: what was asked for. ``totals`` counts its tasks per product."""

    job_id: str
    command: Command
    created_at: float
    digest: str
    request_key: str
    dest: str
    formats: tuple[Format, ...]
    overwrite: bool
    max_attempts: int
    totals: Mapping[Product, int]
    shards: int
    chunks: int
    estimate_usd: float
    max_cost_usd: float | None = None

    @property
    def tasks(self) -> int:
        """How many tasks the job has."""
        return sum(self.totals.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkRow:
    """A range of the job's plan, and whether its rows and messages are out."""

    job_id: str
    number: int
    sent: bool = False
    check_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try at a task: who, when, and how it ended (a state's name or a cause)."""

    worker: str
    started: float
    ended: float
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRow:
    """One task: the truth about it.

    Attributes:
        fence: Grows by one at every claim and is never reset: names the claim.
        charged: Attempts that count against the budget.
        lease_until: Until when the owner alone may work on it.
        not_before: When a retry is due.
        check_after: When somebody should have been heard of; None once the row is terminal.
        waits: Deliveries in a row that a provider was unavailable; ``waiting_since`` the first of them.
        gb_seconds: Of all attempts together.
    """

    job_id: str
    shard: int
    product: Product
    year: int
    x_tile: int
    y_tile: int
    lon: float
    lat: float
    state: State
    updated_at: float
    fence: int = 0
    charged: int = 0
    owner: str | None = None
    lease_until: float | None = None
    not_before: float | None = None
    check_after: float | None = None
    parked: bool = False
    waits: int = 0
    waiting_since: float | None = None
    started_at: float | None = None
    seconds: float | None = None
    gb_seconds: float = 0.0
    cause: str | None = None
    message: str | None = None
    item: str | None = None
    flags: tuple[str, ...] = ()
    digest: Mapping[str, JsonValue] = field(default_factory=dict)
    attempts: tuple[Attempt, ...] = ()

    @property
    def task_id(self) -> str:
        """The task's key within its job."""
        return task_id(self.year, self.x_tile, self.y_tile, self.product)


@dataclass(frozen=True, slots=True, kw_only=True)
class OddRow:
    """An item that is no row of ours as we know them."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """The small part of a task's row that a status reads."""

    task_id: str
    product: Product
    state: State
    updated_at: float
    charged: int
    seconds: float | None
    gb_seconds: float
    cause: str | None
    lease_until: float | None


def queued_row(task: TileTask, *, shards: int, now: float, check_after: float) -> TaskRow:
    """The first row of a task."""
    return TaskRow(
        job_id=task.job_id,
        shard=shard_of(tile_key(task.x_tile, task.y_tile), shards),
        product=task.product,
        year=task.year,
        x_tile=task.x_tile,
        y_tile=task.y_tile,
        lon=task.lon,
        lat=task.lat,
        state=State.QUEUED,
        updated_at=now,
        check_after=check_after,
    )


def task_of(row: TaskRow, job: JobRow) -> TileTask:
    """The message of a task, made anew from what the table knows."""
    return TileTask(
        job_id=row.job_id,
        product=row.product,
        year=row.year,
        x_tile=row.x_tile,
        y_tile=row.y_tile,
        lon=row.lon,
        lat=row.lat,
        dest=job.dest,
        formats=job.formats,
        overwrite=job.overwrite,
        max_attempts=job.max_attempts,
    )
