"""Which failed tasks a redrive would send again, what that costs, and what speaks against it now."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from ard.cost import SEED, Average, Estimate, estimate
from ard.errors import Auth, Unavailable
from ard.product import Product
from ard.rows import TaskRow
from ard.settings import ProductQueue
from ard.states import State
from ard.tile import tile_key
from tracker.failures import Kind, kind_of

RECENT_SECONDS = 900.0
FEWEST_WAITING = 3  # fewer tasks that wait for a provider tell nothing about it
_ENOUGH_TASKS = 5  # of the job itself, to estimate by
_PROVIDER_DOWN = {Unavailable.cause, Auth.cause}
_MADE = {State.SUCCEEDED, State.NO_DATA}


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which failed tasks are meant; an empty set means any. ``force`` takes permanent causes too."""

    products: Collection[Product] = ()
    causes: Collection[str] = ()
    tiles: Collection[str] = ()
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """A product whose provider seems to be down: more tasks wait for it than were made in the last quarter hour."""

    product: Product
    waiting: int
    made: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RedrivePlan:
    """What a redrive would do.

    Attributes:
        chosen: Failed rows to send again.
        permanent: Failed rows left alone, since trying again cannot help unless something was repaired.
        others: How many rows that match are in another state: they are never touched.
        averages: How long the job's own tasks have taken, of products of which enough were made.
        outages: Of the products that were chosen.
    """

    chosen: tuple[TaskRow, ...]
    permanent: tuple[TaskRow, ...]
    others: Mapping[State, int]
    averages: Mapping[Product, Average] = field(default_factory=dict)
    outages: tuple[Outage, ...] = ()


def plan_redrive(rows: Iterable[TaskRow], wanted: Selection, *, now: float) -> RedrivePlan:
    """Choose among a job's rows; ``now`` tells which of them are recent."""
    chosen, permanent, others = [], [], dict.fromkeys(State, 0)
    seconds: dict[Product, list[float]] = {product: [] for product in Product}
    waiting, made = Counter[Product](), Counter[Product]()
    for row in rows:
        if row.state in _MADE:
            made[row.product] += row.updated_at > now - RECENT_SECONDS
            seconds[row.product] += [row.seconds] if row.seconds else []
        waiting[row.product] += row.state is State.RETRYING and row.cause in _PROVIDER_DOWN
        if not _matches(row, wanted):
            continue
        if row.state is not State.FAILED:
            others[row.state] += 1
        elif kind_of(row) is Kind.PERMANENT and not wanted.force:
            permanent.append(row)
        else:
            chosen.append(row)
    return RedrivePlan(
        chosen=tuple(chosen),
        permanent=tuple(permanent),
        others={state: count for state, count in others.items() if count},
        averages={product: _average(taken) for product, taken in seconds.items() if len(taken) >= _ENOUGH_TASKS},
        outages=tuple(
            Outage(product=product, waiting=waiting[product], made=made[product])
            for product in sorted({row.product for row in chosen})
            if waiting[product] >= FEWEST_WAITING and waiting[product] > made[product]
        ),
    )


def cost_of(plan: RedrivePlan, queues: Mapping[Product, ProductQueue]) -> Estimate:
    """What the chosen tasks will cost, as far as their products are deployed."""
    tasks = Counter(row.product for row in plan.chosen if row.product in queues)
    return estimate(
        tasks,
        memory_mb={product: queues[product].memory_mb for product in tasks},
        max_concurrency={product: queues[product].max_concurrency for product in tasks},
        averages={**SEED, **plan.averages},
    )


def _matches(row: TaskRow, wanted: Selection) -> bool:
    return (
        (not wanted.products or row.product in wanted.products)
        and (not wanted.causes or row.cause in wanted.causes)
        and (not wanted.tiles or tile_key(row.x_tile, row.y_tile) in wanted.tiles)
    )


def _average(seconds: list[float]) -> Average:
    mean = sum(seconds) / len(seconds)
    source = f"{len(seconds):,} tasks of this job"
    return Average(seconds=mean, low_seconds=min(seconds), high_seconds=max(seconds), source=source)
