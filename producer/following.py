"""A job on a person's screen: progress on stderr, the report by the tracker, the outcome as an exit code."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ard.adapters.console import Exit, say
from ard.errors import InvalidInput, Unavailable
from ard.rows import JobRow
from producer.services import Services
from producer.wait import Counts, Followed, failed, follow, terminal


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
                show=lambda counts: advance(terminal(counts)),
            )
    except KeyboardInterrupt:
        say(f"Not followed any longer; the job goes on: tracker status --job {job.job_id}")
        return None


def tracker_program() -> Path:
    """The tracker that belongs to this program: beside its interpreter."""
    return Path(sys.executable).with_name("tracker")


def write_report(job_id: str, folder: Path, *, program: Path) -> None:
    """Have the tracker write a job's report; what it prints goes to stderr.

    Raises:
        InvalidInput: There is no such program.
        Unavailable: It did not succeed; it has said why.
    """
    if not program.is_file():
        raise InvalidInput(f"expected the tracker at {program}, found none")
    arguments = ["report", "--job", job_id, "--report-dir", str(folder)]
    code = subprocess.run([str(program), *arguments], check=False, stdout=sys.stderr).returncode  # noqa: S603
    if code:
        raise Unavailable(f"tracker {' '.join(arguments)}: expected exit code 0, found {code}")


def outcome(followed: Followed | None) -> Exit:
    """How a job that was followed ended, as an exit code."""
    if followed is None or not followed.finished:
        return Exit.NOT_FINISHED
    lost = failed(followed.counts)
    if not lost:
        return Exit.OK
    return Exit.TOTAL_FAILURE if lost == followed.job.tasks else Exit.PARTIAL_FAILURE


def counts_text(counts: Counts) -> str:
    """The tasks per state on one line, such as ``3 SUCCEEDED, 1 FAILED``."""
    return ", ".join(f"{number:,} {state}" for state, number in sorted(counts.items())) or "no task yet"
