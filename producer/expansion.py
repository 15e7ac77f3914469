"""A chunk of a job becomes rows and messages."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ard.adapters.outputs import Output
from ard.adapters.queues import Outgoing
from ard.errors import InvalidInput
from ard.keys import plan_key
from ard.rows import ChunkRow, Command, JobRow, TaskRow, queued_row
from ard.states import State
from ard.task import TileTask
from ard.transitions import QUEUED_PATIENCE_SECONDS
from producer.existing import look_at
from producer.plan import read_chunk
from producer.services import Services, find_job


@dataclass(frozen=True, slots=True, kw_only=True)
class SentChunk:
    """How many tasks a chunk has, and how many messages went out for them."""

    tasks: int
    messages: int


def send_chunk(job_id: str, number: int, *, services: Services) -> SentChunk | None:
    """See that every task of the chunk has a row, and a message unless its output exists; then mark the chunk sent.

    After a crash at any point, doing it again leads to the same rows; messages may be there twice, and do no harm.
    None when there is nothing to do: it was sent, or its job is not open (who opens it sends its chunks again).

    Raises:
        InvalidInput: There is no such job or chunk.
        Unavailable: Something cannot be asked; "could not check" is never "missing".
        Auth: Something refuses.
    """
    job = job_to_send(job_id, number, services=services)
    if job is None:
        return None
    tasks = planned_tasks(job, number, services=services)
    outputs: Sequence[Output | None] = [None] * len(tasks) if job.overwrite else find_outputs(tasks, services=services)
    now = services.clock()  # after the long look for outputs: who watches reads what changed lately
    rows = services.table.add_tasks(
        _first_row(task, output, job=job, now=now) for task, output in zip(tasks, outputs, strict=True)
    )
    sent = _send([task for task, row in zip(tasks, rows, strict=True) if _waits(row)], services=services)
    services.table.replace_chunk(ChunkRow(job_id=job_id, number=number, sent=True))
    return SentChunk(tasks=len(tasks), messages=sent)


def job_to_send(job_id: str, number: int, *, services: Services) -> JobRow | None:
    """The job of a chunk that is to be sent; None when it was sent, or its job is not open.

    Raises:
        InvalidInput: There is no such job.
        Unavailable: The table cannot be asked.
        Auth: The table refuses.
    """
    job, chunk = find_job(services.table, job_id), services.table.chunk(job_id, number)
    return None if job.command is not Command.OPEN or (chunk is not None and chunk.sent) else job


def planned_tasks(job: JobRow, number: int, *, services: Services) -> list[TileTask]:
    """The tasks of a chunk, from the job's plan.

    The whole plan is read for each chunk: 11 MB for a million scattered tiles, 0.2 s within the region beside the
    chunk's 3,000 writes. A ranged read would take two more round trips to save the most of that.

    Raises:
        InvalidInput: There is no plan, or no such chunk in it.
    """
    key = plan_key(job.job_id)
    content = services.control.get(key)
    if content is None:
        raise InvalidInput(f"expected the plan of {job.job_id} at {key} in {services.control.name}, found none")
    return tasks_of(content, number, job=job)


def tasks_of(content: bytes, number: int, *, job: JobRow) -> list[TileTask]:
    """The tasks of a chunk, from the content of the job's plan.

    Raises:
        InvalidInput: That is no plan, or has no such chunk.
    """
    return [
        TileTask(
            job_id=job.job_id,
            product=planned.product,
            year=planned.year,
            x_tile=planned.x_tile,
            y_tile=planned.y_tile,
            lon=planned.lon,
            lat=planned.lat,
            dest=job.dest,
            formats=job.formats,
            overwrite=job.overwrite,
            max_attempts=job.max_attempts,
        )
        for planned in read_chunk(content, number)
    ]


def find_outputs(tasks: Sequence[TileTask], *, services: Services) -> list[Output | None]:
    """The complete output of each task of one destination, None where there is none.

    Raises:
        Unavailable: An output could not be checked.
        Auth: The store refuses.
    """
    return [look.output for look in look_at(tasks, services.open_store(tasks[0].dest))]


def _first_row(task: TileTask, output: Output | None, *, job: JobRow, now: float) -> TaskRow:
    row = queued_row(task, shards=job.shards, now=now, check_after=now + QUEUED_PATIENCE_SECONDS)
    if output is None:
        return row
    flags = tuple(sorted(output.flags))
    return replace(row, state=State.SKIPPED, check_after=None, item=output.item_key, flags=flags)


def _waits(row: TaskRow) -> bool:
    """Nobody has worked on the task, so that its message may never have been sent."""
    return row.state is State.QUEUED and row.fence == 0


def _send(tasks: Sequence[TileTask], *, services: Services) -> int:
    sent = 0
    for product in sorted({task.product for task in tasks}):
        bodies = (task.model_dump_json() for task in tasks if task.product is product)
        sent += services.queue(product).send(Outgoing(body=body, group=tasks[0].job_id) for body in bodies)
    return sent
