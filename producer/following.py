"""A job on a person's screen: followed to its end on stderr, the report by the tracker, the outcome as an exit code."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ard.adapters.console import Exit, say
from ard.adapters.status_table import StatusTable
from ard.errors import InvalidInput, Unavailable
from ard.rows import Command, JobRow
from ard.states import State
from producer.services import Services, find_job

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


@contextmanager
def progress(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """A bar on stderr where that is a terminal; yields what moves it to so many done."""
    words = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=words, disable=not words.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)


def follow_job(job: JobRow, *, services: Services) -> Followed | None:
    """Show a job's progress until it has ended or does not go on; None when the person has seen enough."""
    try:
        with progress(job.tasks, job.job_id) as advance:
            return follow(
                job.job_id,
                table=services.table,
                clock=services.clock,
                sleep=time.sleep,
                show=lambda counts: advance(_terminal(counts)),
            )
    except KeyboardInterrupt:
        say(f"Not followed any longer; the job goes on: tracker status --job {job.job_id}")
        return None


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
        job = find_job(table, job_id)
        looked_at = clock()
        seen.update((row.task_id, row.state) for row in table.activity(job, since))
        since = looked_at - OVERLAP_SECONDS
        if looked_at >= read_all_at:
            since, read_all_at = 0.0, looked_at + READ_ALL_SECONDS
        counts = Counter(seen.values())
        if _terminal(counts) == job.tasks:  # the index says so; the rows themselves must confirm it
            seen = {row.task_id: row.state for row in table.tasks(job)}
            counts = Counter(seen.values())
        show(counts)
        finished = _terminal(counts) == job.tasks
        if finished or job.command is not Command.OPEN:
            return Followed(job=job, counts=counts, finished=finished)
        sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)


def tracker_program() -> Path:
    """The tracker that belongs to this program: beside its interpreter."""
    return Path(sys.executable).with_name("tracker")


def write_report(job_id: str, folder: Path, *, program: Path, plot: bool = False) -> None:
    """Have the tracker write a job's report, with its plots if wanted; what it prints goes to stderr.

    Raises:
        InvalidInput: There is no such program.
        Unavailable: It did not succeed; it has said why.
    """
    if not program.is_file():
        raise InvalidInput(f"expected the tracker at {program}, found none")
    arguments = ["report", "--job", job_id, "--report-dir", str(folder), *(["--plot"] if plot else [])]
    code = subprocess.run([str(program), *arguments], check=False, stdout=sys.stderr).returncode  # noqa: S603
    if code:
        raise Unavailable(f"tracker {' '.join(arguments)}: expected exit code 0, found {code}")


def outcome(followed: Followed | None) -> Exit:
    """How a job that was followed ended, as an exit code."""
    if followed is None or not followed.finished:
        return Exit.NOT_FINISHED
    lost = followed.counts.get(State.FAILED, 0) + followed.counts.get(State.CANCELLED, 0)
    if not lost:
        return Exit.OK
    return Exit.TOTAL_FAILURE if lost == followed.job.tasks else Exit.PARTIAL_FAILURE


def counts_text(counts: Counts) -> str:
    """The tasks per state on one line, such as ``3 SUCCEEDED, 1 FAILED``."""
    return ", ".join(f"{number:,} {state}" for state, number in sorted(counts.items())) or "no task yet"


def _terminal(counts: Counts) -> int:
    """How many tasks nobody will touch again."""
    return sum(number for state, number in counts.items() if state.terminal)
