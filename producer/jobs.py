"""From a request to a job: plan, rows and chunk messages, in an order in which nothing can be lost.

Every step may be done twice. Whoever comes again with the same content finds what is there and makes what is missing.
"""

from dataclasses import dataclass, replace

from ard.adapters.reopening import Resumed, Ways, reopen_job, send_chunks, unsent_chunks
from ard.cost import Estimate
from ard.errors import InvalidInput
from ard.keys import plan_key
from ard.rows import Command, JobRow
from ard.shards import shard_count
from producer.deployment import complete_options, estimate_of
from producer.history import averages
from producer.plan import Plan, plan_bytes, plan_of
from producer.request import DEFAULT_LIMITS, Problems, TileRequest
from producer.services import Services, find_job


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A job that is under way, or waits for approval.

    Attributes:
        created: Whether this call made it; else the same content was a job already.
        estimate: For all of its tasks, whatever exists.
        chunks_sent: How many chunk messages this call sent.
    """

    job: JobRow
    created: bool
    estimate: Estimate
    chunks_sent: int


def start_job(request: TileRequest, *, services: Services, request_key: str, now: float) -> Started:
    """Start the job of a request, or find it and finish what an earlier call did not.

    Raises:
        RequestRejected: This deployment does not offer what the request asks for.
        InvalidInput: There is no tile, or another content has this job's name.
        Unavailable: Table, store or queue cannot be asked; the same call again goes on from there.
        Auth: One of them refuses.
    """
    plan = checked_plan(request, services=services)
    past = averages(services.table, settings=services.settings)
    estimate = estimate_of(plan, settings=services.settings, averages=past)
    job_id = services.table.claim_digest(plan.digest, plan.job_id)
    _keep_plan(plan, job_id, services=services)
    wanted = job_row(plan, job_id, estimate=estimate, request_key=request_key, now=now)
    created = services.table.put_job(wanted)
    job = wanted if created else find_job(services.table, job_id)
    if job.digest != plan.digest:
        raise InvalidInput(f"{job_id} is the job of another request: expected {plan.digest}, found {job.digest}")
    ways = _ways(services)
    unsent = unsent_chunks(job, ways=ways, now=now)
    sent = send_chunks(job, unsent, ways=ways) if job.command is Command.OPEN else 0
    return Started(job=job, created=created, estimate=estimate, chunks_sent=sent)


def checked_plan(request: TileRequest, *, services: Services) -> Plan:
    """The plan of a request, with this deployment's defaults.

    Raises:
        RequestRejected: This deployment does not offer what the request asks for.
        InvalidInput: There is no tile.
    """
    problems = Problems(DEFAULT_LIMITS.max_problems)
    options = complete_options(request.options, problems, settings=services.settings)
    problems.raise_if_any()
    return plan_of(replace(request, options=options))


def job_row(plan: Plan, job_id: str, *, estimate: Estimate, request_key: str, now: float) -> JobRow:
    """The first row of a plan's job: it waits for approval when it may cost more than its cap."""
    options = plan.request.options
    dear = options.max_cost_usd is not None and estimate.high_usd > options.max_cost_usd
    return JobRow(
        job_id=job_id,
        command=Command.AWAITING_APPROVAL if dear else Command.OPEN,
        created_at=now,
        digest=plan.digest,
        request_key=request_key,
        dest=plan.dest,
        formats=options.formats,
        overwrite=options.overwrite,
        max_attempts=options.retries + 1,
        totals=plan.totals,
        shards=shard_count(sum(plan.totals.values())),
        chunks=plan.chunks,
        estimate_usd=estimate.expected_usd,
        max_cost_usd=options.max_cost_usd,
    )


def approve_job(job_id: str, *, services: Services, now: float) -> Resumed:
    """Let a job run that waits because of its cost.

    Raises:
        InvalidInput: There is no such job, or it is paused or cancelled.
    """
    job = find_job(services.table, job_id)
    return reopen_job(job, Command.AWAITING_APPROVAL, ways=_ways(services), now=now)


def resume_job(job_id: str, *, services: Services, now: float) -> Resumed:
    """Let a paused job go on: its unsent chunks and parked tasks are sent.

    Raises:
        InvalidInput: There is no such job, or it awaits approval or is cancelled.
    """
    job = find_job(services.table, job_id)
    return reopen_job(job, Command.PAUSED, ways=_ways(services), now=now)


def _ways(services: Services) -> Ways:
    return Ways(table=services.table, chunk_queue=services.chunk_queue, queue_of=services.queue)


def _keep_plan(plan: Plan, job_id: str, *, services: Services) -> None:
    """See that the plan is there. It never changes: equal digests are equal plans."""
    key = plan_key(job_id)
    if services.control.size(key) is None:
        services.control.put(key, plan_bytes(plan))
