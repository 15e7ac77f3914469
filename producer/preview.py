"""What a job would be, before it is one: for ``producer plan``, and for the question before ``submit``."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from pydantic import BaseModel, ConfigDict

from ard.product import Format, Product
from producer.deployment import estimate_of
from producer.expansion import find_outputs, tasks_of
from producer.jobs import job_row
from producer.plan import Plan, plan_bytes
from producer.receipts import EstimatedCost, UnknownTiles, estimated_cost, unknown_tiles
from producer.services import Services


class ProductPreview(BaseModel):
    """The tasks of one product; ``made_already`` only where outputs were looked for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    product: Product
    region: str
    tasks: int
    made_already: int | None
    seconds: float
    memory_mb: int
    usd: float


class Preview(BaseModel):
    """A job that is not there yet; ``checked`` tells whether existing outputs were looked for and left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    kind: Literal["plan"] = "plan"
    job_id: str
    dest: str
    formats: tuple[Format, ...]
    overwrite: bool
    tiles: int
    duplicates: int
    unknown: UnknownTiles
    checked: bool
    products: tuple[ProductPreview, ...]
    estimate: EstimatedCost
    gb_seconds: float
    requests: int
    transfer_gb: float
    max_cost_usd: float | None


def count_made(plan: Plan, *, services: Services, advance: Callable[[int], None]) -> dict[Product, int]:
    """How many outputs of each product exist already; none count when they are to be overwritten.

    Args:
        plan: What is wanted.
        services: Where to look.
        advance: Told how many tasks have been looked at.

    Raises:
        Unavailable: An output could not be checked.
        Auth: The store refuses.
    """
    made: Counter[Product] = Counter(dict.fromkeys(plan.products, 0))
    if plan.request.options.overwrite:
        return dict(made)
    estimate = estimate_of(plan, settings=services.settings)
    job = job_row(plan, plan.job_id, estimate=estimate, request_key="", now=0.0)
    content = plan_bytes(plan)
    looked_at = 0
    for number in range(plan.chunks):
        tasks = tasks_of(content, number, job=job)
        outputs = find_outputs(tasks, services=services)
        made.update(task.product for task, output in zip(tasks, outputs, strict=True) if output is not None)
        looked_at += len(tasks)
        advance(looked_at)
    return dict(made)


def preview(plan: Plan, *, services: Services, made: Mapping[Product, int] | None = None) -> Preview:
    """The plan in numbers; ``made`` counts the outputs that exist, when they were looked for."""
    estimate = estimate_of(plan, settings=services.settings, made_already=made)
    request = plan.request
    return Preview(
        job_id=plan.job_id,
        dest=plan.dest,
        formats=request.options.formats,
        overwrite=request.options.overwrite,
        tiles=len(request),
        duplicates=request.duplicates,
        unknown=unknown_tiles(request),
        checked=made is not None,
        products=tuple(
            ProductPreview(
                product=one.product,
                region=services.settings.queues[one.product].region,
                tasks=plan.totals[one.product],
                made_already=None if made is None else made[one.product],
                seconds=one.seconds,
                memory_mb=one.memory_mb,
                usd=round(one.usd, 4),
            )
            for one in estimate.products
        ),
        estimate=estimated_cost(estimate),
        gb_seconds=round(estimate.gb_seconds, 3),
        requests=estimate.requests,
        transfer_gb=round(estimate.transfer_gb, 3),
        max_cost_usd=request.options.max_cost_usd,
    )


def preview_lines(shown: Preview) -> Iterator[str]:
    """The preview for a person, line by line."""
    unknown = f"   unknown, left out {shown.unknown.skipped:,}" if shown.unknown.skipped else ""
    yield f"Job      {shown.job_id}"
    yield f"Dest     {shown.dest}   {', '.join(shown.formats)}{'   overwriting' if shown.overwrite else ''}"
    yield f"Tiles    {shown.tiles:,}   duplicates {shown.duplicates:,}{unknown}"
    yield f" {'Product':<8} {'Region':<14} {'Tasks':>11} {'There':>11} {'s each':>7} {'MB':>6} {'Cost':>10}"
    for one in shown.products:
        there = "not checked" if one.made_already is None else f"{one.made_already:,}"
        cost = f"${one.usd:,.2f}"
        yield (
            f" {one.product:<8} {one.region:<14} {one.tasks:>11,} {there:>11} {one.seconds:>7g} {one.memory_mb:>6}"
            f" {cost:>10}"
        )
    whole = shown.estimate
    yield (
        f"Estimate ${whole.expected_usd:,.2f} (${whole.low_usd:,.2f} to ${whole.high_usd:,.2f}) by {whole.source}: "
        f"{shown.gb_seconds:,.0f} GB-s, {shown.requests:,} requests, {shown.transfer_gb:,.1f} GB between regions"
    )
    if shown.max_cost_usd is not None and whole.high_usd > shown.max_cost_usd:
        yield f"The upper bound is above the cap of ${shown.max_cost_usd:,.2f}: the job would wait for approval."
