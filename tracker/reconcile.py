"""What should have been heard of by now, and was not: sent again, failed, or set aside. Two at once do no harm.

Messages go out before the row says so. Who dies in between leaves a row that is still due, and at worst a message
twice, which the claim absorbs.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from functools import cache
from itertools import islice
from time import time
from typing import Any

from aws_lambda_powertools import Logger
from pydantic import ValidationError

from ard.adapters.queues import CAUSE, FENCE, JOB, Outgoing, Queue
from ard.adapters.records import LOGGER
from ard.adapters.status_table import StatusTable
from ard.errors import ArdError, Unavailable
from ard.rows import ChunkRow, Command, JobRow, OddRow, TaskRow, task_of
from ard.settings import ControlSettings
from ard.states import State
from ard.task import ChunkMessage
from ard.transitions import PATIENCE_SECONDS, QUEUED_PATIENCE_SECONDS, crashed, set_aside
from tracker.inbox import sweep_inbox
from tracker.services import Intake, Tasks, open_intake, open_tasks

logger = Logger(service=LOGGER, child=True)

MOST_ROWS = 10_000  # in one run; what is left is still due in the next one
_WAVE = 100
_SIDE_BY_SIDE = 8
_NAMED = 20  # rows listed by name in a result


class Step(StrEnum):
    """What was done about a row."""

    RESENT = "resent"
    RETRIED = "retried"
    REVIVED = "revived"  # its worker had died
    FAILED = "failed"  # its worker had died, for the last time
    PARKED = "parked"
    CANCELLED = "cancelled"
    PUT_OFF = "put_off"
    CHUNK_SENT = "chunk_sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconcileResult:
    """What a run did.

    Attributes:
        rows: Rows by what was done about them.
        changed: Rows that somebody else changed at the same moment; nothing is left to do for them now.
        requests: Objects in the inbox that had no answer, and were announced again.
        unsent: Rows whose message could not be sent; they are still due.
        orphans: Rows of jobs that are not there (the first ones).
        odd: Rows that are not as they should be (the first ones).
        more: There was more than one run takes on.
    """

    rows: dict[Step, int]
    changed: int = 0
    requests: int = 0
    unsent: int = 0
    orphans: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()
    more: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Move:
    """A row's successor, and the message that goes out before it is written."""

    step: Step
    old: TaskRow | ChunkRow
    new: TaskRow | ChunkRow
    queue: Queue | None = None
    message: Outgoing | None = None


def handler(_event: Any, _context: Any) -> dict[str, Any]:
    """The Lambda entry point, on a schedule.

    Raises:
        Unavailable: Something could not be reached, so that some rows are still due: the error is for the alarm.
    """
    settings = ControlSettings()
    result = reconcile(open_tasks(settings), open_intake(settings), now=time())
    facts = {**asdict(result), "rows": {str(step): number for step, number in result.rows.items()}}
    logger.info("reconciled", extra=facts)
    if result.unsent:
        raise Unavailable(f"{result.unsent} rows are due and could not be sent")
    return facts


def reconcile(
    tasks: Tasks, intake: Intake, *, now: float, job_id: str | None = None, most_rows: int = MOST_ROWS
) -> ReconcileResult:
    """See to every row that is due, of one job or of all; for all jobs, to unanswered requests too.

    Raises:
        Unavailable: The table or the control bucket cannot be asked.
    """
    run = _Run(tasks=tasks, intake=intake, now=now)
    due = (row for row in tasks.table.due(now) if job_id is None or _job_id(row) == job_id)
    taken_on = islice(due, most_rows)
    while wave := list(islice(taken_on, _WAVE)):
        run.see_to(wave)
    more = next(due, None) is not None
    requests = sweep_inbox(intake, now=now) if job_id is None else 0
    return ReconcileResult(
        rows=dict(run.rows),
        changed=run.changed,
        requests=requests,
        unsent=run.unsent,
        orphans=tuple(run.orphans[:_NAMED]),
        odd=tuple(run.odd[:_NAMED]),
        more=more,
    )


class _Run:
    """One run: the jobs it has met, and what it has done so far."""

    def __init__(self, *, tasks: Tasks, intake: Intake, now: float) -> None:
        self._tasks, self._intake, self._now = tasks, intake, now
        self._job = cache(tasks.table.job)
        self.rows: Counter[Step] = Counter()
        self.changed = self.unsent = 0
        self.orphans: list[str] = []
        self.odd: list[str] = []

    def see_to(self, wave: Iterable[TaskRow | ChunkRow | OddRow]) -> None:
        """Send what the rows of a wave need, then write their successors."""
        moves = [move for row in wave for move in self._moves(row)]
        sent = list(self._sent(moves))
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            written = pool.map(lambda move: _write(self._tasks.table, move), sent)
            for move, done in zip(sent, written, strict=True):
                if done:
                    self.rows[move.step] += 1
                else:
                    self.changed += 1

    def _moves(self, row: TaskRow | ChunkRow | OddRow) -> Iterator[_Move]:
        if isinstance(row, OddRow):
            self.odd.append(row.reason)
            return
        if row.check_after is None or row.check_after > self._now:
            return  # somebody was heard of since the index was read
        job = self._job(row.job_id)
        if job is None:
            self.orphans.append(_name(row))
            return
        try:
            yield self._of_chunk(row, job) if isinstance(row, ChunkRow) else self._of_task(row, job)
        except (ArdError, ValidationError) as error:
            self.odd.append(f"{_name(row)}: {error}")

    def _of_chunk(self, row: ChunkRow, job: JobRow) -> _Move:
        later = replace(row, check_after=self._now + PATIENCE_SECONDS)
        if row.sent or job.command is Command.CANCELLED:
            return _Move(step=Step.PUT_OFF, old=row, new=replace(row, check_after=None))
        if job.command is not Command.OPEN:
            return _Move(step=Step.PUT_OFF, old=row, new=later)
        body = ChunkMessage(job_id=row.job_id, number=row.number).model_dump_json()
        message = Outgoing(body=body, group=row.job_id)
        return _Move(step=Step.CHUNK_SENT, old=row, new=later, queue=self._intake.chunks, message=message)

    def _of_task(self, row: TaskRow, job: JobRow) -> _Move:
        now = self._now
        if row.state.terminal:
            return _Move(step=Step.PUT_OFF, old=row, new=replace(row, check_after=None))
        if row.state is State.RUNNING and (row.lease_until or 0) > now:
            later = (row.lease_until or 0) + PATIENCE_SECONDS
            return _Move(step=Step.PUT_OFF, old=row, new=replace(row, check_after=later))
        if job.command is not Command.OPEN:
            aside = set_aside(row, job.command, now)
            if not aside.parked:
                return _Move(step=Step.CANCELLED, old=row, new=aside)
            # Looked at again: who resumes the job may have looked for parked tasks before this one was.
            return _Move(step=Step.PARKED, old=row, new=replace(aside, check_after=now + QUEUED_PATIENCE_SECONDS))
        return self._once_more(row, job)

    def _once_more(self, row: TaskRow, job: JobRow) -> _Move:
        now, lane = self._now, self._tasks.lane(row.product)
        message = Outgoing(body=task_of(row, job).model_dump_json(), group=row.job_id)
        if row.state is State.QUEUED:
            later = replace(row, check_after=now + QUEUED_PATIENCE_SECONDS, updated_at=now)
            return _Move(step=Step.RESENT, old=row, new=later, queue=lane.queue, message=message)
        if row.state is State.RETRYING:
            later = replace(row, check_after=now + PATIENCE_SECONDS, updated_at=now)
            return _Move(step=Step.RETRIED, old=row, new=later, queue=lane.queue, message=message)
        dead = crashed(row, max_attempts=job.max_attempts, now=now)
        if dead.state is not State.FAILED:
            return _Move(step=Step.REVIVED, old=row, new=dead, queue=lane.queue, message=message)
        attributes = {CAUSE: dead.cause or "crashed", FENCE: str(dead.fence), JOB: row.job_id}
        letter = replace(message, attributes=attributes)
        return _Move(step=Step.FAILED, old=row, new=dead, queue=lane.dlq, message=letter)

    def _sent(self, moves: Iterable[_Move]) -> Iterator[_Move]:
        """The moves whose messages are out, or need none."""
        by_queue: dict[Queue | None, list[_Move]] = {}
        for move in moves:
            by_queue.setdefault(move.queue, []).append(move)
        for queue, group in by_queue.items():
            try:
                if queue:
                    queue.send(move.message for move in group if move.message)
            except ArdError as error:
                logger.warning("messages not sent", extra={"queue": queue and queue.url, "reason": str(error)})
                self.unsent += len(group)
            else:
                yield from group


def _write(table: StatusTable, move: _Move) -> bool:
    if isinstance(move.old, TaskRow) and isinstance(move.new, TaskRow):
        return table.replace(move.old, move.new)
    return isinstance(move.new, ChunkRow) and table.replace_chunk(move.new)


def _job_id(row: TaskRow | ChunkRow | OddRow) -> str | None:
    return None if isinstance(row, OddRow) else row.job_id


def _name(row: TaskRow | ChunkRow) -> str:
    return f"{row.job_id} {row.task_id if isinstance(row, TaskRow) else f'chunk {row.number}'}"
