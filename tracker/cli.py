"""The ``tracker`` command: results on stdout, words for people on stderr."""

import functools
import getpass
import json
import shlex
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ParamSpec, TypeVar

import typer
from rich.console import Console, Group
from rich.live import Live

from ard.adapters import console
from ard.adapters.console import Exit, configured, count, put, say
from ard.errors import InvalidInput
from ard.product import Product
from ard.rows import Command
from ard.settings import ControlSettings, TableSettings
from ard.tile import parse_tile_key, tile_key
from tracker import documents, show
from tracker.failures import group_failures
from tracker.follow import Follower, NoSuchJob, find_job, follow
from tracker.reconcile import reconcile as reconcile_rows
from tracker.redrive import Note, RedrivePlan, Selection, apply_redrive, plan_redrive
from tracker.report import PLOTS, write_report
from tracker.services import open_intake, open_table, open_tasks
from tracker.summary import Counts, JobSummary, Outcome

P = ParamSpec("P")
R = TypeVar("R")

OUTCOME_EXITS = {
    Outcome.SUCCEEDED: Exit.OK,
    Outcome.PARTLY_FAILED: Exit.PARTIAL_FAILURE,
    Outcome.CANCELLED: Exit.PARTIAL_FAILURE,
    Outcome.FAILED: Exit.TOTAL_FAILURE,
}

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)


@app.callback()
def tracker() -> None:
    """Say what became of every task, and send again what failed."""


def reports_errors(command: Callable[P, R]) -> Callable[P, R]:
    """A command that tells a person what is wrong; it exits with 9 when the job is not there."""

    @console.reports_errors
    @functools.wraps(command)
    def reporting(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except NoSuchJob as error:
            say(f"error: {error}")
            raise typer.Exit(Exit.NO_SUCH_JOB) from error

    return reporting


JobOption = Annotated[str, typer.Option("--job", metavar="ID", help="The job's id.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
LimitOption = Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many jobs to list.")]
WatchOption = Annotated[bool, typer.Option("--watch", help="Follow the job until every task has ended.")]
RefreshOption = Annotated[float, typer.Option("--refresh", min=2.0, help="Seconds between looks while watching.")]
ExitStatusOption = Annotated[
    bool,
    typer.Option("--exit-status", help="Exit with the job's outcome: 0 well, 1 partly, 7 not ended, 8 failed."),
]


@app.command()
@reports_errors
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
    follower = Follower(table=open_table(settings), job_id=job, regions=_regions(settings))
    summary = _watch(follower, refresh, live=not as_json) if watch else follower.read(console.now())
    screen = show.results_console()
    if as_json:
        _put_document(documents.status_document(summary))
    elif not (watch and screen.is_terminal):
        screen.print(_view(summary, screen))
    if exit_status:
        raise typer.Exit(OUTCOME_EXITS.get(summary.outcome, Exit.NOT_FINISHED))


@app.command()
@reports_errors
def jobs(*, limit: LimitOption = 20, as_json: JsonOption = False) -> None:
    """List the newest jobs."""
    found = open_table(configured(TableSettings)).jobs(limit)
    if as_json:
        _put_document(documents.jobs_document(found))
    elif found:
        show.results_console().print(show.jobs_view(found))
        say(f"{count(len(found), 'job')}; how one stands: tracker status --job {found[0].job_id}")
    else:
        say("no jobs yet: producer submit REQUEST")


@app.command()
@reports_errors
def failures(*, job: JobOption, as_json: JsonOption = False) -> None:
    """Group what failed by what it has in common."""
    table = open_table(configured(TableSettings))
    groups = group_failures(table.tasks(find_job(table, job)))
    if as_json:
        _put_document(documents.failures_document(job, groups))
        return
    if groups:
        show.results_console().print(show.failures_view(groups))
    failed, without_data = show.failure_counts(groups)
    say(f"{failed:,} failed, {without_data:,} without data")


ReportDirOption = Annotated[Path, typer.Option("--report-dir", help="Where reports are kept, one folder per job.")]
PlotOption = Annotated[
    bool, typer.Option("--plot", help="Also plot each region's executions: a timeline and a histogram.")
]


@app.command()
@reports_errors
def report(*, job: JobOption, report_dir: ReportDirOption = Path("job_reports"), plot: PlotOption = False) -> None:
    """Write a job's report and print its folder."""
    settings = configured(TableSettings)
    table = open_table(settings)
    row = find_job(table, job)
    regions, rows = _regions(settings), table.tasks(row)
    written = write_report(row, rows, report_dir / job, now=console.now(), regions=regions, plot=plot)
    put(f"{written.folder}\n")
    summary = written.summary
    say(f"{summary.outcome}: {summary.counts.ended:,} of {count(summary.counts.total, 'task')} ended")
    if plot:
        where = f" in {written.folder / PLOTS}" if written.plots else ": nothing has run yet"
        say(count(written.plots, "plot") + where)
    if not summary.ended:
        say(f"the job goes on; when it has ended: tracker report --job {job}")


ProductsOption = Annotated[list[Product] | None, typer.Option("--product", help="Only of this product; repeatable.")]
CausesOption = Annotated[list[str] | None, typer.Option("--cause", help="Only of this cause; repeatable.")]
TilesOption = Annotated[list[str] | None, typer.Option("--tile", metavar="1000X871Y", help="This tile; repeatable.")]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Also causes that trying again cannot help: after a repair.")
]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, for the log.")]
ApplyOption = Annotated[bool, typer.Option("--apply", help="Do it; without this, only say what would be done.")]


@app.command()
@reports_errors
def redrive(
    *,
    job: JobOption,
    product: ProductsOption = None,
    cause: CausesOption = None,
    tile: TilesOption = None,
    force: ForceOption = False,
    reason: ReasonOption = "",
    apply: ApplyOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send failed tasks again: a preview, unless --apply is given."""
    tasks = open_tasks(configured(TableSettings))
    row = find_job(tasks.table, job)
    if row.command is Command.CANCELLED:
        raise InvalidInput(f"{job} is cancelled; to make its tiles after all, submit the request again with --rerun")
    tiles = [tile_key(*parse_tile_key(name)) for name in tile or ()]
    wanted = Selection(products=product or (), causes=cause or (), tiles=tiles, force=force)
    plan = plan_redrive(tasks.table.tasks(row), wanted)
    if apply and plan.chosen:
        note = Note(who=_user(), why=reason, filter=shlex.join(_arguments(wanted)))
        done = apply_redrive(plan, row, tasks, now=console.now(), note=note)
        if as_json:
            _put_document(documents.redrive_document(job, done, plan))
        else:
            put("".join(f"{line}\n" for line in show.redrive_lines(done)))
        if row.command is Command.PAUSED:
            say(f"the job is paused: producer resume --job {job}")
        say(f"next: tracker status --job {job} --watch")
    elif as_json:
        _put_document(documents.plan_document(job, plan))
    else:
        put("".join(f"{line}\n" for line in show.plan_lines(plan)))
    _advise(plan, wanted, job, applied=apply)
    if not plan.chosen:
        raise typer.Exit(Exit.NO_WORK)


ReconciledJobOption = Annotated[str | None, typer.Option("--job", metavar="ID", help="Only this job's rows.")]


@app.command()
@reports_errors
def reconcile(*, job: ReconciledJobOption = None, as_json: JsonOption = False) -> None:
    """See to every task that should have been heard of by now; without --job, to unanswered requests too."""
    settings = configured(ControlSettings)
    tasks = open_tasks(settings)
    if job is not None:
        find_job(tasks.table, job)
    result = reconcile_rows(tasks, open_intake(settings), now=console.now(), job_id=job)
    if as_json:
        _put_document(documents.reconcile_document(result))
    else:
        put("".join(f"{line}\n" for line in show.reconcile_lines(result)))
    for name in result.orphans:
        say(f"row without a job: {name}")
    for reason in result.odd:
        say(f"odd row: {reason}")
    if result.more:
        say("more is due: tracker reconcile")
    if result.unsent:
        say(f"{result.unsent:,} rows could not be sent and are still due: tracker reconcile")
        raise typer.Exit(Exit.PARTIAL_FAILURE)


def _regions(settings: TableSettings) -> dict[Product, str]:
    return {product: queue.region for product, queue in settings.queues.items()}


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
            say(show.headline(summary))

    return tell


def _view(summary: JobSummary, screen: Console) -> Group:
    return show.status_view(summary, width=screen.width, unicode=screen.encoding.startswith("utf"))


def _put_document(document: documents.Document) -> None:
    put(json.dumps(document, allow_nan=False) + "\n")


def _advise(plan: RedrivePlan, wanted: Selection, job: str, *, applied: bool) -> None:
    """What to type next about what was not sent."""
    again = ["tracker", "redrive", "--job", job, *_arguments(wanted)]
    if plan.chosen and not applied:
        say(f"to send: {shlex.join([*again, '--apply'])}")
    if plan.permanent:
        say(f"to send the {len(plan.permanent):,} left too: {shlex.join([*again, '--force', '--apply'])}")
    if not plan.chosen and not plan.permanent:
        say(f"nothing here has failed: tracker status --job {job}")


def _arguments(wanted: Selection) -> list[str]:
    """The options that make this selection."""
    named = [("--product", wanted.products), ("--cause", wanted.causes), ("--tile", wanted.tiles)]
    options = [part for name, values in named for value in values for part in (name, str(value))]
    return [*options, *(["--force"] if wanted.force else [])]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return "unknown"
