"""What a job would be, before it is one: for ``producer plan``, and for the question before ``submit``."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ard.adapters.outputs import Verify
from ard.cost import Average, ProductEstimate
from ard.product import Format, Product
from ard.rows import Command
from ard.task import TileTask
from producer.deployment import estimate_of
from producer.existing import look_at
from producer.expansion import tasks_of
from producer.history import averages
from producer.jobs import job_row
from producer.plan import Plan, plan_bytes
from producer.receipts import EstimatedCost, UnknownTiles, estimated_cost, over_cap, unknown_tiles
from producer.services import Services


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """An output that is there but not whole: its task, and what is wrong with it."""

    task: TileTask
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What outputs a plan's tasks have already.

    Attributes:
        verify: How closely they were looked at.
        made: How many are complete, per product.
        damaged: Those that are not; they would be made again, as if they were missing.
    """

    verify: Verify
    made: Mapping[Product, int]
    damaged: Sequence[Damage] = ()


class _Shown(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProductPreview(_Shown):
    """The tasks of one product; ``made_already`` and ``damaged`` only where outputs were looked for."""

    product: Product
    region: str
    tasks: int
    made_already: int | None
    damaged: int | None
    to_run: int
    seconds: float
    averages: str
    memory_mb: int
    max_concurrency: int
    duration_seconds: float
    low_usd: float
    usd: float
    high_usd: float


class DamagedOutput(_Shown):
    """An output that would be made again, and why."""

    task: str
    reason: str


class Preview(_Shown):
    """A job that is not there yet; ``checked`` tells whether existing outputs were looked for and left out.

    ``exists`` is the command of the job that the same content is already; ``held`` is why it would not run at once.
    """

    version: Literal[1] = 1
    kind: Literal["plan"] = "plan"
    job_id: str
    exists: Command | None
    dest: str
    formats: tuple[Format, ...]
    overwrite: bool
    requested: int
    duplicates: int
    unknown: UnknownTiles
    tiles: int
    tasks: int
    checked: Verify | None
    to_run: int
    products: tuple[ProductPreview, ...]
    damaged: tuple[DamagedOutput, ...]
    estimate: EstimatedCost
    duration_seconds: float
    gb_seconds: float
    requests: int
    transfer_gb: float
    max_cost_usd: float | None
    held: str | None
    next: tuple[str, ...] = ()


def survey(plan: Plan, *, services: Services, verify: Verify = Verify.SIZES, advance: Callable[[int], None]) -> Survey:
    """Which outputs exist already; none count when they are to be overwritten.

    Args:
        plan: What is wanted.
        services: Where to look.
        verify: How closely.
        advance: Told how many tasks have been looked at.

    Raises:
        Unavailable: An output could not be checked.
        Auth: The store refuses.
    """
    made: Counter[Product] = Counter(dict.fromkeys(plan.products, 0))
    damaged: list[Damage] = []
    if plan.request.options.overwrite:
        return Survey(verify=verify, made=dict(made))
    estimate = estimate_of(plan, settings=services.settings)
    job = job_row(plan, plan.job_id, estimate=estimate, request_key="", now=0.0)
    content, store = plan_bytes(plan), services.open_store(plan.dest)
    looked_at = 0
    for number in range(plan.chunks):
        tasks = tasks_of(content, number, job=job)
        for task, look in zip(tasks, look_at(tasks, store, verify=verify), strict=True):
            made[task.product] += look.output is not None
            if look.damage is not None:
                damaged.append(Damage(task=task, reason=look.damage))
        looked_at += len(tasks)
        advance(looked_at)
    return Survey(verify=verify, made=dict(made), damaged=damaged)


def preview(plan: Plan, *, services: Services, found: Survey | None = None) -> Preview:
    """The plan in numbers; ``found`` when existing outputs were looked for.

    Raises:
        Unavailable: The table cannot be asked for the job or for the history that estimates are made from.
        Auth: It refuses.
    """
    past: Mapping[Product, Average] = averages(services.table, settings=services.settings)
    estimate = estimate_of(
        plan, settings=services.settings, averages=past, made_already=None if found is None else found.made
    )
    request = plan.request
    there = services.table.job_of_digest(plan.digest)
    job = None if there is None else services.table.job(there)
    cap = request.options.max_cost_usd
    over = cap is not None and estimate.high_usd > cap
    return Preview(
        job_id=plan.job_id if there is None else there,
        exists=None if job is None else job.command,
        dest=plan.dest,
        formats=request.options.formats,
        overwrite=request.options.overwrite,
        requested=len(request) + request.duplicates + request.skipped,
        duplicates=request.duplicates,
        unknown=unknown_tiles(request),
        tiles=len(request),
        tasks=sum(plan.totals.values()),
        checked=None if found is None else found.verify,
        to_run=sum(one.tasks for one in estimate.products),
        products=tuple(_product(one, plan, services=services, found=found) for one in estimate.products),
        damaged=tuple(
            DamagedOutput(task=one.task.task_id, reason=one.reason) for one in (found.damaged if found else ())
        ),
        estimate=estimated_cost(estimate),
        duration_seconds=round(estimate.duration_seconds, 1),
        gb_seconds=round(estimate.gb_seconds, 3),
        requests=estimate.requests,
        transfer_gb=round(estimate.transfer_gb, 3),
        max_cost_usd=cap,
        held=over_cap(estimate.high_usd, cap) if over else None,
    )


def _product(one: ProductEstimate, plan: Plan, *, services: Services, found: Survey | None) -> ProductPreview:
    damaged = None if found is None else sum(damage.task.product is one.product for damage in found.damaged)
    return ProductPreview(
        product=one.product,
        region=services.settings.queues[one.product].region,
        tasks=plan.totals[one.product],
        made_already=None if found is None else found.made[one.product],
        damaged=damaged,
        to_run=one.tasks,
        seconds=round(one.average.seconds, 1),
        averages=one.average.source,
        memory_mb=one.memory_mb,
        max_concurrency=one.max_concurrency,
        duration_seconds=round(one.duration_seconds, 1),
        low_usd=round(one.low_usd, 4),
        usd=round(one.usd, 4),
        high_usd=round(one.high_usd, 4),
    )
