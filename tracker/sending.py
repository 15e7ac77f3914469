"""Rows that are sent once more: first the row says so, then its message goes out.

Who dies in between leaves a row that is QUEUED and due for reconcile; a message that is there twice is absorbed by the
claim.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from ard.adapters.queues import FENCE, Outgoing
from ard.rows import JobRow, TaskRow, task_of
from ard.states import State
from tracker.services import Tasks

_WAVE = 100  # rows that are changed before their messages are sent
_SIDE_BY_SIDE = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast to go: at most so many tasks a second; None as fast as can be. Time comes from ``clock``."""

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    per_second: float | None = None


@dataclass(slots=True, kw_only=True)
class Sent:
    """What is out: the fence of each task by its id; and what those had become that somebody changed meanwhile."""

    fences: dict[str, int] = field(default_factory=dict)
    changed: Counter[State] = field(default_factory=Counter)


def send_rows(
    rows: Sequence[TaskRow],
    successor: Callable[[TaskRow, float], TaskRow],
    job: JobRow,
    tasks: Tasks,
    *,
    pace: Pace,
    sent: Sent,
) -> None:
    """Write each row's successor (made from the row and the time) and send its message, wave by wave, into ``sent``.

    Raises:
        InvalidInput: A product has no queue; nothing was changed.
        Unavailable: The table or a queue cannot be reached; ``sent`` has what surely is out.
    """
    lanes = {product: tasks.lane(product) for product in {row.product for row in rows}}
    for wave in _paced(rows, pace):
        now = pace.clock()
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            written = list(pool.map(lambda row: tasks.table.replace(row, successor(row, now)), wave))  # noqa: B023
        changed = [row for row, done in zip(wave, written, strict=True) if done]
        for product, lane in lanes.items():
            mine = [row for row in changed if row.product is product]
            if mine:
                lane.queue.send(_message(row, job) for row in mine)
            sent.fences.update((row.task_id, row.fence) for row in mine)
        sent.changed.update(_states(wave, written, tasks))


def _paced(rows: Sequence[TaskRow], pace: Pace) -> Iterator[Sequence[TaskRow]]:
    """The rows in waves, each when its time has come."""
    rate, started = pace.per_second, pace.clock()
    size = _WAVE if rate is None else max(1, min(_WAVE, int(rate)))
    for start in range(0, len(rows), size):
        ahead = started + start / rate - pace.clock() if rate else 0.0
        if ahead > 0:
            pace.sleep(ahead)
        yield rows[start : start + size]


def _message(row: TaskRow, job: JobRow) -> Outgoing:
    return Outgoing(body=task_of(row, job).model_dump_json(), group=job.job_id, attributes={FENCE: str(row.fence)})


def _states(wave: Sequence[TaskRow], written: Sequence[bool], tasks: Tasks) -> Mapping[State, int]:
    """What those rows are now that were not written."""
    others = (row for row, done in zip(wave, written, strict=True) if not done)
    now = (tasks.table.task(row.job_id, row.shard, row.task_id) for row in others)
    return Counter(row.state for row in now if row)
