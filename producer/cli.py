"""The ``producer`` command: results on stdout, words for people on stderr."""

import functools
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NoReturn, ParamSpec, TypeVar

import typer

from ard.adapters import console
from ard.adapters.console import Exit, count, put, say
from ard.adapters.outputs import Verify
from ard.adapters.reopening import Resumed
from ard.rows import Command
from ard.settings import AwsSettings, ControlSettings
from producer.asking import ask, check_can_ask, check_report
from producer.by_lithops import places_of, run_here, start_here
from producer.csv_io import read_csv_request, write_csv
from producer.files import kind_of, read_bytes
from producer.following import counts_text, follow_job, outcome, tracker_program, write_report
from producer.jobs import Started, approve_job, resume_job, start_job
from producer.json_io import read_geojson_request, read_json_request
from producer.options import (
    EPILOG,
    DestOption,
    DryRunOption,
    FormatOption,
    JobOption,
    JsonOption,
    LabelOption,
    LithopsConfigOption,
    MaxCostOption,
    MemOption,
    OverwriteOption,
    ParquetOption,
    PlotOption,
    ProductsOption,
    ReportOption,
    RequestArgument,
    RerunOption,
    RetriesOption,
    SkipUnknownOption,
    VerifyOption,
    Via,
    ViaOption,
    WaitOption,
    YearsOption,
    YesOption,
    overriding,
)
from producer.plan import Plan
from producer.plan_text import preview_lines
from producer.planning import (
    as_line,
    as_text,
    expect_new,
    look_for_outputs,
    make_plan,
    read_or_advise,
    say_problems,
    show_plan,
    withdraw_damaged,
)
from producer.preview import Survey, preview
from producer.receipts import next_commands, reopening, submission
from producer.request import RequestOptions, RequestRejected, TileRequest
from producer.services import NoSuchJob, Services, connect
from producer.tile_index import TileIndex

P = ParamSpec("P")
R = TypeVar("R")

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)


@app.callback(epilog=EPILOG)
def producer() -> None:
    """Turn requests for tiles into jobs."""


def reports_errors(command: Callable[P, R]) -> Callable[P, R]:
    """A command that tells a person what is wrong; a rejected request with every problem in its place."""

    @console.reports_errors
    @functools.wraps(command)
    def reporting(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except RequestRejected as error:
            say_problems(error.problems, total=error.total)
            say(f"The request is rejected: {count(error.total, 'problem')}. Nothing was started.")
            for note in getattr(error, "__notes__", ()):
                say(note)
            raise typer.Exit(Exit.BAD_INPUT) from error
        except NoSuchJob as error:
            say(f"error: {error}")
            say("next: tracker jobs")
            raise typer.Exit(Exit.NO_SUCH_JOB) from error

    return reporting


@app.command()
@reports_errors
def tiles(
    context: typer.Context,
    request: RequestArgument,
    *,
    parquet: ParquetOption,
    year: YearsOption = None,
    skip_unknown: SkipUnknownOption = False,
) -> None:
    """Print the tiles of a request as CSV: Year,X,Y,Y_tile,X_tile."""
    read = functools.partial(_read_tiles, request, parquet, years=year or ())
    found = read_or_advise(context, read, skip_unknown=skip_unknown)
    write_csv(found, sys.stdout)
    sys.stdout.flush()  # here, where a reader that has left is met quietly
    say_problems(found.unknown, total=found.skipped)
    skipped = f", {found.skipped:,} unknown skipped" if found.skipped else ""
    say(f"{count(len(found), 'tile')}, {count(found.duplicates, 'duplicate')}{skipped}")
    if not len(found):
        raise typer.Exit(Exit.NO_WORK)


@app.command("plan")
@reports_errors
def plan_command(
    context: typer.Context,
    request: RequestArgument,
    *,
    year: YearsOption = None,
    dest: DestOption = None,
    products: ProductsOption = None,
    formats: FormatOption = None,
    mem: MemOption = None,
    retries: RetriesOption = None,
    overwrite: OverwriteOption = None,
    label: LabelOption = None,
    rerun: RerunOption = None,
    skip_unknown: SkipUnknownOption = False,
    max_cost: MaxCostOption = None,
    verify: VerifyOption = Verify.SIZES,
    as_json: JsonOption = False,
) -> None:
    """Look for what exists, and print what the job would be, take and cost. Nothing is started."""
    services = _services(context)
    overrides = overriding(
        dest=dest,
        products=products,
        formats=formats,
        retries=retries,
        overwrite=overwrite,
        label=label,
        rerun=rerun,
        skip_unknown=skip_unknown,
        max_cost=max_cost,
    )
    plan = make_plan(context, request, overrides, years=year or (), deployed_mb=mem, services=services)
    show_plan(
        context, plan, look_for_outputs(plan, services=services, verify=verify), services=services, as_json=as_json
    )


@app.command()
@reports_errors
def submit(
    context: typer.Context,
    request: RequestArgument,
    *,
    year: YearsOption = None,
    dest: DestOption = None,
    products: ProductsOption = None,
    formats: FormatOption = None,
    via: ViaOption = Via.SQS,
    lithops_config: LithopsConfigOption = None,
    mem: MemOption = None,
    retries: RetriesOption = None,
    overwrite: OverwriteOption = None,
    label: LabelOption = None,
    rerun: RerunOption = None,
    skip_unknown: SkipUnknownOption = False,
    max_cost: MaxCostOption = None,
    verify: VerifyOption = Verify.SIZES,
    dry_run: DryRunOption = False,
    wait: WaitOption = False,
    report_dir: ReportOption = None,
    plot: PlotOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Start the job of a request; the same content is the same job, however often it is submitted."""
    here, years = via is Via.LITHOPS, year or ()
    check_report(wait=wait or here, report_dir=report_dir, plot=plot)
    check_can_ask(yes=yes or dry_run, as_json=as_json)
    services = _services(context)
    overrides = overriding(
        dest=dest,
        products=products,
        formats=formats,
        retries=retries,
        overwrite=overwrite,
        label=label,
        rerun=rerun,
        skip_unknown=skip_unknown,
        max_cost=max_cost,
    )
    deployed_mb = None if here else mem
    plan = make_plan(context, request, overrides, years=years, deployed_mb=deployed_mb, services=services)
    places = places_of(plan, lithops_config, mem=mem, services=services) if here else None
    # Who says yes beforehand is not kept waiting: workers and chunks skip what exists by its sizes anyway.
    unseen = yes and not dry_run and verify is not Verify.FULL
    found = None if unseen else look_for_outputs(plan, services=services, verify=verify)
    if dry_run:
        show_plan(context, plan, found, services=services, as_json=as_json)
        return
    _agree(context, plan, found, services=services, yes=yes)
    start = start_job if places is None else start_here
    started = start(plan.request, services=services, request_key=f"cli:{request.name}", now=services.clock())
    if not as_json:
        put(_started_text(started))
    if places is not None:
        run_here(started.job, places, services=services)
    if wait or here:
        _see_to_its_end(started, services=services, as_json=as_json, report_dir=report_dir, plot=plot)
    elif as_json:
        put(as_line(submission(started, counts=None, finished=None)))


@app.command()
@reports_errors
def approve(context: typer.Context, *, job: JobOption, as_json: JsonOption = False) -> None:
    """Let a job run that waits because it may cost more than its cap."""
    services = _services(context)
    _say_reopened(approve_job(job, services=services, now=services.clock()), as_json=as_json)


@app.command()
@reports_errors
def resume(context: typer.Context, *, job: JobOption, as_json: JsonOption = False) -> None:
    """Let a paused job go on."""
    services = _services(context)
    _say_reopened(resume_job(job, services=services, now=services.clock()), as_json=as_json)


def _services(context: typer.Context) -> Services:
    """The deployment's services, unless whoever runs the app brings their own."""
    if isinstance(context.obj, Services):
        return context.obj
    return connect(console.configured(ControlSettings), AwsSettings())


def _read_tiles(path: Path, parquet: Path, *, years: Collection[int], skip_unknown: bool) -> TileRequest:
    kind, raw, index = kind_of(path, years=years), read_bytes(path), TileIndex.open(parquet)
    if kind == "geojson":
        return read_geojson_request(raw, years=years, index=index)
    if kind == "csv":
        options = RequestOptions(on_unknown_tile="skip" if skip_unknown else "reject")
        return read_csv_request(raw, index=index, options=options)
    return read_json_request(raw, index=index, on_unknown_tile="skip" if skip_unknown else None)


def _agree(context: typer.Context, plan: Plan, found: Survey | None, *, services: Services, yes: bool) -> None:
    """Show what is about to be started, and go on when that is wanted."""
    shown = preview(plan, services=services, found=found)
    say(as_text(preview_lines(shown)).rstrip())
    expect_new(context, plan, shown)
    if not yes:
        ask()
    withdraw_damaged(plan, found, services=services)


def _started_text(started: Started) -> str:
    job = started.job
    status = "created" if started.created else f"exists already, {job.command}"
    if started.created and job.command is not Command.OPEN:
        status = f"{status}, {job.command}"
    return "\n".join([f"{job.job_id}  {status}", *next_commands(job.job_id, job.command), ""])


def _say_reopened(resumed: Resumed, *, as_json: bool) -> None:
    told = reopening(resumed)
    words = f"{told.job_id}  {told.command}: {count(told.chunks_sent, 'chunk')}, {count(told.tasks_sent, 'task')} sent"
    put(as_line(told) if as_json else f"{words}\n")


def _see_to_its_end(
    started: Started, *, services: Services, as_json: bool, report_dir: Path | None, plot: bool
) -> NoReturn:
    """Follow the job, say what became of it, and exit with that."""
    followed = follow_job(started.job, services=services)
    if as_json:
        counts, finished = (followed.counts, followed.finished) if followed else (None, None)
        put(as_line(submission(started, counts=counts, finished=finished)))
    elif followed:
        put(f"{counts_text(followed.counts)}\n")
    if report_dir is not None and followed is not None:
        write_report(started.job.job_id, report_dir, program=tracker_program(), plot=plot)
    raise typer.Exit(outcome(followed))
