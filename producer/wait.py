"""Following a job to its end, from the small side of its rows."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ard.adapters.status_table import StatusTable
from ard.errors import InvalidInput
from ard.rows import Command, JobRow
from ard.states import State

OVERLAP_SECONDS = 60.0  # the index lags, and the clocks of workers differ
READ_ALL_SECONDS = 300.0  # whatever was missed even so is seen by then
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 10.0

Counts = Mapping[State, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """How far a job was followed: to its end when every task is terminal."""

    job: JobRow
    counts: Counts
    finished: bool


def follow(
    job_id: str,
    *,
    table: StatusTable,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
    show: Callable[[Counts], None],
) -> Followed:
    """Look at a job again and again until every task is terminal, or its owner does not want it to go on.

    Args:
        job_id: Which.
        table: Where its rows are.
        clock: Seconds since the epoch.
        sleep: Waits for so many seconds.
        show: Told the number of tasks per state after each look.

    Raises:
        InvalidInput: There is no such job.
        Unavailable: The table cannot be asked.
        Auth: The table refuses.
    """
    seen: dict[str, State] = {}
    since, read_all_at, pause = 0.0, clock() + READ_ALL_SECONDS, FIRST_PAUSE_SECONDS
    while True:
        job = table.job(job_id)
        if job is None:
            raise InvalidInput(f"expected a job, found none called {job_id}")
        looked_at = clock()
        seen.update((row.task_id, row.state) for row in table.activity(job, since))
        since = looked_at - OVERLAP_SECONDS
        if looked_at >= read_all_at:
            since, read_all_at = 0.0, looked_at + READ_ALL_SECONDS
        counts = Counter(seen.values())
        if _is_over(counts, job):  # the index says so; the rows themselves must confirm it
            seen = {row.task_id: row.state for row in table.tasks(job)}
            counts = Counter(seen.values())
        show(counts)
        finished = _is_over(counts, job)
        if finished or job.command is not Command.OPEN:
            return Followed(job=job, counts=counts, finished=finished)
        sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)


def terminal(counts: Counts) -> int:
    """How many tasks nobody will touch again."""
    return sum(number for state, number in counts.items() if state.terminal)


def failed(counts: Counts) -> int:
    """How many tasks ended without a result."""
    return counts.get(State.FAILED, 0) + counts.get(State.CANCELLED, 0)


def _is_over(counts: Counts, job: JobRow) -> bool:
    return terminal(counts) == job.tasks
