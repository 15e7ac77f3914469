"""A job in numbers, all of them counted from its rows."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from math import inf, sqrt

from ard.cost import compute_usd
from ard.product import Product
from ard.rows import Activity, Command, JobRow, OddRow, TaskRow
from ard.states import State
from tracker.progress import Oldest, Tiles, oldest_of, tiles_of

STALLED_AFTER_SECONDS = 60.0  # past the lease: the worker is gone, and its message is about to come back
RATE_SECONDS = 300.0
_ENOUGH_TO_FORETELL = 4  # tasks that ended within RATE_SECONDS; fewer say nothing about the future

_TROUBLE = (State.FAILED, State.RETRYING, State.NO_DATA)
_ENDED_BY_WORK = {State.SUCCEEDED, State.NO_DATA, State.FAILED}


class Outcome(StrEnum):
    """What has become of a job; the first four are still open."""

    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    PAUSED = "PAUSED"
    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    PARTLY_FAILED = "PARTLY_FAILED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Every task in one of these, so that they add up to ``total``; ``queued`` counts rows yet to be written too."""

    done: int = 0
    skipped: int = 0
    no_data: int = 0
    running: int = 0
    stalled: int = 0
    retrying: int = 0
    queued: int = 0
    failed: int = 0
    cancelled: int = 0

    @property
    def total(self) -> int:
        """All tasks."""
        return sum(getattr(self, name.name) for name in fields(self))

    @property
    def ended(self) -> int:
        """Tasks in a terminal state."""
        return self.well + self.failed + self.cancelled

    @property
    def well(self) -> int:
        """Tasks that ended as they should."""
        return self.done + self.skipped + self.no_data

    @property
    def progress(self) -> float:
        """The part that has ended, 0..1."""
        return self.ended / self.total if self.total else 1.0

    def plus(self, other: "Counts") -> "Counts":
        """Both together."""
        return Counts(**{name.name: getattr(self, name.name) + getattr(other, name.name) for name in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductSummary:
    """One product of a job; ``recent`` tasks were ended by workers within the last ``window`` seconds."""

    product: Product
    region: str
    counts: Counts
    recent: int
    gb_seconds: float
    window: float = RATE_SECONDS

    @property
    def tasks_per_minute(self) -> float:
        """Its rate."""
        return self.recent / self.window * 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """How many tasks are in a state for the same cause, and of which products; ``sample`` is one of them."""

    state: State
    cause: str
    tasks: int
    products: tuple[Product, ...] = ()
    sample: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSummary:
    """A job at one moment.

    Attributes:
        confirmed: Counted from the rows themselves, not from the index, which may lag by moments.
        tasks_per_minute: Ended by workers within the last five minutes.
        eta_seconds: The earliest and latest likely end from now; None when nothing can be told.
        odd: Rows that this version cannot read; they count as queued.
    """

    job: JobRow
    as_of: float
    confirmed: bool
    products: tuple[ProductSummary, ...]
    counts: Counts
    tasks_per_minute: float
    eta_seconds: tuple[float, float] | None
    gb_seconds: float
    trouble: tuple[Trouble, ...] = field(default=())
    tiles: Tiles = field(default_factory=Tiles)
    oldest: Oldest | None = None
    odd: tuple[OddRow, ...] = ()

    @property
    def ended(self) -> bool:
        """Every task is terminal."""
        return self.counts.ended == self.counts.total

    @property
    def slowest(self) -> ProductSummary | None:
        """The product that will end last at the rate it has now; None when fewer than two have not ended."""
        unfinished = [product for product in self.products if product.counts.ended < product.counts.total]
        return max(unfinished, key=_patience) if len(unfinished) > 1 else None

    @property
    def spent_usd(self) -> float:
        """What the workers have used up, at the list price of Lambda."""
        return compute_usd(self.gb_seconds)

    @property
    def outcome(self) -> Outcome:
        """What has become of the job."""
        counts = self.counts
        if not self.ended:
            return _open_outcome(self.job.command, counts)
        if counts.ended == counts.well:
            return Outcome.SUCCEEDED
        if counts.well:
            return Outcome.PARTLY_FAILED if counts.failed else Outcome.CANCELLED
        return Outcome.FAILED if counts.failed else Outcome.CANCELLED


def summarise(
    job: JobRow,
    rows: Iterable[Activity],
    *,
    now: float,
    regions: Mapping[Product, str],
    confirmed: bool = False,
    odd: Sequence[OddRow] = (),
) -> JobSummary:
    """The job in numbers, from the small side of its rows; ``regions`` says where each product is made."""
    by_product: dict[Product, list[Activity]] = {product: [] for product in sorted(job.totals)}
    for row in rows:
        by_product.setdefault(row.product, []).append(row)
    window = min(RATE_SECONDS, max(now - job.created_at, 1.0))
    products = tuple(
        ProductSummary(
            product=product,
            region=regions.get(product, "?"),
            counts=_counts(job, product, found, now),
            recent=sum(row.updated_at > now - window and row.state in _ENDED_BY_WORK for row in found),
            gb_seconds=sum(row.gb_seconds for row in found),
            window=window,
        )
        for product, found in by_product.items()
    )
    counts = Counts()
    for product in products:
        counts = counts.plus(product.counts)
    return JobSummary(
        job=job,
        as_of=now,
        confirmed=confirmed,
        products=products,
        counts=counts,
        tasks_per_minute=sum(product.tasks_per_minute for product in products),
        eta_seconds=_eta(products, window) if job.command is Command.OPEN else None,
        gb_seconds=sum(product.gb_seconds for product in products),
        trouble=_trouble(row for found in by_product.values() for row in found),
        tiles=tiles_of(job, by_product),
        oldest=oldest_of((row for found in by_product.values() for row in found), now),
        odd=tuple(odd),
    )


def activity_of(row: TaskRow) -> Activity:
    """The small side of a task's row."""
    return Activity(
        task_id=row.task_id,
        product=row.product,
        state=row.state,
        updated_at=row.updated_at,
        charged=row.charged,
        seconds=row.seconds,
        gb_seconds=row.gb_seconds,
        cause=row.cause,
        lease_until=row.lease_until,
    )


def _open_outcome(command: Command, counts: Counts) -> Outcome:
    if command is Command.AWAITING_APPROVAL:
        return Outcome.AWAITING_APPROVAL
    if command is Command.PAUSED:
        return Outcome.PAUSED
    return Outcome.QUEUED if counts.queued == counts.total else Outcome.RUNNING


def _counts(job: JobRow, product: Product, rows: Sequence[Activity], now: float) -> Counts:
    states = Counter(row.state for row in rows)
    stalled = sum(row.state is State.RUNNING and (row.lease_until or 0) + STALLED_AFTER_SECONDS < now for row in rows)
    unwritten = max(job.totals.get(product, 0) - len(rows), 0)
    cancelled = job.command is Command.CANCELLED  # then what has no row will never get one
    return Counts(
        done=states[State.SUCCEEDED],
        skipped=states[State.SKIPPED],
        no_data=states[State.NO_DATA],
        running=states[State.RUNNING] - stalled,
        stalled=stalled,
        retrying=states[State.RETRYING],
        queued=states[State.QUEUED] + (0 if cancelled else unwritten),
        failed=states[State.FAILED],
        cancelled=states[State.CANCELLED] + (unwritten if cancelled else 0),
    )


def _eta(products: Sequence[ProductSummary], window: float) -> tuple[float, float] | None:
    """When the slowest product will end, if arrivals scatter as they do when they are independent: n +- sqrt(n)."""
    open_products = [product for product in products if product.counts.ended < product.counts.total]
    if not open_products or any(product.recent < _ENOUGH_TO_FORETELL for product in open_products):
        return None
    left = [(product.counts.total - product.counts.ended, product.recent) for product in open_products]
    soonest = max(tasks * window / (recent + sqrt(recent)) for tasks, recent in left)
    latest = max(tasks * window / (recent - sqrt(recent)) for tasks, recent in left)
    return soonest, latest


def _patience(product: ProductSummary) -> tuple[float, int]:
    """How long a product will take, in windows of its rate; of those that stand still, the one with most left."""
    left = product.counts.total - product.counts.ended
    return (left / product.recent if product.recent else inf), left


def _trouble(rows: Iterable[Activity]) -> tuple[Trouble, ...]:
    found: dict[tuple[State, str], list[Activity]] = {}
    for row in rows:
        if row.state in _TROUBLE:
            found.setdefault((row.state, row.cause or "unknown"), []).append(row)
    ordered = sorted(found.items(), key=lambda entry: (_TROUBLE.index(entry[0][0]), -len(entry[1]), entry[0][1]))
    return tuple(
        Trouble(
            state=state,
            cause=cause,
            tasks=len(alike),
            products=tuple(sorted({row.product for row in alike})),
            sample=alike[0].task_id,
        )
        for (state, cause), alike in ordered
    )
