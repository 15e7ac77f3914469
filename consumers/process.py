"""One task from claim to record: at least once delivered, once committed, never lost."""

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import EphemeralMetrics, MetricUnit

from ard.adapters.outputs import Output, find, publish
from ard.adapters.records import LOGGER, NotAcknowledged
from ard.adapters.stac_item import Provenance
from ard.errors import ArdError, Transient
from ard.rows import Command, TaskRow
from ard.shards import shard_of
from ard.states import State
from ard.task import TileTask
from ard.transitions import (
    VISIBILITY_MARGIN_SECONDS,
    Action,
    Decision,
    Delivery,
    after_error,
    decide,
    finished,
)
from consumers.deadline import Deadline, TimedCatalog, TimedReader
from consumers.message import Message
from consumers.services import Services

logger = Logger(service=LOGGER, child=True)

_WAIT_JITTER_SECONDS = 5.0
_CLAIMS = 5  # against others who change the row at the same moment


def process(task: TileTask, message: Message, delivery: Delivery, deadline: Deadline, services: Services) -> None:
    """Do what a message asks for, as far as its row in the status table allows; returning acknowledges it.

    Raises:
        NotAcknowledged: The message is to come back: another worker holds the task, it is not due, it is to be tried
            again, or its lease passed to another worker.
        Unavailable: The table or a queue cannot be reached.
    """
    running = _claim(task, message, delivery, services)
    if running is None:
        return
    message.hide(delivery.lease_until + VISIBILITY_MARGIN_SECONDS - services.clock())
    try:
        output = _make(task, running, deadline, services)
    except (Exception, SystemExit) as error:
        if not isinstance(error, ArdError):  # ours are told in one line; a bug needs its traceback
            logger.exception("unexpected error", extra={"job_id": task.job_id, "task_id": task.task_id})
        row = after_error(running, error, delivery, now=services.clock(), uniform=services.random.uniform)
    else:
        now = services.clock()
        row = finished(running, output.item_key, flags=output.flags, digest=output.digest, now=now, gb=delivery.gb)
    if not services.table.replace(running, row):
        raise NotAcknowledged(f"{task.task_id}: the lease passed to another worker before the result was recorded")
    _tell(task, row)
    if row.state is State.FAILED:
        message.dead_letter(task, cause=row.cause or "internal", fence=row.fence)
    if row.state is State.RETRYING:
        message.hide((row.not_before or 0) - services.clock())
        raise NotAcknowledged(f"{task.task_id}: to be tried again, {row.cause}")


def _claim(task: TileTask, message: Message, delivery: Delivery, services: Services) -> TaskRow | None:
    """The RUNNING row when the task is ours now; None when the message is done with."""
    job = services.table.job(task.job_id)
    for _ in range(_CLAIMS):
        shard = shard_of(task.tile.key, job.shards) if job else 0
        row = services.table.task(task.job_id, shard, task.task_id) if job else None
        if job is None or row is None:
            message.dead_letter(task, cause="unknown_task", fence=0)
            return None
        decision = decide(row, job.command, delivery)
        if decision.row is None or services.table.replace(row, decision.row):
            return _follow(decision, task, row, message, services)
    raise NotAcknowledged(f"{task.task_id}: the row changed {_CLAIMS} times while it was being claimed")


def _follow(decision: Decision, task: TileTask, row: TaskRow, message: Message, services: Services) -> TaskRow | None:
    match decision.action:
        case Action.WORK:
            return decision.row
        case Action.WAIT:
            jitter = services.random.uniform(0, _WAIT_JITTER_SECONDS)
            message.hide((decision.until or 0) + jitter - services.clock())
            raise NotAcknowledged(f"{task.task_id}: {row.state} until {decision.until}")
        case Action.DEAD_LETTER:
            current = decision.row or row
            message.dead_letter(task, cause=current.cause or "internal", fence=current.fence)
        case Action.ACKNOWLEDGE:
            _stay_unless_resumed(decision.row, services)
    return None


def _stay_unless_resumed(row: TaskRow | None, services: Services) -> None:
    """Who resumes a job sends the tasks that he finds parked: he may have looked before this one was."""
    if row is None or not row.parked:
        return
    job = services.table.job(row.job_id)
    if job is not None and job.command is Command.OPEN:
        raise NotAcknowledged(f"{row.task_id}: the job was resumed while the task was being parked")


def _make(task: TileTask, running: TaskRow, deadline: Deadline, services: Services) -> Output:
    """The task's output: the one that exists, or a new one.

    Raises:
        ArdError: See ``ard.errors``.
    """
    store = services.open_store(task.dest)
    existing = find(task, store)
    if existing and (not task.overwrite or existing.job_id == task.job_id):
        return existing
    data = services.load(task, TimedCatalog(services.catalog, deadline), TimedReader(services.reader, deadline))
    deadline.check()

    def still_ours() -> None:
        row = services.table.task(running.job_id, running.shard, running.task_id)
        if row is None or row.fence != running.fence or services.clock() >= (running.lease_until or 0):
            raise Transient("the lease passed to another worker")

    provenance = Provenance(job_id=task.job_id, git_sha=services.git_sha, created=services.clock())
    return publish(data, task, store, provenance=provenance, still_ours=still_ours)


def _tell(task: TileTask, row: TaskRow) -> None:
    """One line and one set of metrics per attempt."""
    facts = {
        "cause": row.cause,
        "reason": row.message,
        "charged": row.charged,
        "fence": row.fence,
        "seconds": row.seconds,
        "flags": row.flags,
    }
    logger.info(str(row.state), extra={"job_id": task.job_id, "task_id": task.task_id, **facts})
    metrics = EphemeralMetrics(namespace=LOGGER)
    metrics.add_dimension(name="product", value=str(task.product))
    metrics.add_metric(name=str(row.state), unit=MetricUnit.Count, value=1)
    metrics.add_metric(name="seconds", unit=MetricUnit.Seconds, value=row.seconds or 0.0)
    metrics.flush_metrics()
