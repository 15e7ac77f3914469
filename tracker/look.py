"""The commands that look at jobs: how they stand, and what failed."""

import functools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import typer
from rich.console import Console, Group
from rich.live import Live

from ard.adapters import console
from ard.adapters.console import Exit, configured, count, say
from ard.settings import TableSettings
from ard.states import State
from tracker.bundles import By, bundle_failures
from tracker.documents import make as documents
from tracker.failures import group_failures
from tracker.follow import Follower, find_job, follow
from tracker.options import (
    ByOption,
    ExitStatusOption,
    JobOption,
    JsonOption,
    LimitOption,
    RefreshOption,
    WatchOption,
    put_document,
    regions_of,
    say_odd,
)
from tracker.services import open_table
from tracker.show import common as show
from tracker.show import failures as show_failures
from tracker.show import status as show_status
from tracker.summary import Counts, JobSummary, Outcome

if TYPE_CHECKING:
    from ard.rows import OddRow

OUTCOME_EXITS = {
    Outcome.SUCCEEDED: Exit.OK,
    Outcome.PARTLY_FAILED: Exit.PARTIAL_FAILURE,
    Outcome.CANCELLED: Exit.PARTIAL_FAILURE,
    Outcome.FAILED: Exit.TOTAL_FAILURE,
}


def status(
    *,
    job: JobOption,
    as_json: JsonOption = False,
    watch: WatchOption = False,
    refresh: RefreshOption = 5.0,
    exit_status: ExitStatusOption = False,
) -> None:
    """Count the tasks of a job by product and state."""
    settings = configured(TableSettings)
    follower = Follower(table=open_table(settings), job_id=job, regions=regions_of(settings), clock=time.monotonic)
    summary = _watch(follower, refresh, live=not as_json) if watch else follower.read(console.now())
    screen = show.results_console()
    if as_json:
        put_document(documents.status_document(summary))
    elif not (watch and screen.is_terminal):
        show.put_view(_view(summary, screen))
    if exit_status:
        raise typer.Exit(OUTCOME_EXITS.get(summary.outcome, Exit.NOT_FINISHED))


def jobs(*, limit: LimitOption = 20, as_json: JsonOption = False) -> None:
    """List the newest jobs."""
    odd: list[OddRow] = []
    found = open_table(configured(TableSettings)).jobs(limit, odd=odd.append)
    say_odd(odd)
    if as_json:
        put_document(documents.jobs_document(found, odd_rows=len(odd)))
    elif found:
        show.put_view(show_status.jobs_view(found))
        say(f"{count(len(found), 'job')}; how one stands: tracker status --job {found[0].job_id}")
    else:
        say("no jobs yet: producer submit REQUEST")


def failures(*, job: JobOption, by: ByOption = By.CAUSE, as_json: JsonOption = False) -> None:
    """Group what failed by what it has in common, by product or by tile; what has no data apart."""
    table = open_table(configured(TableSettings))
    odd: list[OddRow] = []
    states = {State.FAILED, State.NO_DATA}
    rows = list(table.tasks(find_job(table, job), states=states, odd=odd.append))
    groups = group_failures(rows)
    bundles = [] if by is By.CAUSE else bundle_failures(rows, by)
    if as_json:
        put_document(documents.failures_document(job, groups, by=by, bundles=bundles, odd_rows=len(odd)))
        return
    view = show_failures.bundles_view(bundles, by) if bundles else show_failures.failures_view(groups)
    if groups:
        show.put_view(view)
    failed, without_data = show_failures.failure_counts(groups)
    say(f"{failed:,} failed, {without_data:,} without data")
    say_odd(odd)
    if not groups:
        say(f"nothing to see to: tracker status --job {job}")


def _watch(follower: Follower, refresh: float, *, live: bool) -> JobSummary:
    screen = show.results_console()
    read = functools.partial(_read_now, follower)
    try:
        if not (live and screen.is_terminal):
            return follow(read, show=_progress_teller(), sleep=time.sleep, refresh_seconds=refresh)
        with Live(console=screen, auto_refresh=False) as display:

            def draw(summary: JobSummary) -> None:
                display.update(_view(summary, screen), refresh=True)

            return follow(read, show=draw, sleep=time.sleep, refresh_seconds=refresh)
    except KeyboardInterrupt as interrupt:
        say(f"the job goes on: tracker status --job {follower.job_id} --watch")
        raise typer.Exit(Exit.ABORTED) from interrupt


def _read_now(follower: Follower) -> JobSummary:
    return follower.read(console.now())


def _progress_teller() -> Callable[[JobSummary], None]:
    """Says where a job stands whenever that has changed."""
    told: list[Counts] = []

    def tell(summary: JobSummary) -> None:
        if told[-1:] != [summary.counts]:
            told[:] = [summary.counts]
            say(show_status.headline(summary))

    return tell


def _view(summary: JobSummary, screen: Console) -> Group:
    return show_status.status_view(summary, width=screen.width, unicode=screen.encoding.startswith("utf"))
