"""A job that was held back goes on: its unsent chunks and parked tasks are sent."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice

from ard.adapters.queues import Outgoing, Queue
from ard.adapters.status_table import StatusTable
from ard.errors import InvalidInput
from ard.product import Product
from ard.rows import ChunkRow, Command, JobRow, TaskRow, task_of
from ard.task import ChunkMessage
from ard.transitions import PATIENCE_SECONDS, QUEUED_PATIENCE_SECONDS

# What a chunk waits for each one before it, until reconcile sends it again: eight are expanded at once, a minute each.
_TURN_SECONDS = 10.0
_SIDE_BY_SIDE = 8
_RESENT_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """The table, and the queues that lead from it to the workers; ``queue_of`` gives a product's."""

    table: StatusTable
    chunk_queue: Queue
    queue_of: Callable[[Product], Queue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """A job that is open again, and how many messages went out for that."""

    job: JobRow
    chunks_sent: int
    tasks_sent: int


def reopen_job(job: JobRow, expected: Command, *, ways: Ways, now: float) -> Resumed:
    """Let a job go on that its owner held back; doing it again finishes what an earlier call did not.

    Raises:
        InvalidInput: The job is neither open nor held back as expected, or a product has no queue.
        Unavailable: Something cannot be asked; the same call again goes on from there.
    """
    if job.command not in {expected, Command.OPEN}:  # open: an earlier call that did not come to its end
        raise InvalidInput(f"{job.job_id}: expected a job that is {expected}, found {job.command}")
    ways.table.set_command(job.job_id, Command.OPEN, expected=job.command)
    job = replace(job, command=Command.OPEN)
    chunks_sent = send_chunks(job, unsent_chunks(job, ways=ways, now=now), ways=ways)
    return Resumed(job=job, chunks_sent=chunks_sent, tasks_sent=_send_parked(job, ways=ways, now=now))


def unsent_chunks(job: JobRow, *, ways: Ways, now: float) -> list[int]:
    """The chunks that have no rows and messages yet, each with a row of its own from now on."""
    there = {chunk.number: chunk for chunk in ways.table.chunks(job.job_id)}
    missing = [
        ChunkRow(job_id=job.job_id, number=number, check_after=now + PATIENCE_SECONDS + number * _TURN_SECONDS)
        for number in range(job.chunks)
        if number not in there
    ]
    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        list(pool.map(ways.table.put_chunk, missing))
    return [number for number in range(job.chunks) if number not in there or not there[number].sent]


def send_chunks(job: JobRow, numbers: Iterable[int], *, ways: Ways) -> int:
    """Send the messages of these chunks; how many."""
    messages = (ChunkMessage(job_id=job.job_id, number=number).model_dump_json() for number in numbers)
    return ways.chunk_queue.send(Outgoing(body=body, group=job.job_id) for body in messages)


def _send_parked(job: JobRow, *, ways: Ways, now: float) -> int:
    """Send the tasks whose messages were acknowledged while the job was paused."""
    parked = (row for row in ways.table.tasks(job) if row.parked and not row.state.terminal)
    sent = 0
    while rows := list(islice(parked, _RESENT_AT_ONCE)):
        sent += _resend(rows, job, ways=ways, now=now)
    return sent


def _resend(rows: Sequence[TaskRow], job: JobRow, *, ways: Ways, now: float) -> int:
    """Send first, then note it: a crash in between leaves rows that are parked, and are sent again."""
    sent = 0
    for product in {row.product for row in rows}:
        bodies = (task_of(row, job).model_dump_json() for row in rows if row.product is product)
        sent += ways.queue_of(product).send(Outgoing(body=body, group=job.job_id) for body in bodies)

    def noted(row: TaskRow) -> bool:  # False when a worker has claimed it meanwhile, which is as good
        due = now + QUEUED_PATIENCE_SECONDS
        return ways.table.replace(row, replace(row, parked=False, check_after=due, updated_at=now))

    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        list(pool.map(noted, rows))
    return sent
