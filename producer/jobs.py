"""From a request to a job: plan, rows and chunk messages, in an order in which nothing can be lost.

Every step may be done twice. Whoever comes again with the same content finds what is there and makes what is missing.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice

from ard.adapters.queues import Outgoing
from ard.cost import Estimate
from ard.errors import InvalidInput
from ard.keys import plan_key
from ard.rows import ChunkRow, Command, JobRow, TaskRow, task_of
from ard.shards import shard_count
from ard.task import ChunkMessage
from ard.transitions import PATIENCE_SECONDS, QUEUED_PATIENCE_SECONDS
from producer.deployment import complete_options, estimate_of
from producer.history import averages
from producer.plan import Plan, plan_bytes, plan_of
from producer.request import DEFAULT_LIMITS, Problems, TileRequest
from producer.services import Services, find_job

# What a chunk waits for each one before it, until reconcile sends it again: eight are expanded at once, a minute each.
_TURN_SECONDS = 10.0
_SIDE_BY_SIDE = 8
_RESENT_AT_ONCE = 500


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """A job that is open again, and how many messages went out for that."""

    job: JobRow
    chunks_sent: int
    tasks_sent: int


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
    unsent = _unsent_chunks(job, services=services, now=now)
    sent = _send_chunks(job, unsent, services=services) if job.command is Command.OPEN else 0
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
    return _reopen(job_id, Command.AWAITING_APPROVAL, services=services, now=now)


def resume_job(job_id: str, *, services: Services, now: float) -> Resumed:
    """Let a paused job go on: its unsent chunks and parked tasks are sent.

    Raises:
        InvalidInput: There is no such job, or it awaits approval or is cancelled.
    """
    return _reopen(job_id, Command.PAUSED, services=services, now=now)


def _reopen(job_id: str, expected: Command, *, services: Services, now: float) -> Resumed:
    job = find_job(services.table, job_id)
    if job.command not in {expected, Command.OPEN}:  # open: an earlier call that did not come to its end
        raise InvalidInput(f"{job_id}: expected a job that is {expected}, found {job.command}")
    services.table.set_command(job_id, Command.OPEN)
    job = replace(job, command=Command.OPEN)
    unsent = _unsent_chunks(job, services=services, now=now)
    chunks_sent = _send_chunks(job, unsent, services=services)
    return Resumed(job=job, chunks_sent=chunks_sent, tasks_sent=_send_parked(job, services=services, now=now))


def _keep_plan(plan: Plan, job_id: str, *, services: Services) -> None:
    """See that the plan is there. It never changes: equal digests are equal plans."""
    key = plan_key(job_id)
    if services.control.size(key) is None:
        services.control.put(key, plan_bytes(plan))


def _unsent_chunks(job: JobRow, *, services: Services, now: float) -> list[int]:
    """The chunks that have no rows and messages yet, each with a row of its own from now on."""
    there = {chunk.number: chunk for chunk in services.table.chunks(job.job_id)}
    missing = [
        ChunkRow(job_id=job.job_id, number=number, check_after=now + PATIENCE_SECONDS + number * _TURN_SECONDS)
        for number in range(job.chunks)
        if number not in there
    ]
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        list(pool.map(services.table.put_chunk, missing))
    return [number for number in range(job.chunks) if number not in there or not there[number].sent]


def _send_chunks(job: JobRow, numbers: Iterable[int], *, services: Services) -> int:
    messages = (ChunkMessage(job_id=job.job_id, number=number).model_dump_json() for number in numbers)
    return services.chunk_queue.send(Outgoing(body=body, group=job.job_id) for body in messages)


def _send_parked(job: JobRow, *, services: Services, now: float) -> int:
    """Send the tasks whose messages were acknowledged while the job was paused."""
    parked = (row for row in services.table.tasks(job) if row.parked and not row.state.terminal)
    sent = 0
    while rows := list(islice(parked, _RESENT_AT_ONCE)):
        sent += _resend(rows, job, services=services, now=now)
    return sent


def _resend(rows: Sequence[TaskRow], job: JobRow, *, services: Services, now: float) -> int:
    """Send first, then note it: a crash in between leaves rows that are parked, and are sent again."""
    sent = 0
    for product in {row.product for row in rows}:
        bodies = (task_of(row, job).model_dump_json() for row in rows if row.product is product)
        sent += services.queue(product).send(Outgoing(body=body, group=job.job_id) for body in bodies)

    def noted(row: TaskRow) -> bool:  # False when a worker has claimed it meanwhile, which is as good
        due = now + QUEUED_PATIENCE_SECONDS
        return services.table.replace(row, replace(row, parked=False, check_after=due, updated_at=now))

    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        list(pool.map(noted, rows))
    return sent
