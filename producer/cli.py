"""The ``producer`` command: results on stdout, words for people on stderr."""

import functools
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import ParamSpec, TypeVar

import typer
from pydantic import BaseModel

from ard.adapters import console
from ard.adapters.console import Exit, count, put, say
from ard.settings import AwsSettings, ControlSettings
from producer.csv_io import read_csv_request, write_csv
from producer.files import kind_of, read_bytes, read_for
from producer.following import counts_text, follow_job, outcome, progress, tracker_program, write_report
from producer.jobs import Resumed, Started, approve_job, checked_plan, resume_job, start_job
from producer.json_io import read_json_request
from producer.options import (
    DestOption,
    FormatOption,
    JobOption,
    JsonOption,
    LabelOption,
    MaxCostOption,
    OverwriteOption,
    ParquetOption,
    PlotOption,
    ProductsOption,
    ReportOption,
    RequestArgument,
    RerunOption,
    RetriesOption,
    SkipUnknownOption,
    WaitOption,
    YesOption,
    overriding,
)
from producer.plan import Plan
from producer.preview import count_made, preview, preview_lines
from producer.receipts import next_commands, reopening, submission
from producer.request import Problem, RequestOptions, RequestRejected, TileRequest
from producer.services import Services, connect
from producer.tile_index import TileIndex

P = ParamSpec("P")
R = TypeVar("R")

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_show_locals=False)


@app.callback()
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
            _say_problems(error.problems, total=error.total)
            say(f"The request is rejected: {count(error.total, 'problem')}. Nothing was started.")
            raise typer.Exit(Exit.BAD_INPUT) from error

    return reporting


@app.command()
@reports_errors
def tiles(request: RequestArgument, *, parquet: ParquetOption, skip_unknown: SkipUnknownOption = False) -> None:
    """Print the tiles of a request as CSV: Year,X,Y,Y_tile,X_tile."""
    found = _read_tiles(request, parquet, skip_unknown=skip_unknown)
    write_csv(found, sys.stdout)
    sys.stdout.flush()  # here, where a reader that has left is met quietly
    _say_problems(found.unknown, total=found.skipped)
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
    dest: DestOption = None,
    products: ProductsOption = None,
    formats: FormatOption = None,
    retries: RetriesOption = None,
    overwrite: OverwriteOption = None,
    label: LabelOption = None,
    rerun: RerunOption = None,
    skip_unknown: SkipUnknownOption = False,
    max_cost: MaxCostOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look for what exists, and print what the job would be and cost. Nothing is started."""
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
    plan = _plan(request, overrides, services=services)
    with progress(sum(plan.totals.values()), "looking for outputs") as advance:
        made = count_made(plan, services=services, advance=advance)
    shown = preview(plan, services=services, made=made)
    put(_json(shown) if as_json else _text(preview_lines(shown)))


@app.command()
@reports_errors
def submit(
    context: typer.Context,
    request: RequestArgument,
    *,
    dest: DestOption = None,
    products: ProductsOption = None,
    formats: FormatOption = None,
    retries: RetriesOption = None,
    overwrite: OverwriteOption = None,
    label: LabelOption = None,
    rerun: RerunOption = None,
    skip_unknown: SkipUnknownOption = False,
    max_cost: MaxCostOption = None,
    wait: WaitOption = False,
    report_dir: ReportOption = None,
    plot: PlotOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Start the job of a request; the same content is the same job, however often it is submitted."""
    _check_report(wait=wait, report_dir=report_dir, plot=plot)
    _check_can_ask(yes=yes, as_json=as_json)
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
    plan = _plan(request, overrides, services=services)
    say(_text(preview_lines(preview(plan, services=services))).rstrip())
    if not yes:
        _ask()
    key = f"cli:{request.name}"
    started = start_job(plan.request, services=services, request_key=key, now=services.clock())
    if not as_json:
        put(_started_text(started))
    followed = follow_job(started.job, services=services) if wait else None
    if as_json:
        counts, finished = (followed.counts, followed.finished) if followed else (None, None)
        put(_json(submission(started, counts=counts, finished=finished)))
    elif followed:
        put(f"{counts_text(followed.counts)}\n")
    if report_dir is not None and followed is not None:
        write_report(started.job.job_id, report_dir, program=tracker_program(), plot=plot)
    if wait:
        raise typer.Exit(outcome(followed))


@app.command()
@reports_errors
def approve(context: typer.Context, *, job: JobOption, as_json: JsonOption = False) -> None:
    """Let a job run that waits because it may cost more than its request allows."""
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


def _read_tiles(path: Path, parquet: Path, *, skip_unknown: bool) -> TileRequest:
    kind, raw, index = kind_of(path), read_bytes(path), TileIndex.open(parquet)
    if kind == "csv":
        options = RequestOptions(on_unknown_tile="skip" if skip_unknown else "reject")
        return read_csv_request(raw, index=index, options=options)
    return read_json_request(raw, index=index, on_unknown_tile="skip" if skip_unknown else None)


def _plan(path: Path, overrides: RequestOptions, *, services: Services) -> Plan:
    kind_of(path)  # wrong usage is told before the index is read
    request = read_for(path, index=services.index(), overrides=overrides, settings=services.settings)
    _say_problems(request.unknown, total=request.skipped)
    if not len(request):
        say("No tile is left to make. Nothing was started.")
        raise typer.Exit(Exit.NO_WORK)
    return checked_plan(request, services=services)


def _check_report(*, wait: bool, report_dir: Path | None, plot: bool) -> None:
    missing = " and ".join([*([] if wait else ["--wait"]), *([] if report_dir else ["--report-dir DIR"])])
    if plot and missing:
        raise typer.BadParameter(f"expected {missing} beside --plot: plots are part of the report of a job")
    if report_dir and missing:
        raise typer.BadParameter(f"expected {missing} beside --report-dir: a report is of a job that has ended")


def _check_can_ask(*, yes: bool, as_json: bool) -> None:
    if not yes and (as_json or not sys.stdin.isatty()):
        raise typer.BadParameter("expected --yes where nobody can be asked: in JSON mode, or without a terminal")


def _ask() -> None:
    """Go on only if the person agrees."""
    try:
        agreed = typer.confirm("Proceed?", default=False, err=True)
    except typer.Abort:
        agreed = False
    if not agreed:
        say("Nothing was started.")
        raise typer.Exit(Exit.ABORTED)


def _started_text(started: Started) -> str:
    job = started.job
    status = "created" if started.created else f"exists already, {job.command}"
    if started.created and started.chunks_sent == 0:
        status = f"{status}, {job.command}"
    return "\n".join([f"{job.job_id}  {status}", *next_commands(job.job_id, job.command), ""])


def _say_reopened(resumed: Resumed, *, as_json: bool) -> None:
    told = reopening(resumed)
    words = f"{told.job_id}  {told.command}: {count(told.chunks_sent, 'chunk')}, {count(told.tasks_sent, 'task')} sent"
    put(_json(told) if as_json else f"{words}\n")


def _json(document: BaseModel) -> str:
    return document.model_dump_json() + "\n"


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _say_problems(problems: Iterable[Problem], *, total: int) -> None:
    listed = list(problems)
    for problem in listed:
        say(str(problem))
    if total > len(listed):
        say(f"... and {total - len(listed):,} more")
