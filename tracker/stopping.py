"""A job that is cancelled or paused: what runs ends, nothing starts later."""

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from ard.adapters.status_table import StatusTable
from ard.errors import InvalidInput
from ard.rows import Activity, Command, JobRow, TaskRow
from ard.states import State
from ard.transitions import set_aside

_WAVE = 1_000
_SIDE_BY_SIDE = 8
_TRIES = 5  # against workers that change a row at the same moment


class Standing(StrEnum):
    """How a task stands when its job has been stopped; ``cancelled`` of a paused job were so before."""

    CANCELLED = "cancelled"
    RUNNING = "running"
    WAITING = "waiting"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """What stopping a job did.

    Attributes:
        command: What is wanted of the job now.
        cancelled: Tasks that this call cancelled.
        tasks: All of the job's tasks by how they stand; those without a row are ``waiting``, or ``cancelled`` for good.
    """

    job: JobRow
    command: Command
    cancelled: int
    tasks: Mapping[Standing, int]


def cancel_job(job: JobRow, *, table: StatusTable, now: float) -> Stopped | None:
    """Cancel a job, and every task that waits; None when all had ended anyhow, so that nothing was changed.

    First the job's row, which each worker reads before it claims: from then on no message starts anything. A task
    that waits is CANCELLED at once, so that the job ends without waiting for its messages. What runs ends by itself.

    Raises:
        Unavailable: The table cannot be asked; the same call again goes on from there.
    """
    if job.command is not Command.CANCELLED:
        standing = _standing(table, job)
        if standing[Standing.ENDED] + standing[Standing.CANCELLED] == job.tasks:
            return None
        table.set_command(job.job_id, Command.CANCELLED)
    cancelled, standing = 0, Counter[Standing]()
    rows = iter(table.tasks(job))
    while wave := list(islice(rows, _WAVE)):
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            after = list(pool.map(lambda row: _cancelled(row, table, now), wave))
        standing.update(_stands(row) for row in after)
        before = sum(row.state is State.CANCELLED for row in wave)
        cancelled += sum(row.state is State.CANCELLED for row in after) - before
    standing[Standing.CANCELLED] += max(job.tasks - standing.total(), 0)
    return Stopped(job=job, command=Command.CANCELLED, cancelled=cancelled, tasks=standing)


def pause_job(job: JobRow, *, table: StatusTable) -> Stopped:
    """Let no further task of a job start until it is resumed; a second time is the same.

    Raises:
        InvalidInput: The job awaits approval, or is cancelled.
        Unavailable: The table cannot be asked.
    """
    if job.command not in {Command.OPEN, Command.PAUSED}:
        raise InvalidInput(f"{job.job_id}: expected a job that is {Command.OPEN}, found {job.command}")
    table.set_command(job.job_id, Command.PAUSED, expected=job.command)
    return Stopped(job=job, command=Command.PAUSED, cancelled=0, tasks=_standing(table, job))


def _standing(table: StatusTable, job: JobRow) -> Counter[Standing]:
    standing = Counter(_stands(row) for row in table.confirmed_activity(job))
    standing[Standing.WAITING] += max(job.tasks - standing.total(), 0)
    return standing


def _cancelled(row: TaskRow, table: StatusTable, now: float) -> TaskRow:
    """The row as it is in the end: CANCELLED, unless it has ended or a worker holds it."""
    for _ in range(_TRIES):
        if not _waits(row, now):
            return row
        after = set_aside(row, Command.CANCELLED, now)
        if table.replace(row, after):
            return after
        row = table.task(row.job_id, row.shard, row.task_id) or row
    return row  # its message, or reconcile, will cancel it


def _waits(row: TaskRow, now: float) -> bool:
    """Nobody works on it; of a worker that died, reconcile would say the same."""
    dead = row.state is State.RUNNING and row.check_after is not None and row.check_after <= now
    return dead or row.state in {State.QUEUED, State.RETRYING}


def _stands(row: TaskRow | Activity) -> Standing:
    if row.state is State.CANCELLED:
        return Standing.CANCELLED
    if row.state is State.RUNNING:
        return Standing.RUNNING
    return Standing.ENDED if row.state.terminal else Standing.WAITING
